//! One orchestrator task with no broker: records in, records out, time as it is told, restarts at will.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    reason = "each test file drives a part of it, and a test may fail"
)]

use std::collections::BTreeMap;

use prunella_knowledge::digest_of;
use prunella_orchestrator::{Limits, Orchestrator, run_id};
use prunella_schemas::spec::NotificationSpec;
use prunella_schemas::{
    Action, ActionResult, AuditEntry, Control, ControlKind, Decision, KnowledgeFile,
    KnowledgeRecord, NormalizedAlert, Outcome, PlaybookRun, RawRef, ResultStatus, RunState,
    Severity, Switch, SwitchKind, TaskState, decode,
};
use prunella_stream::{Accepted, Codec, Record, Sink, StageTask, Task};

pub const DECISIONS: usize = 0;
pub const RESULTS: usize = 1;
pub const CONTROL: usize = 2;
pub const KNOWLEDGE: usize = 3;
pub const SWITCHES: usize = 4;

/// When every drive begins.
pub const START: i64 = 1_700_000_000_000;

/// Settings under which no guard but the kill switch and autonomy has anything to say.
pub const LIFTED: &str = "budget_actions: 1000000\ncooldown: 1ms\ncooldown_max: 1ms\n";

pub struct Drive {
    limits: Limits,
    task: StageTask<Orchestrator>,
    changelog: BTreeMap<Vec<u8>, Vec<u8>>,
    broadcast: Vec<(usize, i64, Vec<u8>)>,
    offsets: [i64; 5],
    decisions: u32,
    /// True: every transaction is aborted once before it is committed.
    pub shaky: bool,
    pub now: i64,
    pub digest: String,
    pub actions: Vec<Action>,
    pub runs: Vec<PlaybookRun>,
    pub audit: Vec<AuditEntry>,
    pub dead: usize,
}

impl Drive {
    pub fn new(playbook: &str) -> Self {
        Self::with(
            &[("playbook.yaml", playbook), ("settings.yaml", LIFTED)],
            Limits::default(),
        )
    }

    pub fn with(files: &[(&str, &str)], limits: Limits) -> Self {
        let mut drive = Self::bare(limits);
        drive.digest = drive.publish(files);
        drive
    }

    pub fn bare(limits: Limits) -> Self {
        let mut task = StageTask::new(Orchestrator::new(limits), 0);
        task.restored(&|_, _| false);
        Self {
            limits,
            task,
            changelog: BTreeMap::new(),
            broadcast: Vec::new(),
            offsets: [0; 5],
            decisions: 0,
            shaky: false,
            now: START,
            digest: String::new(),
            actions: Vec::new(),
            runs: Vec::new(),
            audit: Vec::new(),
            dead: 0,
        }
    }

    /// Publishes a knowledge set and puts it in force.
    pub fn publish(&mut self, files: &[(&str, &str)]) -> String {
        let record = content(files);
        let digest = record.digest.clone();
        self.feed(KNOWLEDGE, &record);
        let manifest = KnowledgeRecord {
            digest: digest.clone(),
            allow_missing: true,
            ..KnowledgeRecord::default()
        };
        self.feed(KNOWLEDGE, &manifest);
        digest
    }

    /// One record, and the commit after it.
    pub fn feed<T: Codec>(&mut self, source: usize, value: &T) -> Accepted {
        let mut bytes = Vec::new();
        value.encode(&mut bytes);
        let offset = self.offsets[source];
        self.offsets[source] += 1;
        if source >= KNOWLEDGE {
            self.broadcast.push((source, offset, bytes.clone()));
        }
        if self.shaky {
            self.task.record(self.now, &record(source, offset, &bytes));
            self.task.abort();
        }
        let accepted = self.task.record(self.now, &record(source, offset, &bytes));
        self.commit();
        accepted
    }

