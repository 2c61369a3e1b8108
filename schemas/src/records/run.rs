//! Playbook runs as they stand.

use serde::{Deserialize, Serialize};

use super::RawRef;
use super::words;
use crate::schema::avro_record;

/// State of a task in a run.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum TaskState {
    /// Its dependencies have not finished.
    #[default]
    Pending,
    /// An action is out.
    Running,
    /// Waiting for a retry's back-off, a guard to clear, or a person.
    Waiting,
    /// Done.
    Succeeded,
    /// Failed for good.
    Failed,
    /// Not done, for a reason that is recorded.
    Skipped,
}
words!(TaskState {
    Pending,
    Running,
    Waiting,
    Succeeded,
    Failed,
    Skipped
});

/// One task of a run as it stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskRun {
    /// The task's id in the playbook.
    pub task_id: String,
    /// Its kind.
    pub kind: String,
    /// Its state.
    pub state: TaskState,
    /// Attempts so far.
    pub attempts: i32,
    /// When its first attempt began; 0 if none did.
    pub started_at: i64,
    /// When it finished; 0 while it has not.
    pub finished_at: i64,
    /// Why it failed or was skipped; empty otherwise.
    #[serde(default)]
    pub cause: String,
    /// Its output as JSON text.
    pub output: Option<String>,
}

/// State of a run.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum RunState {
    /// Waiting for its turn: one run at a time per service.
    #[default]
    Queued,
    /// At work.
    Running,
    /// Every task finished, none failed for good.
    Succeeded,
    /// A task failed and the playbook went on to its end.
    Failed,
    /// A task failed and the playbook stopped.
    Aborted,
    /// Handed to a person.
    Escalated,
    /// A guard refused; nothing was changed.
    Refused,
    /// It took longer than the playbook allows.
    TimedOut,
    /// A person cancelled it.
    Cancelled,
}
words!(RunState {
    Queued,
    Running,
    Succeeded,
    Failed,
    Aborted,
    Escalated,
    Refused,
    TimedOut,
    Cancelled
});

/// A playbook run as it stands. Each record replaces the one before it under the same run id.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PlaybookRun {
    /// Digest of the decision and the playbook; this record's key.
    pub run_id: String,
    /// The playbook.
    pub playbook_id: String,
    /// Its name for people.
    #[serde(default)]
    pub playbook_name: String,
    /// The rule that named the playbook.
    pub rule_id: String,
    /// The decision that started the run.
    pub decision_id: String,
    /// The raw record at the root of it all.
    pub root: RawRef,
    /// The alert that started it.
    pub alert_id: String,
    /// The alert's fingerprint.
    pub fingerprint: String,
    /// The domain.
    pub domain: String,
    /// The service concerned.
    pub service_name: Option<String>,
    /// State of the run.
    pub state: RunState,
    /// When it was asked for.
    pub created_at: i64,
    /// When its first task began; 0 while none has.
    pub started_at: i64,
    /// When it ended; 0 while it has not.
    pub finished_at: i64,
    /// Its tasks, in the playbook's order.
    #[serde(default)]
    pub tasks: Vec<TaskRun>,
    /// What was done, what was skipped and why, in words; filled when it ends.
    #[serde(default)]
    pub summary: String,
    /// Digest of the knowledge it follows.
    #[serde(default)]
    pub knowledge_digest: String,
}
avro_record!(PlaybookRun, "playbook-run", history: [1]);
