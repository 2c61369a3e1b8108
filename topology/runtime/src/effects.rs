//! Effects at the edge: who runs them, and what must hold right before they are sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use crossbeam_channel::Sender;
use prunella_stream::{Completion, EffectId, EffectRequest, Millis};

use crate::clock::{boot_millis, wall_millis};

/// Runs the effects of a stage.
pub trait EffectRunner: Send + Sync + 'static {
    /// Begins an effect. Settles `done` exactly once, from any thread, also when the gate was closed.
    fn begin(
        &self,
        app: &'static str,
        partition: i32,
        request: EffectRequest,
        gate: Gate,
        done: Done,
    );
}

/// For stages that ask for no effects.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoEffects;

impl EffectRunner for NoEffects {
    fn begin(
        &self,
        app: &'static str,
        _partition: i32,
        _request: EffectRequest,
        _gate: Gate,
        done: Done,
    ) {
        tracing::error!(
            app,
            "a stage asked for an effect and nothing here runs effects"
        );
        done.settle(Vec::new());
    }
}

/// Why nothing may be sent any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GateClosed {
    /// Membership was not confirmed recently enough: another process may own the partition.
    #[error("group membership was not confirmed in time")]
    LeaseExpired,
    /// The claim's deadline has passed.
    #[error("the claim's deadline has passed")]
    DeadlinePassed,
    /// The partition is being handed over.
    #[error("the partition is being handed over")]
    Draining,
}

/// Membership of one assignment, renewed by every commit that the group accepts.
#[derive(Debug)]
pub(crate) struct Lease {
    until: AtomicI64,
    closed: AtomicBool,
    length: Millis,
}

impl Lease {
    /// A lease of half the session timeout: a member whose commit was accepted keeps its partitions for longer.
    pub(crate) fn new(session_timeout_ms: u32) -> Arc<Self> {
        Arc::new(Self {
            until: AtomicI64::new(i64::MIN),
            closed: AtomicBool::new(false),
            length: Millis::from(session_timeout_ms) / 2,
        })
    }

    /// The group accepted a commit that was begun at this time since boot.
    pub(crate) fn renew(&self, begun: Millis) {
        self.until.fetch_max(begun + self.length, Ordering::SeqCst);
    }

    /// True if less than half of the lease is left.
    pub(crate) fn is_short(&self) -> bool {
        boot_millis() + self.length / 2 > self.until.load(Ordering::SeqCst)
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }
}

/// What an effect asks right before it sends anything.
#[derive(Clone, Debug)]
pub struct Gate {
    lease: Arc<Lease>,
    /// Deadline as time since boot: a clock that is set does not move it, a suspension does not stop it.
    deadline: Millis,
}

impl Gate {
    pub(crate) fn new(lease: &Arc<Lease>, deadline: Millis) -> Self {
        Self {
            lease: Arc::clone(lease),
            deadline: boot_millis().saturating_add(deadline.saturating_sub(wall_millis())),
        }
    }

    /// Whether the effect may still be sent.
    ///
    /// # Errors
    /// [`GateClosed`] with the reason; nothing may be sent.
    pub fn check(&self) -> Result<(), GateClosed> {
        let now = boot_millis();
        if self.lease.closed.load(Ordering::SeqCst) {
            return Err(GateClosed::Draining);
        }
        if now >= self.deadline {
            return Err(GateClosed::DeadlinePassed);
        }
        if now >= self.lease.until.load(Ordering::SeqCst) {
            return Err(GateClosed::LeaseExpired);
        }
        Ok(())
    }

    /// What is left before the deadline; zero once it has passed.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        let left = self.deadline.saturating_sub(boot_millis());
        Duration::from_millis(u64::try_from(left).unwrap_or(0))
    }
}

/// Takes an effect's outcome, once. Dropped without one, it reports an empty outcome.
#[derive(Debug)]
pub struct Done {
    completion: Option<Completion>,
    partition: i32,
    settled: Sender<(i32, Completion)>,
}

impl Done {
    pub(crate) fn new(
        partition: i32,
        id: EffectId,
        attempt: u32,
        settled: Sender<(i32, Completion)>,
    ) -> Self {
        Self {
            completion: Some(Completion {
                id,
                attempt,
                outcome: Vec::new(),
            }),
            partition,
            settled,
        }
    }

    /// Reports the outcome.
    pub fn settle(mut self, outcome: Vec<u8>) {
        if let Some(completion) = &mut self.completion {
            completion.outcome = outcome;
        }
    }
}

impl Drop for Done {
    fn drop(&mut self) {
        if let Some(completion) = self.completion.take() {
            // The thread may have ended; then the claim is found open by its successor.
            let _ = self.settled.send((self.partition, completion));
        }
    }
}

#[cfg(test)]
mod tests {
    use prunella_stream::Digest;

    use super::*;

    #[test]
    fn the_gate_is_open_within_lease_and_deadline_only() {
        let lease = Lease::new(10_000);
        let gate = Gate::new(&lease, wall_millis() + 60_000);
        assert_eq!(gate.check(), Err(GateClosed::LeaseExpired));
        lease.renew(boot_millis());
        assert_eq!(gate.check(), Ok(()));
        assert_eq!(
            Gate::new(&lease, wall_millis() - 1).check(),
            Err(GateClosed::DeadlinePassed)
        );
        lease.renew(boot_millis() - 100_000);
        assert_eq!(
            gate.check(),
            Ok(()),
            "an older commit does not shorten the lease"
        );
        lease.close();
        assert_eq!(gate.check(), Err(GateClosed::Draining));
    }

    #[test]
    fn an_effect_settles_once_even_when_it_is_dropped() {
        let (sender, receiver) = crossbeam_channel::unbounded();
        drop(Done::new(3, Digest::default(), 1, sender.clone()));
        Done::new(3, Digest::default(), 2, sender).settle(vec![7]);
        let seen: Vec<_> = receiver
            .try_iter()
            .map(|(_, done)| (done.attempt, done.outcome))
            .collect();
        assert_eq!(seen, [(1, vec![]), (2, vec![7])]);
    }
}
