//! Effects on the world outside: asked for in one transaction, settled in a later one, in doubt in between.

use std::collections::{BTreeSet, VecDeque};

use crate::codec::{Codec, CodecFailure};
use crate::digest::Digest;
use crate::record::Millis;
use crate::store::{Deltas, Store, TreeStore};

/// Identity of an effect within its task.
pub type EffectId = Digest;

/// An effect that a stage asked for and that has not settled: a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenEffect {
    /// Its identity.
    pub id: EffectId,
    /// Attempt, from 1. Each attempt is a newly committed claim.
    pub attempt: u32,
    /// After this time of day it must not be begun, and whatever was begun has ended.
    pub deadline: Millis,
    /// What the edge is to do; the stage's own bytes.
    pub payload: Vec<u8>,
}

/// What the edge is given to do, after the claim's transaction committed.
pub type EffectRequest = OpenEffect;

/// What the edge reports. It is on no log: the task holds it until a commit covers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The effect.
    pub id: EffectId,
    /// The attempt it is about; a completion of an earlier attempt is ignored.
    pub attempt: u32,
    /// What came of it; the edge's bytes.
    pub outcome: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq)]
struct Claim {
    attempt: u32,
    deadline: Millis,
    payload: Vec<u8>,
}

impl Codec for Claim {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.attempt.to_be_bytes());
        out.extend_from_slice(&self.deadline.to_be_bytes());
        out.extend_from_slice(&self.payload);
    }

    fn decode(bytes: &[u8]) -> Result<Self, CodecFailure> {
        let short = || CodecFailure::new("a claim is cut short");
        let (attempt, rest) = bytes.split_first_chunk::<4>().ok_or_else(short)?;
        let (deadline, payload) = rest.split_first_chunk::<8>().ok_or_else(short)?;
        Ok(Self {
            attempt: u32::from_be_bytes(*attempt),
            deadline: i64::from_be_bytes(*deadline),
            payload: payload.to_vec(),
        })
    }
}

/// The open effects of a task, and what has happened to them since the last commit.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    open: TreeStore<EffectId, Claim>,
    /// Asked for since the last commit, in order.
    asked: Vec<EffectId>,
    /// Taken since the last commit: presented again after an abort.
    delivered: Vec<Completion>,
    /// To be delivered.
    waiting: VecDeque<Completion>,
    /// Found open after a restore and not yet presented, with the attempt that is in doubt.
    doubtful: VecDeque<(EffectId, u32)>,
    /// Presented as doubtful since the last commit.
    presented: Vec<(EffectId, u32)>,
}

impl Effects {
    pub(crate) fn ask(&mut self, request: EffectRequest) {
        self.asked.push(request.id);
        let claim = Claim {
            attempt: request.attempt,
            deadline: request.deadline,
            payload: request.payload,
        };
        self.open.put(request.id, claim);
    }

    pub(crate) fn close(&mut self, id: &EffectId) {
        self.open.remove(id);
    }

    pub(crate) fn get(&self, id: &EffectId) -> Option<OpenEffect> {
        self.open.get(id).map(|claim| OpenEffect {
            id: *id,
            attempt: claim.attempt,
            deadline: claim.deadline,
            payload: claim.payload.clone(),
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    /// Marks as doubtful every open effect that is not known to be under way here and whose completion is not
    /// held either.
    pub(crate) fn doubt(&mut self, under_way: &dyn Fn(&EffectId, u32) -> bool) {
        let held: BTreeSet<(EffectId, u32)> = self
            .waiting
            .iter()
            .map(|completion| (completion.id, completion.attempt))
            .collect();
        self.doubtful = self
            .open
            .iter()
            .map(|(id, claim)| (*id, claim.attempt))
            .filter(|(id, attempt)| !under_way(id, *attempt) && !held.contains(&(*id, *attempt)))
            .collect();
    }

    /// The next effect in doubt that is still open at the attempt that was found: one asked for anew since
    /// then is under way, not in doubt.
    pub(crate) fn next_doubtful(&mut self) -> Option<OpenEffect> {
        while let Some((id, attempt)) = self.doubtful.pop_front() {
            let open = self.get(&id).filter(|open| open.attempt == attempt);
            if open.is_some() || self.open.changed() {
                self.presented.push((id, attempt));
            }
            if open.is_some() {
                return open;
            }
        }
        None
    }

    pub(crate) fn arrive(&mut self, completion: Completion) {
        self.waiting.push_back(completion);
    }

    /// The next completion that is about an open effect's present attempt. One that is not is held as well
    /// while there are uncommitted changes: an abort may bring back the attempt it is about.
    pub(crate) fn next_completion(&mut self) -> Option<(OpenEffect, Completion)> {
        while let Some(completion) = self.waiting.pop_front() {
            let open = self.get(&completion.id);
            let open = open.filter(|open| open.attempt == completion.attempt);
            if open.is_some() || self.open.changed() {
                self.delivered.push(completion.clone());
            }
            if let Some(open) = open {
                return Some((open, completion));
            }
        }
        None
    }

    pub(crate) fn has_work(&self) -> bool {
        !self.waiting.is_empty() || !self.doubtful.is_empty()
    }

    /// Folds the transaction: what it asked for and left open is now to be begun, in the order it was asked.
    pub(crate) fn fold(&mut self, begin: &mut dyn FnMut(EffectRequest)) {
        self.delivered.clear();
        self.presented.clear();
        // An effect asked for twice in one transaction is begun once, as it was asked for last.
        let mut seen = BTreeSet::new();
        let mut asked = std::mem::take(&mut self.asked);
        asked.reverse();
        asked.retain(|id| seen.insert(*id));
        for id in asked.iter().rev() {
            if let Some(request) = self.get(id) {
                begin(request);
            }
        }
    }

    /// Gives back everything that no commit has covered.
    pub(crate) fn give_back(&mut self) {
        self.asked.clear();
        for completion in std::mem::take(&mut self.delivered).into_iter().rev() {
            self.waiting.push_front(completion);
        }
        for doubt in std::mem::take(&mut self.presented).into_iter().rev() {
            self.doubtful.push_front(doubt);
        }
    }

    /// Forgets the claims, as before a restore. Completions stay: they are on no log, and the claims that come
    /// back from the changelog decide which of them still mean something.
    pub(crate) fn clear(&mut self) {
        self.give_back();
        self.doubtful.clear();
        self.open.clear();
    }

    pub(crate) fn marks(&self) -> (usize, usize) {
        (self.open.savepoint(), self.asked.len())
    }

    pub(crate) fn roll_back(&mut self, marks: (usize, usize)) {
        self.open.rollback(marks.0);
        self.asked.truncate(marks.1);
    }

    pub(crate) fn commit(&mut self) {
        self.open.commit();
    }

    pub(crate) fn deltas(&self, store: u8, deltas: &mut Deltas) {
        self.open.deltas(store, deltas);
    }

    pub(crate) fn changed(&self) -> bool {
        self.open.changed() || !self.delivered.is_empty() || !self.presented.is_empty()
    }

    pub(crate) fn restore(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), CodecFailure> {
        self.open.restore(key, value)
    }
}
