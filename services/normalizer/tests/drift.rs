//! What a vendor changes costs no more than itself: in every example of every format, every field is removed,
//! renamed, made null, given every other type and made very long, one after the other. Nothing panics, and only
//! a field that the format's table calls required may cost the payload.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test's own steps may fail loudly, and it reads files"
)]

use std::fs;
use std::path::{Path, PathBuf};

use prunella_normalizer::{Format, Meta, Sources, TABLE, normalize};
use prunella_schemas::{AlertStatus, NormalizedAlert};
use serde_json::{Map, Value, json};

const META: Meta<'_> = Meta {
    topic: "raw-alerts",
    partition: 0,
    offset: 7,
    received_at: 1_706_788_800_000,
};

/// Formats whose systems never say that an alert is over.
const NEVER_RESOLVED: &[&str] = &["splunk", "graylog", "otel"];

/// Parts that only repeat, for people, what is said elsewhere: `FORMAT PATH`. What changes there is not kept.
const REPEATS: &[&str] = &[
    "alertmanager commonLabels",
    "alertmanager commonAnnotations",
    "alertmanager groupLabels",
    "grafana commonLabels",
    "grafana commonAnnotations",
    "grafana groupLabels",
    "sentry installation",
];

/// One step into a payload.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    Item(usize),
}

fn examples(format: &Format) -> Vec<(String, Value)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples")
        .join(format.name);
    let entries =
        fs::read_dir(&directory).unwrap_or_else(|_| panic!("{} has no examples", format.name));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
        .iter()
        .filter(|path| path.to_str().unwrap().ends_with(".in.json"))
        .map(|path| (path.display().to_string(), fs::read(path).unwrap()))
        // An example may be of what is no JSON at all.
        .filter_map(|(path, bytes)| Some((path, serde_json::from_slice(&bytes).ok()?)))
        .collect()
}

fn run(format: &Format, payload: &Value) -> Result<Vec<NormalizedAlert>, String> {
    let bytes = serde_json::to_vec(payload).unwrap();
    normalize(format.name, None, &bytes, &META, &Sources::default())
        .map_err(|rejection| rejection.to_string())
}

fn paths(value: &Value, at: &[Step], all: &mut Vec<Vec<Step>>) {
    let children: Vec<(Step, &Value)> = match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (Step::Field(name.clone()), value))
            .collect(),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(index, value)| (Step::Item(index), value))
            .collect(),
        _ => return,
    };
    for (step, child) in children {
        let path = [at, &[step]].concat();
        all.push(path.clone());
        paths(child, &path, all);
    }
}

fn get<'v>(value: &'v mut Value, path: &[Step]) -> &'v mut Value {
    path.iter().fold(value, |value, step| match step {
        Step::Field(name) => value.get_mut(name).unwrap(),
        Step::Item(index) => value.get_mut(*index).unwrap(),
    })
}

fn with(payload: &Value, path: &[Step], value: Value) -> Value {
    let mut changed = payload.clone();
    *get(&mut changed, path) = value;
    changed
}

/// Without the field, or with it under the name that is given.
fn moved(payload: &Value, path: &[Step], name: Option<&str>) -> Value {
    let mut changed = payload.clone();
    let (last, parent) = path.split_last().unwrap();
    match (last, get(&mut changed, parent)) {
        (Step::Field(field), Value::Object(fields)) => {
            let taken = fields.remove(field).unwrap();
            if let Some(name) = name {
                fields.insert(name.to_owned(), taken);
            }
        }
        (Step::Item(index), Value::Array(items)) => drop(items.remove(*index)),
        _ => unreachable!("a path leads through what is there"),
    }
    changed
}

fn dotted(path: &[Step]) -> Vec<&str> {
    path.iter()
        .map(|step| match step {
            Step::Field(name) => name.as_str(),
            Step::Item(_) => "*",
        })
        .collect()
}

/// Whether the loss of what lies there is the loss of a required field.
fn required(format: &Format, path: &[Step]) -> bool {
    let mut path = dotted(path);
    if path.first() == Some(&"*") {
        path.remove(0);
    }
    format.required.iter().any(|required| {
        let required: Vec<&str> = required.split('.').collect();
        required.starts_with(&path)
    })
}

fn mutations(payload: &Value, path: &[Step]) -> Vec<(&'static str, Value)> {
    let long = "x".repeat(70_000);
    vec![
        ("removed", moved(payload, path, None)),
        ("renamed", moved(payload, path, Some("zz renamed"))),
        ("null", with(payload, path, Value::Null)),
        ("a number", with(payload, path, json!(-17.25))),
        ("a flag", with(payload, path, json!(true))),
        ("a word", with(payload, path, json!("zz word"))),
        ("nothing", with(payload, path, json!(""))),
        (
            "a list",
            with(payload, path, json!(["a", {"b": [1]}, null])),
        ),
        ("an empty list", with(payload, path, json!([]))),
        (
            "an object",
            with(payload, path, json!({"zz": {"b": [1]}, "c": null})),
        ),
        ("very long", with(payload, path, json!(long))),
        ("a long number", with(payload, path, json!(1e300))),
    ]
}

