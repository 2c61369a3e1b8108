//! Health, readiness, metrics, and what is not there.

use prunella_gateway::{Gateway, GatewayConfig, GatewayError};
use prunella_topology::Prefix;
use rdkafka::ClientConfig;

use crate::harness::{Served, config};

#[test]
fn refusals_and_records_are_counted_and_no_name_or_token_is_shown() {
    let served = Served::start(config());
    served.send(
        "POST",
        "/v1/alerts/alertmanager",
        "alertmanager",
        "application/json",
        b"{}",
    );
    served.send(
        "POST",
        "/v1/alerts/alertmanager",
        "alertmanager",
        "application/json",
        b"",
    );
    served.send(
        "POST",
        "/v1/alerts/a-name-that-somebody-chose",
        "ada",
        "application/json",
        b"{}",
    );
    let metrics = served.get("/metrics", "");
    assert!(metrics.headers["content-type"].starts_with("application/openmetrics-text"));
    for line in [
        r#"prunella_gateway_records_total{topic="raw-alerts"} 1"#,
        r#"prunella_gateway_refusals_total{route="alerts",kind="empty"} 1"#,
        r#"prunella_gateway_refusals_total{route="alerts",kind="unauthorized"} 1"#,
        r#"prunella_gateway_responses_total{route="alerts",status="202"} 1"#,
        "prunella_gateway_acknowledgement_seconds_count 1",
        "prunella_gateway_connections 1",
    ] {
        assert!(metrics.body.contains(line), "{line}\n{}", metrics.body);
    }
    assert!(!metrics.body.contains("token") && !metrics.body.contains("somebody"));
}

#[test]
fn what_is_not_there_is_a_problem_too() {
    let served = Served::start(config());
    for (method, path, status, kind) in [
        ("GET", "/", 404, "not-found"),
        ("GET", "/v1/nothing", 404, "not-found"),
        ("GET", "/v1/alerts/alertmanager", 405, "method-not-allowed"),
        (
            "DELETE",
            "/v1/switches/kill-switch",
            405,
            "method-not-allowed",
        ),
        ("POST", "/v1/alerts/%ff", 400, "malformed"),
    ] {
        let answer = served.send(method, path, "ada", "application/json", b"{}");
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (status, kind),
            "{path}: {answer:?}"
        );
    }
}

#[test]
fn without_tokens_loopback_is_served_by_its_own_name_only() {
    let open = GatewayConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        ..GatewayConfig::default()
    };
    let served = Served::start(open);
    let answer = served.send(
        "POST",
        "/v1/alerts/anything",
        "",
        "application/json",
        br#"{"name": "Hot"}"#,
    );
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_eq!(served.records("raw-alerts")[0].key, "anything/Hot/");
    // A browser that was led here under another name sends that name.
    let headers = [
        ("Host", "evil.example.org".to_owned()),
        ("Content-Type", "application/json".to_owned()),
        ("Content-Length", "2".to_owned()),
    ];
    let mut stream = served.connect();
    use std::io::Write;
    write!(stream, "POST /v1/alerts/x HTTP/1.1\r\n").unwrap();
    for (name, value) in headers {
        write!(stream, "{name}: {value}\r\n").unwrap();
    }
    write!(stream, "\r\n{{}}").unwrap();
    let answer = crate::harness::Answer::read(&mut stream);
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (403, "forbidden")
    );
}

#[test]
fn an_address_that_others_reach_is_refused_without_tokens() {
    let config = GatewayConfig {
        listen: "0.0.0.0:0".parse().unwrap(),
        ..GatewayConfig::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let bound = runtime.block_on(Gateway::bind(
        config,
        ClientConfig::new(),
        Prefix::default(),
    ));
    assert!(matches!(bound, Err(GatewayError::Unprotected(_))));
}
