//! The stage as the runtime drives it: bytes in, bytes out, knowledge and switches as records.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at what it did not expect"
)]

use prunella_decider::Decider;
use prunella_knowledge::digest_of;
use prunella_schemas::{
    Decision, KnowledgeFile, KnowledgeRecord, NormalizedAlert, Outcome, Switch, SwitchKind, decode,
};
use prunella_stream::{Accepted, Codec, Record, Sink, StageTask, Task};

const NOW: i64 = 1_700_000_000_000;
const ALERTS: usize = 0;
const KNOWLEDGE: usize = 1;
const SWITCHES: usize = 2;

struct Stage {
    task: StageTask<Decider>,
    offsets: [i64; 3],
    changelog: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    broadcast: Vec<(usize, String, Option<Vec<u8>>)>,
}

impl Stage {
    fn new() -> Self {
        let mut task = StageTask::new(Decider::default(), 0);
        task.restored(&|_, _| false);
        Self {
            task,
            offsets: [0; 3],
            changelog: Vec::new(),
            broadcast: Vec::new(),
        }
    }

    fn send(&mut self, source: usize, key: &str, value: Option<Vec<u8>>) -> Accepted {
        let record = Record {
            source,
            partition: 0,
            offset: self.offsets[source],
            timestamp: NOW,
            key: Some(key.as_bytes()),
            value: value.as_deref(),
            headers: &[],
        };
        self.offsets[source] += 1;
        let accepted = self.task.record(NOW, &record);
        if source != ALERTS {
            self.broadcast.push((source, key.to_owned(), value));
        }
        accepted
    }

    fn put<T: Codec>(&mut self, source: usize, key: &str, value: &T) -> Accepted {
        let mut bytes = Vec::new();
        value.encode(&mut bytes);
        self.send(source, key, Some(bytes))
    }

    fn apply(&mut self, text: &str, allow_missing: bool) -> [Accepted; 2] {
        let files = vec![KnowledgeFile {
            path: "rules.yaml".to_owned(),
            text: text.to_owned(),
        }];
        let manifest = KnowledgeRecord {
            digest: digest_of(&files),
            allow_missing,
            ..KnowledgeRecord::default()
        };
        let content = KnowledgeRecord {
            files,
            ..manifest.clone()
        };
        [
            self.put(KNOWLEDGE, &content.digest, &content),
            self.put(KNOWLEDGE, "active", &manifest),
        ]
    }

    fn decide(&mut self, alert: &NormalizedAlert) -> (String, Decision) {
        let accepted = self.put(ALERTS, &alert.domain, alert);
        assert_eq!(accepted, Accepted::Processed);
        let mut out = Vec::new();
        self.task.drain(&mut |output| {
            if output.sink == Sink::Topic(0) {
                let key = String::from_utf8_lossy(output.key.unwrap_or_default()).into_owned();
                let decision = decode(output.value.unwrap_or_default()).expect("a decision");
                out.push((key, decision));
            }
        });
        assert_eq!(out.len(), 1, "one decision for every alert");
        out.remove(0)
    }

    fn outcome(&mut self, alert: &NormalizedAlert) -> Outcome {
        self.decide(alert).1.outcome
    }

    fn commit(&mut self) {
        let changelog = &mut self.changelog;
        self.task.prepare(&mut |key, value| {
            changelog.push((key.to_vec(), value.map(<[u8]>::to_vec)));
        });
        self.task.committed(&mut |_| {});
    }

    /// What a restart finds: the changelog, and the broadcast topics up to the positions in it.
    fn restarted(&self) -> Self {
        let mut task = StageTask::new(Decider::default(), 0);
        for (key, value) in &self.changelog {
            task.restore(key, value.as_deref())
                .expect("our own changelog");
        }
        task.restored(&|_, _| false);
        let mut offsets = [0; 3];
        for (source, key, value) in &self.broadcast {
            task.learn(&Record {
                source: *source,
                partition: 0,
                offset: offsets[*source],
                timestamp: NOW,
                key: Some(key.as_bytes()),
                value: value.as_deref(),
                headers: &[],
            });
            offsets[*source] += 1;
        }
        Self {
            task,
            offsets: self.offsets,
            changelog: self.changelog.clone(),
            broadcast: self.broadcast.clone(),
        }
    }
}

fn alert(name: &str, starts_at: i64) -> NormalizedAlert {
    NormalizedAlert {
        fingerprint: name.to_owned(),
        alert_name: name.to_owned(),
        timestamp: NOW + starts_at,
        starts_at: NOW + starts_at,
        received_at: NOW,
        domain: "prod".to_owned(),
        ..NormalizedAlert::default()
    }
}

