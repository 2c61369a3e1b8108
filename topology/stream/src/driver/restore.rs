//! How an instance takes partitions up: fences who had them, restores from the changelog, learns broadcasts; and
//! how it lets them go.

use super::Driver;
use super::failure::{Cause, Failure};
use super::faults::Plant;
use super::instance::{Assigned, Restore};
use super::world::World;
use crate::effect::EffectId;
use crate::io::SourceKind;
use crate::record::Millis;

impl<W: World> Driver<W> {
    /// Makes what an instance has equal to what the group assigned it. It keeps a task only if it has missed no
    /// generation since: another may have owned the partition in one it missed, and the state in memory be old.
    pub(super) fn adopt(&mut self, instance: usize) {
        let stage = self.instances[instance].stage;
        let owned = self.stages[stage].group.owned(instance);
        let state = &mut self.instances[instance];
        let generation = self.stages[stage].group.generation();
        let missed = state.generation + 1 != generation;
        state.generation = generation;
        state
            .tasks
            .retain(|partition, _| owned.contains(partition) && !missed);
        for partition in owned {
            let previous = self.stages[stage].group.take(instance, partition);
            let unfenced = self.settings.plant == Some(Plant::Unfenced);
            if let Some(previous) = previous.filter(|_| !unfenced) {
                self.broker.init(previous);
                self.note(|| format!("{instance} fences {previous} for partition {partition}"));
            }
            if !self.instances[instance].tasks.contains_key(&partition) {
                let assigned = self.empty_task(stage, partition);
                self.instances[instance].tasks.insert(partition, assigned);
            }
        }
        self.tally.rebalances += 1;
        self.note(|| format!("{instance} adopts its assignment"));
    }

    /// Hands every partition over in order: its transaction is finished.
    pub(super) fn let_go(&mut self, instance: usize) {
        let state = &self.instances[instance];
        let group = &mut self.stages[state.stage].group;
        for partition in state.tasks.keys() {
            group.release(instance, *partition);
        }
        group.let_go(instance);
    }

    /// Drops what it believed it had, and asks for more.
    pub(super) fn rejoin(&mut self, instance: usize) {
        let state = &mut self.instances[instance];
        state.tasks.clear();
        state.generation = 0;
        self.stages[state.stage].group.join(instance, self.now);
    }

    /// Throws producer and state away. An instance that is no longer believed finds that out here.
    pub(super) fn rebuild(&mut self, instance: usize) {
        let state = &mut self.instances[instance];
        let stage = &self.stages[state.stage];
        state.epoch = Some(self.broker.init(instance));
        if !stage.group.accepts(instance, state.generation) {
            state.tasks.clear();
            state.generation = 0;
            state.deaf_until = Millis::MIN;
            return;
        }
        for (partition, assigned) in &mut state.tasks {
            assigned.task.clear();
            assigned.restore = Some(Restore {
                cursor: 0,
                end: self.broker.end(stage.changelog, *partition),
            });
        }
    }

    /// Reads a piece of one changelog. False if every task is ready, or what is left must be waited for.
    pub(super) fn restore_some(&mut self, instance: usize) -> Result<bool, Failure> {
        let tasks = &self.instances[instance].tasks;
        let waiting = tasks.iter().find(|(_, task)| task.restore.is_some());
        let Some(partition) = waiting.map(|(partition, _)| *partition) else {
            return Ok(false);
        };
        let piece = 1 + self.random.below(30);
        let progress = self.read_changelog(instance, partition, piece)?;
        let clock = self.now - self.instances[instance].lag;
        let Some(assigned) = self.instances[instance].tasks.get_mut(&partition) else {
            return Ok(false);
        };
        // Time may be told at any moment; before the restore has ended it must not fire anything.
        assigned.task.tick(clock);
        let whole = assigned
            .restore
            .is_none_or(|restore| restore.cursor >= restore.end);
        if !whole {
            return Ok(progress);
        }
        let under_way = self.under_way(instance, partition);
        let under_way = move |id: &EffectId, attempt| under_way.contains(&(*id, attempt));
        Ok(self.finish_restore(instance, partition, &under_way))
    }

    /// Feeds at most `piece` changelog records to a task. True if it moved on.
    fn read_changelog(
        &mut self,
        instance: usize,
        partition: i32,
        piece: usize,
    ) -> Result<bool, Failure> {
        let state = &mut self.instances[instance];
        let stage = &self.stages[state.stage];
        let Some(assigned) = state.tasks.get_mut(&partition) else {
            return Ok(false);
        };
        let Some(restore) = &mut assigned.restore else {
            return Ok(false);
        };
        let before = restore.cursor;
        for _ in 0..piece {
            let cursor = &mut restore.cursor;
            let Some(stored) = self.broker.fetch(stage.changelog, partition, cursor) else {
                break;
            };
            let key = stored.key.as_deref().unwrap_or_default();
            let read = assigned.task.restore(key, stored.value.as_deref());
            if let Err(failure) = read {
                let app = stage.app;
                return Err(self.failure(Cause::Restore {
                    app,
                    partition,
                    failure,
                }));
            }
            *cursor += 1;
        }
        Ok(restore.cursor > before)
    }

    /// Ends a restore: positions from the committed offsets, broadcasts learnt up to their own positions. False
    /// if an open transaction would still change the offsets.
    fn finish_restore(
        &mut self,
        instance: usize,
        partition: i32,
        under_way: &dyn Fn(&EffectId, u32) -> bool,
    ) -> bool {
        let state = &mut self.instances[instance];
        let stage = &self.stages[state.stage];
        let Some(committed) = self.broker.stable_offsets(state.stage, partition) else {
            return false;
        };
        let Some(assigned) = state.tasks.get_mut(&partition) else {
            return false;
        };
        assigned.restore = None;
        let task = &mut assigned.task;
        task.restored(under_way);
        for (index, source) in stage.sources.iter().enumerate() {
            let cursor = &mut assigned.cursors[index];
            if source.kind == SourceKind::Keyed {
                *cursor = committed[index].unwrap_or(0);
                task.set_position(index, *cursor);
                continue;
            }
            let position = task.position(index);
            *cursor = 0;
            while let Some(stored) = self.broker.fetch(source.topic, 0, cursor) {
                if stored.offset >= position {
                    break;
                }
                stored.with_record(index, |record| task.learn(record));
                *cursor = stored.offset + 1;
            }
        }
        self.tally.restores += 1;
        self.note(|| format!("{instance}/{partition} is restored"));
        true
    }

    /// A planted bug: what comes back from an abort is a task made anew from its changelog. It knows nothing of
    /// the completions that the old one held, and takes every open effect to be under way still.
    pub(super) fn plant_forgetting(&mut self, instance: usize) -> Result<(), Failure> {
        let stage = self.instances[instance].stage;
        let ready: Vec<i32> = self.instances[instance].ready().map(|(p, _)| p).collect();
        for partition in ready {
            let assigned = self.empty_task(stage, partition);
            self.instances[instance].tasks.insert(partition, assigned);
            self.read_changelog(instance, partition, usize::MAX)?;
            self.finish_restore(instance, partition, &|_, _| true);
        }
        Ok(())
    }

    fn empty_task(&self, stage: usize, partition: i32) -> Assigned {
        let stage = &self.stages[stage];
        Assigned {
            task: (stage.factory)(partition),
            restore: Some(Restore {
                cursor: 0,
                end: self.broker.end(stage.changelog, partition),
            }),
            cursors: vec![0; stage.sources.len()],
        }
    }
}
