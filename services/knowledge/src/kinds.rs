//! The types of tasks: which there are, which this version can run, which change their target.

use crate::model::Task;

/// A request to an HTTP service.
pub const API_CALL: &str = "API_Call";
/// A message to people.
pub const NOTIFICATION: &str = "Notification";

/// Every type that playbooks may name.
pub const ALL: &[&str] = &[
    API_CALL,
    NOTIFICATION,
    "Kubernetes_Collect",
    "Kubernetes_Restart",
    "Kubernetes_Rollback",
    "Kubernetes_Scale",
    "Log_Aggregation",
    "Metric_Query",
    "Script",
    "SSH_Command",
    "Trace_Query",
    "Wait",
];

/// Types that change nothing.
const READING: &[&str] = &[
    NOTIFICATION,
    "Kubernetes_Collect",
    "Log_Aggregation",
    "Metric_Query",
    "Trace_Query",
    "Wait",
];

pub(crate) const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
const SAFE_METHODS: &[&str] = &["GET", "HEAD", "OPTIONS"];

/// The type of this name, whatever its case.
#[must_use]
pub fn named(name: &str) -> Option<&'static str> {
    ALL.iter()
        .copied()
        .find(|kind| kind.eq_ignore_ascii_case(name))
}

/// True if this version can run tasks of this type.
#[must_use]
pub fn can_run(kind: &str) -> bool {
    matches!(kind, API_CALL | NOTIFICATION)
}

/// True if the task may change its target: as the playbook says, else by type, an `API_Call` by its method.
/// What is not known to change nothing counts as changing.
#[must_use]
pub fn is_mutating(task: &Task) -> bool {
    task.mutating.unwrap_or_else(|| match task.kind.as_str() {
        API_CALL => {
            let method = task.action.as_deref().unwrap_or_default();
            let method = method.split_whitespace().next().unwrap_or_default();
            !SAFE_METHODS.contains(&method.to_ascii_uppercase().as_str())
        }
        kind => !READING.contains(&kind),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: &str, action: Option<&str>, mutating: Option<bool>, expected: bool) {
        let task = Task {
            kind: kind.to_owned(),
            action: action.map(str::to_owned),
            mutating,
            ..Task::default()
        };
        assert_eq!(
            is_mutating(&task),
            expected,
            "{kind} {action:?} {mutating:?}"
        );
    }

    #[test]
    fn what_is_not_known_to_read_counts_as_changing() {
        check(API_CALL, Some("GET /health"), None, false);
        check(API_CALL, Some("post /restart"), None, true);
        check(API_CALL, Some("{{ method }} /x"), None, true);
        check(API_CALL, None, None, true);
        check(NOTIFICATION, None, None, false);
        check("Kubernetes_Scale", None, None, true);
        check("Something_New", None, None, true);
    }

    #[test]
    fn a_playbook_has_the_last_word() {
        check(API_CALL, Some("POST /search"), Some(false), false);
        check("Log_Aggregation", None, Some(true), true);
    }
}
