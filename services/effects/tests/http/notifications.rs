//! What people are told.

use std::io::Write;
use std::sync::{Arc, Mutex};

use prunella_effects::SwitchState;
use prunella_executor::{EffectSpec, Ended};
use serde_json::{Value, json};

use crate::server::Server;
use crate::world::{Leave, config, effects_under, post};

fn notification() -> EffectSpec {
    let spec = json!({
        "severity": "Critical", "title": "pool restarted\nlevel=INFO forged", "message": "done",
        "recipients": ["oncall@example.com"], "run_id": "run-1", "service": "shop", "domain": "prod"
    });
    EffectSpec {
        kind: "Notification".to_owned(),
        mutating: false,
        spec: spec.to_string(),
        ..post("/")
    }
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Tells people under a thrown kill switch, and returns the outcome and the log.
async fn tell(config_text: &str) -> (prunella_executor::EffectOutcome, String) {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _logged = tracing::subscriber::set_default(subscriber);
    let thrown = SwitchState::Thrown {
        name: "kill-switch".to_owned(),
        author: "ada".to_owned(),
    };
    let effects = effects_under(&config(config_text), thrown);
    let outcome = effects.perform(notification(), Leave::always()).await;
    let log = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    (outcome, log)
}

fn notified(log: &str) -> Vec<&str> {
    log.lines()
        .filter(|line| line.contains("prunella::notification"))
        .collect()
}

#[tokio::test]
async fn without_a_webhook_people_are_told_by_one_log_line() {
    let (outcome, log) = tell("").await;
    assert_eq!(outcome.ended, Ended::Succeeded);
    assert_eq!(outcome.output.as_deref(), Some(r#"{"delivered":["log"]}"#));
    let lines = notified(&log);
    assert_eq!(lines.len(), 1, "{log}");
    assert!(lines[0].contains("ERROR") && lines[0].contains("oncall@example.com"));
    assert!(
        lines[0].contains(r"restarted\nlevel=INFO forged"),
        "texts cannot forge a line: {log}"
    );
}

#[tokio::test]
async fn a_webhook_gets_the_notification_under_its_key_even_under_a_kill_switch() {
    let server = Server::start().await;
    let (outcome, log) = tell(&format!(
        "notification_webhook = \"{}\"",
        server.url("/hook?s=1")
    ))
    .await;
    assert_eq!(outcome.ended, Ended::Succeeded);
    assert_eq!(
        outcome.output.as_deref(),
        Some(r#"{"delivered":["log","webhook"]}"#)
    );
    assert_eq!(notified(&log).len(), 1);
    let request = server.only();
    assert_eq!(request.line, "POST /hook?s=1 HTTP/1.1");
    assert_eq!(request.header("idempotency-key"), Some("key-1"));
    let body: Value = serde_json::from_str(&request.body).unwrap();
    assert_eq!(body["title"], "pool restarted\nlevel=INFO forged");
    assert_eq!(
        (&body["severity"], &body["service"]),
        (&json!("Critical"), &json!("shop"))
    );
}

#[tokio::test]
async fn a_webhook_that_does_not_take_it_is_reported_and_the_log_line_is_there() {
    let server = Server::start().await;
    for (path, ended) in [
        ("/busy", Ended::Failed),
        ("/missing", Ended::Failed),
        ("/reset", Ended::Lost),
    ] {
        let (outcome, log) =
            tell(&format!("notification_webhook = \"{}\"", server.url(path))).await;
        assert_eq!(outcome.ended, ended, "{path}");
        assert_eq!(notified(&log).len(), 1, "{path}");
    }
}