const RULES: &str = "rules:
  - {id: once, alert_name: disk}
  - {id: often, alert_name: error, count: {at_least: 3, within: 1m}}
";

#[test]
fn without_knowledge_every_alert_is_decided_too() {
    let mut stage = Stage::new();
    let (key, decision) = stage.decide(&alert("disk", 0));
    assert_eq!(key, "prod");
    assert_eq!(decision.outcome, Outcome::NoRule);
    assert_eq!(decision.reason, "no knowledge is in force");
    assert_eq!(decision.knowledge_digest, "");
}

#[test]
fn a_new_set_takes_effect_at_once_and_a_bad_one_never() {
    let mut stage = Stage::new();
    assert_eq!(
        stage.apply(RULES, false),
        [Accepted::Processed, Accepted::Processed]
    );
    assert_eq!(stage.outcome(&alert("disk", 0)), Outcome::Notified);
    let [refused, _] = stage.apply("rules: [{id: bad, alert_nam: disk}]", false);
    assert!(matches!(refused, Accepted::Rejected(reason) if reason.class == "bad_knowledge"));
    assert_eq!(stage.outcome(&alert("disk", 1)), Outcome::Notified);
    let [_, refused] = stage.apply("rules: [{id: A, alert_name: x, playbook: P}]", false);
    assert!(
        matches!(refused, Accepted::Rejected(reason) if reason.detail.contains("--allow-missing"))
    );
    assert_eq!(stage.outcome(&alert("x", 0)), Outcome::NoRule);
    stage.apply("rules: [{id: A, alert_name: x, playbook: P}]", true);
    assert_eq!(stage.outcome(&alert("x", 0)), Outcome::Notified);
}

#[test]
fn a_silence_covers_what_it_matches_until_it_is_taken_back() {
    let mut stage = Stage::new();
    stage.apply(RULES, false);
    let mut silence = Switch {
        name: "quiet".to_owned(),
        kind: SwitchKind::Silence,
        on: true,
        author: "ada".to_owned(),
        until: Some(NOW + 1),
        matchers: [("alert_name".to_owned(), "Disk".to_owned())].into(),
        ..Switch::default()
    };
    stage.put(SWITCHES, "quiet", &silence);
    let (_, decision) = stage.decide(&alert("disk", 0));
    assert_eq!(decision.outcome, Outcome::Silenced);
    assert_eq!(decision.reason, "a silence of ada covers it: `quiet`");
    assert_eq!(stage.outcome(&alert("error", 0)), Outcome::Counting);

    silence.kind = SwitchKind::Maintenance;
    stage.put(SWITCHES, "quiet", &silence);
    assert_eq!(stage.outcome(&alert("disk", 0)), Outcome::Maintenance);
    stage.send(SWITCHES, "quiet", None);
    assert_eq!(stage.outcome(&alert("disk", 0)), Outcome::Notified);
}

#[test]
fn what_was_decided_and_counted_survives_a_restart() {
    let mut stage = Stage::new();
    stage.apply(RULES, false);
    assert_eq!(stage.outcome(&alert("disk", 0)), Outcome::Notified);
    assert_eq!(stage.outcome(&alert("error", 0)), Outcome::Counting);
    assert_eq!(stage.outcome(&alert("error", 1)), Outcome::Counting);
    stage.commit();

    let mut stage = stage.restarted();
    assert_eq!(stage.outcome(&alert("disk", 0)), Outcome::Deduplicated);
    assert_eq!(stage.outcome(&alert("error", 1)), Outcome::Deduplicated);
    assert_eq!(stage.outcome(&alert("error", 2)), Outcome::Notified);
    assert_eq!(stage.outcome(&alert("error", 2)), Outcome::Deduplicated);
}

#[test]
fn what_was_not_committed_is_decided_anew() {
    let mut stage = Stage::new();
    stage.apply(RULES, false);
    stage.commit();
    let alerts = [
        alert("disk", 0),
        alert("error", 0),
        alert("error", 1),
        alert("error", 2),
    ];
    let first: Vec<Decision> = alerts.iter().map(|alert| stage.decide(alert).1).collect();
    stage.task.abort();
    stage.offsets[ALERTS] = 0;
    let again: Vec<Decision> = alerts.iter().map(|alert| stage.decide(alert).1).collect();
    assert_eq!(first, again);
    assert_eq!(again[3].outcome, Outcome::Notified);
}

#[test]
fn bytes_that_are_no_alert_go_to_the_dead_letters() {
    let mut stage = Stage::new();
    let refused = stage.send(ALERTS, "prod", Some(b"{}".to_vec()));
    assert!(matches!(refused, Accepted::Rejected(_)));
}
