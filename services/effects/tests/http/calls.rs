//! What calls send, and what their answers mean.

use prunella_executor::{EffectSpec, Ended, Step};
use serde_json::{Value, json};

use crate::server::{Server, nobody};
use crate::world::{base, call, config, get, perform, post};

fn output(outcome: &prunella_executor::EffectOutcome) -> Value {
    serde_json::from_str(outcome.output.as_deref().unwrap()).unwrap()
}

#[tokio::test]
async fn a_call_carries_key_headers_query_body_and_trace() {
    let server = Server::start().await;
    let effect = EffectSpec {
        trace: Some("00-1-2-01".to_owned()),
        ..call(
            "POST",
            "/json?a=1",
            &json!({
                "query": {"q": "x y"}, "headers": {"X-Team": "ops"}, "body": {"drain": true}
            }),
        )
    };
    let outcome = perform(&base(&server), effect).await;
    assert_eq!(
        (outcome.ended, outcome.status),
        (Ended::Succeeded, Some(200))
    );
    assert_eq!(output(&outcome), json!({"ok": true}));
    assert!(outcome.started_at > 0);
    let request = server.only();
    assert_eq!(request.line, "POST /json?a=1&q=x+y HTTP/1.1");
    assert_eq!(request.header("idempotency-key"), Some("key-1"));
    assert_eq!(request.header("x-team"), Some("ops"));
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("traceparent"), Some("00-1-2-01"));
    assert_eq!(request.body, "{\"drain\":true}");
}

#[tokio::test]
async fn a_read_carries_no_key() {
    let server = Server::start().await;
    perform(&base(&server), get("/json")).await;
    assert_eq!(server.only().header("idempotency-key"), None);
}