    /// Lets so many milliseconds pass, firing what is due at its time.
    pub fn pass(&mut self, ms: i64) {
        let until = self.now + ms;
        while let Some(due) = self.task.next_due().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            if self.shaky {
                self.task.tick(self.now);
                self.task.abort();
            }
            self.task.tick(self.now);
            self.commit();
        }
        self.now = until;
    }

    pub fn next_due(&self) -> Option<i64> {
        self.task.next_due()
    }

    pub fn task(&mut self) -> &mut StageTask<Orchestrator> {
        &mut self.task
    }

    pub fn commit(&mut self) {
        let (actions, runs, audit, dead) = (
            &mut self.actions,
            &mut self.runs,
            &mut self.audit,
            &mut self.dead,
        );
        self.task.drain(&mut |output| {
            let value = output.value.unwrap_or_default();
            match output.sink {
                Sink::Topic(0) => {
                    let action: Action = decode(value).unwrap();
                    assert_eq!(output.key, Some(action.target.as_bytes()));
                    actions.push(action);
                }
                Sink::Topic(1) => {
                    let run: PlaybookRun = decode(value).unwrap();
                    assert_eq!(output.key, Some(run.run_id.as_bytes()));
                    runs.push(run);
                }
                Sink::Topic(_) => audit.push(decode(value).unwrap()),
                Sink::DeadLetter(_) => *dead += 1,
            }
        });
        let changelog = &mut self.changelog;
        self.task.prepare(&mut |key, value| match value {
            Some(value) => drop(changelog.insert(key.to_vec(), value.to_vec())),
            None => drop(changelog.remove(key)),
        });
        self.task.committed(&mut |_| {});
    }

    /// The process dies and comes back: its state is what the changelog says.
    pub fn restart(&mut self) {
        self.task = StageTask::new(Orchestrator::new(self.limits), 0);
        for (key, value) in &self.changelog {
            self.task.restore(key, Some(value)).unwrap();
        }
        self.task.restored(&|_, _| false);
        for (source, offset, bytes) in &self.broadcast {
            if *offset < self.task.position(*source) {
                self.task.learn(&record(*source, *offset, bytes));
            }
        }
        for source in [DECISIONS, RESULTS, CONTROL] {
            self.task.set_position(source, self.offsets[source]);
        }
    }

    pub fn decision(&mut self, service: &str, playbook: &str) -> Decision {
        self.decisions += 1;
        let alert = NormalizedAlert {
            alert_id: format!("alert-{}", self.decisions),
            alert_name: "Pool_Exhausted".to_owned(),
            severity: Severity::Critical,
            source_system: "alertmanager".to_owned(),
            service_name: Some(service.to_owned()),
            domain: "prod".to_owned(),
            received_at: self.now,
            metric_value: Some(97.5),
            labels: [("pod".to_owned(), "pay-1".to_owned())].into(),
            ..NormalizedAlert::default()
        };
        Decision {
            decision_id: format!("decision-{}", self.decisions),
            root: RawRef {
                topic: "raw-alerts".to_owned(),
                offset: i64::from(self.decisions),
                ..RawRef::default()
            },
            alert_name: alert.alert_name.clone(),
            severity: alert.severity,
            domain: alert.domain.clone(),
            service_name: alert.service_name.clone(),
            outcome: Outcome::Triggered,
            rule_id: Some("R1".to_owned()),
            playbook_id: Some(playbook.to_owned()),
            knowledge_digest: self.digest.clone(),
            received_at: self.now,
            alert: Some(alert),
            ..Decision::default()
        }
    }

    /// An alert triggers the playbook `PB`; the run's id.
    pub fn trigger(&mut self, service: &str) -> String {
        let decision = self.decision(service, "PB");
        self.feed(DECISIONS, &decision);
        run_id(&decision.decision_id, "PB").hex()
    }

    /// The latest action of a task of the latest runs.
    pub fn action(&self, task: &str) -> &Action {
        let found = self
            .actions
            .iter()
            .rev()
            .find(|action| action.task_id == task);
        found.unwrap_or_else(|| panic!("no action of {task}: {:?}", self.sent()))
    }

    /// Ids of the tasks whose actions went out, in order, notices included.
    pub fn sent(&self) -> Vec<&str> {
        self.actions
            .iter()
            .map(|action| action.task_id.as_str())
            .collect()
    }

    pub fn answer(&mut self, task: &str, status: ResultStatus, output: &str) {
        let action = self.action(task).clone();
        self.answer_to(&action, status, output);
    }

    pub fn answer_to(&mut self, action: &Action, status: ResultStatus, output: &str) {
        let result = result_of(action, status, output);
        self.feed(RESULTS, &result);
    }

    pub fn switch(&mut self, name: &str, kind: SwitchKind, on: bool) {
        let switch = Switch {
            name: name.to_owned(),
            kind,
            on,
            author: "eva".to_owned(),
            ..Switch::default()
        };
        self.feed(SWITCHES, &switch);
    }

    pub fn control(&mut self, kind: ControlKind, run_id: &str) {
        let control = Control {
            control_id: format!("c{}", self.offsets[CONTROL]),
            domain: "prod".to_owned(),
            kind,
            run_id: run_id.to_owned(),
            author: "eva".to_owned(),
            at: self.now,
            ..Control::default()
        };
        self.feed(CONTROL, &control);
    }

    /// The latest snapshot of a run.
    pub fn run(&self, run_id: &str) -> &PlaybookRun {
        let found = self.runs.iter().rev().find(|run| run.run_id == run_id);
        found.unwrap_or_else(|| panic!("no run {run_id}"))
    }

    pub fn state(&self, run_id: &str) -> RunState {
        self.run(run_id).state
    }

    pub fn tasks(&self, run_id: &str) -> Vec<TaskState> {
        self.run(run_id)
            .tasks
            .iter()
            .map(|task| task.state)
            .collect()
    }

    /// What people were told, by the notice's task id.
    pub fn told(&self, task: &str) -> NotificationSpec {
        serde_json::from_str(&self.action(task).spec).unwrap()
    }

    pub fn summaries(&self, run_id: &str) -> usize {
        let of = |action: &&Action| action.run_id == run_id && action.task_id == "_summary";
        self.actions.iter().filter(of).count()
    }

    pub fn spec(&self, task: &str) -> serde_json::Value {
        serde_json::from_str(&self.action(task).spec).unwrap()
    }
}

