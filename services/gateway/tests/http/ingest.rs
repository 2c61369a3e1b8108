//! Alerts and logs.

use crate::harness::{Served, config};

const ALERT: &str = r#"{"version": "4", "groupKey": "{}:{alertname=\"Hot\"}",  "alerts": [{"labels": {"alertname": "Hot"}}]}"#;

#[test]
fn a_payload_lies_on_its_topic_byte_for_byte_when_it_is_answered() {
    let served = Served::start(config());
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let headers = [
        ("Content-Length", ALERT.len().to_string()),
        ("Content-Type", "application/json; charset=utf-8".to_owned()),
        ("Authorization", "Bearer alertmanager-token".to_owned()),
        ("traceparent", trace.to_owned()),
    ];
    let answer = served.send_with(
        "POST",
        "/v1/alerts/alertmanager",
        &headers,
        ALERT.as_bytes(),
    );
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_eq!(
        answer.value()["trace_id"],
        "4bf92f3577b34da6a3ce929d0e0e4736"
    );
    assert_eq!(answer.value()["topic"], "raw-alerts");

    let records = served.records("raw-alerts");
    assert_eq!(records.len(), 1);
    let record = &records[0];
    assert_eq!(record.value, ALERT.as_bytes());
    assert_eq!(record.key, r#"alertmanager/{}:{alertname="Hot"}"#);
    assert_eq!(record.headers["prunella.source"], "alertmanager");
    assert_eq!(
        record.headers["content-type"],
        "application/json; charset=utf-8"
    );
    assert_eq!(record.headers["traceparent"], trace);
    assert!(
        record.headers["prunella.received-at"]
            .parse::<i64>()
            .unwrap()
            > 1_700_000_000_000
    );
}

#[test]
fn a_payload_without_a_trace_begins_one() {
    let served = Served::start(config());
    let answer = served.send(
        "POST",
        "/v1/alerts/alertmanager",
        "alertmanager",
        "application/json",
        ALERT.as_bytes(),
    );
    let records = served.records("raw-alerts");
    let trace = answer.value()["trace_id"].as_str().unwrap().to_owned();
    assert_eq!(trace.len(), 32);
    assert!(records[0].headers["traceparent"].contains(&trace));
}

#[test]
fn what_can_never_be_read_is_refused_and_leaves_no_record() {
    let served = Served::start(config());
    let check = |content_type: &str, body: &[u8], expected: (u16, &str)| {
        let answer = served.send(
            "POST",
            "/v1/alerts/alertmanager",
            "alertmanager",
            content_type,
            body,
        );
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            expected,
            "{answer:?}"
        );
    };
    let json = "application/json";
    check(json, b"", (400, "empty"));
    check(json, b" \r\n ", (400, "empty"));
    check(json, b"{\"alerts\": [", (400, "malformed"));
    check(json, b"alert!", (400, "malformed"));
    check(json, b"{\"groupKey\": \"\xff\"}", (400, "malformed"));
    check(json, b"{\"groupKey\": \"a\\u0000\"}", (400, "malformed"));
    check(json, b"{\"groupKey\": 1e999}", (400, "malformed"));
    check(
        json,
        b"{\"groupKey\": 1, \"groupKey\": 2}",
        (400, "malformed"),
    );
    check("text/plain", ALERT.as_bytes(), (415, "content-type"));
    check(
        "application/x-www-form-urlencoded",
        ALERT.as_bytes(),
        (415, "content-type"),
    );
    check("", ALERT.as_bytes(), (415, "content-type"));
    assert!(served.records("raw-alerts").is_empty());
}

#[test]
fn json_that_a_description_might_make_readable_is_taken() {
    let served = Served::start(config());
    for body in ["{}", "[]", "7", r#"{"alerts": "none"}"#] {
        let answer = served.send(
            "POST",
            "/v1/alerts/alertmanager",
            "alertmanager",
            "application/json",
            body.as_bytes(),
        );
        assert_eq!(answer.status, 202, "{body}");
    }
    let records = served.records("raw-alerts");
    assert_eq!(records.len(), 4);
    assert!(records.iter().all(|record| record.key == "alertmanager/"));
}

#[test]
fn each_log_line_becomes_a_record_of_its_service() {
    let served = Served::start(config());
    let check = |content_type: &str, body: &str, lines: u64| {
        let answer = served.send(
            "POST",
            "/v1/logs/shop",
            "shipper",
            content_type,
            body.as_bytes(),
        );
        assert_eq!(answer.status, 202, "{answer:?}");
        assert_eq!(answer.value()["lines"], lines);
    };
    check("text/plain", "one\r\n\ntwo\n", 2);
    check("application/x-ndjson", "{\"m\": 1}\n{\"m\": 2}", 2);
    check("application/json", "{\n\"m\": 3}", 1);
    let records = served.records("raw-logs");
    let values: Vec<&str> = records
        .iter()
        .map(|record| std::str::from_utf8(&record.value).unwrap())
        .collect();
    assert_eq!(
        values,
        ["one", "two", "{\"m\": 1}", "{\"m\": 2}", "{\n\"m\": 3}"]
    );
    assert!(records.iter().all(|record| record.key == "shop"));
    assert_eq!(records[0].headers["prunella.source"], "shipper");
}

#[test]
fn logs_are_refused_from_whom_they_are_not_expected() {
    let served = Served::start(config());
    let check =
        |service: &str, who: &str, content_type: &str, body: &[u8], expected: (u16, &str)| {
            let answer = served.send(
                "POST",
                &format!("/v1/logs/{service}"),
                who,
                content_type,
                body,
            );
            assert_eq!(
                (answer.status, answer.problem().as_str()),
                expected,
                "{answer:?}"
            );
        };
    check("other", "shipper", "text/plain", b"x", (403, "forbidden"));
    check(
        "shop",
        "alertmanager",
        "text/plain",
        b"x",
        (403, "forbidden"),
    );
    check("shop", "ada", "text/plain", b"x", (401, "unauthorized"));
    check("shop", "shipper", "image/png", b"x", (415, "content-type"));
    check("shop", "shipper", "text/plain", b"\n\n", (400, "empty"));
    assert!(served.records("raw-logs").is_empty());
}

#[test]
fn when_kafka_does_not_acknowledge_the_sender_is_told_to_come_again() {
    let mut config = config();
    config.ack_timeout_ms = 500;
    let served = Served::start(config);
    served.cluster.broker_down(1).unwrap();
    let send = || {
        served.send(
            "POST",
            "/v1/alerts/alertmanager",
            "alertmanager",
            "application/json",
            ALERT.as_bytes(),
        )
    };
    let answer = send();
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (503, "kafka-unavailable"),
        "{answer:?}"
    );
    served.until("/readyz says so", || {
        served.get("/readyz", "").status == 503
    });
    served.cluster.broker_up(1).unwrap();
    served.until("alerts are taken again", || send().status == 202);
    served.until("/readyz says so", || {
        served.get("/readyz", "").status == 200
    });
}
