//! The world that effects act on: an HTTP target with a connection pool, and people who are told things. It
//! dedups nothing and writes everything down.

use std::collections::BTreeMap;

use prunella_executor::{EffectOutcome, EffectSpec, Ended, NotStarted, Step};
use prunella_schemas::spec::{NOTIFICATION, NotificationSpec};
use prunella_stream::Millis;
use prunella_stream::driver::{Act, World};
use serde_json::json;

#[derive(Debug, Default)]
pub(crate) struct Target {
    /// Whether answers are lost and requests fail, as the dice have it.
    pub(crate) flaky: bool,
    /// Whether the edge knows of a kill switch that no topic tells: a file, a variable.
    pub(crate) killed: bool,
    /// What changed the target: when, by idempotency key.
    pub(crate) done: BTreeMap<String, Vec<Millis>>,
    /// How often each task of each run changed the target, whatever key it came under.
    pub(crate) by_task: BTreeMap<(String, String), usize>,
    /// How often the target was asked how it is.
    pub(crate) reads: usize,
    /// How often it was asked whether something was done.
    pub(crate) probes: usize,
    /// Probes that got no answer, by idempotency key.
    pub(crate) unanswered: BTreeMap<String, u32>,
    /// What people were told.
    pub(crate) told: Vec<NotificationSpec>,
}

impl World for Target {
    fn act(&mut self, act: Act<'_>) -> Vec<u8> {
        let spec = EffectSpec::decode(&act.request.payload).expect("the executor's own payload");
        let luck = if self.flaky { act.dice % 8 } else { 7 };
        let mut outcome = match (spec.step, spec.kind.as_str()) {
            (Step::Probe, _) => self.probe(&spec, luck),
            (Step::Act, NOTIFICATION) => self.tell(&spec, luck),
            (Step::Act, _) if spec.mutating => self.change(&spec, luck, act.now),
            (Step::Act, _) => self.read(luck),
        };
        outcome.started_at = act.now;
        outcome.encode()
    }

    fn refuse(&mut self, _act: Act<'_>) -> Vec<u8> {
        not_started(NotStarted::DeadlinePassed).encode()
    }
}

impl Target {
    fn change(&mut self, spec: &EffectSpec, luck: u64, now: Millis) -> EffectOutcome {
        if self.killed {
            return not_started(NotStarted::KillSwitch);
        }
        match luck {
            0 => EffectOutcome::new(Ended::Lost, "the connection broke before the request"),
            1 => EffectOutcome::new(Ended::Failed, "503"),
            luck => {
                self.done
                    .entry(spec.idempotency_key.clone())
                    .or_default()
                    .push(now);
                let task = (spec.run_id.clone(), spec.task_id.clone());
                *self.by_task.entry(task).or_default() += 1;
                match luck {
                    2 => EffectOutcome::new(Ended::Lost, "the connection broke before the answer"),
                    _ => answer(Ended::Succeeded, &json!({"restarted": true})),
                }
            }
        }
    }

    fn read(&mut self, luck: u64) -> EffectOutcome {
        self.reads += 1;
        match luck {
            0 => EffectOutcome::new(Ended::Lost, "no answer"),
            _ => answer(Ended::Succeeded, &json!({"sick": true, "free": 0})),
        }
    }

    fn probe(&mut self, spec: &EffectSpec, luck: u64) -> EffectOutcome {
        self.probes += 1;
        let done = self.done.contains_key(&spec.idempotency_key);
        let unanswered = self
            .unanswered
            .entry(spec.idempotency_key.clone())
            .or_default();
        // A target that never answers is a person's to look at; these cases have one that does in the end.
        if luck == 0 && *unanswered < 3 {
            *unanswered += 1;
            return EffectOutcome::new(Ended::Lost, "no answer");
        }
        answer(Ended::Answered, &json!({"done": done}))
    }

    fn tell(&mut self, spec: &EffectSpec, luck: u64) -> EffectOutcome {
        self.told
            .push(serde_json::from_str(&spec.spec).expect("the orchestrator's own spec"));
        match luck {
            0 => EffectOutcome::new(Ended::Lost, "no answer"),
            _ => answer(Ended::Succeeded, &json!(null)),
        }
    }
}

fn answer(ended: Ended, body: &serde_json::Value) -> EffectOutcome {
    EffectOutcome {
        status: Some(200),
        output: Some(body.to_string()),
        ..EffectOutcome::new(ended, "")
    }
}

fn not_started(reason: NotStarted) -> EffectOutcome {
    EffectOutcome::new(Ended::NotStarted(reason), reason.words())
}
