//! What the orchestrator keeps: live runs, its audit chain, and what its guards remember.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Shared;
use crate::schema::avro_value;
use crate::{NormalizedAlert, RawRef, RunState, TaskState};

/// What a run was started with: it never changes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunFacts {
    /// The playbook.
    pub playbook_id: String,
    /// The rule that named it; empty for a start by hand.
    pub rule_id: String,
    /// The decision that started it.
    pub decision_id: String,
    /// Digest of the knowledge the run follows to its end.
    pub knowledge_digest: String,
    /// The raw record at the root of it all.
    pub root: RawRef,
    /// The alert that started it.
    pub alert: NormalizedAlert,
    /// Parameters of a start by hand.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
    /// Who started it by hand; empty if a decision did.
    #[serde(default)]
    pub author: String,
    /// W3C traceparent of what started it.
    pub trace: Option<String>,
    /// When it was asked for.
    pub created_at: i64,
}

/// How far one task has come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskProgress {
    /// Its state.
    pub state: TaskState,
    /// Attempts so far.
    pub attempts: i32,
    /// When its first attempt began; 0 if none did.
    pub started_at: i64,
    /// When it finished; 0 while it has not.
    pub finished_at: i64,
    /// Running: when the attempt counts as lost. Waiting: when the next attempt goes out. Else 0.
    pub due: i64,
    /// Why it failed, waits or was skipped; empty otherwise.
    #[serde(default)]
    pub cause: String,
    /// Its output as JSON text.
    pub output: Option<String>,
    /// What its action is about, kept for further attempts; empty otherwise.
    #[serde(default)]
    pub target: String,
    /// Its rendered request, kept for further attempts: they ask for the very same. Empty otherwise.
    #[serde(default)]
    pub request: String,
}

/// A run that has not ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LiveRun {
    /// What it was started with.
    pub facts: Shared<RunFacts>,
    /// Queued or Running.
    pub state: RunState,
    /// Its number in the queue of its service.
    pub turn: i64,
    /// When its first task began; 0 while none has.
    pub started_at: i64,
    /// When its timer fires; 0 if none is set.
    pub wake_at: i64,
    /// How it will end once no action of it is out; Running: it goes on.
    pub ending: RunState,
    /// Why it ends before its last task; empty otherwise.
    #[serde(default)]
    pub ending_cause: String,
    /// True once an action that may change a target was sent.
    pub mutated: bool,
    /// Its tasks, in the playbook's order; empty before it begins.
    pub tasks: Vec<TaskProgress>,
}
avro_value!(LiveRun, "state/run", history: [1]);

/// The last entry of a task's audit chain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainHead {
    /// Number of the next entry.
    pub next_seq: i64,
    /// Hash of the last entry; empty if there is none.
    pub hash: String,
}
avro_value!(ChainHead, "state/chain-head", history: [1]);

/// The last change to a target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cooldown {
    /// The run that made it.
    pub run_id: String,
    /// When its action was sent.
    pub last_at: i64,
    /// How many runs changed the target, one soon after the other.
    pub streak: i32,
}
avro_value!(Cooldown, "state/cooldown", history: [1]);

/// The latest mutating actions of a domain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// When each was sent, the oldest first.
    pub sent_at: Vec<i64>,
}
avro_value!(Budget, "state/budget", history: [1]);
