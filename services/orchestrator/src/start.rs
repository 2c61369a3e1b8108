//! From a decision to a run: once per decision and playbook, one at a time per service.

use prunella_schemas::state::{LiveRun, RunFacts, Shared, TaskProgress};
use prunella_schemas::{Decision, NormalizedAlert, Outcome, RunState, Severity};
use prunella_stream::Digest;

use crate::guards::freshness::{self, Age};
use crate::notify::{Notice, alert_line, idempotency_key, place_of};
use crate::state::{Lane, NO_TURN, lane_key};
use crate::step::{About, Step};

/// How often a run looks whether its knowledge has arrived, in milliseconds.
const KNOWLEDGE_POLL_MS: i64 = 250;

/// The id of the run that a decision starts with a playbook.
#[must_use]
pub fn run_id(decision_id: &str, playbook_id: &str) -> Digest {
    Digest::of(&[b"run", decision_id.as_bytes(), playbook_id.as_bytes()])
}

impl Step<'_, '_> {
    /// Follows a decision. Most need nothing, and leave no trace.
    pub(crate) fn decided(&mut self, decision: Decision) {
        match decision.outcome {
            Outcome::Triggered => self.triggered(decision),
            Outcome::Notified | Outcome::ConditionError => self.told(&decision),
            Outcome::Stale if decision.severity == Severity::Critical => self.told(&decision),
            _ => {}
        }
    }

    fn triggered(&mut self, mut decision: Decision) {
        let Some(playbook_id) = decision.playbook_id.take() else {
            return self.told(&decision);
        };
        let alert = decision.alert.take().unwrap_or_else(|| outline(&decision));
        let facts = RunFacts {
            rule_id: decision.rule_id.unwrap_or_default(),
            root: decision.root,
            alert,
            trace: self
                .context
                .trace()
                .map(|trace| String::from_utf8_lossy(trace).into_owned()),
            created_at: self.now(),
            author: String::new(),
            knowledge_digest: decision.knowledge_digest,
            decision_id: decision.decision_id,
            playbook_id,
            ..RunFacts::default()
        };
        self.start(facts);
    }

    /// Tells people of a decision that starts no run, once.
    fn told(&mut self, decision: &Decision) {
        const TASK: &str = "_notify";
        let key = idempotency_key(&decision.decision_id, TASK);
        let id = Digest::of(&[key.as_bytes()]);
        if self.used_up(&id) {
            return;
        }
        self.use_up(id);
        let outlined;
        let alert = match &decision.alert {
            Some(alert) => alert,
            None => {
                outlined = outline(decision);
                &outlined
            }
        };
        let what = match decision.outcome {
            Outcome::ConditionError => "a condition could not be evaluated",
            Outcome::Stale => "waited too long to be acted upon",
            Outcome::Triggered => "the decision names no playbook",
            _ => "needs a person",
        };
        let notice = Notice {
            task_id: TASK.to_owned(),
            severity: decision.severity,
            title: format!("{} on {}: {what}", decision.alert_name, place_of(alert)),
            message: format!("{}\n{}", decision.reason, alert_line(alert)),
        };
        let title = notice.title.clone();
        self.tell_of(decision, alert, notice);
        let about = About {
            domain: &decision.domain,
            subject: "action",
            id: &key,
            actor: "",
        };
        self.audit(
            about,
            format!(
                "people are told of decision {}: {title}",
                decision.decision_id
            ),
        );
    }

    /// Starts a run, unless one of this id was started before.
    pub(crate) fn start(&mut self, facts: RunFacts) {
        let id = run_id(&facts.decision_id, &facts.playbook_id);
        if self.used_up(&id) {
            return;
        }
        let run = LiveRun {
            facts: Shared::new(facts),
            ending: RunState::Running,
            turn: NO_TURN,
            ..LiveRun::default()
        };
        let by = match run.facts.author.as_str() {
            "" => format!(
                "decision {}, rule {}",
                run.facts.decision_id, run.facts.rule_id
            ),
            author => format!("{author} by hand"),
        };
        let text = format!("{} asked for by {by}", run.facts.playbook_id);
        self.note(&id.hex(), &run, &run.facts.author, &text);
        self.admit(id, run);
    }

