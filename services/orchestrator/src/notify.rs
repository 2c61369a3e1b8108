//! What people are told. A notification is never refused, never queued, and hardly ever expires.

use prunella_schemas::spec::{NOTIFICATION, NotificationSpec};
use prunella_schemas::state::LiveRun;
use prunella_schemas::{Action, Decision, NormalizedAlert, Severity};
use prunella_stream::Digest;

use crate::request::{json, notification_target};
use crate::step::Step;

/// Something to tell people.
#[derive(Clone, Debug)]
pub(crate) struct Notice {
    /// What it is about, as an id of its own beside the playbook's tasks: `_summary`, `_notify_TASK`.
    pub(crate) task_id: String,
    pub(crate) severity: Severity,
    pub(crate) title: String,
    pub(crate) message: String,
}

/// How long one attempt to tell people may take, in milliseconds.
const TIMEOUT_MS: i64 = 30_000;

impl Step<'_, '_> {
    /// Tells people about a run.
    pub(crate) fn tell(&mut self, run_id: &str, run: &LiveRun, notice: Notice) {
        let facts = &run.facts;
        let action = Action {
            run_id: run_id.to_owned(),
            playbook_id: facts.playbook_id.clone(),
            decision_id: facts.decision_id.clone(),
            root: facts.root.clone(),
            knowledge_digest: facts.knowledge_digest.clone(),
            ..self.notification(run_id, &facts.alert, notice)
        };
        self.send(&action, facts.trace.as_deref());
    }

    /// Tells people about a decision that starts no run.
    pub(crate) fn tell_of(&mut self, decision: &Decision, alert: &NormalizedAlert, notice: Notice) {
        let action = Action {
            playbook_id: decision.playbook_id.clone().unwrap_or_default(),
            decision_id: decision.decision_id.clone(),
            root: decision.root.clone(),
            knowledge_digest: decision.knowledge_digest.clone(),
            ..self.notification(&decision.decision_id, alert, notice)
        };
        self.context.forward(&action);
    }

    fn notification(&self, owner: &str, alert: &NormalizedAlert, notice: Notice) -> Action {
        let now = self.now();
        let key = idempotency_key(owner, &notice.task_id);
        let spec = NotificationSpec {
            severity: notice.severity,
            title: notice.title,
            message: notice.message,
            recipients: Vec::new(),
            run_id: owner.to_owned(),
            service: alert.service_name.clone(),
            domain: alert.domain.clone(),
        };
        Action {
            action_id: action_id(&key, 1),
            idempotency_key: key,
            task_id: notice.task_id,
            attempt: 1,
            domain: alert.domain.clone(),
            service_name: alert.service_name.clone(),
            target: notification_target(&alert.domain),
            kind: NOTIFICATION.to_owned(),
            spec: json(&spec),
            requested_at: now,
            not_after: now.saturating_add(self.limits.notification_freshness_ms),
            timeout_ms: TIMEOUT_MS,
            received_at: alert.received_at,
            ..Action::default()
        }
    }
}

/// The key of a task of a run: every attempt keeps it.
#[must_use]
pub fn idempotency_key(run_id: &str, task_id: &str) -> String {
    Digest::of(&[b"task", run_id.as_bytes(), task_id.as_bytes()]).hex()
}

/// The id of one attempt, from 1.
#[must_use]
pub fn action_id(idempotency_key: &str, attempt: i32) -> String {
    let attempt = attempt.to_string();
    Digest::of(&[b"action", idempotency_key.as_bytes(), attempt.as_bytes()]).hex()
}

/// The service and domain an alert is about, for a title.
pub(crate) fn place_of(alert: &NormalizedAlert) -> String {
    match &alert.service_name {
        Some(service) => format!("{service} in {}", alert.domain),
        None => alert.domain.clone(),
    }
}

/// The alert in one line.
pub(crate) fn alert_line(alert: &NormalizedAlert) -> String {
    let mut line = format!(
        "Alert: {} ({}) on {}, from {}.",
        alert.alert_name,
        alert.severity,
        place_of(alert),
        alert.source_system
    );
    if !alert.description.is_empty() {
        line.push(' ');
        line.push_str(&cut(&alert.description, 500));
    }
    line
}

/// A text of at most so many bytes.
pub(crate) fn cut(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    let mut end = bytes;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}...", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("größer", 3), "gr...");
        assert_eq!(cut("größer", 4), "grö...");
    }

    #[test]
    fn attempts_share_a_key_and_have_ids_of_their_own() {
        let key = idempotency_key("run", "task");
        assert_ne!(action_id(&key, 1), action_id(&key, 2));
        assert_ne!(key, idempotency_key("run", "other"));
    }
}
