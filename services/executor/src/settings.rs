//! What can be set about claims.

use prunella_stream::Millis;

/// Settings of the executor; all times in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutorSettings {
    /// How long a claim's deadline outlives the timeout of its request. It covers the way to the edge, the wait
    /// for a free connection, and whatever a proxy on the way may still do with a request that the client has
    /// given up: raise it above the longest proxy timeout. A doubtful outcome is probed only after it.
    pub margin_ms: Millis,
    /// How long an answered task is remembered beyond its `not_after`.
    pub remember_ms: Millis,
    /// How many reads and notifications are under way at once in one task.
    pub reads_in_flight: i64,
    /// How often an action is claimed in order to act.
    pub acts: i32,
    /// How many probes may tell nothing before the outcome is `Unknown`.
    pub probes: i32,
    /// How many claims may fail to begin.
    pub unsent: i32,
    /// First pause before a claim is repeated; it doubles from there, up to sixteen-fold.
    pub pause_ms: Millis,
    /// Longest output of a result, in bytes; a longer one is cut and marked `output_truncated`.
    pub output_bytes: usize,
}

impl Default for ExecutorSettings {
    fn default() -> Self {
        Self {
            margin_ms: 5_000,
            remember_ms: 3_600_000,
            reads_in_flight: 512,
            acts: 5,
            probes: 5,
            unsent: 8,
            pause_ms: 500,
            output_bytes: 64 * 1024,
        }
    }
}

impl ExecutorSettings {
    /// Pause before the repetition after `failures` failures, from 1.
    pub(crate) fn pause(&self, failures: i32) -> Millis {
        let doublings = failures.saturating_sub(1).clamp(0, 4);
        self.pause_ms.saturating_mul(1 << doublings)
    }
}
