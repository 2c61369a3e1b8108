//! What becomes of an alert, case by case.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at what it did not expect"
)]

use prunella_decider::{Offline, decide_all};
use prunella_knowledge::{KnowledgeSet, Options};
use prunella_schemas::{
    AlertStatus, Decision, KnowledgeFile, NormalizedAlert, Outcome, RawRef, Severity,
};

const RULES: &str = include_str!("../../knowledge/testdata/rules.yaml");
const PAYMENT: &str = include_str!("../../knowledge/testdata/payment-troubleshoot.yaml");

const MINUTE: i64 = 60_000;
const START: i64 = 1_700_000_000_000;

fn set(texts: &[&str]) -> KnowledgeSet {
    let files: Vec<KnowledgeFile> = texts
        .iter()
        .enumerate()
        .map(|(number, text)| KnowledgeFile {
            path: format!("{number}.yaml"),
            text: (*text).to_owned(),
        })
        .collect();
    let options = Options {
        allow_missing_playbooks: true,
    };
    KnowledgeSet::parse_with(&files, options).expect("a good set")
}

/// An alert as it is first received.
fn alert(name: &str, service: &str, severity: Severity, value: Option<f64>) -> NormalizedAlert {
    NormalizedAlert {
        alert_id: "id".to_owned(),
        fingerprint: format!("{name}/{service}"),
        source_system: "alertmanager".to_owned(),
        alert_name: name.to_owned(),
        severity,
        service_name: Some(service.to_owned()),
        metric_value: value,
        timestamp: START,
        starts_at: START,
        received_at: START + 1_000,
        domain: "prod".to_owned(),
        raw: RawRef {
            topic: "raw-alerts".to_owned(),
            ..RawRef::default()
        },
        ..NormalizedAlert::default()
    }
}

fn cpu(value: Option<f64>) -> NormalizedAlert {
    alert("High_CPU_Usage", "order-service", Severity::Critical, value)
}

/// The same occurrence, received so much later.
fn later(alert: &NormalizedAlert, by: i64) -> NormalizedAlert {
    NormalizedAlert {
        received_at: alert.received_at + by,
        ..alert.clone()
    }
}

fn resolved(alert: &NormalizedAlert) -> NormalizedAlert {
    NormalizedAlert {
        status: AlertStatus::Resolved,
        timestamp: alert.received_at,
        ..alert.clone()
    }
}

fn decide(texts: &[&str], alerts: Vec<NormalizedAlert>) -> Vec<Decision> {
    decide_all(set(texts), alerts)
        .map(|decision| decision.expect("a decision"))
        .collect()
}

fn outcomes(texts: &[&str], alerts: Vec<NormalizedAlert>) -> Vec<Outcome> {
    let decisions = decide(texts, alerts);
    decisions.iter().map(|decision| decision.outcome).collect()
}

/// Checks outcome and rule of each alert by itself.
fn check(texts: &[&str], cases: Vec<(NormalizedAlert, Outcome, Option<&str>)>) {
    for (alert, outcome, rule) in cases {
        let decision = &decide(texts, vec![alert])[0];
        assert_eq!(
            (decision.outcome, decision.rule_id.as_deref()),
            (outcome, rule),
            "{decision:?}"
        );
        assert!(!decision.reason.is_empty());
    }
}

