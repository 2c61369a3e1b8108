//! Topic names, without an installation's prefix.

/// Vendors' own bytes.
pub const RAW_ALERTS: &str = "raw-alerts";
/// Log lines.
pub const RAW_LOGS: &str = "raw-logs";
/// Alerts in the common shape.
pub const NORMALIZED_ALERTS: &str = "normalized-alerts";
/// One decision for every alert.
pub const DECISIONS: &str = "decisions";
/// What is to be done.
pub const ACTIONS: &str = "actions";
/// What came of it.
pub const RESULTS: &str = "results";
/// Snapshots of playbook runs.
pub const RUNS: &str = "runs";
/// Rule sets and playbooks under their digests, and the manifest.
pub const KNOWLEDGE: &str = "knowledge";
/// Kill switches, pauses, silences.
pub const SWITCHES: &str = "switches";
/// People's commands to runs.
pub const CONTROL: &str = "control";
/// Audit trails.
pub const AUDIT: &str = "audit";

/// What `prunella doctor` writes to read the brokers' clock. Nothing else uses it, and nobody reconciles it.
pub const DOCTOR: &str = "prunella-doctor";

/// What a dead-letter queue's name ends in.
pub const DEAD_LETTERS: &str = ".dlq";
/// What a changelog's name ends in.
pub const CHANGELOG: &str = "-changelog";

/// The dead-letter queue of a topic.
#[must_use]
pub fn dead_letters(topic: &str) -> String {
    format!("{topic}{DEAD_LETTERS}")
}

/// The changelog of a stage.
#[must_use]
pub fn changelog(app: &str) -> String {
    format!("{app}{CHANGELOG}")
}
