//! What can go wrong in a run: classes of fault, each switched on or off by itself, and planted bugs.

use std::fmt;
use std::ops::AddAssign;

use super::random::Random;

/// A class of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A process loses its memory. Effects it had under way may have happened or not; their completions are
    /// gone. It restarts under its name, or others take its partitions first.
    Crash,
    /// Any command to the broker fails: retriable or abortable.
    Abort,
    /// Any command to the broker fails for good. Of a commit, the outcome is unknown: done or not.
    Fatal,
    /// Records are presented again that were presented before.
    Redeliver,
    /// Producers put a record twice.
    Duplicate,
    /// Partitions move between the instances of a stage while all of them live.
    Rebalance,
    /// A process crashes after an effect happened and before its completion arrived.
    LostCompletion,
    /// Partitions and effects are slow, some effects so slow that their deadline passes, and time leaps.
    Delay,
    /// A process stops, or hears nothing of its group, loses its partitions and goes on as if it had them.
    Zombie,
    /// The clocks of instances are behind by up to 200 ms, each by as much as it is.
    Skew,
}

impl Fault {
    /// Every class.
    pub const ALL: [Fault; 10] = [
        Fault::Crash,
        Fault::Abort,
        Fault::Fatal,
        Fault::Redeliver,
        Fault::Duplicate,
        Fault::Rebalance,
        Fault::LostCompletion,
        Fault::Delay,
        Fault::Zombie,
        Fault::Skew,
    ];
}

/// The classes of fault that are switched on.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults(u16);

impl Faults {
    /// None: everything works at once.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// All of them.
    #[must_use]
    pub fn all() -> Self {
        Self::of(&Fault::ALL)
    }

    /// These.
    #[must_use]
    pub fn of(faults: &[Fault]) -> Self {
        faults.iter().fold(Self(0), |set, fault| set.with(*fault))
    }

    /// Each class with even odds, as the seed has it. With every class always on, crashes heal the very bugs
    /// one is looking for.
    #[must_use]
    pub fn chosen(seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x5eed_fa17);
        let chosen = Fault::ALL.into_iter().filter(|_| random.one_in(2));
        chosen.fold(Self(0), Self::with)
    }

    /// These and that one.
    #[must_use]
    pub fn with(self, fault: Fault) -> Self {
        Self(self.0 | 1 << fault as u16)
    }

    /// These without that one.
    #[must_use]
    pub fn without(self, fault: Fault) -> Self {
        Self(self.0 & !(1 << fault as u16))
    }

    /// True if the class is switched on.
    #[must_use]
    pub fn contains(self, fault: Fault) -> bool {
        self.0 & (1 << fault as u16) != 0
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on = Fault::ALL.into_iter().filter(|fault| self.contains(*fault));
        formatter.debug_set().entries(on).finish()
    }
}

/// A bug planted in the driver itself, to show that schedules find it. A stage's or a store's bug is planted by
/// giving the driver a broken stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// Input offsets are committed before the outputs are produced.
    OffsetsBeforeOutputs,
    /// An abort throws away the completions that no commit has covered.
    LostCompletion,
    /// Nobody is fenced: neither by transactional id nor by the group's generation.
    Unfenced,
}

/// What happened in a run, counted: shows that faults do act.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Steps of the scheduler.
    pub steps: u64,
    /// Transactions that were folded.
    pub commits: u64,
    /// Transactions that were undone in place.
    pub aborts: u64,
    /// Commands that were repeated.
    pub retries: u64,
    /// Producers thrown away, state rebuilt.
    pub rebuilds: u64,
    /// Commits that happened and were not known to have.
    pub unknown_commits: u64,
    /// Crashes of a process.
    pub crashes: u64,
    /// Crashes between an effect and its completion.
    pub lost_completions: u64,
    /// Records that were presented again.
    pub redeliveries: u64,
    /// Records that were put twice.
    pub duplicates: u64,
    /// Changes of a group's assignment.
    pub rebalances: u64,
    /// Processes that stopped or went deaf.
    pub zombies: u64,
    /// Commands that were refused because another had taken over.
    pub fenced: u64,
    /// Slow partitions and leaps of time.
    pub delays: u64,
    /// Tasks that were restored.
    pub restores: u64,
    /// Effects that were begun.
    pub effects: u64,
    /// Effects whose deadline had passed when they were to begin.
    pub refused_effects: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.steps += other.steps;
        self.commits += other.commits;
        self.aborts += other.aborts;
        self.retries += other.retries;
        self.rebuilds += other.rebuilds;
        self.unknown_commits += other.unknown_commits;
        self.crashes += other.crashes;
        self.lost_completions += other.lost_completions;
        self.redeliveries += other.redeliveries;
        self.duplicates += other.duplicates;
        self.rebalances += other.rebalances;
        self.zombies += other.zombies;
        self.fenced += other.fenced;
        self.delays += other.delays;
        self.restores += other.restores;
        self.effects += other.effects;
        self.refused_effects += other.refused_effects;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_switches_some_classes_on_and_some_off() {
        let sets: Vec<Faults> = (0..20).map(Faults::chosen).collect();
        for fault in Fault::ALL {
            assert!(sets.iter().any(|set| set.contains(fault)), "{fault:?}");
            assert!(sets.iter().any(|set| !set.contains(fault)), "{fault:?}");
        }
    }

    #[test]
    fn a_class_is_added_and_taken_out() {
        let set = Faults::none().with(Fault::Crash).with(Fault::Skew);
        assert!(set.contains(Fault::Crash) && !set.contains(Fault::Abort));
        assert_eq!(set.without(Fault::Crash), Faults::of(&[Fault::Skew]));
    }
}
