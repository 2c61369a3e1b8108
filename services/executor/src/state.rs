//! What the executor keeps.

use std::sync::Arc;

use prunella_knowledge::SwitchView;
use prunella_schemas::Action;
use prunella_schemas::state::{Answered, Claim};
use prunella_stream::{
    Cell, Codec, CodecFailure, Digest, Millis, TreeStore, Unlogged, WindowStore, state,
};

/// An action without a result yet, and the claim on it.
#[derive(Clone, Debug)]
pub struct Open {
    /// What changes.
    pub claim: Claim,
    /// What does not.
    pub action: Arc<Action>,
}

impl Codec for Open {
    fn encode(&self, out: &mut Vec<u8>) {
        let mark = out.len();
        out.extend_from_slice(&[0; 4]);
        self.claim.encode(out);
        let length = u32::try_from(out.len() - mark - 4).unwrap_or(u32::MAX);
        out[mark..mark + 4].copy_from_slice(&length.to_be_bytes());
        self.action.encode(out);
    }

    fn decode(bytes: &[u8]) -> Result<Self, CodecFailure> {
        let (claim, action) = <(Claim, Action)>::decode(bytes)?;
        Ok(Self {
            claim,
            action: Arc::new(action),
        })
    }
}

/// The executor's timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// What is next for an action: its phase says what.
    Action(Digest),
    /// Time to look for effects that never settled.
    Sweep,
}

impl Codec for Timer {
    fn encode(&self, out: &mut Vec<u8>) {
        if let Self::Action(id) = self {
            id.encode(out);
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, CodecFailure> {
        if bytes.is_empty() {
            return Ok(Self::Sweep);
        }
        Digest::decode(bytes).map(Self::Action)
    }
}

/// A line of actions: those that may change one target, or the reads that wait.
pub(crate) type Line = Digest;

/// The line of the reads and notifications that wait for one under way to end.
pub(crate) const READS: Line = Digest([0; 16]);

state! {
    /// What the executor keeps.
    pub struct ExecutorState {
        /// Actions without a result, by the digest of their id, which is also the effect's.
        1 => open: TreeStore<Digest, Open>,
        /// Tasks that were answered, by the digest of their idempotency key.
        2 => answered: WindowStore<Digest, Answered>,
        /// The lines: by place, whose turn comes first. Made anew from the open actions.
        3 => lines: Unlogged<TreeStore<(Digest, i64), Digest>>,
        /// How many reads are under way. Made anew from the open actions.
        4 => reads: Cell<i64>,
        /// When the next sweep is due; 0 if none is.
        5 => sweep: Cell<Millis>,
        /// The switches, as far as they were read.
        6 => switches: Cell<SwitchView>,
    }
}

impl ExecutorState {
    /// The first in a line.
    pub(crate) fn first(&self, line: Line) -> Option<Digest> {
        let mut places = self.lines.0.range((line, i64::MIN)..=(line, i64::MAX));
        places.next().map(|(_, id)| *id)
    }

    /// The place behind the last in a line.
    pub(crate) fn place(&self, line: Line) -> i64 {
        let mut places = self.lines.0.range((line, i64::MIN)..=(line, i64::MAX));
        places.next_back().map_or(0, |((_, place), _)| place + 1)
    }

    /// Puts an open action into its line again: after a restore.
    pub(crate) fn line_up(&mut self, id: Digest, open: &Open) {
        if let Some(line) = line_while(open) {
            self.lines.0.put((line, open.claim.sequence), id);
        } else {
            self.reads.change(|reads| *reads += 1);
        }
    }
}

/// Ids are 32 hexadecimal digits; another text becomes its digest.
pub(crate) fn identity(id: &str) -> Digest {
    Digest::from_hex(id).unwrap_or_else(|| Digest::of(&[b"id", id.as_bytes()]))
}

/// The line that an action belongs to.
pub(crate) fn line_of(action: &Action) -> Line {
    if action.mutating {
        Digest::of(&[b"target", action.target.as_bytes()])
    } else {
        READS
    }
}

/// The line that an open action stands in: what may change a target stays in line until it has a result; a
/// read leaves it when its turn has come.
pub(crate) fn line_while(open: &Open) -> Option<Line> {
    use prunella_schemas::state::ClaimPhase::Queued;
    let stands = open.action.mutating || open.claim.phase == Queued;
    stands.then(|| line_of(&open.action))
}
