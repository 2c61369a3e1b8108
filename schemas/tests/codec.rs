//! The codec: frames, bad bytes, older and other writers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use std::collections::BTreeMap;

use proptest::prelude::*;
use prunella_schemas::{
    ALL, AlertStatus, AvroRecord, CodecError, ControlKind, Decision, MAX_RECORD_BYTES,
    NormalizedAlert, Outcome, RawRef, Registry, ResultStatus, RunState, Severity, SwitchKind,
    TaskState, decode, decode_any, decode_any_with, decode_with, encode, encode_confluent,
    to_single_object,
};
use serde_json::{Value, json};

fn bytes_of<T: AvroRecord>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(value, &mut bytes).unwrap();
    bytes
}

fn confluent<T: AvroRecord>(value: &T, id: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_confluent(value, id, &mut bytes).unwrap();
    bytes
}

fn alert() -> NormalizedAlert {
    NormalizedAlert {
        alert_id: "a1".to_owned(),
        fingerprint: "f1".to_owned(),
        alert_name: "Disk_Full".to_owned(),
        severity: Severity::Warning,
        metric_value: Some(91.5),
        timestamp: 1_762_164_000_000,
        labels: BTreeMap::from([("cluster".to_owned(), "prod-eu".to_owned())]),
        ..NormalizedAlert::default()
    }
}

fn schema_of<T: AvroRecord>() -> Value {
    serde_json::from_str(T::schema().text()).unwrap()
}

#[test]
fn encoding_appends_and_leaves_what_was_there() {
    let mut bytes = b"before".to_vec();
    encode(&alert(), &mut bytes).unwrap();
    assert!(bytes.starts_with(b"before\xC3\x01"));
    assert_eq!(decode(&bytes[6..]), Ok(alert()));
}

#[test]
fn the_words_of_every_enumeration_are_the_symbols_of_its_schema() {
    let check = |record: &str, place: &str, words: Vec<String>| {
        let known = prunella_schemas::by_name(record).unwrap();
        let schema: Value = serde_json::from_str(known.schema().text()).unwrap();
        let symbols = place.split('/').fold(&schema, |node, field| {
            let node = node.get("items").unwrap_or(node);
            let fields = node["fields"].as_array().unwrap();
            &fields.iter().find(|entry| entry["name"] == field).unwrap()["type"]
        });
        assert_eq!(symbols["symbols"], json!(words), "{record} {place}");
    };
    check("normalized-alert", "severity", words(Severity::ALL));
    check("normalized-alert", "status", words(AlertStatus::ALL));
    check("decision", "outcome", words(Outcome::ALL));
    check("action-result", "status", words(ResultStatus::ALL));
    check("playbook-run", "state", words(RunState::ALL));
    check("playbook-run", "tasks/state", words(TaskState::ALL));
    check("control", "kind", words(ControlKind::ALL));
    check("switch", "kind", words(SwitchKind::ALL));
}

fn words<T: ToString>(all: &[T]) -> Vec<String> {
    all.iter().map(ToString::to_string).collect()
}

#[test]
fn every_outcome_reads_back() {
    for outcome in Outcome::ALL.iter().copied() {
        let decision = Decision {
            outcome,
            ..Decision::default()
        };
        assert_eq!(decode(&bytes_of(&decision)), Ok(decision));
    }
}

#[test]
fn bytes_without_a_good_frame_are_refused_with_the_reason() {
    let check = |bytes: &[u8], label: &str| {
        let error = decode::<NormalizedAlert>(bytes).unwrap_err();
        assert_eq!(error.label(), label, "{bytes:02x?}: {error}");
        assert_eq!(
            decode_any(bytes).unwrap_err().label(),
            label,
            "{bytes:02x?}"
        );
    };
    check(b"", "empty");
    check(b"{\"alert\": 1}", "not_framed");
    check(b"\xC3\x02aaaaaaaaaaaa", "not_framed");
    check(b"\xC3", "truncated");
    check(b"\xC3\x01", "truncated");
    check(b"\xC3\x01\x00\x01\x02", "truncated");
    check(b"\x00\x00\x00", "truncated");
    check(b"\x00\x00\x00\x00\x07rest", "need_schema");
    check(b"\xC3\x01abcdefghrest", "unknown_fingerprint");
    check(&vec![0; MAX_RECORD_BYTES + 1], "too_long");
}