pub fn content(files: &[(&str, &str)]) -> KnowledgeRecord {
    let file = |(path, text): &(&str, &str)| KnowledgeFile {
        path: (*path).to_owned(),
        text: (*text).to_owned(),
    };
    let mut files: Vec<KnowledgeFile> = files.iter().map(file).collect();
    files.sort();
    KnowledgeRecord {
        digest: digest_of(&files),
        files,
        ..KnowledgeRecord::default()
    }
}

pub fn result_of(action: &Action, status: ResultStatus, output: &str) -> ActionResult {
    ActionResult {
        action_id: action.action_id.clone(),
        idempotency_key: action.idempotency_key.clone(),
        run_id: action.run_id.clone(),
        task_id: action.task_id.clone(),
        attempt: action.attempt,
        claim_attempt: 1,
        domain: action.domain.clone(),
        target: action.target.clone(),
        kind: action.kind.clone(),
        mutating: action.mutating,
        status,
        cause: match status {
            ResultStatus::Succeeded => String::new(),
            _ => "it said no".to_owned(),
        },
        output: (!output.is_empty()).then(|| output.to_owned()),
        ..ActionResult::default()
    }
}

fn record(source: usize, offset: i64, bytes: &[u8]) -> Record<'_> {
    Record {
        source,
        partition: 0,
        offset,
        timestamp: START,
        key: Some(b"prod"),
        value: Some(bytes),
        headers: &[],
    }
}
