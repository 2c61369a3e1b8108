//! People's commands to runs. Each counts once and is on the audit trail, also when it changes nothing.

use std::collections::BTreeMap;

use prunella_schemas::state::{LiveRun, RunFacts};
use prunella_schemas::{
    AlertStatus, Control, ControlKind, NormalizedAlert, RawRef, RunState, Severity, TaskState,
};
use prunella_stream::{Digest, FromRecord, Record, Rejection};

use crate::start::run_id;
use crate::step::{About, Step};

/// A command with the place it lies at: the root of what it starts.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// The command.
    pub control: Control,
    /// Where it lies.
    pub root: RawRef,
}

impl<'a> FromRecord<'a> for Command {
    fn from_record(record: &Record<'a>) -> Result<Self, Rejection> {
        Ok(Self {
            control: Control::from_record(record)?,
            root: RawRef {
                topic: prunella_topology::topics::CONTROL.to_owned(),
                partition: record.partition,
                offset: record.offset,
                index: 0,
            },
        })
    }
}

impl Step<'_, '_> {
    /// Obeys a command, once.
    pub(crate) fn command(&mut self, command: Command) {
        let id = Digest::of(&[b"control", command.control.control_id.as_bytes()]);
        if self.used_up(&id) {
            return;
        }
        self.use_up(id);
        let control = &command.control;
        let wanted = control.kind;
        let run = Digest::from_hex(&control.run_id);
        let run = run.and_then(|id| Some((id, self.state.runs.get(&id)?.clone())));
        let answer = match (wanted, run) {
            (ControlKind::None, _) => {
                "a command of a kind that this version does not know".to_owned()
            }
            (ControlKind::Approve | ControlKind::Reject, _) => {
                "nothing waits for approval".to_owned()
            }
            (ControlKind::Start, _) => self.hand_start(&command),
            (_, None) => format!("no run {} is live", control.run_id),
            (ControlKind::Resume, Some((id, run))) => self.resume(id, run),
            (ControlKind::Cancel, Some((id, run))) => {
                self.stop_by_hand(id, run, RunState::Cancelled, &by("cancelled", control))
            }
            (ControlKind::Confirm, Some((id, run))) => self.stop_by_hand(
                id,
                run,
                RunState::Succeeded,
                &by("confirmed as fixed", control),
            ),
        };
        let comment = match control.comment.as_str() {
            "" => String::new(),
            comment => format!(" ({comment})"),
        };
        let about = About {
            domain: &control.domain,
            subject: "control",
            id: &control.control_id,
            actor: &control.author,
        };
        self.audit(about, format!("{wanted}{comment}: {answer}"));
    }

    /// Begins no further task; what is out is waited for.
    fn stop_by_hand(&mut self, id: Digest, run: LiveRun, end: RunState, cause: &str) -> String {
        let answer = format!("run {} ends", id.hex());
        if run.state == RunState::Queued {
            self.finish(id, run, None, end, cause);
            return answer;
        }
        match self.work(id, run) {
            Ok(mut work) => {
                work.end_as(end, cause);
                self.close(work);
            }
            Err(run) => self.finish_unplanned(id, run),
        }
        answer
    }

    /// Lets what waits for its back-off go on at once.
    fn resume(&mut self, id: Digest, run: LiveRun) -> String {
        if run.state != RunState::Running {
            return format!("run {} waits for its turn, not for a person", id.hex());
        }
        let mut work = match self.work(id, run) {
            Ok(work) => work,
            Err(run) => {
                self.finish_unplanned(id, run);
                return "its knowledge is gone".to_owned();
            }
        };
        let waits = |place: &usize| work.run.tasks[*place].state == TaskState::Waiting;
        let waiting: Vec<usize> = (0..work.run.tasks.len()).filter(waits).collect();
        if waiting.is_empty() || work.is_ending() {
            return format!("nothing of run {} waits", id.hex());
        }
        for place in waiting {
            self.retry(&mut work, place);
        }
        self.advance(&mut work);
        self.close(work);
        format!("run {} goes on", id.hex())
    }

    /// Starts a playbook of the knowledge in force. The command stands for the alert: what waited too long is
    /// not acted upon either.
    fn hand_start(&mut self, command: &Command) -> String {
        let control = &command.control;
        let Some(active) = self.state.knowledge.get().active() else {
            return "no knowledge is in force; apply some first".to_owned();
        };
        let knowledge_digest = active.digest.clone();
        let decision_id = Digest::of(&[b"control", control.control_id.as_bytes()]).hex();
        let alert = stand_in(command, &decision_id);
        let facts = RunFacts {
            playbook_id: control.playbook_id.clone(),
            knowledge_digest,
            root: command.root.clone(),
            alert,
            parameters: control.parameters.clone(),
            author: if control.author.is_empty() {
                "somebody".to_owned()
            } else {
                control.author.clone()
            },
            trace: self
                .context
                .trace()
                .map(|trace| String::from_utf8_lossy(trace).into_owned()),
            created_at: self.now(),
            decision_id,
            ..RunFacts::default()
        };
        let id = run_id(&facts.decision_id, &facts.playbook_id);
        self.start(facts);
        format!("run {} of {} asked for", id.hex(), control.playbook_id)
    }
}

fn by(what: &str, control: &Control) -> String {
    let mut text = format!("{what} by {}", control.author);
    if !control.comment.is_empty() {
        text.push_str(": ");
        text.push_str(&control.comment);
    }
    text
}

/// What takes an alert's place in a run that a person starts.
fn stand_in(command: &Command, id: &str) -> NormalizedAlert {
    let control = &command.control;
    let parameter = |name: &str| control.parameters.get(name).cloned();
    let severity = parameter("severity").map_or(Severity::Info, |word| Severity::parse(&word));
    NormalizedAlert {
        alert_id: id.to_owned(),
        fingerprint: id.to_owned(),
        source_system: "control".to_owned(),
        alert_name: "Started_By_Hand".to_owned(),
        severity,
        status: AlertStatus::Firing,
        service_name: parameter("service_name").or_else(|| parameter("service")),
        timestamp: control.at,
        starts_at: control.at,
        received_at: control.at,
        domain: control.domain.clone(),
        labels: BTreeMap::new(),
        description: control.comment.clone(),
        raw: command.root.clone(),
        ..NormalizedAlert::default()
    }
}