#[test]
fn another_record_of_ours_is_named() {
    let error = decode::<NormalizedAlert>(&bytes_of(&Decision::default())).unwrap_err();
    assert_eq!(
        error,
        CodecError::WrongRecord {
            expected: "normalized-alert",
            found: "decision"
        }
    );
}

#[test]
fn lengths_that_the_bytes_do_not_hold_are_refused() {
    let frame = bytes_of(&alert())[..10].to_vec();
    let check = |what: &str, body: &[u8]| {
        let bytes = [frame.as_slice(), body].concat();
        let error = decode::<NormalizedAlert>(&bytes).unwrap_err();
        assert_eq!(error.label(), "malformed", "{what}: {error}");
    };
    check(
        "a text of 2^62 bytes",
        b"\xFE\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F",
    );
    check("a text of negative length", b"\x01");
    check("an integer of 11 bytes", &[0xFF; 11]);
    check("invalid UTF-8", b"\x04\xC3\x28");

    let good = bytes_of(&alert());
    let key = good
        .windows(7)
        .position(|bytes| bytes == b"cluster")
        .unwrap();
    // The map is one block: its count of 1, the key's length and the key. Announce 2^34 entries instead.
    let many = [
        &good[10..key - 2],
        b"\x80\x80\x80\x80\x80\x01",
        &good[key - 1..],
    ]
    .concat();
    check("a map of 2^34 entries", &many);
    let negative = [
        &good[10..key - 2],
        b"\xFF\xFF\xFF\xFF\x7F\x00",
        &good[key - 1..],
    ]
    .concat();
    check("a map of -2^34 entries", &negative);
    let symbol = [&good[10..19], b"\x7E"].concat();
    check("a symbol that is not there", &symbol);
}

/// A registry that has learnt the alert's schema after a change, and a body in that schema.
fn learnt(id: u32, change: impl FnOnce(&mut Value)) -> Result<Registry, CodecError> {
    let mut schema = schema_of::<NormalizedAlert>();
    change(&mut schema);
    let mut registry = Registry::new();
    registry.learn(id, &schema.to_string()).map(|()| registry)
}

/// What another writer with that schema writes.
fn written(id: u32, schema: &Value, record: &Value) -> Vec<u8> {
    let schema = apache_avro::Schema::parse(schema).unwrap();
    let value = apache_avro::types::Value::from(record.clone())
        .resolve(&schema)
        .unwrap();
    let body = apache_avro::to_avro_datum(&schema, value).unwrap();
    [&[0], id.to_be_bytes().as_slice(), &body].concat()
}

fn fields(schema: &mut Value) -> &mut Vec<Value> {
    schema["fields"].as_array_mut().unwrap()
}

#[test]
fn an_id_that_was_not_learnt_is_asked_for_and_then_read() {
    let bytes = confluent(&alert(), 17);
    let nothing = Registry::new();
    assert_eq!(
        decode_with::<NormalizedAlert>(&nothing, &bytes),
        Err(CodecError::NeedSchema(17))
    );
    let registry = learnt(17, |_| {}).unwrap();
    assert!(registry.knows(17) && !registry.knows(18));
    assert_eq!(decode_with(&registry, &bytes), Ok(alert()));
    let (name, json) = decode_any_with(&registry, &bytes).unwrap();
    assert_eq!(
        (name, &json["alert_name"]),
        ("normalized-alert", &json!("Disk_Full"))
    );
    assert_eq!(
        decode_with::<Decision>(&registry, &bytes)
            .unwrap_err()
            .label(),
        "wrong_record"
    );
}

