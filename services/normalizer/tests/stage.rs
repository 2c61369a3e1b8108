//! The stage as the runtime drives it: bytes in, bytes out, dead letters for what is refused.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test's own steps may fail loudly"
)]

use prunella_knowledge::digest_of;
use prunella_normalizer::{CONTENT_TYPE_HEADER, Normalizer, RECEIVED_AT_HEADER, SOURCE_HEADER};
use prunella_schemas::{KnowledgeFile, KnowledgeRecord, NormalizedAlert, decode};
use prunella_stream::{Accepted, Codec, Header, Record, Sink, StageTask, Task};

const NOW: i64 = 1_706_788_800_000;
const RAW: usize = 0;
const KNOWLEDGE: usize = 1;

struct Stage {
    task: StageTask<Normalizer>,
    offsets: [i64; 2],
}

/// What came out: alerts with their keys, and the classes of dead letters.
#[derive(Default)]
struct Out {
    alerts: Vec<(String, NormalizedAlert)>,
    refused: Vec<String>,
    traces: Vec<String>,
}

impl Stage {
    fn new() -> Self {
        let mut task = StageTask::new(Normalizer, 0);
        task.restored(&|_, _| false);
        Self {
            task,
            offsets: [0; 2],
        }
    }

    fn send(
        &mut self,
        source: usize,
        key: &str,
        value: Option<&[u8]>,
        headers: &[(&str, &str)],
    ) -> Accepted {
        let headers: Vec<Header<'_>> = headers
            .iter()
            .map(|(name, value)| Header {
                name,
                value: value.as_bytes(),
            })
            .collect();
        let offset = self.offsets[source];
        self.offsets[source] += 1;
        self.task.record(
            NOW,
            &Record {
                source,
                partition: 0,
                offset,
                timestamp: NOW - 5,
                key: Some(key.as_bytes()),
                value,
                headers: &headers,
            },
        )
    }

    fn publish(&mut self, record: &KnowledgeRecord) -> Accepted {
        let mut bytes = Vec::new();
        Codec::encode(record, &mut bytes);
        self.send(KNOWLEDGE, &record.digest, Some(&bytes), &[])
    }

    /// Publishes a set and puts it in force.
    fn apply(&mut self, yaml: &str) -> [Accepted; 2] {
        let files = vec![KnowledgeFile {
            path: "sources.yaml".to_owned(),
            text: yaml.to_owned(),
        }];
        let manifest = KnowledgeRecord {
            digest: digest_of(&files),
            ..KnowledgeRecord::default()
        };
        let content = KnowledgeRecord {
            files,
            ..manifest.clone()
        };
        [self.publish(&content), self.publish(&manifest)]
    }

    fn out(&mut self) -> Out {
        let mut out = Out::default();
        self.task.drain(&mut |output| {
            let header = |name: &str| {
                let found = output.headers.iter().find(|header| header.name == name);
                found.map(|header| String::from_utf8_lossy(header.value).into_owned())
            };
            match output.sink {
                Sink::Topic(_) => {
                    let key = String::from_utf8_lossy(output.key.unwrap_or_default());
                    let alert = decode(output.value.unwrap_or_default()).unwrap();
                    out.alerts.push((key.into_owned(), alert));
                    out.traces.extend(header("traceparent"));
                }
                Sink::DeadLetter(_) => out.refused.extend(header("prunella.error.class")),
            }
        });
        out
    }
}

const ALERT: &[u8] = br#"{"alerts": [
    {"labels": {"alertname": "Hot", "cluster": "eu"}, "startsAt": "2024-02-01T11:00:00Z"},
    {"labels": {"alertname": "Hot", "cluster": "us"}, "startsAt": "2024-02-01T11:00:00Z"}
]}"#;

