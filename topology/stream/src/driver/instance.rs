//! One process of a stage with its stream thread: what it holds, and what it does next.

use std::collections::BTreeMap;

use super::Driver;
use super::failure::Failure;
use super::faults::Fault;
use super::group::Standing;
use super::world::World;
use crate::io::SourceKind;
use crate::record::Millis;
use crate::task::{Accepted, Task};
use crate::transaction::{Guarantee, Transaction};

/// A task with where its consumer stands.
pub(super) struct Assigned {
    pub(super) task: Box<dyn Task>,
    /// Progress of its restore; absent once it is ready.
    pub(super) restore: Option<Restore>,
    /// Next offset to fetch, for each source.
    pub(super) cursors: Vec<i64>,
}

/// How far a changelog was read, and how far it must be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Restore {
    pub(super) cursor: i64,
    pub(super) end: i64,
}

/// A process. Its index is its transactional id, its group instance id and its name.
pub(super) struct Instance {
    pub(super) stage: usize,
    /// Counts its lives: a crash ends one.
    pub(super) life: u64,
    /// It is down until then; a time in the past: it is up.
    pub(super) down_until: Millis,
    /// It is stopped until then.
    pub(super) paused_until: Millis,
    /// It hears nothing of its group until then.
    pub(super) deaf_until: Millis,
    /// Since when the group has not heard of it.
    pub(super) silent_since: Option<Millis>,
    /// Epoch of its producer; absent before it has one.
    pub(super) epoch: Option<u64>,
    /// The generation in which it was assigned what it has, as captured then.
    pub(super) generation: u64,
    pub(super) machine: Transaction,
    pub(super) tasks: BTreeMap<i32, Assigned>,
    /// Steps in the open transaction, and how many it may have.
    taken: usize,
    limit: usize,
    /// How far its clock is behind.
    pub(super) lag: Millis,
}

/// Something that a task can do.
#[derive(Clone, Copy)]
enum Work {
    Tick(i32),
    Record(i32, usize),
}

impl Instance {
    pub(super) fn new(stage: usize, guarantee: Guarantee, lag: Millis) -> Self {
        Self {
            stage,
            life: 0,
            down_until: Millis::MIN,
            paused_until: Millis::MIN,
            deaf_until: Millis::MIN,
            silent_since: None,
            epoch: None,
            generation: 0,
            machine: Transaction::new(guarantee),
            tasks: BTreeMap::new(),
            taken: 0,
            limit: 0,
            lag,
        }
    }

    /// Loses everything but its name.
    pub(super) fn die(&mut self, guarantee: Guarantee) {
        let life = self.life + 1;
        *self = Self::new(self.stage, guarantee, self.lag);
        self.life = life;
    }

    /// True unless it crashed and has not been restarted.
    pub(super) fn is_up(&self) -> bool {
        self.down_until == Millis::MIN
    }

    /// Tasks that have been restored.
    pub(super) fn ready(&mut self) -> impl Iterator<Item = (i32, &mut Assigned)> {
        let ready = self
            .tasks
            .iter_mut()
            .filter(|(_, task)| task.restore.is_none());
        ready.map(|(partition, assigned)| (*partition, assigned))
    }
}

impl<W: World> Driver<W> {
    /// Lets an instance do one thing. False if there was nothing it could do.
    pub(super) fn step_instance(&mut self, instance: usize) -> Result<bool, Failure> {
        let state = &mut self.instances[instance];
        if !state.is_up() || state.paused_until > self.now {
            return Ok(false);
        }
        if state.epoch.is_none() {
            // The producer comes first: it ends what a former life left open before any offset is read.
            state.epoch = Some(self.broker.init(instance));
            return Ok(true);
        }
        if state.deaf_until <= self.now {
            let group = &self.stages[state.stage].group;
            match group.standing(instance, state.generation) {
                Standing::Current => {}
                Standing::Waiting => return Ok(false),
                standing => return self.follow(instance, standing).map(|()| true),
            }
        }
        if let Some(command) = self.instances[instance].machine.command() {
            self.execute(instance, command)?;
            return Ok(true);
        }
        if self.restore_some(instance)? {
            return Ok(true);
        }
        Ok(self.work(instance))
    }