#[test]
fn only_the_loss_of_a_required_field_costs_the_payload() {
    let mut wrong = Vec::new();
    for format in TABLE {
        for (name, payload) in examples(format) {
            let was_taken = run(format, &payload).is_ok();
            let mut all = Vec::new();
            paths(&payload, &[], &mut all);
            for path in all {
                for (what, changed) in mutations(&payload, &path) {
                    let seen = run(format, &changed);
                    if let Err(rejection) = seen
                        && was_taken
                        && !required(format, &path)
                    {
                        let rejection: String = rejection.chars().take(100).collect();
                        wrong.push(format!(
                            "{name}: {} {what}: {rejection}",
                            dotted(&path).join(".")
                        ));
                    }
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} in all\n{}",
        wrong.len(),
        wrong[..wrong.len().min(40)].join("\n")
    );
}

/// Places of texts that hold an object of their own, and that object: an alarm in the envelope of Amazon SNS.
fn enclosed(payload: &Value) -> Vec<(Vec<Step>, Value)> {
    let mut all = Vec::new();
    paths(payload, &[], &mut all);
    let inner = |path: &Vec<Step>| {
        let mut payload = payload.clone();
        let value = get(&mut payload, path).as_str()?.to_owned();
        serde_json::from_str(&value).ok().filter(Value::is_object)
    };
    let found = all
        .iter()
        .filter_map(|path| Some((path.clone(), inner(path)?)));
    found.collect()
}

#[test]
fn what_lies_in_an_envelope_costs_no_more_than_itself_either() {
    let format = TABLE
        .iter()
        .find(|format| format.name == "cloudwatch")
        .unwrap();
    let mut tried = 0;
    for (name, payload) in examples(format) {
        if run(format, &payload).is_err() {
            continue;
        }
        for (place, inner) in enclosed(&payload) {
            let mut all = Vec::new();
            paths(&inner, &[], &mut all);
            for path in all {
                for (what, changed) in mutations(&inner, &path) {
                    let changed = with(&payload, &place, json!(changed.to_string()));
                    let seen = run(format, &changed);
                    let at = dotted(&path).join(".");
                    assert!(
                        seen.is_ok() || required(format, &path),
                        "{name}: {at} {what}: {seen:?}"
                    );
                    tried += 1;
                }
            }
        }
    }
    assert!(tried > 100, "{tried}");
}

#[test]
fn a_field_that_nobody_knows_is_kept() {
    const MARK: &str = "zz kept value";
    let mut wrong = Vec::new();
    for format in TABLE {
        for (name, payload) in examples(format) {
            let Ok(before) = run(format, &payload) else {
                continue;
            };
            let mut all = vec![Vec::new()];
            paths(&payload, &[], &mut all);
            for path in all {
                let place = dotted(&path).join(".");
                let mut changed = payload.clone();
                let Value::Object(fields) = get(&mut changed, &path) else {
                    continue;
                };
                fields.insert("zz unknown".to_owned(), json!(MARK));
                let repeats = |part: &&str| format!("{} {place}", format.name).starts_with(*part);
                if REPEATS.iter().any(repeats) {
                    continue;
                }
                let kept = run(format, &changed).map(|alerts| {
                    let mut texts = alerts.iter().flat_map(|alert| {
                        let named = alert.labels.values().chain(alert.annotations.values());
                        named.chain([&alert.description])
                    });
                    texts.any(|text| text.contains(MARK)) && alerts.len() >= before.len()
                });
                if kept != Ok(true) {
                    wrong.push(format!("{name}: at `{place}`: {kept:?}"));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} in all\n{}",
        wrong.len(),
        wrong[..wrong.len().min(40)].join("\n")
    );
}

#[test]
fn every_format_shows_an_alert_that_fires_one_that_is_over_and_a_third_case() {
    for format in TABLE {
        let examples = examples(format);
        assert!(
            examples.len() >= 3,
            "{} has {} examples",
            format.name,
            examples.len()
        );
        let alerts: Vec<NormalizedAlert> = examples
            .iter()
            .filter_map(|(_, payload)| run(format, payload).ok())
            .flatten()
            .collect();
        let shows = |status| alerts.iter().any(|alert| alert.status == status);
        assert!(
            shows(AlertStatus::Firing),
            "{} shows none that fires",
            format.name
        );
        let never = NEVER_RESOLVED.contains(&format.name);
        assert_eq!(shows(AlertStatus::Resolved), !never, "{}", format.name);
    }
}

#[test]
fn a_resolved_alert_carries_the_fingerprint_and_the_domain_of_its_firing() {
    for format in TABLE {
        let examples = examples(format);
        let alerts = examples
            .iter()
            .flat_map(|(_, payload)| run(format, payload).unwrap_or_default());
        let (fired, resolved): (Vec<_>, Vec<_>) =
            alerts.partition(|alert| alert.status == AlertStatus::Firing);
        let mut pairs = 0;
        for over in &resolved {
            let began = |alert: &&NormalizedAlert| alert.fingerprint == over.fingerprint;
            for alert in fired.iter().filter(began) {
                assert_eq!(alert.domain, over.domain, "{}: {over:?}", format.name);
                pairs += 1;
            }
        }
        let never = NEVER_RESOLVED.contains(&format.name);
        // The examples of these tell of several systems at a time.
        let unpaired = ["alertmanager", "generic"].contains(&format.name);
        assert!(pairs > 0 || never || unpaired, "{}", format.name);
    }
}

#[test]
fn what_is_no_payload_is_refused_in_every_format() {
    let deep = "[".repeat(100_000);
    for format in TABLE {
        for text in [
            "",
            "{",
            "{}",
            "[]",
            "7",
            "null",
            "alert!",
            "[7]",
            "{} {}",
            r#"{"a": 1, "a": 2}"#,
            &deep,
        ] {
            let sources = Sources::default();
            let seen = normalize(format.name, None, text.as_bytes(), &META, &sources);
            let rejection = seen.unwrap_err();
            assert!(rejection.detail.len() > 20, "{}: {rejection}", format.name);
            assert!(
                rejection.detail.len() < 1_000,
                "{}: {rejection}",
                format.name
            );
        }
    }
}

#[test]
fn a_payload_with_fields_of_its_own_is_read_as_any_json_would_be() {
    let own = json!({"alert_name": "Hot", "severity": "critical", "service": "shop"});
    for format in TABLE
        .iter()
        .filter(|format| !["alertmanager", "zabbix", "gitlab"].contains(&format.name))
    {
        let alerts = run(format, &own).unwrap();
        assert_eq!(alerts[0].alert_name, "Hot", "{}", format.name);
        assert_eq!(
            alerts[0].service_name.as_deref(),
            Some("shop"),
            "{}",
            format.name
        );
    }
}

#[test]
fn json_that_its_sender_calls_plain_text_is_taken_from_vendors_alone() {
    let run = |source: &str, media_type| {
        let payload = br#"{"AlarmName": "Hot", "title": "Hot"}"#;
        let seen = normalize(
            source,
            Some(media_type),
            payload,
            &META,
            &Sources::default(),
        );
        seen.map(|alerts| alerts.len())
            .map_err(|rejection| rejection.class.into_owned())
    };
    assert_eq!(run("cloudwatch", "text/plain; charset=UTF-8"), Ok(1));
    assert_eq!(run("cloudwatch-eu", "text/plain"), Ok(1));
    for (source, media_type) in [("generic", "text/plain"), ("cloudwatch", "application/xml")] {
        assert_eq!(
            run(source, media_type),
            Err("content_type".to_owned()),
            "{source}"
        );
    }
}

#[test]
fn a_payload_gives_the_same_alerts_whatever_order_its_fields_come_in() {
    fn reversed(value: &Value) -> String {
        match value {
            Value::Object(fields) => {
                let fields: Vec<String> = fields
                    .iter()
                    .rev()
                    .map(|(name, value)| format!("{}:{}", json!(name), reversed(value)))
                    .collect();
                format!("{{{}}}", fields.join(","))
            }
            Value::Array(items) => {
                let items: Vec<String> = items.iter().map(reversed).collect();
                format!("[{}]", items.join(","))
            }
            other => other.to_string(),
        }
    }
    for format in TABLE {
        for (name, payload) in examples(format) {
            let backwards = reversed(&payload);
            let sources = Sources::default();
            let seen = normalize(format.name, None, backwards.as_bytes(), &META, &sources);
            let seen = seen.map_err(|rejection| rejection.to_string());
            assert_eq!(seen, run(format, &payload), "{name}");
        }
    }
}

#[test]
fn paths_are_required_from_the_root_down() {
    let format = TABLE
        .iter()
        .find(|format| format.name == "alertmanager")
        .unwrap();
    let path = |steps: &[Step]| required(format, steps);
    assert!(path(&[Step::Field("alerts".to_owned())]));
    assert!(path(&[Step::Field("alerts".to_owned()), Step::Item(1)]));
    assert!(!path(&[Step::Field("receiver".to_owned())]));
    let mut all = Vec::new();
    paths(&json!({"a": [{"b": 1}]}), &[], &mut all);
    assert_eq!(all.len(), 3);
    let changed = moved(&json!({"a": [{"b": 1}]}), &all[2], Some("c"));
    assert_eq!(changed, json!({"a": [{"c": 1}]}));
    assert_eq!(moved(&changed, &all[0], None), Value::Object(Map::new()));
}
