//! What became of an alert.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::words;
use super::{AlertStatus, CowStr, NormalizedAlert, RawRef, Severity};
use crate::schema::avro_record;
use crate::stream::encode_borrowed_value;

/// What became of an alert.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Outcome {
    /// No rule names this alert.
    #[default]
    NoRule,
    /// A rule matched and its playbook is to start.
    Triggered,
    /// A rule matched; it only notifies (it names no playbook, or the playbook is not there).
    Notified,
    /// A rule matched and only records.
    Recorded,
    /// The same occurrence was decided before and has not re-armed.
    Deduplicated,
    /// A rule's equality fields matched, its condition is false.
    ConditionFalse,
    /// A rule's condition could not be evaluated; people are notified.
    ConditionError,
    /// A rule matched; its window does not hold enough occurrences yet.
    Counting,
    /// A windowed rule matched, but the alert came after the window's grace.
    Late,
    /// The alert waited longer than `act_within`: recorded, notified if critical, never acted on.
    Stale,
    /// The alert resolved.
    Resolved,
    /// A source or target matcher inhibits it.
    Inhibited,
    /// A silence covers it.
    Silenced,
    /// A maintenance window covers it.
    Maintenance,
}
words!(Outcome {
    NoRule,
    Triggered,
    Notified,
    Recorded,
    Deduplicated,
    ConditionFalse,
    ConditionError,
    Counting,
    Late,
    Stale,
    Resolved,
    Inhibited,
    Silenced,
    Maintenance
});

/// One decision for every alert, with its reason. Its texts are its own, or still those of the alert's bytes
/// ([`BorrowedDecision`]).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound(
    serialize = "S: Serialize",
    deserialize = "S: Deserialize<'de> + Default + Ord"
))]
pub struct Decision<S = String> {
    /// Digest of the root raw record and the knowledge digest; never of time or attempts.
    pub decision_id: S,
    /// The raw record at the root of it all.
    pub root: RawRef<S>,
    /// The alert decided.
    pub alert_id: S,
    /// The alert's fingerprint.
    pub fingerprint: S,
    /// The alert's source system.
    pub source_system: S,
    /// The alert's domain, which is this record's key.
    pub domain: S,
    /// The alert's name.
    pub alert_name: S,
    /// The alert's severity.
    #[serde(default)]
    pub severity: Severity,
    /// The alert's status.
    pub status: AlertStatus,
    /// The alert's service.
    pub service_name: Option<S>,
    /// What became of the alert.
    pub outcome: Outcome,
    /// The rule that decided, if one did.
    pub rule_id: Option<S>,
    /// The playbook to start, if one is.
    pub playbook_id: Option<S>,
    /// The reason in words.
    #[serde(default)]
    pub reason: S,
    /// The figures the reason rests on: counts, thresholds, times.
    #[serde(default)]
    pub evidence: BTreeMap<S, S>,
    /// Digest of the knowledge in force, empty if none was.
    #[serde(default)]
    pub knowledge_digest: S,
    /// Receive time of the alert.
    pub received_at: i64,
    /// When it was decided.
    pub decided_at: i64,
    /// The whole alert, where something follows from the decision (triggered, notified, errors).
    pub alert: Option<NormalizedAlert<S>>,
}

/// A decision on its way out of the stage that made it.
pub type BorrowedDecision<'a> = Decision<CowStr<'a>>;

impl BorrowedDecision<'_> {
    /// Appends the record's bytes.
    pub fn write(&self, out: &mut Vec<u8>) {
        encode_borrowed_value::<Decision>(self, out);
    }
}

impl Default for Decision {
    fn default() -> Self {
        Self {
            decision_id: String::new(),
            root: RawRef::default(),
            alert_id: String::new(),
            fingerprint: String::new(),
            source_system: String::new(),
            domain: String::new(),
            alert_name: String::new(),
            severity: Severity::default(),
            status: AlertStatus::default(),
            service_name: None,
            outcome: Outcome::default(),
            rule_id: None,
            playbook_id: None,
            reason: String::new(),
            evidence: BTreeMap::new(),
            knowledge_digest: String::new(),
            received_at: 0,
            decided_at: 0,
            alert: None,
        }
    }
}

avro_record!(Decision, "decision", history: [1]);
