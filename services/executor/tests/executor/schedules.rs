//! Random schedules of crashes, zombies, lost answers, lost reports, aborts and replays, against a target that
//! tells the truth when it is asked.

use std::collections::BTreeMap;

use crate::world::{World, answered, call, outcome, spec_of};
use proptest::prelude::*;
use prunella_executor::{EffectOutcome, Ended, ExecutorSettings, NotStarted, Step};
use prunella_schemas::{Action, ResultStatus};
use prunella_stream::{EffectRequest, Millis, Task};

/// A target and the edges that call it, those of crashed processes included.
struct Simulation {
    world: World,
    /// How often each key was performed.
    performed: BTreeMap<String, u32>,
    /// Begun effects whose process has crashed: they may still be sent before they are too late.
    zombies: Vec<EffectRequest>,
    sent: Vec<Action>,
}

/// As the edge has it: a request is begun only if its timeout ends before the claim's deadline.
fn in_time(request: &EffectRequest, now: Millis) -> bool {
    now + spec_of(request).timeout_ms < request.deadline
}

impl Simulation {
    fn new() -> Self {
        Self {
            // Given up early, so that what is unknown is retried often.
            world: World::new(ExecutorSettings {
                probes: 2,
                unsent: 3,
                ..ExecutorSettings::default()
            }),
            performed: BTreeMap::new(),
            zombies: Vec::new(),
            sent: Vec::new(),
        }
    }

    fn send(&mut self, number: u8) {
        let task = format!("{}", number % 6);
        let before = |action: &&Action| action.task_id == task;
        let attempt = 1 + i32::try_from(self.sent.iter().filter(before).count()).unwrap();
        // A retry follows an answer that was no success, as the orchestrator's does.
        let answer = |attempt: i32| {
            let of_it = |result: &&prunella_schemas::ActionResult| {
                result.task_id == task && result.attempt == attempt
            };
            self.world
                .results
                .iter()
                .find(of_it)
                .map(|result| result.status)
        };
        if attempt > 1 && answer(attempt - 1).is_none_or(|status| status == ResultStatus::Succeeded)
        {
            return;
        }
        let action = Action {
            target: format!("target {}", number % 3),
            not_after: self.world.now + 30_000,
            ..call(&task, attempt)
        };
        self.world.present(&action);
        self.sent.push(action);
        self.world.commit();
    }

    fn replay(&mut self, number: u8) {
        if !self.sent.is_empty() {
            let action = self.sent[usize::from(number) % self.sent.len()].clone();
            self.world.act(&action);
        }
    }

    fn perform(&mut self, request: &EffectRequest) {
        *self
            .performed
            .entry(spec_of(request).idempotency_key)
            .or_default() += 1;
    }

    /// The edge goes on with one of its effects; `how` says how that ends.
    fn edge(&mut self, which: u8, how: u8) {
        if self.world.begun.is_empty() {
            return;
        }
        let index = usize::from(which) % self.world.begun.len();
        let request = self.world.begun.remove(index);
        let Some(outcome) = self.run(&request, how) else {
            return;
        };
        self.world.complete(&request, outcome.encode());
        if how >= 250 {
            self.world.task.tick(self.world.now);
            self.world.task.abort();
        }
        self.world.pass(0);
    }

    /// Runs an effect; nothing if its report is lost.
    fn run(&mut self, request: &EffectRequest, how: u8) -> Option<EffectOutcome> {
        if !in_time(request, self.world.now) {
            return Some(outcome(Ended::NotStarted(NotStarted::DeadlinePassed)));
        }
        let probe = spec_of(request).step == Step::Probe;
        match how % 12 {
            0 => return Some(outcome(Ended::NotStarted(NotStarted::LeaseExpired))),
            1 => return Some(outcome(Ended::Failed)),
            2 => return Some(outcome(Ended::Lost)),
            3 => return None,
            _ => {}
        }
        if probe {
            let done = self
                .performed
                .contains_key(&spec_of(request).idempotency_key);
            return Some(answered(200, &format!("{{\"done\":{done}}}")));
        }
        self.perform(request);
        match how % 12 {
            4 | 5 => Some(outcome(Ended::Lost)),
            6 => None,
            _ => Some(outcome(Ended::Succeeded)),
        }
    }

    fn zombie(&mut self, which: u8) {
        if self.zombies.is_empty() {
            return;
        }
        let index = usize::from(which) % self.zombies.len();
        let request = self.zombies.remove(index);
        if in_time(&request, self.world.now) && spec_of(&request).step == Step::Act {
            self.perform(&request);
        }
    }

    fn crash(&mut self) {
        self.zombies.append(&mut self.world.begun);
        self.world.restart();
    }

    fn step(&mut self, (what, which, how): (u8, u8, u8)) {
        match what % 16 {
            0..=3 => self.send(which),
            4 => self.replay(which),
            5..=9 => self.edge(which, how),
            10 | 11 => self.zombie(which),
            12 => self.crash(),
            _ => self.world.pass(Millis::from(how) * 40),
        }
        for (key, times) in &self.performed {
            assert!(*times <= 1, "{key} was performed {times} times");
        }
    }

    /// No more faults: everything settles.
    fn calm(&mut self) {
        for _ in 0..400 {
            while !self.world.begun.is_empty() {
                self.edge(0, 11);
            }
            self.world.pass(1_000);
        }
    }

    fn check(&self) {
        for (key, times) in &self.performed {
            assert_eq!(*times, 1, "{key}");
        }
        assert!(
            self.world.is_at_rest(),
            "{:?}",
            self.world.task.state().open
        );
        for action in &self.sent {
            let results = self.world.results.iter();
            let results: Vec<_> = results
                .filter(|result| result.action_id == action.action_id)
                .collect();
            assert_eq!(results.len(), 1, "{action:?} has {results:?}");
            let performed = self.performed.contains_key(&action.idempotency_key);
            match results[0].status {
                ResultStatus::Succeeded => assert!(performed, "{results:?}"),
                ResultStatus::Unknown => {}
                // Another attempt may have done it.
                _ => assert!(!performed || self.done_by_another(action), "{results:?}"),
            }
        }
        assert_eq!(self.world.results.len(), self.sent.len());
    }

    fn done_by_another(&self, action: &Action) -> bool {
        self.world.results.iter().any(|result| {
            result.idempotency_key == action.idempotency_key
                && result.attempt != action.attempt
                && matches!(
                    result.status,
                    ResultStatus::Succeeded | ResultStatus::Unknown
                )
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_key_is_ever_performed_twice_and_every_action_has_one_result(
        steps in prop::collection::vec(any::<(u8, u8, u8)>(), 0..120)
    ) {
        let mut simulation = Simulation::new();
        for step in steps {
            simulation.step(step);
        }
        simulation.calm();
        simulation.check();
    }
}
