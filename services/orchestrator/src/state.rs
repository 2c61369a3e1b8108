//! What the orchestrator's task keeps, and its timers.

use prunella_knowledge::{KnowledgeView, SwitchView};
use prunella_schemas::state::{Budget, ChainHead, Cooldown, Lane, LiveRun};
use prunella_stream::{Cell, Codec, CodecFailure, Digest, HashStore, TreeStore, WindowStore};

prunella_stream::state! {
    /// The state of one orchestrator task.
    pub struct OrchestratorState {
        /// Runs that have not ended, by id.
        1 => runs: HashStore<Digest, LiveRun>,
        /// Services that have a run, by [`lane_key`].
        2 => lanes: HashStore<Digest, Lane>,
        /// Runs that wait, by lane and turn.
        3 => queue: TreeStore<(Digest, i64), Digest>,
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
    /// Something of this run is due: a retry, a result that does not come, the end of its time.
    Wake(Digest),
    /// What is remembered for a while is to be forgotten.
    Sweep,
}

impl Codec for Timer {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Wake(run) => {
                out.push(0);
                run.encode(out);
            }
            Self::Sweep => out.push(1),
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, CodecFailure> {
        match bytes {
            [0, run @ ..] => Digest::decode(run).map(Self::Wake),
            [1] => Ok(Self::Sweep),
            _ => Err(CodecFailure::new("a timer of the orchestrator is a run's or the sweep")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_read_back() {
        for timer in [Timer::Wake(Digest::of(&[b"run"])), Timer::Sweep] {
            let mut bytes = Vec::new();
            timer.encode(&mut bytes);
            assert_eq!(Timer::decode(&bytes), Ok(timer));
        }
        assert!(Timer::decode(&[2]).is_err());
        assert!(Timer::decode(&[]).is_err());
    }

    #[test]
    fn services_of_one_name_share_a_lane_whatever_its_case() {
        assert_eq!(lane_key("prod", Some("Cart")), lane_key("prod", Some("cart")));
        assert_ne!(lane_key("prod", Some("cart")), lane_key("test", Some("cart")));
        assert_ne!(lane_key("prod", Some("cart")), lane_key("prod", None));
    }
}
