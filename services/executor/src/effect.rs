//! What the executor hands to the edge and what it gets back, as JSON.

use prunella_schemas::Action;
use prunella_stream::Millis;
use serde::{Deserialize, Serialize};

/// What a claim is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Do it.
    Act,
    /// Ask the target whether it was done: the `probe` of the action's spec.
    Probe,
}

/// The payload of a claim: what the edge is to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EffectSpec {
    /// Act, or probe.
    pub step: Step,
    /// The action.
    pub action_id: String,
    /// Sent along as `Idempotency-Key` with whatever is not a read.
    pub idempotency_key: String,
    /// The claim's attempt, from 1.
    pub attempt: u32,
    /// The run.
    pub run_id: String,
    /// The task of the run.
    pub task_id: String,
    /// The domain, whose kill switch holds.
    pub domain: String,
    /// What is acted upon.
    pub target: String,
    /// Kind of action.
    pub kind: String,
    /// Whether it may change its target. A probe never does, whatever stands here.
    pub mutating: bool,
    /// Longest the whole request may take, in milliseconds. It must not be begun when less than this is left
    /// before the claim's deadline: the deadline outlives the request.
    pub timeout_ms: i64,
    /// The action's spec: JSON, its shape depends on `kind`.
    pub spec: String,
    /// Trace of the action (W3C traceparent).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

/// The same, borrowed from the action: a claim copies nothing but bytes.
#[derive(Serialize)]
struct BorrowedSpec<'a> {
    step: Step,
    action_id: &'a str,
    idempotency_key: &'a str,
    attempt: u32,
    run_id: &'a str,
    task_id: &'a str,
    domain: &'a str,
    target: &'a str,
    kind: &'a str,
    mutating: bool,
    timeout_ms: i64,
    spec: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<&'a str>,
}

impl EffectSpec {
    /// Reads a payload.
    ///
    /// # Errors
    /// If the bytes are no such JSON: they were written by another version.
    pub fn decode(payload: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(payload)
    }

    /// The payload of a claim on an action.
    pub(crate) fn payload(
        action: &Action,
        step: Step,
        attempt: u32,
        timeout_ms: i64,
        trace: Option<&str>,
    ) -> Vec<u8> {
        let spec = BorrowedSpec {
            step,
            action_id: &action.action_id,
            idempotency_key: &action.idempotency_key,
            attempt,
            run_id: &action.run_id,
            task_id: &action.task_id,
            domain: &action.domain,
            target: &action.target,
            kind: &action.kind,
            mutating: action.mutating,
            timeout_ms,
            spec: &action.spec,
            trace,
        };
        // Texts and numbers always serialize; no bytes at all would be refused by the edge as another version's.
        serde_json::to_vec(&spec).unwrap_or_default()
    }
}

/// Why an effect was not begun. Nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotStarted {
    /// This process may have lost its membership: another may own the partition.
    LeaseExpired,
    /// Too little was left before the claim's deadline.
    DeadlinePassed,
    /// The partition is being given up.
    Draining,
    /// A kill switch is thrown.
    KillSwitch,
    /// Nobody can say whether a kill switch is thrown.
    SwitchUnconfirmed,
}

impl NotStarted {
    /// Why, in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::LeaseExpired => "this process may have lost its membership of the group",
            Self::DeadlinePassed => "too little time was left before the claim's deadline",
            Self::Draining => "the partition was being given up",
            Self::KillSwitch => "a kill switch is thrown",
            Self::SwitchUnconfirmed => "the kill switches have not been confirmed for too long",
        }
    }
}

/// How an effect ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// Done, as the target says.
    Succeeded,
    /// It certainly did not take effect, or the target says that it failed.
    Failed,
    /// A guard at the edge refused it; nothing was sent.
    Refused,
    /// It was sent, or may have been, and nobody knows what came of it.
    Lost,
    /// The target answered a probe.
    Answered,
    /// It was not begun.
    NotStarted(NotStarted),
}

/// What the edge reports of an effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EffectOutcome {
    /// How it ended.
    pub ended: Ended,
    /// Why, in words; empty on success.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cause: String,
    /// HTTP status, if there was an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The answer: JSON text, bounded by the edge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// When it was begun; 0 if it was not.
    #[serde(default)]
    pub started_at: Millis,
}

impl EffectOutcome {
    /// An outcome without an answer.
    pub fn new(ended: Ended, cause: impl Into<String>) -> Self {
        Self {
            ended,
            cause: cause.into(),
            status: None,
            output: None,
            started_at: 0,
        }
    }

    /// The bytes that settle the effect.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        // Never fails; no bytes at all would count as lost, which is the careful reading.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads what settled an effect. What cannot be read, or is missing because whoever ran the effect broke
    /// down, says nothing about the target: it counts as lost.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Self {
        if bytes.is_empty() {
            return Self::new(Ended::Lost, "the effect ended without a report");
        }
        serde_json::from_slice(bytes).unwrap_or_else(|error| {
            Self::new(
                Ended::Lost,
                format!("the report of the effect is unreadable: {error}"),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_reads_back() {
        let action = Action {
            action_id: "a".into(),
            idempotency_key: "k".into(),
            kind: "API_Call".into(),
            mutating: true,
            spec: r#"{"method":"POST"}"#.into(),
            ..Action::default()
        };
        let payload = EffectSpec::payload(&action, Step::Probe, 3, 500, Some("00-1-2-01"));
        let spec = EffectSpec::decode(&payload).unwrap();
        assert_eq!(spec.step, Step::Probe);
        assert_eq!((spec.attempt, spec.timeout_ms), (3, 500));
        assert_eq!(spec.spec, action.spec);
        assert_eq!(spec.trace.as_deref(), Some("00-1-2-01"));
    }

    #[test]
    fn an_outcome_reads_back_and_anything_else_is_lost() {
        let outcome = EffectOutcome {
            status: Some(200),
            output: Some("{}".into()),
            started_at: 5,
            ..EffectOutcome::new(Ended::NotStarted(NotStarted::Draining), "x")
        };
        assert_eq!(EffectOutcome::decode(&outcome.encode()), outcome);
        for bytes in [&b""[..], b"{", b"{\"ended\":\"exploded\"}"] {
            assert_eq!(EffectOutcome::decode(bytes).ended, Ended::Lost, "{bytes:?}");
        }
    }
}
