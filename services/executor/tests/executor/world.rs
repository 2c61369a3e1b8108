//! One executor task without Kafka: a changelog, a clock that the test moves, and the effects that were begun.

use std::collections::BTreeMap;

use prunella_executor::{EffectOutcome, EffectSpec, Ended, Executor, ExecutorSettings};
use prunella_schemas::{Action, ActionResult, Switch, decode, encode};
use prunella_stream::{
    Accepted, Completion, EffectRequest, Header, Millis, Record, Sink, StageTask, Task,
};
use serde_json::json;

pub const START: Millis = 1_700_000_000_000;
const ACTIONS: usize = 0;
const SWITCHES: usize = 1;

pub struct World {
    pub task: StageTask<Executor>,
    pub now: Millis,
    /// What was begun and has not settled.
    pub begun: Vec<EffectRequest>,
    /// What is on the results topic.
    pub results: Vec<ActionResult>,
    /// Traces of the results.
    pub traces: Vec<Option<Vec<u8>>>,
    settings: ExecutorSettings,
    changelog: BTreeMap<Vec<u8>, Vec<u8>>,
    switches: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    next: i64,
}

impl World {
    pub fn new(settings: ExecutorSettings) -> Self {
        let mut world = Self {
            task: StageTask::new(Executor::new(settings.clone()), 0),
            now: START,
            begun: Vec::new(),
            results: Vec::new(),
            traces: Vec::new(),
            settings,
            changelog: BTreeMap::new(),
            switches: Vec::new(),
            next: 0,
        };
        world.task.restored(&|_, _| false);
        world
    }

    /// Presents an action, without a commit.
    pub fn present(&mut self, action: &Action) {
        self.present_traced(action, None);
    }

    pub fn present_traced(&mut self, action: &Action, trace: Option<&[u8]>) {
        let mut value = Vec::new();
        encode(action, &mut value).unwrap();
        let header = trace.map(|value| Header {
            name: "traceparent",
            value,
        });
        let record = Record {
            source: ACTIONS,
            partition: 0,
            offset: self.next,
            timestamp: self.now,
            key: Some(action.target.as_bytes()),
            value: Some(&value),
            headers: header.as_slice(),
        };
        self.next += 1;
        assert_eq!(self.task.record(self.now, &record), Accepted::Processed);
    }

    /// Presents an action and commits.
    pub fn act(&mut self, action: &Action) {
        self.present(action);
        self.commit();
    }

    /// Throws, clears or removes a switch, and commits.
    pub fn switch(&mut self, name: &str, switch: Option<Switch>) {
        let value = switch.map(|switch| {
            let mut value = Vec::new();
            encode(
                &Switch {
                    name: name.to_owned(),
                    ..switch
                },
                &mut value,
            )
            .unwrap();
            value
        });
        self.switches.push((name.as_bytes().to_vec(), value));
        let record = switch_record(&self.switches, self.switches.len() - 1, self.now);
        assert_eq!(self.task.record(self.now, &record), Accepted::Processed);
        self.commit();
    }

    pub fn commit(&mut self) {
        let (results, traces) = (&mut self.results, &mut self.traces);
        self.task.drain(&mut |output| {
            assert_eq!(output.sink, Sink::Topic(0), "{:?}", output.headers);
            let result: ActionResult = decode(output.value.unwrap()).unwrap();
            assert_eq!(output.key, Some(result.domain.as_bytes()));
            results.push(result);
            traces.push(output.headers.first().map(|header| header.value.to_vec()));
        });
        let changelog = &mut self.changelog;
        self.task.prepare(&mut |key, value| match value {
            Some(value) => drop(changelog.insert(key.to_vec(), value.to_vec())),
            None => drop(changelog.remove(key)),
        });
        let begun = &mut self.begun;
        self.task.committed(&mut |request| begun.push(request));
    }