#[tokio::test]
async fn a_body_of_text_is_sent_as_it_is() {
    let server = Server::start().await;
    perform(
        &base(&server),
        call("POST", "/json", &json!({"body": "plain"})),
    )
    .await;
    let request = server.only();
    assert_eq!(request.body, "plain");
    assert_eq!(
        request.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
}

/// How a call of a path ends, as a read and as what may change its target.
async fn check(path: &str, read: Ended, act: Ended, words: &str) {
    let server = Server::start().await;
    for (effect, expected) in [(get(path), read), (post(path), act)] {
        let effect = EffectSpec {
            timeout_ms: 300,
            ..effect
        };
        let outcome = perform(&base(&server), effect).await;
        assert_eq!(outcome.ended, expected, "{path}: {outcome:?}");
        assert!(outcome.cause.contains(words), "{path}: {}", outcome.cause);
        let host = server.address.to_string();
        assert!(
            outcome.cause.is_empty() || outcome.cause.contains(&host),
            "{}",
            outcome.cause
        );
    }
    assert_eq!(
        server.received().len(),
        2,
        "{path}: each is sent once, whatever comes of it"
    );
}

#[tokio::test]
async fn an_answer_is_success_failure_or_no_answer() {
    check("/json", Ended::Succeeded, Ended::Succeeded, "").await;
    check("/empty", Ended::Succeeded, Ended::Succeeded, "").await;
    check(
        "/missing",
        Ended::Failed,
        Ended::Failed,
        "status 404: {\"error\":\"no such thing\"}",
    )
    .await;
    check("/busy", Ended::Failed, Ended::Lost, "status 503: later").await;
    check("/silent", Ended::Lost, Ended::Lost, "no answer from").await;
    check("/reset", Ended::Lost, Ended::Lost, "no answer from").await;
    check("/cut", Ended::Lost, Ended::Lost, "broke off").await;
    check("/garbage", Ended::Lost, Ended::Lost, "no answer from").await;
    check(
        "/here",
        Ended::Failed,
        Ended::Failed,
        "redirects are not followed",
    )
    .await;
}

#[tokio::test]
async fn where_nobody_listens_nothing_was_sent() {
    let address = nobody().await;
    let config = config(&format!("base_url = \"http://{address}\""));
    let outcome = perform(&config, post("/json")).await;
    assert_eq!(outcome.ended, Ended::Failed);
    assert!(
        outcome
            .cause
            .contains(&format!("no connection to {address}")),
        "{}",
        outcome.cause
    );
    assert_eq!(outcome.started_at, 0);
}

#[tokio::test]
async fn expected_statuses_take_the_place_of_the_usual_ones() {
    let server = Server::start().await;
    for (path, expect, ended) in [
        ("/missing", json!([404]), Ended::Succeeded),
        ("/busy", json!([200, 503]), Ended::Succeeded),
        ("/json", json!([202]), Ended::Failed),
    ] {
        let effect = call("POST", path, &json!({"expect": expect}));
        assert_eq!(perform(&base(&server), effect).await.ended, ended, "{path}");
    }
}

#[tokio::test]
async fn what_is_no_json_becomes_text() {
    let server = Server::start().await;
    for (path, expected) in [
        ("/text", json!({"text": "all <b>good</b>"})),
        ("/empty", json!({"text": ""})),
        ("/number", json!({"text": "1e999"})),
    ] {
        let outcome = perform(&base(&server), get(path)).await;
        assert_eq!(output(&outcome), expected, "{path}");
    }
    let deep = perform(&base(&server), get("/deep")).await;
    assert!(output(&deep)["text"].as_str().unwrap().starts_with("[[["));
}

#[tokio::test]
async fn an_answer_too_long_is_cut_and_is_still_a_success() {
    let server = Server::start().await;
    let mut config = base(&server);
    config.max_response_bytes = 1_000;
    let outcome = perform(&config, post("/huge")).await;
    assert_eq!(outcome.ended, Ended::Succeeded);
    let output = output(&outcome);
    assert_eq!(output["output_truncated"], true);
    assert_eq!(output["excerpt"].as_str().unwrap().len(), 1_000);
    // One that just fits is not cut.
    config.max_response_bytes = "{\"ok\":true}".len();
    let outcome = perform(&config, post("/json")).await;
    assert_eq!(outcome.output.as_deref(), Some("{\"ok\":true}"));
}

#[tokio::test]
async fn redirects_are_followed_by_reads_to_the_same_place_only() {
    let server = Server::start().await;
    let mut config = base(&server);
    config.max_redirects = 1;
    assert_eq!(perform(&config, get("/here")).await.ended, Ended::Succeeded);
    assert_eq!(perform(&config, get("/there")).await.ended, Ended::Failed);
    assert_eq!(perform(&config, get("/round")).await.ended, Ended::Failed);
    assert_eq!(perform(&config, post("/here")).await.ended, Ended::Failed);
    let requests: Vec<_> = server
        .received()
        .into_iter()
        .map(|request| request.line)
        .collect();
    assert_eq!(
        requests
            .iter()
            .filter(|line| line.starts_with("POST"))
            .count(),
        1
    );
    assert_eq!(
        requests
            .iter()
            .filter(|line| line.contains("/round"))
            .count(),
        2
    );
}

#[tokio::test]
async fn a_probe_reports_whatever_the_target_says() {
    let server = Server::start().await;
    let probe = |method: &str, path: &str| EffectSpec {
        step: Step::Probe,
        ..call(
            "POST",
            "/restart",
            &json!({
                "probe": {"method": method, "path": path, "done_if": "true"}
            }),
        )
    };
    for (path, status) in [("/json", 200), ("/missing", 404), ("/busy", 503)] {
        let outcome = perform(&base(&server), probe("GET", path)).await;
        assert_eq!(
            (outcome.ended, outcome.status),
            (Ended::Answered, Some(status))
        );
        assert!(outcome.output.is_some());
    }
    let head = perform(&base(&server), probe("HEAD", "/text")).await;
    assert_eq!((head.ended, head.output), (Ended::Answered, None));
    assert_eq!(
        perform(&base(&server), probe("POST", "/json")).await.ended,
        Ended::Failed
    );
    let received = server.received();
    assert_eq!(received.len(), 4);
    assert!(
        received
            .iter()
            .all(|request| request.header("idempotency-key").is_none())
    );
}

#[tokio::test]
async fn hosts_that_are_not_allowed_are_refused_and_allowed_ones_called() {
    let (server, other) = (Server::start().await, Server::start().await);
    let absolute = |server: &Server| {
        let spec = json!({"method": "POST", "url": server.url("/json"), "timeout_ms": 5_000});
        EffectSpec {
            spec: spec.to_string(),
            ..post("/")
        }
    };
    let mut config = base(&server);
    assert_eq!(
        perform(&config, absolute(&server)).await.ended,
        Ended::Succeeded
    );
    let refused = perform(&config, absolute(&other)).await;
    assert_eq!(refused.ended, Ended::Refused);
    assert!(
        refused.cause.contains("effects.allowed_hosts"),
        "{}",
        refused.cause
    );
    assert!(other.received().is_empty());
    config.allowed_hosts = vec![other.address.to_string()];
    assert_eq!(
        perform(&config, absolute(&other)).await.ended,
        Ended::Succeeded
    );
}

#[tokio::test]
async fn a_spec_that_cannot_be_sent_fails_and_sends_nothing() {
    let server = Server::start().await;
    for more in [
        json!({"headers": {"Idempotency-Key": "forged"}}),
        json!({"headers": {"Host": "elsewhere"}}),
        json!({"headers": {"X-A": "a\r\nX-B: b"}}),
        json!({"headers": {"no header": "x"}}),
        json!({"method": "PO ST"}),
        json!({"path": 5}),
    ] {
        let outcome = perform(&base(&server), call("POST", "/json", &more)).await;
        assert_eq!(outcome.ended, Ended::Failed, "{more}");
        assert!(!outcome.cause.is_empty());
    }
    let unknown = EffectSpec {
        kind: "SSH_Command".to_owned(),
        ..post("/json")
    };
    assert_eq!(perform(&base(&server), unknown).await.ended, Ended::Failed);
    assert!(server.received().is_empty());
}