    /// Finishes or gives up what is open, then does what the group wants.
    fn follow(&mut self, instance: usize, standing: Standing) -> Result<(), Failure> {
        let finish = !self.random.one_in(2);
        let machine = &mut self.instances[instance].machine;
        if machine.is_open() {
            if finish {
                machine.close();
            } else {
                machine.give_up();
            }
            return Ok(());
        }
        if let Some(command) = machine.command() {
            if self.random.one_in(6) {
                machine.give_up();
                return Ok(());
            }
            return self.execute(instance, command);
        }
        match standing {
            Standing::Behind => self.adopt(instance),
            Standing::Leaving => self.let_go(instance),
            Standing::Gone => self.rejoin(instance),
            Standing::Current | Standing::Waiting => {}
        }
        Ok(())
    }

    /// Opens a transaction if there is something to do, does one thing in it, or closes it.
    fn work(&mut self, instance: usize) -> bool {
        let works = self.works(instance);
        let state = &mut self.instances[instance];
        if state.machine.is_idle() {
            if works.is_empty() {
                return false;
            }
            state.taken = 0;
            state.limit = 1 + self.random.below(8);
            state.machine.open();
            return true;
        }
        let next = self.random.pick(&works).copied();
        let Some(work) = next.filter(|_| state.taken < state.limit) else {
            state.machine.close();
            return true;
        };
        state.taken += 1;
        match work {
            Work::Tick(partition) => self.tick(instance, partition),
            Work::Record(partition, source) => self.feed(instance, partition, source),
        }
        true
    }

    fn works(&mut self, instance: usize) -> Vec<Work> {
        let state = &mut self.instances[instance];
        let clock = self.now - state.lag;
        let sources = &self.stages[state.stage].sources;
        let mut works = Vec::new();
        for (partition, assigned) in state.ready() {
            if assigned.task.next_due().is_some_and(|due| due <= clock) {
                works.push(Work::Tick(partition));
            }
            for (index, source) in sources.iter().enumerate() {
                let from = read_from(source.kind, partition);
                if self.slow.contains_key(&(source.topic, from)) {
                    continue;
                }
                let cursor = &mut assigned.cursors[index];
                if self.broker.fetch(source.topic, from, cursor).is_some() {
                    works.push(Work::Record(partition, index));
                }
            }
        }
        works
    }

    fn tick(&mut self, instance: usize, partition: i32) {
        let state = &mut self.instances[instance];
        let clock = self.now - state.lag;
        if let Some(assigned) = state.tasks.get_mut(&partition) {
            assigned.task.tick(clock);
        }
    }

    fn feed(&mut self, instance: usize, partition: i32, source: usize) {
        let again = self.fault(Fault::Redeliver) && self.random.one_in(12);
        let back = self.random.between(1, 6);
        let state = &mut self.instances[instance];
        let clock = self.now - state.lag;
        let from = self.stages[state.stage].sources[source];
        let Some(assigned) = state.tasks.get_mut(&partition) else {
            return;
        };
        let cursor = &mut assigned.cursors[source];
        if again {
            *cursor = (*cursor - back).max(0);
        }
        let from_partition = read_from(from.kind, partition);
        let Some(stored) = self.broker.fetch(from.topic, from_partition, cursor) else {
            return;
        };
        *cursor = stored.offset + 1;
        let task = &mut assigned.task;
        let accepted = stored.with_record(source, |record| task.record(clock, record));
        if accepted == Accepted::Skipped {
            self.tally.redeliveries += 1;
        }
        let offset = stored.offset;
        self.note(|| format!("{instance}/{partition} reads {source}@{offset}: {accepted:?}"));
    }
}

/// The partition of a source that a task reads.
pub(super) fn read_from(kind: SourceKind, partition: i32) -> i32 {
    match kind {
        SourceKind::Keyed => partition,
        SourceKind::Broadcast => 0,
    }
}
