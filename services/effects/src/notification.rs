//! What people are told: a log line, and a webhook's body.

use prunella_executor::EffectSpec;
use prunella_schemas::Severity;
use prunella_schemas::spec::NotificationSpec;
use serde_json::{Value, json};

/// Writes the log line. It is the one channel that is always there.
pub(crate) fn log(effect: &EffectSpec, notification: &NotificationSpec) {
    // Texts are printed quoted: what an alert says cannot forge a line.
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                target: "prunella::notification",
                severity = notification.severity.as_str(),
                title = ?notification.title,
                text = ?notification.message,
                recipients = ?notification.recipients,
                domain = ?notification.domain,
                service = ?notification.service,
                run_id = ?notification.run_id,
                action_id = ?effect.action_id,
                attempt = effect.attempt,
                "notification"
            )
        };
    }
    match notification.severity {
        Severity::Critical | Severity::Error => line!(error),
        Severity::Warning => line!(warn),
        _ => line!(info),
    }
}

/// The JSON that the webhook gets.
pub(crate) fn body(effect: &EffectSpec, notification: &NotificationSpec) -> Value {
    json!({
        "severity": notification.severity.as_str(),
        "title": notification.title,
        "message": notification.message,
        "recipients": notification.recipients,
        "run_id": notification.run_id,
        "service": notification.service,
        "domain": notification.domain,
        "action_id": effect.action_id,
        "task_id": effect.task_id,
    })
}
