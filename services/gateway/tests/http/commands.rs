//! People's commands.

use prunella_schemas::{Control, ControlKind, KnowledgeRecord, Switch, decode};
use serde_json::json;

use crate::harness::{Answer, Served, config};

/// Every route that takes credentials.
const ROUTES: &[(&str, &str)] = &[
    ("POST", "/v1/alerts/alertmanager"),
    ("POST", "/v1/alerts/nobody"),
    ("POST", "/v1/logs/shop"),
    ("POST", "/v1/control"),
    ("GET", "/v1/switches"),
    ("PUT", "/v1/switches/kill-switch"),
    ("PUT", "/v1/switches/kill-switch/eu"),
    ("GET", "/v1/knowledge"),
    ("POST", "/v1/knowledge"),
];

#[track_caller]
fn check(answer: &Answer, status: u16, kind: &str) {
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (status, kind),
        "{answer:?}"
    );
}

#[test]
fn every_route_without_credentials_is_refused() {
    let served = Served::start(config());
    for (method, path) in ROUTES {
        for who in ["", "nobody"] {
            let answer = served.send(method, path, who, "application/json", b"{}");
            check(&answer, 401, "unauthorized");
            assert_eq!(answer.headers["www-authenticate"], "Bearer");
        }
    }
}

#[test]
fn nobody_does_what_their_role_does_not_say() {
    let served = Served::start(config());
    for (method, path, who, status) in [
        ("POST", "/v1/control", "bob", 403),
        ("POST", "/v1/control", "eve", 403),
        ("PUT", "/v1/switches/kill-switch", "bob", 403),
        ("POST", "/v1/knowledge", "ada", 403),
        ("GET", "/v1/switches", "bob", 200),
        ("GET", "/v1/knowledge", "bob", 200),
        // A source is no person, and a person no source.
        ("POST", "/v1/control", "alertmanager", 401),
        ("POST", "/v1/alerts/alertmanager", "ada", 401),
    ] {
        let answer = served.send(method, path, who, "application/json", b"{}");
        assert_eq!(answer.status, status, "{method} {path} {who}");
    }
    for topic in ["control", "switches", "knowledge"] {
        assert!(served.records(topic).is_empty(), "{topic}");
    }
}

#[test]
fn a_command_carries_who_authenticated_and_its_domain_as_key() {
    let served = Served::start(config());
    let body = json!({"domain": "eu", "kind": "Cancel", "run_id": "r1", "comment": "enough"});
    let answer = served.json("POST", "/v1/control", "ada", &body);
    assert_eq!(answer.status, 202, "{answer:?}");
    let records = served.records("control");
    let control: Control = decode(&records[0].value).unwrap();
    assert_eq!(records[0].key, "eu");
    assert_eq!(
        (control.kind, control.run_id.as_str()),
        (ControlKind::Cancel, "r1")
    );
    assert_eq!(
        (control.author.as_str(), control.comment.as_str()),
        ("ada", "enough")
    );
    assert_eq!(answer.value()["control_id"], control.control_id.as_str());
    assert!(records[0].headers.contains_key("traceparent"));
}

#[test]
fn a_command_that_makes_no_sense_is_refused_with_the_reason() {
    let served = Served::start(config());
    let check_body = |body: serde_json::Value, status, kind| {
        check(
            &served.json("POST", "/v1/control", "ada", &body),
            status,
            kind,
        );
    };
    check_body(json!({"domain": "eu", "kind": "Cancel"}), 422, "invalid");
    check_body(
        json!({"domain": "eu", "kind": "Explode", "run_id": "r"}),
        400,
        "malformed",
    );
    // Nobody says in the body who they are.
    let forged = json!({"domain": "eu", "kind": "Cancel", "run_id": "r", "author": "root"});
    check_body(forged, 400, "malformed");
    check(
        &served.send("POST", "/v1/control", "ada", "text/plain", b"{}"),
        415,
        "content-type",
    );
    check(
        &served.send("POST", "/v1/control", "ada", "application/json", b""),
        400,
        "empty",
    );
    let long = vec![b' '; 70_000];
    check(
        &served.send("POST", "/v1/control", "ada", "application/json", &long),
        413,
        "too-large",
    );
    assert!(served.records("control").is_empty());
}

