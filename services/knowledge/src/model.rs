//! Rules and playbooks as the stages use them. Field names are the operators' own; times are milliseconds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use prunella_schemas::Severity;

use crate::condition::Condition;

/// Everything that was published under one digest, parsed.
#[derive(Clone, Debug, Default)]
pub struct KnowledgeSet {
    /// Digest of the files.
    pub digest: String,
    /// Every rule: the rule files' in their order, then every playbook's trigger conditions.
    pub rules: Vec<Arc<Rule>>,
    /// Playbooks by id.
    pub playbooks: BTreeMap<String, Arc<Playbook>>,
    /// Declarative sources by name, as JSON: the normalizer reads them.
    pub sources: BTreeMap<String, serde_json::Value>,
    /// Settings that hold for all rules and playbooks.
    pub settings: Settings,
    /// Playbooks that rules name and that are not there: such rules notify instead of running one.
    pub missing_playbooks: BTreeSet<String>,
}

/// Settings of a knowledge set (`settings.yaml`), each with a default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What waited longer than this, counted from its receive time, is not acted on. Default 15 min.
    pub act_within_ms: i64,
    /// A still-firing occurrence is decided again after this. Default 1 h.
    pub rearm_after_ms: i64,
    /// Grace of windowed rules that name none. Default 1 min.
    pub grace_ms: i64,
    /// Cooldown of a target after a mutating action. Default 5 min; doubles with each further one.
    pub cooldown_ms: i64,
    /// Longest cooldown. Default 1 h.
    pub cooldown_max_ms: i64,
    /// Mutating actions a domain may see within `budget_within_ms`. Default 3.
    pub budget_actions: u32,
    /// Window of the budget. Default 5 min.
    pub budget_within_ms: i64,
}

impl Default for Settings {
    fn default() -> Self {
        const MINUTE: i64 = 60_000;
        Self {
            act_within_ms: 15 * MINUTE,
            rearm_after_ms: 60 * MINUTE,
            grace_ms: MINUTE,
            cooldown_ms: 5 * MINUTE,
            cooldown_max_ms: 60 * MINUTE,
            budget_actions: 3,
            budget_within_ms: 5 * MINUTE,
        }
    }
}

/// A rule: which alerts it is for, when it holds, and what follows.
#[derive(Clone, Debug, Default)]
pub struct Rule {
    /// Its id; a trigger condition's is the playbook's id, `#` and its number from 1.
    pub id: String,
    /// Alert name, compared without case; absent: any.
    pub alert_name: Option<String>,
    /// Service, compared without case; absent: any (`any` or `*` in the file).
    pub service_name: Option<String>,
    /// Severity; absent: any.
    pub severity: Option<Severity>,
    /// Source system, compared without case; absent: any.
    pub source_system: Option<String>,
    /// Domain, compared without case; absent: any.
    pub domain: Option<String>,
    /// Labels that must be equal (names and values with case).
    pub labels: BTreeMap<String, String>,
    /// Must hold, if there.
    pub condition: Option<Condition>,
    /// Must be reached, if there.
    pub count: Option<Count>,
    /// Playbook to start; absent: people are notified.
    pub playbook: Option<String>,
    /// For people.
    pub description: String,
    /// Overrides the setting.
    pub act_within_ms: Option<i64>,
    /// Overrides the setting.
    pub rearm_after_ms: Option<i64>,
}

/// A windowed count of occurrences, in event time, per rule, domain and service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Occurrences needed.
    pub at_least: u32,
    /// Length of the window.
    pub within_ms: i64,
    /// How late an occurrence may come; absent: the setting.
    pub grace_ms: Option<i64>,
}

/// How far a playbook may go by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Autonomy {
    /// Reads and notifies; what would change a target is refused and reported. The default.
    #[default]
    Observe,
    /// Acts.
    Automatic,
}

/// A playbook.
#[derive(Clone, Debug, Default)]
pub struct Playbook {
    /// Its id.
    pub playbook_id: String,
    /// Its name for people.
    pub name: String,
    /// For people.
    pub description: String,
    /// How far it may go by itself.
    pub autonomy: Autonomy,
    /// Longest a run may take, from its first task. Default 30 min.
    pub timeout_ms: i64,
    /// Its tasks in the file's order; ids are unique, dependencies exist and form no cycle.
    pub tasks: Vec<Arc<Task>>,
}

/// One task of a playbook.
#[derive(Clone, Debug, Default)]
pub struct Task {
    /// Its id.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// For people.
    pub description: String,
    /// Kind of action (`type` in the file): `API_Call`, `Notification`, `Kubernetes_Scale`, ...
    pub kind: String,
    /// For `API_Call`: `METHOD URL` or `METHOD /path`; a template.
    pub action: Option<String>,
    /// Parameters; texts in it are templates.
    pub parameters: serde_json::Map<String, serde_json::Value>,
    /// Tasks that must have finished.
    pub depends_on: Vec<String>,
    /// All must hold, else the task is skipped.
    pub conditions: Vec<Condition>,
    /// How often it is tried.
    pub retry: Retry,
    /// Longest one attempt may take. Default 30 s.
    pub timeout_ms: i64,
    /// What follows success.
    pub on_success: OnSuccess,
    /// What follows failure.
    pub on_failure: OnFailure,
    /// Name under which later tasks see its output.
    pub output_variable: Option<String>,
    /// Whether it may change its target; absent: by kind (an `API_Call` by its method).
    pub mutating: Option<bool>,
    /// What it acts on; a template; absent: by kind (the service, the URL's host).
    pub target: Option<String>,
}

/// How often and how fast a failed attempt is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Attempts in all, from 1.
    pub max_attempts: u32,
    /// Wait before the second attempt; doubles from there.
    pub backoff_ms: i64,
    /// Longest wait.
    pub max_backoff_ms: i64,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            max_attempts: 1,
            backoff_ms: 1_000,
            max_backoff_ms: 60_000,
        }
    }
}

/// What follows a task's success.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnSuccess {
    /// Nothing but the next tasks (`continue`).
    #[default]
    Continue,
    /// People are notified as well (`send_notification`).
    Notify,
}

/// What follows a task's failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnFailure {
    /// Whether the run goes on.
    pub then: AfterFailure,
    /// Whether people are notified.
    pub notify: bool,
}

impl Default for OnFailure {
    fn default() -> Self {
        Self {
            then: AfterFailure::Abort,
            notify: false,
        }
    }
}

/// Whether a run goes on after a failed task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterFailure {
    /// No: `abort`, `abort_with_notification`.
    Abort,
    /// Yes: `continue`, `continue_with_notification`, `send_notification`.
    Continue,
    /// No, and it becomes a person's: `escalate`, `send_notification_and_escalate`.
    Escalate,
}