#[test]
fn another_writers_record_is_read_by_avros_resolution() {
    let mut schema = schema_of::<NormalizedAlert>();
    let list = fields(&mut schema);
    list.retain(|field| field["name"] != "annotations" && field["name"] != "host_ip");
    list.push(json!({"name": "region", "type": {"type": "array", "items": "string"}}));
    list.push(json!({"name": "shadow", "type": ["null", "bytes", "float"], "default": null}));
    list.reverse();
    for field in list.iter_mut() {
        match field["name"].as_str().unwrap() {
            "timestamp" => field["type"] = json!("int"),
            "severity" => field["type"]["symbols"]
                .as_array_mut()
                .unwrap()
                .push(json!("Doom")),
            "metric_value" => {
                field["type"] = json!("float");
                field.as_object_mut().unwrap().remove("default");
            }
            _ => {}
        }
    }
    let record = json!({
        "alert_id": "a1", "fingerprint": "f1", "source_system": "theirs", "alert_name": "N",
        "severity": "Doom", "status": "Resolved", "service_name": "shop", "metric_value": 1.5,
        "timestamp": 77, "starts_at": 70, "received_at": 78, "time_clamped": true, "domain": "d",
        "labels": {"a": "b"}, "description": "", "region": ["eu", "us"], "shadow": null,
        "raw": {"topic": "t", "partition": 1, "offset": 2, "index": 3},
    });
    let bytes = written(9, &schema, &record);

    let mut registry = Registry::new();
    registry.learn(9, &schema.to_string()).unwrap();
    let read: NormalizedAlert = decode_with(&registry, &bytes).unwrap();
    let expected = NormalizedAlert {
        alert_id: "a1".to_owned(),
        fingerprint: "f1".to_owned(),
        source_system: "theirs".to_owned(),
        alert_name: "N".to_owned(),
        severity: Severity::Unknown,
        status: AlertStatus::Resolved,
        service_name: Some("shop".to_owned()),
        metric_value: Some(1.5),
        timestamp: 77,
        starts_at: 70,
        received_at: 78,
        time_clamped: true,
        domain: "d".to_owned(),
        labels: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
        raw: RawRef {
            topic: "t".to_owned(),
            partition: 1,
            offset: 2,
            index: 3,
        },
        ..NormalizedAlert::default()
    };
    assert_eq!(read, expected);

    let mut single = Vec::new();
    to_single_object(&registry, &bytes, &mut single).unwrap();
    assert_eq!(single, bytes_of(&expected));

    for length in 5..bytes.len() {
        let error = decode_with::<NormalizedAlert>(&registry, &bytes[..length]).unwrap_err();
        assert_eq!(error.label(), "malformed", "cut to {length}: {error}");
    }
}

#[test]
fn a_decision_of_another_writer_keeps_the_alert_inside_it() {
    let decision = Decision {
        decision_id: "d1".to_owned(),
        alert: Some(alert()),
        ..Decision::default()
    };
    let mut schema = schema_of::<Decision>();
    fields(&mut schema).push(json!({"name": "mood", "type": "string", "default": "calm"}));
    let mut record = serde_json::to_value(&decision).unwrap();
    record["mood"] = json!("tense");
    let bytes = written(3, &schema, &record);
    let mut registry = Registry::new();
    registry.learn(3, &schema.to_string()).unwrap();
    assert_eq!(decode_with(&registry, &bytes), Ok(decision));
}

#[test]
fn a_writers_schema_that_does_not_fit_is_refused_when_it_is_learnt() {
    let check = |what: &str, change: fn(&mut Value)| {
        let error = learnt(5, change).err().expect(what);
        assert_eq!(error.label(), "incompatible_writer", "{what}: {error}");
    };
    check("a required field is missing", |schema| {
        fields(schema).retain(|field| field["name"] != "domain");
    });
    check("a type differs", |schema| {
        fields(schema)[0]["type"] = json!("long")
    });
    check("no record of ours", |schema| {
        schema["name"] = json!("Invoice")
    });
    check("not even a record", |schema| *schema = json!("string"));
    check("no schema", |schema| *schema = json!({"type": "nonsense"}));

    let mut registry = Registry::new();
    assert!(registry.learn(5, "{").is_err());
    assert!(!registry.knows(5));
}