#[test]
fn every_alert_goes_out_under_its_domain_with_its_trace_and_its_place() {
    let mut stage = Stage::new();
    let headers = [
        (SOURCE_HEADER, "alertmanager"),
        (CONTENT_TYPE_HEADER, "application/json"),
        (RECEIVED_AT_HEADER, "1706788799000"),
        ("traceparent", "00-trace"),
    ];
    stage.send(RAW, "alertmanager/", Some(ALERT), &headers);
    stage.send(RAW, "alertmanager/", Some(ALERT), &headers);
    let out = stage.out();
    let keys: Vec<&str> = out.alerts.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["eu", "us", "eu", "us"]);
    let last = &out.alerts[3].1;
    assert_eq!((last.raw.offset, last.raw.index), (1, 1));
    assert_eq!(last.received_at, 1_706_788_799_000);
    assert_eq!(out.traces, ["00-trace"; 4]);
    let ids: std::collections::BTreeSet<_> = out
        .alerts
        .iter()
        .map(|(_, alert)| &alert.alert_id)
        .collect();
    assert_eq!(ids.len(), 4);
}

#[test]
fn a_record_without_headers_is_of_the_source_in_its_key_and_of_its_own_time() {
    let mut stage = Stage::new();
    stage.send(RAW, "alertmanager/x", Some(ALERT), &[]);
    stage.send(RAW, "", Some(br#"{"name": "Hot"}"#), &[]);
    let out = stage.out();
    let sources: Vec<_> = out
        .alerts
        .iter()
        .map(|(_, alert)| (alert.source_system.as_str(), alert.received_at))
        .collect();
    assert_eq!(
        sources,
        [
            ("alertmanager", NOW - 5),
            ("alertmanager", NOW - 5),
            ("generic", NOW - 5)
        ]
    );
}

#[test]
fn nothing_was_received_later_than_now() {
    let mut stage = Stage::new();
    for (said, taken) in [
        ("1706788799000", NOW - 1_000),
        ("9706788799000", NOW),
        ("-1", NOW),
    ] {
        stage.send(
            RAW,
            "generic/",
            Some(br#"{"name": "Hot"}"#),
            &[(RECEIVED_AT_HEADER, said)],
        );
        assert_eq!(stage.out().alerts[0].1.received_at, taken, "{said}");
    }
}

#[test]
fn what_is_refused_goes_to_the_dead_letters_and_the_next_record_is_taken() {
    let mut stage = Stage::new();
    for (value, class) in [
        (None, "empty"),
        (Some(&b""[..]), "empty"),
        (Some(&b"{"[..]), "truncated_json"),
        (Some(&b"{\"a\": 1e999}"[..]), "number_out_of_range"),
    ] {
        let accepted = stage.send(RAW, "generic/", value, &[]);
        assert!(matches!(accepted, Accepted::Rejected(_)));
        assert_eq!(stage.out().refused, [class]);
    }
    stage.send(RAW, "generic/", Some(br#"{"name": "Hot"}"#), &[]);
    assert_eq!(stage.out().alerts.len(), 1);
}

const PUMP: &[u8] = br#"{"what": "Pump_Stalled"}"#;

#[test]
fn a_source_is_read_as_the_knowledge_describes_it_from_then_on() {
    let mut stage = Stage::new();
    stage.send(RAW, "acme/", Some(PUMP), &[]);
    assert_eq!(stage.out().refused, ["no_alert_name"]);
    let applied = stage.apply("sources: {acme: {fields: {alert_name: what}}}");
    assert_eq!(applied, [Accepted::Processed, Accepted::Processed]);
    stage.send(RAW, "acme/", Some(PUMP), &[]);
    assert_eq!(stage.out().alerts[0].1.alert_name, "Pump_Stalled");
}

#[test]
fn a_description_with_mistakes_replaces_none() {
    let mut stage = Stage::new();
    stage.apply("sources: {acme: {fields: {alert_name: what}}}");
    let [_, manifest] = stage.apply("sources: {acme: {fields: {alert_nmae: what}}}");
    assert!(matches!(manifest, Accepted::Rejected(_)), "{manifest:?}");
    stage.send(RAW, "acme/", Some(PUMP), &[]);
    let out = stage.out();
    assert_eq!(out.refused, ["bad_knowledge"]);
    assert_eq!(out.alerts[0].1.alert_name, "Pump_Stalled");
}