#[test]
fn a_payload_for_each_rule_gives_the_decision_one_expects() {
    let latency = |value| {
        alert(
            "Service_Latency_Exceeded",
            "payment-gateway",
            Severity::Critical,
            value,
        )
    };
    let disk = |severity, value| alert("Disk_Full", "whatever", severity, value);
    let (fired, quiet) = (Outcome::Notified, Outcome::ConditionFalse);
    check(
        &[RULES],
        vec![
            (cpu(Some(91.0)), fired, Some("R001")),
            (cpu(Some(90.0)), quiet, Some("R001")),
            (cpu(None), Outcome::ConditionError, Some("R001")),
            (latency(Some(501.0)), fired, Some("R002")),
            (latency(Some(500.0)), quiet, Some("R002")),
            (disk(Severity::Warning, Some(86.0)), fired, Some("R003")),
            (disk(Severity::Warning, Some(85.0)), quiet, Some("R003")),
            (disk(Severity::Critical, Some(86.0)), Outcome::NoRule, None),
            (
                alert(
                    "DB_Connection_Error",
                    "inventory-service",
                    Severity::Critical,
                    None,
                ),
                Outcome::Counting,
                Some("R004"),
            ),
            (
                alert(
                    "DB_Connection_Error",
                    "order-service",
                    Severity::Critical,
                    None,
                ),
                Outcome::NoRule,
                None,
            ),
            (
                alert(
                    "high_cpu_usage",
                    "Order-Service",
                    Severity::Critical,
                    Some(99.0),
                ),
                fired,
                Some("R001"),
            ),
        ],
    );
}

#[test]
fn a_playbook_that_is_there_is_triggered_and_one_that_is_not_notifies() {
    let latency = alert(
        "Service_Latency_Exceeded",
        "payment-gateway",
        Severity::Critical,
        Some(600.0),
    );
    let triggered = &decide(&[RULES, PAYMENT], vec![latency.clone()])[0];
    assert_eq!(triggered.outcome, Outcome::Triggered);
    assert_eq!(triggered.rule_id.as_deref(), Some("R002"));
    assert_eq!(
        triggered.playbook_id.as_deref(),
        Some("PB-Payment-Troubleshoot")
    );
    assert_eq!(triggered.alert.as_ref(), Some(&latency));
    assert_eq!(triggered.evidence["metric_value"], "600");
    assert_eq!(triggered.evidence["condition"], "metric_value > 500");
    assert_eq!(triggered.knowledge_digest, set(&[RULES, PAYMENT]).digest);

    let notified = &decide(&[RULES], vec![latency])[0];
    assert_eq!(notified.outcome, Outcome::Notified);
    assert_eq!(notified.playbook_id, None);
    assert!(
        notified
            .reason
            .contains("no playbook PB-Payment-Troubleshoot")
    );
    assert!(notified.alert.is_some());
}

/// Distinct occurrences of the database's connection errors, so many seconds after the start.
fn errors(seconds: &[i64]) -> Vec<NormalizedAlert> {
    let latest = seconds.iter().max().copied().unwrap_or_default();
    seconds
        .iter()
        .map(|second| NormalizedAlert {
            timestamp: START + second * 1_000,
            starts_at: START + second * 1_000,
            received_at: START + latest * 1_000,
            ..alert(
                "DB_Connection_Error",
                "inventory-service",
                Severity::Critical,
                None,
            )
        })
        .collect()
}

#[test]
fn connection_errors_trigger_at_the_sixth_occurrence_in_five_minutes_in_any_order() {
    use Outcome::{Counting, Deduplicated, Notified};
    for (seconds, expected) in [
        (
            &[0, 40, 80, 120, 160, 200][..],
            &[Counting, Counting, Counting, Counting, Counting, Notified][..],
        ),
        (
            &[200, 0, 160, 40, 120, 80],
            &[Counting, Counting, Counting, Counting, Counting, Notified],
        ),
        (
            &[0, 0, 0, 0, 0, 0, 0],
            &[
                Counting,
                Deduplicated,
                Deduplicated,
                Deduplicated,
                Deduplicated,
                Deduplicated,
                Deduplicated,
            ],
        ),
        (&[0, 70, 140, 210, 280, 350], &[Counting; 6]),
        (
            &[0, 40, 80, 120, 160, 0, 200, 200, 240],
            &[
                Counting,
                Counting,
                Counting,
                Counting,
                Counting,
                Deduplicated,
                Notified,
                Deduplicated,
                Counting,
            ],
        ),
    ] {
        assert_eq!(outcomes(&[RULES], errors(seconds)), expected, "{seconds:?}");
    }
    let decision = &decide(&[RULES], errors(&[0, 1, 2, 3, 4, 5]))[5];
    assert_eq!(decision.evidence["count"], "6");
    assert_eq!(decision.evidence["within"], "5m");
}

