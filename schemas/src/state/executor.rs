//! What the executor keeps: its claims on actions, and which tasks it has answered.

use serde::{Deserialize, Serialize};

use crate::ResultStatus;
use crate::schema::avro_value;

/// Where an action stands between its arrival and its result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClaimPhase {
    /// The effect may have happened; its deadline is waited out.
    #[default]
    Doubtful,
    /// Another action on the same target comes first.
    Queued,
    /// The effect is under way.
    Acting,
    /// The target is being asked whether the effect happened.
    Probing,
    /// The effect is claimed again after a pause.
    ActLater,
    /// The target is asked again after a pause.
    ProbeLater,
}

/// The executor's claim on an action that has no result yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Place in the line of actions on the same target; it grows.
    pub sequence: i64,
    /// Where the action stands.
    pub phase: ClaimPhase,
    /// How many claims were committed, those of probes included; the last one's attempt.
    pub attempt: i32,
    /// How many of them may have acted.
    pub acts: i32,
    /// How many probes told nothing.
    pub probes: i32,
    /// How many claims the edge did not begin.
    pub unsent: i32,
    /// When it was first claimed in order to act; 0 before.
    pub started_at: i64,
    /// Deadline of the last claim.
    pub deadline: i64,
    /// Whether to act again if the target says that nothing was done: true after a crash of ours, false after
    /// the target failed to answer, which is for the playbook's own retries.
    pub redo: bool,
    /// Why the outcome is in doubt; empty if it is not.
    pub cause: String,
    /// Trace of the action (W3C traceparent).
    pub trace: Option<String>,
}
avro_value!(Claim, "state/claim", history: [1]);

/// A task of a run that was answered: what comes again, or comes as a retry, is held against it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// The highest attempt answered.
    pub attempt: i32,
    /// How that attempt ended.
    pub status: ResultStatus,
}
avro_value!(Answered, "state/answered", history: [1]);
