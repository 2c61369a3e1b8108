//! What must not be taken: each is refused as a whole, with its class and what to do about it, and nothing
//! stops.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test's own steps may fail loudly"
)]

use proptest::prelude::*;
use prunella_normalizer::{MAX_LABELS, Meta, Sources, normalize};

const META: Meta<'_> = Meta {
    topic: "raw-alerts",
    partition: 0,
    offset: 0,
    received_at: 1_706_788_800_000,
};

fn outcome(source: &str, content_type: &str, payload: &[u8]) -> Result<usize, String> {
    normalize(
        source,
        Some(content_type),
        payload,
        &META,
        &Sources::default(),
    )
    .map(|alerts| alerts.len())
    .map_err(|rejection| {
        assert!(rejection.detail.len() > 20, "{rejection}");
        assert!(rejection.detail.len() < 1_000, "{rejection}");
        rejection.class.into_owned()
    })
}

/// The payload is refused with this class, whichever format is expected.
fn check(payload: &[u8], class: &str) {
    for source in ["alertmanager", "zabbix", "generic"] {
        let seen = outcome(source, "application/json", payload);
        assert_eq!(seen, Err(class.to_owned()), "{source}");
    }
}

/// A payload of each format, with this value in one alert's labels under `x`.
fn with_label(value: &str) -> [(&'static str, String); 3] {
    let alert = format!(r#""labels": {{"alertname": "Hot", "x": {value}}}"#);
    [
        ("alertmanager", format!(r#"{{"alerts": [{{{alert}}}]}}"#)),
        (
            "zabbix",
            format!(
                r#"{{"trigger_id": "1", "event_name": "Hot", "tags": [{{"tag": "x", "value": {value}}}]}}"#
            ),
        ),
        ("generic", format!(r#"{{"name": "Hot", {alert}}}"#)),
    ]
}

fn check_label(value: &str, expected: Result<usize, &str>) {
    for (source, payload) in with_label(value) {
        let seen = outcome(source, "application/json", payload.as_bytes());
        let start: String = value.chars().take(40).collect();
        assert_eq!(seen, expected.map_err(str::to_owned), "{source} {start}");
    }
}

#[test]
fn nothing_at_all_is_refused() {
    check(b"", "empty");
    check(b" \n", "empty");
}

#[test]
fn sixty_four_mebibytes_are_refused_unread() {
    check(&vec![b'['; 64 << 20], "too_large");
}

#[test]
fn invalid_utf8_is_refused() {
    check(b"{\"alerts\": \"\xc3\x28\"}", "invalid_utf8");
}

#[test]
fn nesting_is_bounded() {
    let deep = "[".repeat(100_000);
    // A list is no webhook of Alertmanager, however deep.
    for (source, class) in [
        ("alertmanager", "unexpected_shape"),
        ("zabbix", "too_deep"),
        ("generic", "too_deep"),
    ] {
        let seen = outcome(source, "application/json", deep.as_bytes());
        assert_eq!(seen, Err(class.to_owned()), "{source}");
    }
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    check_label(&nested(100_000), Err("too_deep"));
    check_label(&nested(50), Ok(1));
}

#[test]
fn nul_is_refused_raw_and_escaped() {
    check(b"\0", "malformed_json");
    check_label("\"a\0b\"", Err("malformed_json"));
    check_label(r#""a\u0000b""#, Err("nul"));
    check_label(r#""a\u0001b""#, Ok(1));
}

#[test]
fn a_number_that_no_double_holds_is_refused() {
    check_label("1e999", Err("number_out_of_range"));
    check_label("1e99", Ok(1));
    // As text it is a text.
    check_label(r#""1e999""#, Ok(1));
}

#[test]
fn a_key_that_occurs_twice_is_refused() {
    check_label(r#"{"a": 1, "a": 2}"#, Err("duplicate_key"));
    let twice = [
        (
            "alertmanager",
            r#"{"alerts": [{"labels": {"alertname": "a", "alertname": "b"}}]}"#,
        ),
        ("alertmanager", r#"{"alerts": [], "alerts": []}"#),
        (
            "alertmanager",
            r#"{"alerts": [{"status": "x", "status": "y"}]}"#,
        ),
        ("zabbix", r#"{"event_name": "a", "event_name": "b"}"#),
        ("generic", r#"{"name": "a", "name": "b"}"#),
    ];
    for (source, payload) in twice {
        let seen = outcome(source, "application/json", payload.as_bytes());
        assert_eq!(seen, Err("duplicate_key".to_owned()), "{payload}");
    }
}

#[test]
fn ten_thousand_labels_are_refused_and_a_thousand_are_taken() {
    let labels = |count: usize| {
        let labels: Vec<String> = (0..count).map(|n| format!(r#""l{n}": "v""#)).collect();
        format!("{{{}}}", labels.join(","))
    };
    for (count, expected) in [
        (10_000, Err("too_many_labels".to_owned())),
        (MAX_LABELS + 1, Err("too_many_labels".to_owned())),
        (MAX_LABELS, Ok(1)),
    ] {
        for (source, payload) in [
            (
                "alertmanager",
                format!(r#"{{"alerts": [{{"labels": {}}}]}}"#, labels(count)),
            ),
            (
                "generic",
                format!(r#"{{"name": "Hot", "labels": {}}}"#, labels(count)),
            ),
        ] {
            let seen = outcome(source, "application/json", payload.as_bytes());
            assert_eq!(seen, expected, "{source} {count}");
        }
    }
    let tags: Vec<String> = (0..10_000)
        .map(|n| format!(r#"{{"tag": "t{n}", "value": "v"}}"#))
        .collect();
    let payload = format!(
        r#"{{"trigger_id": 1, "event_name": "Hot", "tags": [{}]}}"#,
        tags.join(",")
    );
    let seen = outcome("zabbix", "application/json", payload.as_bytes());
    assert_eq!(seen, Err("too_many_labels".to_owned()));
}

#[test]
fn more_alerts_than_a_payload_may_hold_are_refused() {
    let alerts = vec![r#"{"name":"a"}"#; 10_001].join(",");
    for (source, payload) in [
        ("alertmanager", format!(r#"{{"alerts": [{alerts}]}}"#)),
        ("generic", format!("[{alerts}]")),
    ] {
        let seen = outcome(source, "application/json", payload.as_bytes());
        assert_eq!(seen, Err("too_many_alerts".to_owned()), "{source}");
    }
}

#[test]
fn json_that_was_cut_off_is_refused() {
    check(
        br#"{"alerts": [{"labels": {"alertname": "Ho"#,
        "truncated_json",
    );
    check(b"{", "truncated_json");
}

#[test]
fn what_is_no_json_is_refused() {
    check(b"alert!", "malformed_json");
    check(b"{} {}", "malformed_json");
    check(b"<alert/>", "malformed_json");
}

#[test]
fn another_content_type_is_refused() {
    for source in ["alertmanager", "zabbix", "generic"] {
        let seen = outcome(source, "text/plain", br#"{"name": "Hot"}"#);
        assert_eq!(seen, Err("content_type".to_owned()), "{source}");
    }
}

#[test]
fn json_of_another_shape_is_refused() {
    for (source, payload, class) in [
        ("alertmanager", "[]", "unexpected_shape"),
        ("alertmanager", "{}", "no_alerts"),
        ("alertmanager", r#"{"alerts": [7]}"#, "unexpected_shape"),
        (
            "alertmanager",
            r#"{"alerts": [{"labels": "x"}]}"#,
            "unexpected_shape",
        ),
        ("zabbix", "[]", "unexpected_shape"),
        ("zabbix", "{}", "unexpected_shape"),
        ("generic", "7", "unexpected_shape"),
        ("generic", "[]", "no_alerts"),
        ("generic", "[7]", "no_alert_name"),
        ("generic", "{}", "no_alert_name"),
    ] {
        let seen = outcome(source, "application/json", payload.as_bytes());
        assert_eq!(seen, Err(class.to_owned()), "{source} {payload}");
    }
}

const PAYLOAD: &str = r#"{"receiver":"r","status":"firing","alerts":[{"status":"firing","labels":{"alertname":"Hot","severity":"critical","service":"shop"},"annotations":{"value":"93.5","summary":"\u00e9"},"startsAt":"2024-02-01T11:55:08.7Z","endsAt":"0001-01-01T00:00:00Z","fingerprint":"1a","name":"x","tags":[{"tag":"a","value":1e3}]}],"groupKey":"{}:{}","truncatedAlerts":2,"event_name":"e","trigger_id":"7","event_value":"0"}"#;

proptest! {
    /// Whatever is done to a payload, it is refused or gives alerts; it never stops the stage. And the same
    /// bytes always give the same alerts.
    #[test]
    fn a_damaged_payload_is_refused_or_read_the_same_way_twice(
        edits in prop::collection::vec((0..PAYLOAD.len(), any::<u8>(), 0_u8..3), 1..6),
        source in prop::sample::select(&["alertmanager", "zabbix", "generic"][..]),
    ) {
        let mut payload = PAYLOAD.as_bytes().to_vec();
        for (at, byte, edit) in edits {
            let at = at.min(payload.len().saturating_sub(1));
            match edit {
                0 => payload[at] = byte,
                1 => payload.truncate(at.max(1)),
                _ => payload.insert(at, byte),
            }
        }
        let run = || normalize(source, None, &payload, &META, &Sources::default());
        let first = run();
        prop_assert_eq!(&first, &run());
        match first {
            Ok(alerts) => {
                prop_assert!(!alerts.is_empty());
                for alert in &alerts {
                    prop_assert!(alert.timestamp <= META.received_at);
                    prop_assert!(!alert.fingerprint.is_empty() && !alert.domain.is_empty());
                    prop_assert!(alert.metric_value.is_none_or(f64::is_finite));
                }
            }
            Err(rejection) => prop_assert!(!rejection.detail.is_empty()),
        }
    }
}
