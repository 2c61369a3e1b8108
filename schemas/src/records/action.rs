//! What is to be done, and what came of it.

use serde::{Deserialize, Serialize};

use super::RawRef;
use super::words;
use crate::schema::avro_record;

/// What one guard of the safety envelope said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardVerdict {
    /// Name of the guard: `kill_switch`, `cooldown`, `budget`, ...
    pub guard: String,
    /// Whether it lets the action pass.
    pub allowed: bool,
    /// What it saw, in words.
    #[serde(default)]
    pub saw: String,
}

/// What is to be done, to what, under which guards, until when.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// Digest of run, task and attempt.
    pub action_id: String,
    /// Digest of run and task: the same for every attempt.
    pub idempotency_key: String,
    /// The run that asks for it.
    pub run_id: String,
    /// The task that asks for it.
    pub task_id: String,
    /// Attempt, from 1.
    pub attempt: i32,
    /// The playbook the run follows.
    pub playbook_id: String,
    /// The decision that started the run.
    pub decision_id: String,
    /// The raw record at the root of it all.
    pub root: RawRef,
    /// The domain: results are keyed by it.
    pub domain: String,
    /// The service concerned.
    pub service_name: Option<String>,
    /// What is acted upon; this record's key.
    pub target: String,
    /// Kind of action: `API_Call`, `Notification`, ...
    pub kind: String,
    /// Whether it may change the target. Notifications and reads pass the kill switch.
    pub mutating: bool,
    /// The rendered request: a JSON object, its shape depends on `kind`.
    pub spec: String,
    /// Which guards looked and what they saw.
    #[serde(default)]
    pub guards: Vec<GuardVerdict>,
    /// When it was asked for.
    pub requested_at: i64,
    /// After this moment it must not be begun.
    pub not_after: i64,
    /// How long one attempt may take, in milliseconds.
    pub timeout_ms: i64,
    /// Digest of the knowledge the run follows.
    #[serde(default)]
    pub knowledge_digest: String,
    /// Receive time of the alert at the root, for end-to-end latency.
    pub received_at: i64,
}
avro_record!(Action, "action", history: [1]);

/// How an action ended.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum ResultStatus {
    /// Nobody can say whether it was done; a person must look.
    #[default]
    Unknown,
    /// Done.
    Succeeded,
    /// Tried and failed; it certainly did not take effect, or the target says so.
    Failed,
    /// Refused right before the effect, by a guard; nothing was done.
    Refused,
    /// `not_after` had passed; nothing was done.
    Expired,
}
words!(ResultStatus {
    Unknown,
    Succeeded,
    Failed,
    Refused,
    Expired
});

/// What came of an action.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ActionResult {
    /// The action.
    pub action_id: String,
    /// Its idempotency key.
    pub idempotency_key: String,
    /// The run.
    pub run_id: String,
    /// The task.
    pub task_id: String,
    /// The action's attempt, from 1.
    pub attempt: i32,
    /// How often the executor claimed it, from 1: more than one after a crash.
    pub claim_attempt: i32,
    /// The raw record at the root of it all.
    pub root: RawRef,
    /// The domain; this record's key.
    pub domain: String,
    /// What was acted upon.
    pub target: String,
    /// Kind of action.
    pub kind: String,
    /// Whether it may have changed the target.
    pub mutating: bool,
    /// How it ended.
    pub status: ResultStatus,
    /// Why, in words; empty on success.
    #[serde(default)]
    pub cause: String,
    /// Output as JSON text, bounded in size; absent if there is none.
    pub output: Option<String>,
    /// True if the outcome was learned by probing the target after a crash or a lost answer.
    #[serde(default)]
    pub probed: bool,
    /// When the effect began; 0 if it never did.
    pub started_at: i64,
    /// When the outcome was known.
    pub finished_at: i64,
    /// Receive time of the alert at the root, for end-to-end latency.
    pub received_at: i64,
}
avro_record!(ActionResult, "action-result", history: [1]);