#[test]
fn an_occurrence_is_decided_once_until_it_rearms() {
    let first = cpu(Some(95.0));
    let hour = 60 * MINUTE;
    assert_eq!(
        outcomes(
            &[RULES],
            vec![
                first.clone(),
                later(&first, MINUTE),
                later(&first, hour - 1),
                later(&first, hour),
                later(&first, hour + MINUTE),
            ]
        ),
        [
            Outcome::Notified,
            Outcome::Deduplicated,
            Outcome::Deduplicated,
            Outcome::Notified,
            Outcome::Deduplicated
        ]
    );
}

#[test]
fn another_occurrence_domain_or_series_is_decided_by_itself() {
    let first = cpu(Some(95.0));
    let mut again = later(&first, MINUTE);
    again.starts_at += MINUTE;
    let mut elsewhere = first.clone();
    elsewhere.domain = "test".to_owned();
    let mut other = first.clone();
    other.fingerprint = "other".to_owned();
    assert_eq!(
        outcomes(&[RULES], vec![first, again, elsewhere, other]),
        [Outcome::Notified; 4]
    );
}

#[test]
fn a_resolved_alert_starts_nothing_and_rearms() {
    let first = cpu(Some(95.0));
    let end = resolved(&later(&first, 2 * MINUTE));
    assert_eq!(
        outcomes(
            &[RULES],
            vec![
                first.clone(),
                end,
                // One that the resolution overtook, and one that came after it.
                later(&first, MINUTE),
                later(&first, 3 * MINUTE),
                later(&first, 4 * MINUTE),
            ]
        ),
        [
            Outcome::Notified,
            Outcome::Resolved,
            Outcome::Deduplicated,
            Outcome::Notified,
            Outcome::Deduplicated
        ]
    );
    assert_eq!(
        outcomes(&[RULES], vec![resolved(&first)]),
        [Outcome::Resolved]
    );
}

#[test]
fn what_waited_too_long_is_told_once_and_never_acted_on() {
    let mut offline = Offline::new(set(&[RULES, PAYMENT]));
    let mut decide = |alert: &NormalizedAlert| offline.decide(alert).expect("a decision");
    // Its receive time sets the clock.
    decide(&later(
        &alert("Other", "x", Severity::Info, None),
        16 * MINUTE,
    ));
    let old = cpu(Some(95.0));
    let stale = decide(&old);
    assert_eq!(stale.outcome, Outcome::Stale);
    assert_eq!(stale.evidence["waited"], "16m");
    assert_eq!(
        stale.alert.as_ref(),
        Some(&old),
        "so that people can be told"
    );
    assert_eq!(stale.playbook_id, None);
    assert_eq!(decide(&later(&old, 1)).outcome, Outcome::Deduplicated);
    // A condition that is false is nothing to be told of, however old.
    assert_eq!(decide(&cpu(Some(5.0))).outcome, Outcome::ConditionFalse);
    // The occurrence itself is not used up: fresh news of it is acted on.
    assert_eq!(decide(&later(&old, 15 * MINUTE)).outcome, Outcome::Notified);
}

#[test]
fn rules_have_their_own_times() {
    let rules = "rules: [{id: A, alert_name: x, act_within: 1m, rearm_after: 10m}]";
    let first = alert("x", "s", Severity::Info, None);
    assert_eq!(
        outcomes(
            &[rules],
            vec![
                first.clone(),
                later(&first, 9 * MINUTE),
                later(&first, 10 * MINUTE),
                later(&first, 8 * MINUTE)
            ]
        ),
        [
            Outcome::Notified,
            Outcome::Deduplicated,
            Outcome::Notified,
            Outcome::Deduplicated
        ]
    );
    let other = alert("x", "t", Severity::Info, None);
    let newer = later(&alert("n", "t", Severity::Info, None), MINUTE + 1);
    assert_eq!(
        outcomes(&[rules], vec![newer, other]),
        [Outcome::NoRule, Outcome::Stale]
    );
}

