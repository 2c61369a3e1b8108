//! `prunella decide`, with the starter rules and with a team's own rule table.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::program::{checkout, directory, prunella, text};

const AT: i64 = 1_767_225_600_000;
const MINUTE: i64 = 60_000;

fn starter() -> PathBuf {
    checkout("deploy/knowledge")
}

/// One rule table and one of the four playbooks it names.
fn teams_own() -> PathBuf {
    checkout("services/knowledge/testdata")
}

/// The rule table alone: the playbook's own triggers are rules too.
fn table() -> tempfile::TempDir {
    let rules = std::fs::read_to_string(teams_own().join("rules.yaml")).expect("the rules");
    directory(&[("rules.yaml", &rules)])
}

/// The decisions on alerts.
fn decide(knowledge: &std::path::Path, alerts: &[Value]) -> Vec<Value> {
    let lines: Vec<String> = alerts.iter().map(Value::to_string).collect();
    let decisions = prunella(["decide", "--knowledge", &text(knowledge)])
        .input(lines.join("\n"))
        .run()
        .expect(0)
        .lines();
    assert_eq!(
        decisions.len(),
        alerts.len(),
        "one decision for every alert"
    );
    decisions
}

/// An Alertmanager webhook with one firing alert.
fn webhook(name: &str, service: &str, severity: &str, value: Option<&str>) -> String {
    let annotations = value.map_or(json!({}), |value| json!({ "value": value }));
    json!({
        "version": "4", "groupKey": "{}", "truncatedAlerts": 0, "status": "firing", "receiver": "prunella",
        "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "",
        "alerts": [{
            "status": "firing", "annotations": annotations, "generatorURL": "", "fingerprint": "f1",
            "labels": {"alertname": name, "service": service, "severity": severity, "cluster": "eu-1"},
            "startsAt": "2026-01-01T00:00:00Z", "endsAt": "0001-01-01T00:00:00Z"
        }]
    })
    .to_string()
}

/// A payload through `normalize` and `decide` gives this outcome, rule and playbook.
fn check(
    knowledge: &std::path::Path,
    payload: String,
    expected: (&str, Option<&str>, Option<&str>),
) {
    let alerts = prunella(["normalize", "--source", "alertmanager"])
        .input(payload.clone())
        .run()
        .expect(0);
    let said = prunella(["decide", "--knowledge", &text(knowledge)])
        .input(alerts.out)
        .run()
        .expect(0);
    let decisions = said.lines();
    let found = (
        decisions[0]["outcome"].as_str().unwrap_or_default(),
        decisions[0]["rule_id"].as_str(),
        decisions[0]["playbook_id"].as_str(),
    );
    assert_eq!(found, expected, "{payload}: {}", decisions[0]["reason"]);
    assert_ne!(decisions[0]["reason"], "", "a reason in words");
}

#[test]
fn a_payload_for_each_rule_gets_the_decision_one_would_expect() {
    let starter = starter();
    let cpu = webhook("High_CPU_Usage", "order-service", "critical", Some("93.5"));
    check(
        &starter,
        cpu,
        ("Triggered", Some("R001"), Some("PB-CPU-Scale-Order")),
    );
    let latency = webhook(
        "Service_Latency_Exceeded",
        "payment-gateway",
        "critical",
        Some("501"),
    );
    check(
        &starter,
        latency,
        ("Triggered", Some("R002"), Some("PB-Payment-Troubleshoot")),
    );
    for service in ["inventory-service", "whatever"] {
        let disk = webhook("Disk_Full", service, "warning", Some("86 %"));
        check(
            &starter,
            disk,
            ("Triggered", Some("R003"), Some("PB-Disk-Cleanup")),
        );
    }
    let connections = webhook("DB_Connection_Error", "inventory-service", "critical", None);
    check(&starter, connections, ("Counting", Some("R004"), None));
    let critical = webhook("Something_Else", "order-service", "critical", None);
    check(&starter, critical, ("Notified", Some("R900"), None));
}

#[test]
fn a_metric_below_its_threshold_is_false_and_one_that_is_not_there_is_an_error() {
    let cpu = |value| webhook("High_CPU_Usage", "order-service", "critical", value);
    let latency = |value| {
        webhook(
            "Service_Latency_Exceeded",
            "payment-gateway",
            "critical",
            value,
        )
    };
    let disk = |value| webhook("Disk_Full", "db", "warning", value);
    let rules = table();
    let rules = rules.path();
    for (rule, low, missing) in [
        ("R001", cpu(Some("90")), cpu(None)),
        ("R002", latency(Some("500")), latency(None)),
        ("R003", disk(Some("12 %")), disk(None)),
    ] {
        check(rules, low, ("ConditionFalse", Some(rule), None));
        check(rules, missing, ("ConditionError", Some(rule), None));
    }
    let warning = webhook("High_CPU_Usage", "order-service", "warning", Some("99"));
    check(rules, warning, ("NoRule", None, None));
    check(
        &starter(),
        cpu(None),
        ("ConditionError", Some("R001"), None),
    );
}

#[test]
fn a_playbook_that_is_not_there_is_a_warning_and_people_are_told_instead() {
    let payload = json!({
        "alert_name": "Disk_Full", "severity": "warning", "metric_value": 86.0, "timestamp": AT
    });
    let said = prunella(["decide", "--knowledge", &text(&teams_own())])
        .input(payload.to_string())
        .run()
        .expect(0);
    assert!(
        said.err
            .contains("warning: there is no playbook `PB-Disk-Cleanup`"),
        "{}",
        said.err
    );
    assert_eq!(said.lines()[0]["outcome"], "Notified");
    assert_eq!(said.lines()[0]["rule_id"], "R003");
    check(
        &teams_own(),
        webhook(
            "Service_Latency_Exceeded",
            "payment-gateway",
            "critical",
            Some("900"),
        ),
        ("Triggered", Some("R002"), Some("PB-Payment-Troubleshoot")),
    );
}

