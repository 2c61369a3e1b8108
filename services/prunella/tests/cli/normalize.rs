//! `prunella normalize`.

use serde_json::{Value, json};

use crate::program::{checkout, directory, prunella, text};

fn example(path: &str) -> String {
    text(&checkout("services/normalizer/examples").join(path))
}

/// The example's payload, as a file and as standard input, gives these fields, one object an alert.
fn check(source: &str, path: &str, expected: &[Value]) {
    let path = example(path);
    let payload = std::fs::read(&path).expect("an example");
    let from_file = prunella(["normalize", "--source", source, &path]).run();
    let from_input = prunella(["normalize", "--source", source, "-"])
        .input(payload.clone())
        .run();
    let by_default = prunella(["normalize", "--source", source])
        .input(payload)
        .run();
    for said in [from_file, from_input, by_default] {
        let said = said.expect(0);
        assert_eq!(said.err, "");
        let alerts = said.lines();
        assert_eq!(alerts.len(), expected.len(), "{alerts:#?}");
        for (alert, expected) in alerts.iter().zip(expected) {
            for (field, value) in expected.as_object().expect("fields") {
                assert_eq!(&alert[field], value, "{field} of {alert:#}");
            }
            assert_eq!(names_of(alert), schema_fields());
        }
    }
}

fn names_of(alert: &Value) -> Vec<String> {
    let mut names: Vec<String> = alert
        .as_object()
        .expect("an object")
        .keys()
        .cloned()
        .collect();
    names.sort();
    names
}

fn schema_fields() -> Vec<String> {
    let schema = std::fs::read_to_string(checkout("schemas/avro/normalized-alert.avsc"));
    let schema: Value = serde_json::from_str(&schema.expect("the schema")).expect("JSON");
    let fields = schema["fields"].as_array().expect("fields");
    let mut names: Vec<String> = fields
        .iter()
        .map(|field| field["name"].as_str().expect("a name").to_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn a_payload_becomes_alerts_with_the_schemas_field_names() {
    check(
        "alertmanager",
        "alertmanager/firing-and-resolved.in.json",
        &[json!({"status": "Firing"}), json!({"status": "Resolved"})],
    );
    check(
        "alertmanager-eu",
        "alertmanager/firing.in.json",
        &[json!({
            "alert_name": "High_CPU_Usage", "severity": "Critical", "service_name": "order-service",
            "metric_value": 93.5, "domain": "eu-1", "source_system": "alertmanager-eu"
        })],
    );
    check(
        "zabbix",
        "zabbix/problem.in.json",
        &[json!({
            "alert_name": "High_CPU_Usage", "severity": "Critical", "status": "Firing", "host_ip": "10.0.0.7",
            "metric_value": 93.5, "timestamp": 1_706_788_500_000_i64
        })],
    );
    check(
        "something-else",
        "generic/list.in.json",
        &[
            json!({"alert_name": "Service_Latency_Exceeded", "metric_value": 612.0, "domain": "default"}),
            json!({"alert_name": "Disk_Full", "severity": "Warning", "domain": "eu"}),
            json!({"alert_name": "Disk_Full", "status": "Resolved"}),
        ],
    );
}

#[test]
fn a_source_that_the_knowledge_describes_is_read_as_described() {
    let rules =
        "sources:\n  acme:\n    list: data\n    fields: {alert_name: what, metric_value: n}\n";
    let knowledge = directory(&[("sources.yaml", rules)]);
    let knowledge = text(knowledge.path());
    let payload = r#"{"data": [{"what": "Disk_Full", "n": 91}]}"#;
    let alerts = prunella(["normalize", "--source", "acme", "--knowledge", &knowledge])
        .input(payload)
        .run()
        .expect(0)
        .lines();
    assert_eq!(
        (&alerts[0]["alert_name"], &alerts[0]["metric_value"]),
        (&json!("Disk_Full"), &json!(91.0))
    );
    let broken = directory(&[("sources.yaml", "sources: {acme: {feilds: {}}}\n")]);
    prunella([
        "normalize",
        "--source",
        "acme",
        "--knowledge",
        &text(broken.path()),
    ])
    .input(payload)
    .run()
    .refused(
        5,
        "sources.yaml:1:18: error: source `acme`: `feilds` is not known",
    );
}

#[test]
fn a_payload_of_long_ago_is_received_then_and_any_other_now() {
    let received = |payload: &Value, arguments: &[&str]| {
        let alerts = prunella(["normalize", "--source", "generic"].iter().chain(arguments))
            .input(payload.to_string())
            .run()
            .expect(0)
            .lines();
        alerts[0]["received_at"].as_i64().expect("a time")
    };
    let old = json!([
        {"alert_name": "a", "timestamp": "2024-02-01T11:00:00Z"},
        {"alert_name": "b", "timestamp": "2024-02-01T12:00:00Z"}
    ]);
    let noon = 1_706_788_800_000;
    assert_eq!(received(&old, &[]), noon);
    assert_eq!(
        received(&old, &["--received-at", "1800000000000"]),
        1_800_000_000_000
    );
    assert!(received(&json!({"alert_name": "a"}), &[]) > noon);
}

#[test]
fn a_bad_payload_is_refused_with_its_reason_and_prints_nothing() {
    let deep = "[".repeat(100_000);
    let cases: &[(&str, &[u8], &str)] = &[
        ("alertmanager", b"", "the payload is empty"),
        ("alertmanager", b"{\"alerts\": [", "it was cut off"),
        ("alertmanager", b"{}", "the payload holds no `alerts`"),
        ("alertmanager", b"\xff\xfe", "UTF-8"),
        ("zabbix", b"event 7 is down", "it is not JSON"),
        ("generic", b"{\"value\": 1e999}", "error: "),
        ("generic", b"7", "error: "),
        ("generic", deep.as_bytes(), "error: "),
    ];
    for (source, payload, because) in cases {
        prunella(["normalize", "--source", source])
            .input(*payload)
            .run()
            .refused(1, because);
    }
    prunella(["normalize", "--source", "zabbix", "no/such/payload.json"])
        .run()
        .refused(1, "cannot read no/such/payload.json");
    prunella(["normalize", &example("zabbix/problem.in.json")])
        .run()
        .refused(2, "--source");
}
