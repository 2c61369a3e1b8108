//! A consumer group: who owns which partition, in which generation, and who is no longer believed.

use std::collections::BTreeMap;

use super::random::Random;
use crate::record::Millis;

/// After this long without a sign of life a member is evicted; a rebalance waits as long for its members.
pub(super) const SESSION: Millis = 300;

/// How an instance stands to its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It owns what it believes it owns.
    Current,
    /// A rebalance waits for it to finish and to let its partitions go.
    Leaving,
    /// It has let them go and waits for the others.
    Waiting,
    /// There is a new assignment.
    Behind,
    /// It was evicted, or has not joined.
    Gone,
}

/// One stage's group. A rebalance is eager: everyone lets go, then everyone is assigned anew.
#[derive(Debug)]
pub(super) struct Group {
    generation: u64,
    /// Members, and whether they have let go in the rebalance under way.
    members: BTreeMap<usize, bool>,
    owners: Vec<Option<usize>>,
    /// Who last took a partition and has not let it go in order: to be fenced by who takes it next.
    markers: Vec<Option<usize>>,
    rebalance_until: Option<Millis>,
}

impl Group {
    pub(super) fn new(partitions: i32) -> Self {
        let count = usize::try_from(partitions).unwrap_or_default();
        Self {
            generation: 0,
            members: BTreeMap::new(),
            owners: vec![None; count],
            markers: vec![None; count],
            rebalance_until: None,
        }
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn rebalance_until(&self) -> Option<Millis> {
        self.rebalance_until
    }

    pub(super) fn standing(&self, instance: usize, generation: u64) -> Standing {
        match (self.members.get(&instance), self.rebalance_until) {
            (None, _) => Standing::Gone,
            (Some(false), Some(_)) => Standing::Leaving,
            (Some(true), Some(_)) => Standing::Waiting,
            (Some(_), None) if generation == self.generation => Standing::Current,
            (Some(_), None) => Standing::Behind,
        }
    }

    /// True if the group takes offsets from that instance in that generation.
    pub(super) fn accepts(&self, instance: usize, generation: u64) -> bool {
        generation == self.generation && self.members.get(&instance) == Some(&false)
    }

    pub(super) fn owned(&self, instance: usize) -> Vec<i32> {
        let owned = (0_i32..).zip(&self.owners);
        owned
            .filter(|(_, owner)| **owner == Some(instance))
            .map(|(partition, _)| partition)
            .collect()
    }

    /// A member asks to join: it owns nothing.
    pub(super) fn join(&mut self, instance: usize, now: Millis) {
        self.begin_rebalance(now);
        self.members.insert(instance, true);
    }

    pub(super) fn begin_rebalance(&mut self, now: Millis) {
        if self.rebalance_until.is_none() {
            self.rebalance_until = Some(now + SESSION);
            self.members.values_mut().for_each(|gone| *gone = false);
        }
    }

    /// A member has finished its transaction and lets its partitions go.
    pub(super) fn let_go(&mut self, instance: usize) {
        if let Some(gone) = self.members.get_mut(&instance) {
            *gone = true;
        }
    }

    /// The partition's offset is marked as handed over in order, if the instance had taken it.
    pub(super) fn release(&mut self, instance: usize, partition: i32) {
        let marker = &mut self.markers[slot(partition)];
        if *marker == Some(instance) {
            *marker = None;
        }
    }

    /// Marks the partition as taken; returns who had it and never handed it over.
    pub(super) fn take(&mut self, instance: usize, partition: i32) -> Option<usize> {
        let previous = self.markers[slot(partition)].replace(instance);
        previous.filter(|previous| *previous != instance)
    }

    /// Evicts members that have been silent too long, and ends a rebalance that nobody is waited for. True if
    /// anything changed.
    pub(super) fn tend(
        &mut self,
        now: Millis,
        silent_since: impl Fn(usize) -> Option<Millis>,
        random: &mut Random,
    ) -> bool {
        let before = self.members.len();
        self.members
            .retain(|member, _| silent_since(*member).is_none_or(|since| now - since < SESSION));
        let evicted = self.members.len() < before;
        if evicted {
            self.begin_rebalance(now);
        }
        let Some(until) = self.rebalance_until else {
            return evicted;
        };
        if now >= until {
            self.members.retain(|_, gone| *gone);
        }
        if self.members.is_empty() || self.members.values().any(|gone| !*gone) {
            return evicted;
        }
        self.assign(random);
        true
    }

    fn assign(&mut self, random: &mut Random) {
        let mut members: Vec<usize> = self.members.keys().copied().collect();
        random.shuffle(&mut members);
        self.generation += 1;
        self.rebalance_until = None;
        self.members.values_mut().for_each(|gone| *gone = false);
        let mut slots: Vec<usize> = (0..self.owners.len()).collect();
        random.shuffle(&mut slots);
        for (slot, member) in slots.into_iter().zip(members.iter().cycle()) {
            self.owners[slot] = Some(*member);
        }
    }
}

fn slot(partition: i32) -> usize {
    usize::try_from(partition).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group() -> Group {
        let mut group = Group::new(4);
        group.join(0, 0);
        group.join(1, 0);
        assert!(group.tend(0, |_| None, &mut Random::new(1)));
        group
    }

    #[test]
    fn every_partition_has_one_owner() {
        let group = group();
        let mut owned = [group.owned(0), group.owned(1)].concat();
        owned.sort_unstable();
        assert_eq!(owned, [0, 1, 2, 3]);
        assert_eq!(group.standing(0, 0), Standing::Behind);
        assert_eq!(group.standing(0, 1), Standing::Current);
    }

    #[test]
    fn a_silent_member_is_evicted_and_its_offsets_are_refused() {
        let mut group = group();
        assert!(group.accepts(1, 1));
        let silent = |member| (member == 1).then_some(0);
        assert!(!group.tend(SESSION - 1, silent, &mut Random::new(1)));
        assert!(group.tend(SESSION, silent, &mut Random::new(1)));
        assert_eq!(group.standing(1, 1), Standing::Gone);
        assert!(!group.accepts(1, 1));
        assert_eq!(group.standing(0, 1), Standing::Leaving);
    }

    #[test]
    fn a_rebalance_waits_for_its_members_and_not_for_ever() {
        let mut group = group();
        group.begin_rebalance(10);
        group.let_go(0);
        assert!(!group.tend(11, |_| None, &mut Random::new(1)));
        assert!(group.tend(10 + SESSION, |_| None, &mut Random::new(1)));
        assert_eq!(group.owned(0).len(), 4);
        assert_eq!(group.standing(1, 1), Standing::Gone);
    }

    #[test]
    fn only_who_did_not_hand_over_is_fenced() {
        let mut group = group();
        assert_eq!(group.take(0, 2), None);
        assert_eq!(group.take(1, 2), Some(0));
        group.release(1, 2);
        assert_eq!(group.take(0, 2), None);
    }
}
