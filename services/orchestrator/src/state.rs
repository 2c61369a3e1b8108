//! What the orchestrator's task keeps, and its timers.

use prunella_knowledge::{KnowledgeView, SwitchView};
use prunella_schemas::RunState;
use prunella_schemas::state::{Budget, ChainHead, Cooldown, LiveRun};
use prunella_stream::{
    Cell, Codec, CodecFailure, Digest, HashStore, Millis, TreeStore, Unlogged, WindowStore,
};

prunella_stream::state! {
    /// The state of one orchestrator task.
    pub struct OrchestratorState {
        /// Runs that have not ended, by id.
        1 => runs: TreeStore<Digest, LiveRun>,
        /// Services that have a run, by [`lane_key`]. Follows from the runs, as the next three do.
        2 => lanes: Unlogged<HashStore<Digest, Lane>>,
        /// Runs that wait, by lane and turn.
        3 => queue: Unlogged<TreeStore<(Digest, i64), Digest>>,
        /// Runs for which something falls due, by that time.
        10 => due: Unlogged<TreeStore<(Millis, Digest), ()>>,
        /// When the timer for them fires; a time that has passed: it is not set.
        11 => armed: Cell<Millis>,
        /// Ids that are used up: of ended runs, of people's commands, of decisions that people were told of.
        4 => done: WindowStore<Digest, ()>,
        /// The head of the audit chain.
        5 => chain: HashStore<(), ChainHead>,
        /// Targets that were changed lately, by [`target_key`].
        6 => cooldowns: WindowStore<Digest, Cooldown>,
        /// Domains in which something was changed lately, by [`domain_key`].
        7 => budgets: WindowStore<Digest, Budget>,
        /// The knowledge topic, folded.
        8 => knowledge: Cell<KnowledgeView>,
        /// The switches topic, folded.
        9 => switches: Cell<SwitchView>,
    }
}

/// The runs of one service: one at work, the others waiting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lane {
    /// The run at work.
    pub active: Digest,
    /// How many wait.
    pub waiting: i32,
    /// The turn that the next one to wait is given.
    pub next_turn: i64,
}

/// The turn of a run that stands in no queue.
pub const NO_TURN: i64 = -1;

impl OrchestratorState {
    /// Makes what follows from the runs anew.
    pub(crate) fn rebuild(&mut self) {
        for (id, run) in self.runs.iter() {
            if run.wake_at != 0 {
                self.due.0.put((run.wake_at, *id), ());
            }
            let alert = &run.facts.alert;
            let waits = run.turn != NO_TURN;
            if run.state != RunState::Running && !waits {
                continue;
            }
            let key = lane_key(&alert.domain, alert.service_name.as_deref());
            let mut lane = self.lanes.0.get(&key).cloned().unwrap_or_default();
            if waits {
                lane.waiting += 1;
                lane.next_turn = lane.next_turn.max(run.turn + 1);
                self.queue.0.put((key, run.turn), *id);
            } else {
                lane.active = *id;
            }
            self.lanes.0.put(key, lane);
        }
    }
}

/// The lane of a service: one run at a time. Runs that name no service share a lane in each domain.
#[must_use]
pub fn lane_key(domain: &str, service: Option<&str>) -> Digest {
    let service = service.unwrap_or_default().to_lowercase();
    Digest::of(&[b"lane", domain.as_bytes(), service.as_bytes()])
}

/// A target within a domain.
#[must_use]
pub fn target_key(domain: &str, target: &str) -> Digest {
    Digest::of(&[b"target", domain.as_bytes(), target.as_bytes()])
}

/// A domain.
#[must_use]
pub fn domain_key(domain: &str) -> Digest {
    Digest::of(&[b"domain", domain.as_bytes()])
}

/// A timer of the orchestrator. All go by the time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// Something of a run is due: a retry, a result that does not come, the end of its time.
    Wake,
    /// What is remembered for a while is to be forgotten.
    Sweep,
}

impl Codec for Timer {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Wake => out.push(0),
            Self::Sweep => out.push(1),
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, CodecFailure> {
        match bytes {
            [0] => Ok(Self::Wake),
            [1] => Ok(Self::Sweep),
            _ => Err(CodecFailure::new("a timer of the orchestrator is 0 or 1")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_read_back() {
        for timer in [Timer::Wake, Timer::Sweep] {
            let mut bytes = Vec::new();
            timer.encode(&mut bytes);
            assert_eq!(Timer::decode(&bytes), Ok(timer));
        }
        assert!(Timer::decode(&[2]).is_err());
        assert!(Timer::decode(&[]).is_err());
    }

    #[test]
    fn services_of_one_name_share_a_lane_whatever_its_case() {
        assert_eq!(
            lane_key("prod", Some("Cart")),
            lane_key("prod", Some("cart"))
        );
        assert_ne!(
            lane_key("prod", Some("cart")),
            lane_key("test", Some("cart"))
        );
        assert_ne!(lane_key("prod", Some("cart")), lane_key("prod", None));
    }
}
