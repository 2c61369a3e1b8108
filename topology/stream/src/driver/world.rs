//! The world that effects act on, and the effects that are on their way to it.

use super::Driver;
use super::faults::Fault;
use crate::effect::{Completion, EffectId, EffectRequest};
use crate::record::Millis;

/// One effect that reaches the world, or would have.
#[derive(Clone, Copy, Debug)]
pub struct Act<'a> {
    /// Simulated time.
    pub now: Millis,
    /// Application id of the stage that asked.
    pub app: &'static str,
    /// Its partition.
    pub partition: i32,
    /// What it asked for.
    pub request: &'a EffectRequest,
    /// 64 random bits of the run's seed: for a world that sometimes fails.
    pub dice: u64,
}

/// What effects act on. It keeps the record that the oracle looks at.
pub trait World {
    /// The effect happens, at or before its deadline. Returns its outcome, as the edge would report it. A world
    /// may do nothing and say so, or do it and say that it does not know.
    fn act(&mut self, act: Act<'_>) -> Vec<u8>;

    /// The effect was not begun, since its deadline had passed. Returns what the edge reports then.
    fn refuse(&mut self, act: Act<'_>) -> Vec<u8> {
        let _ = act;
        Vec::new()
    }
}

/// A world in which nothing happens and every outcome is empty.
impl World for () {
    fn act(&mut self, _act: Act<'_>) -> Vec<u8> {
        Vec::new()
    }
}

/// An effect between its begin and the arrival of its completion. It belongs to one life of one process.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) instance: usize,
    pub(super) life: u64,
    pub(super) partition: i32,
    pub(super) request: EffectRequest,
    pub(super) act_at: Millis,
    /// The outcome and when it arrives; absent before the act.
    pub(super) outcome: Option<(Vec<u8>, Millis)>,
}

impl<W: World> Driver<W> {
    /// Begins an effect.
    pub(super) fn begin_effect(&mut self, instance: usize, partition: i32, request: EffectRequest) {
        self.tally.effects += 1;
        let slow = self.fault(Fault::Delay) && self.random.one_in(6);
        let delay = self.random.between(0, if slow { 3_000 } else { 25 });
        self.note(|| format!("{instance}/{partition} begins {request:?} in {delay} ms"));
        self.flights.push(Flight {
            instance,
            life: self.instances[instance].life,
            partition,
            request,
            act_at: self.now + delay,
            outcome: None,
        });
    }

    /// Lets every effect happen whose time has come, in order, and delivers completions. True if any did.
    pub(super) fn fly(&mut self) -> bool {
        if self.flights.is_empty() {
            return false;
        }
        let mut progress = false;
        while let Some(index) = self.next_act() {
            self.act(index);
            progress = true;
        }
        self.deliver() || progress
    }

    /// What the process of that instance has under way on a partition.
    pub(super) fn under_way(&self, instance: usize, partition: i32) -> Vec<(EffectId, u32)> {
        let life = self.instances[instance].life;
        let mine = self.flights.iter().filter(|flight| {
            (flight.instance, flight.life, flight.partition) == (instance, life, partition)
        });
        mine.map(|flight| (flight.request.id, flight.request.attempt))
            .collect()
    }

    /// What becomes of a process's effects when it dies: each may still happen, none is reported.
    pub(super) fn orphan_flights(&mut self, instance: usize) {
        let life = self.instances[instance].life;
        let random = &mut self.random;
        self.flights.retain(|flight| {
            let own = (flight.instance, flight.life) == (instance, life);
            !own || (flight.outcome.is_none() && random.one_in(2))
        });
    }

    fn next_act(&self) -> Option<usize> {
        let due = self.flights.iter().enumerate();
        due.filter(|(_, flight)| flight.outcome.is_none() && flight.act_at <= self.now)
            .min_by_key(|(_, flight)| flight.act_at)
            .map(|(index, _)| index)
    }

    fn act(&mut self, index: usize) {
        let flight = &mut self.flights[index];
        let instance = flight.instance;
        let life = flight.life;
        let act = Act {
            now: flight.act_at,
            app: self.stages[self.instances[instance].stage].app,
            partition: flight.partition,
            request: &flight.request,
            dice: self.random.bits(),
        };
        let outcome = if flight.act_at > flight.request.deadline {
            self.tally.refused_effects += 1;
            self.world.refuse(act)
        } else {
            self.world.act(act)
        };
        let back = flight.act_at + self.random.between(0, 25);
        flight.outcome = Some((outcome, back));
        let request = &self.flights[index].request;
        let said = format!(
            "{instance}'s {} attempt {} acts",
            request.id, request.attempt
        );
        self.note(|| said);
        let alive = self.instances[instance].life == life && self.instances[instance].is_up();
        if alive && self.fault(Fault::LostCompletion) && self.random.one_in(5) {
            self.tally.lost_completions += 1;
            self.crash(instance);
        }
    }

    fn deliver(&mut self) -> bool {
        let mut progress = false;
        let mut index = 0;
        while let Some(flight) = self.flights.get(index) {
            let instance = &self.instances[flight.instance];
            let stopped = instance.life == flight.life && instance.paused_until > self.now;
            let arrived = flight
                .outcome
                .as_ref()
                .is_some_and(|(_, at)| *at <= self.now);
            if !arrived || stopped {
                index += 1;
                continue;
            }
            let flight = self.flights.swap_remove(index);
            progress = true;
            self.hand_over(flight);
        }
        progress
    }

    /// A completion reaches the task, if the process still lives and still has it.
    fn hand_over(&mut self, flight: Flight) {
        let instance = &mut self.instances[flight.instance];
        if instance.life != flight.life {
            return;
        }
        let Some((outcome, _)) = flight.outcome else {
            return;
        };
        if let Some(assigned) = instance.tasks.get_mut(&flight.partition) {
            assigned.task.settle(Completion {
                id: flight.request.id,
                attempt: flight.request.attempt,
                outcome,
            });
        }
    }
}