#[test]
fn a_confluent_record_of_the_schema_in_force_only_changes_its_frame() {
    let registry = learnt(17, |_| {}).unwrap();
    let check = |bytes: &[u8]| {
        let mut single = Vec::new();
        to_single_object(&registry, bytes, &mut single).unwrap();
        assert_eq!(single, bytes_of(&alert()));
    };
    check(&confluent(&alert(), 17));
    check(&bytes_of(&alert()));
    let unknown = confluent(&alert(), 18);
    let error = to_single_object(&registry, &unknown, &mut Vec::new());
    assert_eq!(error, Err(CodecError::NeedSchema(18)));
}

fn texts() -> impl Strategy<Value = BTreeMap<String, String>> {
    proptest::collection::btree_map(".{0,12}", ".{0,40}", 0..20)
}

prop_compose! {
    fn alerts()(
        (alert_id, fingerprint, source_system, alert_name) in (".{0,40}", ".*", ".*", ".*"),
        (severity, status) in (
            proptest::sample::select(Severity::ALL),
            proptest::sample::select(AlertStatus::ALL),
        ),
        (service_name, host_ip) in (
            proptest::option::of(".*"),
            proptest::option::of(".*"),
        ),
        metric_value in proptest::option::of(
            any::<f64>().prop_filter("NaN equals nothing", |value| !value.is_nan())
        ),
        (timestamp, starts_at, received_at) in any::<(i64, i64, i64)>(),
        (time_clamped, domain, description) in (any::<bool>(), ".*", ".*"),
        (labels, annotations) in (texts(), texts()),
        (topic, partition, offset, index) in (".*", any::<i32>(), any::<i64>(), any::<i32>()),
    ) -> NormalizedAlert {
        NormalizedAlert {
            alert_id, fingerprint, source_system, alert_name, severity, status, service_name,
            host_ip, metric_value, timestamp, starts_at, received_at, time_clamped, domain, labels,
            annotations, description,
            raw: RawRef { topic, partition, offset, index },
        }
    }
}

proptest! {
    #[test]
    fn any_alert_reads_back(alert in alerts()) {
        let bytes = bytes_of(&alert);
        prop_assert_eq!(&bytes, &bytes_of(&alert));
        prop_assert_eq!(decode::<NormalizedAlert>(&bytes), Ok(alert));
    }

    #[test]
    fn any_alert_of_another_writer_reads_back(alert in alerts()) {
        let mut schema = schema_of::<NormalizedAlert>();
        fields(&mut schema).push(json!({"name": "more", "type": ["null", "string"], "default": null}));
        let mut registry = Registry::new();
        registry.learn(1, &schema.to_string()).unwrap();
        let bytes = [confluent(&alert, 1), vec![0]].concat();
        prop_assert_eq!(decode_with::<NormalizedAlert>(&registry, &bytes), Ok(alert));
    }

    #[test]
    fn garbage_is_an_error_or_a_record_and_never_a_panic(
        which in 0..ALL.len(),
        body in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let frame = ALL[which].schema().fingerprint().unwrap();
        let bytes = [&[0xC3, 0x01], frame.as_slice(), &body].concat();
        if let Err(error) = decode_any(&bytes) {
            prop_assert_eq!(error.label(), "malformed");
        }
    }

    #[test]
    fn a_damaged_record_is_an_error_or_a_record_and_never_a_panic(
        alert in alerts(),
        place in any::<proptest::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut schema = schema_of::<NormalizedAlert>();
        fields(&mut schema).push(json!({"name": "more", "type": ["null", "string"], "default": null}));
        let mut registry = Registry::new();
        registry.learn(1, &schema.to_string()).unwrap();

        let mut bytes = bytes_of(&alert);
        let place = 10 + place.index(bytes.len() - 10);
        bytes[place] = byte;
        let _ = decode::<NormalizedAlert>(&bytes);
        let theirs = [&[0, 0, 0, 0, 1], &bytes[10..], &[0]].concat();
        let _ = decode_with::<NormalizedAlert>(&registry, &theirs);
    }
}