    /// Lets a run in once its playbook is known: to work, or into the queue of its service.
    pub(crate) fn admit(&mut self, id: Digest, mut run: LiveRun) {
        let known = self
            .state
            .knowledge
            .get()
            .by_digest(&run.facts.knowledge_digest);
        let Some(set) = known else {
            return self.await_knowledge(id, run);
        };
        self.wake_at(id, &mut run, 0);
        let refusal = match self.plans.plan(&set, &run.facts.playbook_id) {
            None => Some(format!(
                "the knowledge in force has no playbook {}; add it and apply the knowledge again",
                run.facts.playbook_id
            )),
            Some(plan) => plan.graph.as_ref().err().map(ToString::to_string),
        };
        match refusal {
            Some(cause) => self.finish(id, run, None, RunState::Escalated, &cause),
            None => self.enter_lane(id, run),
        }
    }

    /// The decider may have read newer knowledge before this task did: it is waited for, but not for long.
    fn await_knowledge(&mut self, id: Digest, mut run: LiveRun) {
        let deadline = run
            .facts
            .created_at
            .saturating_add(self.limits.knowledge_wait_ms);
        let now = self.now();
        if now >= deadline {
            let cause = format!(
                "the knowledge {} that it was decided with is not known here; apply it again",
                run.facts.knowledge_digest
            );
            return self.finish(id, run, None, RunState::Escalated, &cause);
        }
        let first = !self.state.runs.contains(&id);
        self.wake_at(
            id,
            &mut run,
            deadline.min(now.saturating_add(KNOWLEDGE_POLL_MS)),
        );
        if first {
            self.snapshot(&id.hex(), &run, None, String::new());
        }
        self.state.runs.put(id, run);
    }

    fn enter_lane(&mut self, id: Digest, mut run: LiveRun) {
        let alert = &run.facts.alert;
        let key = lane_key(&alert.domain, alert.service_name.as_deref());
        let Some(mut lane) = self.state.lanes.0.get(&key).cloned() else {
            let lane = Lane {
                active: id,
                ..Lane::default()
            };
            self.state.lanes.0.put(key, lane);
            return self.begin(id, run);
        };
        if lane.waiting >= self.limits.queue_per_service {
            let cause = format!(
                "{} runs wait for {} already",
                lane.waiting,
                place_of(&run.facts.alert)
            );
            return self.finish(id, run, None, RunState::Refused, &cause);
        }
        run.turn = lane.next_turn;
        lane.next_turn += 1;
        lane.waiting += 1;
        self.state.queue.0.put((key, run.turn), id);
        self.state.lanes.0.put(key, lane);
        self.snapshot(&id.hex(), &run, None, String::new());
        self.state.runs.put(id, run);
    }

    /// Begins the runs whose turn has come. One that is stale by now ends at once and lets the next one in, so
    /// this is a loop and not a recursion.
    pub(crate) fn take_turns(&mut self) {
        while let Some(id) = self.turns.pop() {
            if let Some(run) = self.state.runs.get(&id).cloned() {
                self.begin(id, run);
            }
        }
    }

    /// Begins a run that has its service to itself, if its alert has not waited too long.
    fn begin(&mut self, id: Digest, mut run: LiveRun) {
        run.state = RunState::Running;
        run.turn = NO_TURN;
        run.started_at = self.now();
        let mut work = match self.work(id, run) {
            Ok(work) => work,
            Err(run) => return self.finish_unplanned(id, run),
        };
        let age = Age {
            now: self.now(),
            received_at: work.run.facts.alert.received_at,
            act_within_ms: self.plans.act_within_ms(&work.set, &work.run.facts.rule_id),
            begun: false,
        };
        let fresh = freshness::look(age);
        work.run.tasks = vec![TaskProgress::default(); work.plan.tasks.len()];
        if !fresh.allowed {
            let cause = format!("the alert waited too long: {}", fresh.saw);
            let plan = work.plan.clone();
            return self.finish(id, work.run, Some(&plan), RunState::Refused, &cause);
        }
        self.advance(&mut work);
        self.close(work);
    }
}

/// What a decision says of its alert when it does not carry it.
fn outline(decision: &Decision) -> NormalizedAlert {
    NormalizedAlert {
        alert_id: decision.alert_id.clone(),
        fingerprint: decision.fingerprint.clone(),
        source_system: decision.source_system.clone(),
        alert_name: decision.alert_name.clone(),
        severity: decision.severity,
        status: decision.status,
        service_name: decision.service_name.clone(),
        timestamp: decision.received_at,
        starts_at: decision.received_at,
        received_at: decision.received_at,
        domain: decision.domain.clone(),
        raw: decision.root.clone(),
        ..NormalizedAlert::default()
    }
}