#[test]
fn a_switch_that_was_thrown_is_seen_at_once() {
    let served = Served::start(config());
    let throw = |name: &str, on: bool| {
        let answer = served.json(
            "PUT",
            &format!("/v1/switches/{name}"),
            "ada",
            &json!({"on": on}),
        );
        assert_eq!(answer.status, 200, "{answer:?}");
    };
    throw("kill-switch/eu-1", true);
    throw("kill-switch", true);
    throw("kill-switch", false);
    let answer = served.get("/v1/switches", "bob").value();
    let seen: Vec<_> = answer["switches"]
        .as_array()
        .unwrap()
        .iter()
        .map(|switch| {
            (
                switch["name"].as_str().unwrap(),
                switch["on"].as_bool().unwrap(),
            )
        })
        .collect();
    assert_eq!(seen, [("kill-switch", false), ("kill-switch/eu-1", true)]);
    let records = served.records("switches");
    assert_eq!(records[0].key, "kill-switch/eu-1");
    let switch: Switch = decode(&records[0].value).unwrap();
    assert_eq!(
        (switch.author.as_str(), switch.domain.as_deref()),
        ("ada", Some("eu-1"))
    );
}

fn bundle(text: &str) -> serde_json::Value {
    json!({"files": [{"path": "rules.yaml", "text": text}], "comment": "better"})
}

#[test]
fn knowledge_with_mistakes_is_refused_with_all_of_them_and_nothing_is_written() {
    let served = Served::start(config());
    let text =
        "rules:\n  - {id: R1, alert_nmae: Hot}\n  - {id: R2, alert_name: Hot, severity: Purple}\n";
    let answer = served.json("POST", "/v1/knowledge", "eve", &bundle(text));
    check(&answer, 422, "knowledge-refused");
    let problem = answer.value();
    let lines: Vec<u64> = problem["diagnostics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|found| found["line"].as_u64().unwrap())
        .collect();
    assert!(lines.contains(&2) && lines.contains(&3), "{problem}");
    assert!(
        problem["rendered"]
            .as_str()
            .unwrap()
            .contains("rules.yaml:2")
    );
    assert!(served.records("knowledge").is_empty());
    assert_eq!(
        served.get("/v1/knowledge", "bob").value()["active"],
        json!(null)
    );
}

#[test]
fn content_is_written_once_and_before_the_manifest_that_names_it() {
    let served = Served::start(config());
    let rules = bundle("rules: [{id: R1, alert_name: Hot}]");
    let first = served.json("POST", "/v1/knowledge", "eve", &rules);
    assert_eq!(first.status, 200, "{first:?}");
    let digest = first.value()["digest"].as_str().unwrap().to_owned();
    let other = served.json("POST", "/v1/knowledge", "eve", &bundle("rules: []"));
    assert_eq!(other.status, 200, "{other:?}");
    let again = served.json("POST", "/v1/knowledge", "eve", &rules);
    assert_eq!(again.value()["digest"], digest.as_str());

    let records = served.records("knowledge");
    let keys: Vec<&str> = records.iter().map(|record| record.key.as_str()).collect();
    let second = other.value()["digest"].as_str().unwrap().to_owned();
    assert_eq!(keys, [&digest, "active", &second, "active", "active"]);
    let content: KnowledgeRecord = decode(&records[0].value).unwrap();
    let manifest: KnowledgeRecord = decode(&records[4].value).unwrap();
    assert_eq!((content.files.len(), manifest.files.len()), (1, 0));
    assert_eq!(
        (manifest.digest.as_str(), manifest.author.as_str()),
        (digest.as_str(), "eve")
    );

    let listed = served.get("/v1/knowledge", "bob").value();
    assert_eq!(listed["active"]["digest"], digest.as_str());
    assert_eq!(listed["published"].as_array().unwrap().len(), 2);
}

#[test]
fn a_source_that_the_knowledge_describes_is_ordered_as_described() {
    let mut config = config();
    let source = config.sources["alertmanager"].clone();
    config.sources.insert("acme".to_owned(), source);
    config.sources.get_mut("acme").unwrap().token =
        Some(prunella_gateway::Secret::new("acme-token"));
    let served = Served::start(config);
    let send = || {
        let body = json!({"tenant": "t1", "alerts": []});
        assert_eq!(
            served.json("POST", "/v1/alerts/acme", "acme", &body).status,
            202
        );
    };
    send();
    let published = served.json(
        "POST",
        "/v1/knowledge",
        "eve",
        &bundle("sources: {acme: {ordering_key: tenant}}"),
    );
    assert_eq!(published.status, 200, "{published:?}");
    send();
    let records = served.records("raw-alerts");
    let keys: Vec<&str> = records.iter().map(|record| record.key.as_str()).collect();
    assert_eq!(keys, ["acme/", "acme/t1"]);
}
