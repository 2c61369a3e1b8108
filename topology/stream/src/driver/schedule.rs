//! The scheduler: whose turn it is, what time it is, what goes wrong, and when nothing is left to do.

use super::Driver;
use super::failure::{Cause, Failure};
use super::faults::Fault;
use super::group::SESSION;
use super::world::World;
use crate::record::Millis;

/// How far ahead a run with faults looks for something to happen when nobody has anything to do.
const LOOK_AHEAD: Millis = 2_000;

impl<W: World> Driver<W> {
    /// One step with faults.
    pub(super) fn faulty_step(&mut self) -> Result<(), Failure> {
        self.strike();
        self.now += self.random.between(0, 2);
        if !self.any_step()?
            && let Some(next) = self.next_event()
        {
            self.now = next.min(self.now + LOOK_AHEAD);
        }
        Ok(())
    }

    /// Steps without faults until nothing is left to do before the horizon.
    pub(super) fn settle_down(&mut self) -> Result<usize, Failure> {
        let horizon = self.now.saturating_add(self.settings.horizon);
        for step in 0..self.settings.calm_steps {
            self.now += self.random.between(0, 1);
            if self.any_step()? {
                continue;
            }
            match self.next_event().filter(|next| *next <= horizon) {
                Some(next) => self.now = next,
                None => return self.settled(step),
            }
        }
        let left = self.left_to_do();
        let steps = self.settings.calm_steps;
        Err(self.failure(Cause::NotSettled { steps, left }))
    }

    /// Ends every fault that lasts.
    pub(super) fn end_faults(&mut self) {
        self.slow.clear();
        let now = self.now;
        for instance in &mut self.instances {
            instance.paused_until = instance.paused_until.min(now);
            instance.deaf_until = instance.deaf_until.min(now);
            if !instance.is_up() {
                instance.down_until = instance.down_until.min(now);
            }
        }
    }

    /// A process loses its memory.
    pub(super) fn crash(&mut self, instance: usize) {
        self.orphan_flights(instance);
        let restart = self.now + self.random.between(5, 2 * SESSION);
        let state = &mut self.instances[instance];
        state.die(self.settings.guarantee);
        state.down_until = restart;
        state.silent_since = Some(self.now);
        self.note(|| format!("{instance} crashes and restarts at {restart}"));
    }

    /// Everything that can happen now, once; then one instance's turn. True if anything happened.
    fn any_step(&mut self) -> Result<bool, Failure> {
        self.tally.steps += 1;
        let mut progress = self.tend_instances();
        progress |= self.tend_groups();
        progress |= self.fly();
        progress |= self.put_scheduled();
        let count = self.instances.len();
        let first = self.random.below(count);
        for turn in 0..count {
            if self.step_instance((first + turn) % count)? {
                return Ok(true);
            }
        }
        Ok(progress)
    }

    /// Restarts what was down, and notes who can be heard again.
    fn tend_instances(&mut self) -> bool {
        let now = self.now;
        let mut progress = false;
        for instance in &mut self.instances {
            if !instance.is_up() && instance.down_until <= now {
                instance.down_until = Millis::MIN;
                progress = true;
            }
            if instance.is_up() && instance.paused_until <= now && instance.deaf_until <= now {
                instance.silent_since = None;
            }
        }
        let slow = self.slow.len();
        self.slow.retain(|_, until| *until > now);
        progress || self.slow.len() < slow
    }

    fn tend_groups(&mut self) -> bool {
        let mut progress = false;
        for stage in &mut self.stages {
            let silent = |member: usize| self.instances[member].silent_since;
            progress |= stage.group.tend(self.now, silent, &mut self.random);
        }
        progress
    }

    fn put_scheduled(&mut self) -> bool {
        let mut progress = false;
        while let Some(entry) = self.scheduled.first_entry() {
            if entry.key().0 > self.now {
                break;
            }
            let (topic, message) = entry.remove();
            self.put_now(topic, message);
            progress = true;
        }
        progress
    }

    /// Starts the faults that have a time of their own.
    fn strike(&mut self) {
        let instance = self.random.below(self.instances.len());
        let free = {
            let state = &self.instances[instance];
            state.is_up() && state.silent_since.is_none()
        };
        if free && self.fault(Fault::Crash) && self.random.one_in(120) {
            self.tally.crashes += 1;
            self.crash(instance);
        } else if free && self.fault(Fault::Zombie) && self.random.one_in(150) {
            self.make_zombie(instance);
        }
        if self.fault(Fault::Rebalance) && self.random.one_in(150) {
            let stage = self.instances[instance].stage;
            self.stages[stage].group.begin_rebalance(self.now);
        }
        if self.fault(Fault::Delay) && self.random.one_in(60) {
            self.delay(instance);
        }
    }

