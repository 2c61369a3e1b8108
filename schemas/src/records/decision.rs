//! What became of an alert.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::words;
use super::{AlertStatus, NormalizedAlert, RawRef, Severity};
use crate::schema::avro_record;

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

/// One decision for every alert, with its reason.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// Digest of the root raw record and the knowledge digest; never of time or attempts.
    pub decision_id: String,
    /// The raw record at the root of it all.
    pub root: RawRef,
    /// The alert decided.
    pub alert_id: String,
    /// The alert's fingerprint.
    pub fingerprint: String,
    /// The alert's source system.
    pub source_system: String,
    /// The alert's domain, which is this record's key.
    pub domain: String,
    /// The alert's name.
    pub alert_name: String,
    /// The alert's severity.
    #[serde(default)]
    pub severity: Severity,
    /// The alert's status.
    pub status: AlertStatus,
    /// The alert's service.
    pub service_name: Option<String>,
    /// What became of the alert.
    pub outcome: Outcome,
    /// The rule that decided, if one did.
    pub rule_id: Option<String>,
    /// The playbook to start, if one is.
    pub playbook_id: Option<String>,
    /// The reason in words.
    #[serde(default)]
    pub reason: String,
    /// The figures the reason rests on: counts, thresholds, times.
    #[serde(default)]
    pub evidence: BTreeMap<String, String>,
    /// Digest of the knowledge in force, empty if none was.
    #[serde(default)]
    pub knowledge_digest: String,
    /// Receive time of the alert.
    pub received_at: i64,
    /// When it was decided.
    pub decided_at: i64,
    /// The whole alert, where something follows from the decision (triggered, notified, errors).
    pub alert: Option<NormalizedAlert>,
}
avro_record!(Decision, "decision", history: [1]);
