//! Limits of the orchestrator itself. What people set for rules and playbooks lies in the knowledge.

const SECOND: i64 = 1_000;
const HOUR: i64 = 3_600 * SECOND;

/// How long things may take and how large they may grow. Times are milliseconds, sizes bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// An action that has not begun this long after it was asked for must not begin any more. Default 60 s.
    pub plan_freshness_ms: i64,
    /// The same for notifications: telling people late is better than not at all. Default 24 h.
    pub notification_freshness_ms: i64,
    /// How much longer than it should take an action may stay without a result before it counts as lost:
    /// an executor that takes over, waits out a claim and probes must be done by then. Default 60 s.
    pub lost_grace_ms: i64,
    /// Runs that may wait for one service. Default 100.
    pub queue_per_service: i32,
    /// How long the id of an ended run is remembered: the same decision starts nothing twice. Default 24 h.
    pub retention_ms: i64,
    /// How long a run waits for the knowledge that its decision names to arrive here. Default 10 s.
    pub knowledge_wait_ms: i64,
    /// The longest output in a run's snapshot. Default 16 KiB.
    pub snapshot_output_bytes: usize,
    /// The longest output that later tasks can read. Default 256 KiB.
    pub output_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            plan_freshness_ms: 60 * SECOND,
            notification_freshness_ms: 24 * HOUR,
            lost_grace_ms: 60 * SECOND,
            queue_per_service: 100,
            retention_ms: 24 * HOUR,
            knowledge_wait_ms: 10 * SECOND,
            snapshot_output_bytes: 16 * 1024,
            output_bytes: 256 * 1024,
        }
    }
}