    /// Stops a process and lets it go on deaf, or lets it go on deaf at once.
    fn make_zombie(&mut self, instance: usize) {
        let stopped = self.random.between(0, 2 * SESSION);
        let stopped = if self.random.one_in(3) { 0 } else { stopped };
        let deaf = self.random.between(0, 2 * SESSION);
        let state = &mut self.instances[instance];
        state.paused_until = self.now + stopped;
        state.deaf_until = state.paused_until + deaf;
        state.silent_since = Some(self.now);
        self.tally.zombies += 1;
        self.note(|| format!("{instance} stops for {stopped} ms and is deaf for {deaf} more"));
    }

    /// Makes a source partition slow, or time leap.
    fn delay(&mut self, instance: usize) {
        self.tally.delays += 1;
        if self.random.one_in(3) {
            self.now += self.random.between(50, 1_500);
            return;
        }
        let sources = &self.stages[self.instances[instance].stage].sources;
        let Some(source) = self.random.pick(sources) else {
            return;
        };
        let partitions = self.broker.partitions(source.topic);
        let partition = self.random.between(0, i64::from(partitions) - 1);
        let until = self.now + self.random.between(20, 600);
        let partition = i32::try_from(partition).unwrap_or_default();
        self.slow.insert((source.topic, partition), until);
    }

    /// The next time at which something can happen, later than now.
    fn next_event(&mut self) -> Option<Millis> {
        let flights = self.flights.iter();
        let mut times: Vec<Millis> = flights
            .map(|flight| flight.outcome.as_ref().map_or(flight.act_at, |(_, at)| *at))
            .collect();
        times.extend(self.slow.values());
        times.extend(self.scheduled.keys().map(|key| key.0));
        times.extend(self.stages.iter().filter_map(|s| s.group.rebalance_until()));
        for instance in &mut self.instances {
            let lag = instance.lag;
            times.extend([
                instance.down_until,
                instance.paused_until,
                instance.deaf_until,
            ]);
            times.extend(instance.silent_since.map(|since| since + SESSION));
            let ready = instance.ready();
            times.extend(ready.filter_map(|(_, a)| Some(a.task.next_due()?.saturating_add(lag))));
        }
        let now = self.now;
        times.into_iter().filter(|time| *time > now).min()
    }

    /// Nothing can happen any more: that must mean that everything is done.
    fn settled(&mut self, steps: usize) -> Result<usize, Failure> {
        let idle = self.instances.iter_mut().enumerate().all(|(index, state)| {
            let group = &self.stages[state.stage].group;
            state.is_up()
                && state.machine.is_idle()
                && group.accepts(index, state.generation)
                && group.rebalance_until().is_none()
                && state.tasks.values().all(|a| a.restore.is_none())
                && state.ready().all(|(_, a)| !a.task.changed())
        });
        if !idle || !self.flights.is_empty() {
            let left = self.left_to_do();
            return Err(self.failure(Cause::NotSettled { steps, left }));
        }
        if self.open_effects() > 0 {
            let open = self.each_open();
            return Err(self.failure(Cause::OpenEffects(open)));
        }
        Ok(steps)
    }

    fn each_open(&self) -> String {
        let mut open = Vec::new();
        for instance in &self.instances {
            let app = self.stages[instance.stage].app;
            for (partition, assigned) in &instance.tasks {
                let count = assigned.task.open_effects();
                if count > 0 {
                    open.push(format!("{count} of {app}/{partition}"));
                }
            }
        }
        open.join(", ")
    }

    fn left_to_do(&self) -> String {
        let mut left = vec![format!("{} effects under way", self.flights.len())];
        for (index, state) in self.instances.iter().enumerate() {
            let stage = &self.stages[state.stage];
            let restoring = state.tasks.values().filter(|a| a.restore.is_some()).count();
            left.push(format!(
                "instance {index} of {} is {:?}, transaction {:?}, {} tasks, {restoring} in restore, next due {:?}",
                stage.app,
                stage.group.standing(index, state.generation),
                state.machine,
                state.tasks.len(),
                state.tasks.values().filter_map(|a| a.task.next_due()).min(),
            ));
        }
        left.join("; ")
    }
}