    /// Lets time pass, everything due fire, and commits after each step.
    pub fn pass(&mut self, millis: Millis) {
        let until = self.now + millis;
        while let Some(due) = self.task.next_due().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.task.tick(self.now);
            self.commit();
        }
        self.now = until;
        self.task.tick(self.now);
        self.commit();
    }

    /// Lets time pass until something is begun or answered.
    pub fn wait(&mut self) {
        while self.begun.is_empty() && self.results.is_empty() {
            let due = self.task.next_due().expect("something is to come");
            self.pass(due.max(self.now) - self.now);
        }
    }

    /// A crash: what was not committed is gone, and so is what the process knew of its effects.
    pub fn crash(&mut self) {
        self.begun.clear();
        self.restart();
    }

    /// As a crash, but the effects begun go on somewhere.
    pub fn restart(&mut self) {
        self.task = StageTask::new(Executor::new(self.settings.clone()), 0);
        for (key, value) in &self.changelog {
            self.task.restore(key, Some(value)).unwrap();
        }
        self.task.restored(&|_, _| false);
        self.task.set_position(ACTIONS, self.next);
        let known = usize::try_from(self.task.position(SWITCHES)).unwrap();
        for index in 0..known {
            self.task
                .learn(&switch_record(&self.switches, index, self.now));
        }
    }

    /// The only effect under way.
    pub fn only(&self) -> EffectSpec {
        assert_eq!(self.begun.len(), 1, "{:?}", self.begun);
        spec_of(&self.begun[0])
    }

    /// Settles the first effect under way, and commits.
    pub fn settle(&mut self, outcome: EffectOutcome) {
        let request = self.begun.remove(0);
        self.complete(&request, outcome.encode());
        self.pass(0);
    }

    pub fn complete(&mut self, request: &EffectRequest, outcome: Vec<u8>) {
        self.task.settle(Completion {
            id: request.id,
            attempt: request.attempt,
            outcome,
        });
    }

    /// The only result there is.
    pub fn result(&self) -> &ActionResult {
        assert_eq!(self.results.len(), 1, "{:?}", self.results);
        &self.results[0]
    }

    pub fn is_at_rest(&self) -> bool {
        self.task.open_effects() == 0 && self.task.state().open.is_empty()
    }
}

fn switch_record(switches: &[(Vec<u8>, Option<Vec<u8>>)], index: usize, now: Millis) -> Record<'_> {
    let (key, value) = &switches[index];
    Record {
        source: SWITCHES,
        partition: 0,
        offset: i64::try_from(index).unwrap(),
        timestamp: now,
        key: Some(key),
        value: value.as_deref(),
        headers: &[],
    }
}

pub fn spec_of(request: &EffectRequest) -> EffectSpec {
    EffectSpec::decode(&request.payload).unwrap()
}

/// A mutating call with a probe; its ids follow from the task and the attempt.
pub fn call(task: &str, attempt: i32) -> Action {
    let probe = json!({
        "method": "GET", "path": "/restarts", "done_if": "body.done", "absent_if": "!body.done"
    });
    action(
        "API_Call",
        task,
        attempt,
        true,
        &json!({
            "method": "POST", "path": "/restart", "timeout_ms": 1_000, "probe": probe
        }),
    )
}

pub fn call_without_probe(task: &str, attempt: i32) -> Action {
    let spec = json!({"method": "POST", "path": "/restart", "timeout_ms": 1_000});
    action("API_Call", task, attempt, true, &spec)
}

pub fn read(task: &str, attempt: i32) -> Action {
    let spec = json!({"method": "GET", "path": "/health", "timeout_ms": 1_000});
    action("API_Call", task, attempt, false, &spec)
}

pub fn notification(task: &str, attempt: i32) -> Action {
    let spec = json!({
        "severity": "Critical", "title": "t", "message": "m", "service": null, "domain": "prod"
    });
    action("Notification", task, attempt, false, &spec)
}

fn action(
    kind: &str,
    task: &str,
    attempt: i32,
    mutating: bool,
    spec: &serde_json::Value,
) -> Action {
    Action {
        action_id: format!("action {task} {attempt}"),
        idempotency_key: format!("key {task}"),
        task_id: task.to_owned(),
        attempt,
        domain: "prod".to_owned(),
        target: "pool".to_owned(),
        kind: kind.to_owned(),
        mutating,
        spec: spec.to_string(),
        not_after: START + 600_000,
        timeout_ms: 1_000,
        ..Action::default()
    }
}

pub fn outcome(ended: Ended) -> EffectOutcome {
    EffectOutcome {
        started_at: START + 1,
        ..EffectOutcome::new(
            ended,
            if ended == Ended::Succeeded {
                ""
            } else {
                "seen"
            },
        )
    }
}

/// What a target answers to a probe.
pub fn answered(status: u16, body: &str) -> EffectOutcome {
    EffectOutcome {
        status: Some(status),
        output: Some(body.to_owned()),
        ..EffectOutcome::new(Ended::Answered, "")
    }
}