#[test]
fn the_most_specific_rule_that_holds_decides() {
    let rules = "rules:
  - {id: any, severity: Critical}
  - {id: name, alert_name: x}
  - {id: both, alert_name: x, service_name: s, condition: 'metric_value > 10'}
  - {id: count, alert_name: y, service_name: s, count: {at_least: 2, within: 1m, grace: 0s}}
  - {id: after, alert_name: y}
";
    let x = |value| alert("x", "s", Severity::Critical, value);
    check(
        &[rules],
        vec![
            (x(Some(11.0)), Outcome::Notified, Some("both")),
            (x(Some(9.0)), Outcome::Notified, Some("name")),
            (x(None), Outcome::ConditionError, Some("both")),
            (
                alert("x", "t", Severity::Info, None),
                Outcome::Notified,
                Some("name"),
            ),
            (
                alert("z", "t", Severity::Critical, None),
                Outcome::Notified,
                Some("any"),
            ),
            (
                alert("y", "s", Severity::Info, None),
                Outcome::Counting,
                Some("count"),
            ),
            (alert("z", "t", Severity::Info, None), Outcome::NoRule, None),
        ],
    );
}

#[test]
fn a_late_alert_is_decided_by_the_other_rules() {
    let windowed = "rules:
  - {id: count, alert_name: y, service_name: s, count: {at_least: 2, within: 1m, grace: 1m}}
";
    let with_other = format!("{windowed}  - {{id: other, alert_name: y}}\n");
    let late = alert("y", "s", Severity::Info, None);
    let mut newer = alert("z", "t", Severity::Info, None);
    newer.timestamp += 2 * MINUTE + 1;
    let alerts = vec![newer, late];
    assert_eq!(
        outcomes(&[windowed], alerts.clone()),
        [Outcome::NoRule, Outcome::Late]
    );
    assert_eq!(
        outcomes(&[&with_other], alerts),
        [Outcome::NoRule, Outcome::Notified]
    );
}

#[test]
fn a_condition_that_cannot_be_told_is_recorded_and_told_once() {
    let broken = cpu(None);
    let decisions = decide(&[RULES], vec![broken.clone(), later(&broken, MINUTE)]);
    assert_eq!(decisions[0].outcome, Outcome::ConditionError);
    assert_eq!(decisions[0].alert.as_ref(), Some(&broken));
    assert!(
        decisions[0].reason.contains("null"),
        "{}",
        decisions[0].reason
    );
    assert_eq!(decisions[0].evidence["metric_value"], "null");
    assert_eq!(decisions[1].outcome, Outcome::Deduplicated);
}

#[test]
fn an_alert_starts_the_same_playbook_once_however_many_rules_name_it() {
    // The playbook's own trigger condition and R002 name the same alert and the same playbook.
    let slow = |value| {
        alert(
            "Service_Latency_Exceeded",
            "payment-gateway",
            Severity::Critical,
            value,
        )
    };
    let first = slow(Some(600.0));
    let mut mild = later(&first, MINUTE);
    mild.metric_value = Some(400.0);
    let decisions = decide(&[RULES, PAYMENT], vec![first, mild]);
    assert_eq!(decisions[0].rule_id.as_deref(), Some("R002"));
    assert_eq!(decisions[1].outcome, Outcome::Deduplicated);
    assert_eq!(
        decisions[1].rule_id.as_deref(),
        Some("PB-Payment-Troubleshoot#1")
    );
}

#[test]
fn only_decisions_that_something_follows_from_carry_the_alert() {
    let first = cpu(Some(95.0));
    for decision in decide(
        &[RULES],
        vec![
            first.clone(),
            first.clone(),
            cpu(Some(1.0)),
            resolved(&first),
            alert("n", "s", Severity::Critical, None),
        ],
    ) {
        let follows = decision.outcome == Outcome::Notified;
        assert_eq!(decision.alert.is_some(), follows, "{decision:?}");
    }
}