/// Occurrences this far apart, each so many times over, in an order of its own for each seed.
fn occurrences(number: i64, apart: i64, times: usize, seed: u64) -> Vec<Value> {
    let one = |at: i64| {
        json!({
            "alert_name": "DB_Connection_Error", "service_name": "inventory-service", "severity": "critical",
            "labels": {"cluster": "eu-1"}, "timestamp": AT + at * apart
        })
    };
    let mut alerts: Vec<Value> = (0..times).flat_map(|_| (0..number).map(one)).collect();
    // A small generator of our own: the same seed gives the same order everywhere.
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    for last in (1..alerts.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let bound = u64::try_from(last).expect("a length") + 1;
        alerts.swap(last, usize::try_from(state % bound).expect("an index"));
    }
    alerts
}

/// The number of distinct occurrences among the alerts up to the one that triggers; none if none does.
fn triggered_at(alerts: &[Value]) -> Vec<usize> {
    let mut distinct = std::collections::BTreeSet::new();
    let mut found = Vec::new();
    for (alert, decision) in alerts.iter().zip(decide(&starter(), alerts)) {
        let is_new = distinct.insert(alert["timestamp"].as_i64());
        let outcome = decision["outcome"].as_str().expect("an outcome");
        assert_eq!(decision["rule_id"], "R004");
        match outcome {
            "Triggered" => found.push(distinct.len()),
            "Counting" => assert!(is_new, "a re-notification was counted"),
            other => assert_eq!((other, is_new), ("Deduplicated", false)),
        }
    }
    found
}

#[test]
fn a_count_is_reached_at_the_sixth_distinct_occurrence_in_any_order_and_with_duplicates() {
    for seed in 1..=20 {
        let alerts = occurrences(6, 50_000, 3, seed);
        assert_eq!(triggered_at(&alerts), [6], "seed {seed}");
    }
}

#[test]
fn occurrences_of_one_webhook_are_counted_too() {
    let mut payload: Value = serde_json::from_str(&webhook(
        "DB_Connection_Error",
        "inventory-service",
        "critical",
        None,
    ))
    .expect("a payload");
    let alert = payload["alerts"][0].clone();
    let at = |minute: usize| {
        let mut alert = alert.clone();
        alert["startsAt"] = json!(format!("2026-01-01T00:0{minute}:00Z"));
        alert
    };
    payload["alerts"] = [3, 0, 3, 5, 1, 0, 4, 2, 2].map(at).to_vec().into();
    let alerts = prunella(["normalize", "--source", "alertmanager"])
        .input(payload.to_string())
        .run()
        .expect(0)
        .lines();
    let decisions = decide(&starter(), &alerts);
    let outcomes: Vec<&str> = decisions
        .iter()
        .filter_map(|decision| decision["outcome"].as_str())
        .collect();
    let (counting, again) = ("Counting", "Deduplicated");
    assert_eq!(
        outcomes,
        [
            counting,
            counting,
            again,
            counting,
            counting,
            again,
            counting,
            "Triggered",
            again
        ]
    );
}

#[test]
fn fewer_or_too_far_apart_is_never_enough() {
    for seed in 1..=5 {
        let re_notified = occurrences(5, MINUTE, 8, seed);
        assert_eq!(
            triggered_at(&re_notified).len(),
            0,
            "seed {seed}: five, eight times over"
        );
    }
    let too_far = occurrences(6, MINUTE + 1, 1, 0);
    let mut in_order = too_far;
    in_order.sort_by_key(|alert| alert["timestamp"].as_i64());
    assert_eq!(
        triggered_at(&in_order).len(),
        0,
        "six in more than five minutes"
    );
}

#[test]
fn a_line_that_is_no_alert_is_refused_by_its_number() {
    let good = json!({"alert_name": "x", "timestamp": AT}).to_string();
    let starter = text(&starter());
    for (input, because) in [
        (format!("{good}\n\n{{"), "line 3: not JSON"),
        (
            format!("{good}\n[]"),
            "line 2: a NormalizedAlert is a JSON object",
        ),
        (
            "{\"alert_name\": \"x\"}".to_owned(),
            "line 1: `timestamp` is missing",
        ),
        (
            webhook("x", "y", "critical", None),
            "prunella normalize --source",
        ),
        ("{\n  \"pretty\": 1\n}".to_owned(), "one JSON object a line"),
    ] {
        prunella(["decide", "--knowledge", &starter])
            .input(input)
            .run()
            .refused(1, because);
    }
    let none = prunella(["decide", "--knowledge", &starter])
        .run()
        .expect(0);
    assert_eq!(none.out, "");
}

#[test]
fn broken_knowledge_decides_nothing() {
    let alert = json!({"alert_name": "x", "timestamp": AT}).to_string();
    for (rules, because) in [
        (
            "rules: [{id: R1, severty: Critical}]",
            "rules.yaml:1:18: error: ",
        ),
        (
            "sources: {acme: {list: 7}}",
            "rules.yaml:1:18: error: source `acme`",
        ),
    ] {
        let knowledge = directory(&[("rules.yaml", rules)]);
        prunella(["decide", "--knowledge", &text(knowledge.path())])
            .input(alert.clone())
            .run()
            .refused(5, because);
    }
    prunella(["decide", "--knowledge", "no/such/rules"])
        .input(alert)
        .run()
        .refused(1, "cannot read the directory no/such/rules");
}
