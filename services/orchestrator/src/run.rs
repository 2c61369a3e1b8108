//! A run at work: which tasks start, under which guards, and what goes out for them.

use prunella_knowledge::Task;
use prunella_schemas::spec::NOTIFICATION;
use prunella_schemas::state::LiveRun;
use prunella_schemas::{Action, GuardVerdict, RunState, TaskState};
use prunella_stream::Digest;

use crate::graph::finished;
use crate::guards::freshness::Age;
use crate::guards::{autonomy, budget, cooldown, freshness, kill_switch, refusal};
use crate::notify::{action_id, idempotency_key};
use crate::outcome::Failure;
use crate::request::{Rendered, unfilled_notification};
use crate::scope::Scope;
use crate::state::{domain_key, target_key};
use crate::step::{Step, Work};

/// How often a run looks whether a pause has ended, in milliseconds.
const PAUSE_POLL_MS: i64 = 1_000;

/// A change that is about to be sent, as the guards know it.
struct Change {
    target: Digest,
    domain: Digest,
    attempt: i32,
}

impl Change {
    fn of(run: &LiveRun, target: &str, attempt: i32) -> Self {
        let domain = &run.facts.alert.domain;
        Self {
            target: target_key(domain, target),
            domain: domain_key(domain),
            attempt,
        }
    }
}

impl Work {
    pub(crate) fn task(&self, place: usize) -> &Task {
        &self.plan.playbook.tasks[place]
    }

    fn scope<'a>(&'a self, place: usize, key: &'a str) -> Scope<'a> {
        Scope {
            run: &self.run,
            plan: &self.plan,
            run_id: &self.run_id,
            task_id: &self.plan.playbook.tasks[place].id,
            key,
        }
    }

    /// Lets the run end this way once nothing of it is out. The first reason stays, unless a person is needed.
    pub(crate) fn end_as(&mut self, end: RunState, cause: &str) {
        let worse = end == RunState::Escalated && self.run.ending != RunState::Escalated;
        if self.run.ending == RunState::Running || worse {
            self.run.ending = end;
            cause.clone_into(&mut self.run.ending_cause);
        }
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.run.ending != RunState::Running
    }
}

impl Step<'_, '_> {
    /// Takes a run up with its plan; gives it back if its playbook is known no longer.
    pub(crate) fn work(&self, id: Digest, run: LiveRun) -> Result<Work, LiveRun> {
        let knowledge = self.state.knowledge.get();
        let Some(set) = knowledge.by_digest(&run.facts.knowledge_digest) else {
            return Err(run);
        };
        match self.plans.plan(&set, &run.facts.playbook_id) {
            Some(plan) => Ok(Work {
                id,
                run_id: id.hex(),
                run,
                plan,
                set,
            }),
            None => Err(run),
        }
    }

    /// Starts every task that waits for nothing any more. A skipped task may make others ready.
    pub(crate) fn advance(&mut self, work: &mut Work) {
        loop {
            if work.is_ending() || self.is_paused(&work.run) {
                return;
            }
            let ready = match &work.plan.graph {
                Ok(graph) => graph.ready(&work.run.tasks),
                Err(_) => Vec::new(),
            };
            if ready.is_empty() {
                return;
            }
            for place in ready {
                if !work.is_ending() {
                    self.start_task(work, place);
                }
            }
        }
    }

    fn start_task(&mut self, work: &mut Work, place: usize) {
        let task = work.plan.playbook.tasks[place].clone();
        let key = idempotency_key(&work.run_id, &task.id);
        for condition in &task.conditions {
            let variables = work.scope(place, &key).variables(condition);
            match condition.evaluate(&variables) {
                Ok(true) => {}
                Ok(false) => {
                    let cause = format!("condition is false: {}", condition.text());
                    return self.skip(work, place, &cause, false);
                }
                Err(error) => {
                    let cause = format!("condition error in `{}`: {error}", condition.text());
                    return self.skip(work, place, &cause, true);
                }
            }
        }
        self.render_and_launch(work, place, &key);
    }

    fn render_and_launch(&mut self, work: &mut Work, place: usize, key: &str) {
        let task = work.task(place);
        let scope = work.scope(place, key);
        let rendered = match &work.plan.tasks[place].request {
            Ok(request) => request.render(task, &work.plan.templates, &scope),
            Err(error) => Err(error.clone()),
        };
        let rendered = match rendered {
            Err(error) if task.kind == NOTIFICATION => {
                Ok(unfilled_notification(task, &scope, &error))
            }
            rendered => rendered,
        };
        match rendered {
            Ok(rendered) => self.launch(work, place, key, rendered),
            Err(error) => self.fail(work, place, Failure::Plain, &error.to_string()),
        }
    }

    /// Tries a task again, with the very request of its first attempt.
    pub(crate) fn retry(&mut self, work: &mut Work, place: usize) {
        if self.is_paused(&work.run) {
            work.run.tasks[place].due = self.now().saturating_add(PAUSE_POLL_MS);
            return;
        }
        let progress = &mut work.run.tasks[place];
        let rendered = Rendered {
            target: std::mem::take(&mut progress.target),
            spec: std::mem::take(&mut progress.request),
        };
        let key = idempotency_key(&work.run_id, &work.task(place).id);
        self.launch(work, place, &key, rendered);
    }

    /// Sends one attempt, if the guards let it pass.
    fn launch(&mut self, work: &mut Work, place: usize, key: &str, rendered: Rendered) {
        let attempt = work.run.tasks[place].attempts.saturating_add(1);
        let mutating = work.plan.tasks[place].mutating;
        let mut guards = Vec::new();
        if mutating {
            let change = Change::of(&work.run, &rendered.target, attempt);
            guards = self.ask_guards(work, &change);
            if let Some(cause) = refusal(&guards) {
                return self.fail(work, place, Failure::Refused, &cause);
            }
            self.remember_change(work, &change);
        }
        let action = self.action(work, place, key, attempt, rendered, guards);
        self.send(&action, work.run.facts.trace.as_deref());
        let text = format!(
            "task {}, attempt {attempt}: {} on {} as action {}",
            action.task_id, action.kind, action.target, action.action_id
        );
        self.note(&work.run_id, &work.run, "", &text);
        let task = work.task(place);
        let kept = (task.retry.max_attempts > 1).then_some(&action);
        let due = self.lost_at(task);
        let now = self.now();
        let progress = &mut work.run.tasks[place];
        progress.state = TaskState::Running;
        progress.attempts = attempt;
        progress.due = due;
        progress.cause.clear();
        if progress.started_at == 0 {
            progress.started_at = now;
        }
        if let Some(action) = kept {
            progress.target.clone_from(&action.target);
            progress.request.clone_from(&action.spec);
        }
    }

    fn action(
        &self,
        work: &Work,
        place: usize,
        key: &str,
        attempt: i32,
        rendered: Rendered,
        guards: Vec<GuardVerdict>,
    ) -> Action {
        let task = work.task(place);
        let facts = &work.run.facts;
        let now = self.now();
        let fresh = if task.kind == NOTIFICATION {
            self.limits.notification_freshness_ms
        } else {
            self.limits.plan_freshness_ms
        };
        Action {
            action_id: action_id(key, attempt),
            idempotency_key: key.to_owned(),
            run_id: work.run_id.clone(),
            task_id: task.id.clone(),
            attempt,
            playbook_id: facts.playbook_id.clone(),
            decision_id: facts.decision_id.clone(),
            root: facts.root.clone(),
            domain: facts.alert.domain.clone(),
            service_name: facts.alert.service_name.clone(),
            target: rendered.target,
            kind: task.kind.clone(),
            mutating: work.plan.tasks[place].mutating,
            spec: rendered.spec,
            guards,
            requested_at: now,
            not_after: now.saturating_add(fresh),
            timeout_ms: task.timeout_ms,
            knowledge_digest: facts.knowledge_digest.clone(),
            received_at: facts.alert.received_at,
        }
    }

    /// When an attempt that is sent now counts as lost: it may begin until its plan is stale, take its time,
    /// and after a crash be waited out and probed for as long again.
    fn lost_at(&self, task: &Task) -> i64 {
        self.now()
            .saturating_add(self.limits.plan_freshness_ms)
            .saturating_add(task.timeout_ms.saturating_mul(2))
            .saturating_add(self.limits.lost_grace_ms)
    }

    /// The safety envelope: every guard looks, also after one refused, so that people see all that stands in
    /// the way.
    fn ask_guards(&self, work: &Work, change: &Change) -> Vec<GuardVerdict> {
        let facts = &work.run.facts;
        let domain = facts.alert.domain.as_str();
        let now = self.now();
        let settings = self.settings(&work.set);
        let in_force = self.state.knowledge.get().active();
        let in_force = in_force.and_then(|set| set.playbooks.get(&facts.playbook_id));
        let age = Age {
            now,
            received_at: facts.alert.received_at,
            act_within_ms: self.plans.act_within_ms(&work.set, &facts.rule_id),
            begun: work.run.mutated,
        };
        let changed = self.state.cooldowns.get(&change.target);
        let spent = self.state.budgets.get(&change.domain);
        vec![
            kill_switch::look(self.state.switches.get().kill_switch(domain, now)),
            autonomy::look(
                work.plan.playbook.autonomy,
                in_force.map(|playbook| playbook.autonomy),
            ),
            freshness::look(age),
            cooldown::look(now, changed, &work.run_id, settings),
            budget::look(now, spent, change.attempt, settings),
        ]
    }

    /// Remembers, for the guards, that a target is changed now.
    fn remember_change(&mut self, work: &mut Work, change: &Change) {
        let now = self.now();
        let settings = self.settings(&work.set);
        let last = self.state.cooldowns.get(&change.target);
        let cooldown = cooldown::after(now, last, &work.run_id, settings)
            .map(|next| (cooldown::remembered_until(&next, settings), next));
        let spent = self.state.budgets.get(&change.domain);
        let budget = budget::after(now, spent, change.attempt, settings)
            .map(|next| (now.saturating_add(settings.budget_within_ms), next));
        if let Some((until, next)) = cooldown {
            self.state.cooldowns.put(change.target, next, until);
        }
        if let Some((until, next)) = budget {
            self.state.budgets.put(change.domain, next, until);
        }
        work.run.mutated = true;
    }

    fn is_paused(&self, run: &LiveRun) -> bool {
        let switches = self.state.switches.get();
        switches
            .paused(&run.facts.alert.domain, self.now())
            .is_some()
    }

    /// Ends the run if nothing is left of it; else puts it back and sets its timer.
    pub(crate) fn close(&mut self, mut work: Work) {
        if work.is_ending() {
            self.stop(&mut work);
        }
        let tasks = &work.run.tasks;
        let plan = work.plan.clone();
        if tasks.iter().all(|task| finished(task.state)) {
            let failed = tasks.iter().any(|task| task.state == TaskState::Failed);
            let end = match work.run.ending {
                RunState::Running if failed => RunState::Failed,
                RunState::Running => RunState::Succeeded,
                ending => ending,
            };
            let cause = std::mem::take(&mut work.run.ending_cause);
            return self.finish(work.id, work.run, Some(&plan), end, &cause);
        }
        let due = self.next_due(&work);
        self.wake_at(work.id, &mut work.run, due);
        self.snapshot(&work.run_id, &work.run, Some(&plan), String::new());
        self.state.runs.put(work.id, work.run);
    }

    /// Gives up what has not begun. What is out is waited for: its result belongs into the summary, and its
    /// service stays taken until then.
    fn stop(&self, work: &mut Work) {
        let now = self.now();
        let cause = work.run.ending_cause.clone();
        for progress in &mut work.run.tasks {
            match progress.state {
                TaskState::Pending => {
                    progress.state = TaskState::Skipped;
                    progress.cause.clone_from(&cause);
                }
                TaskState::Waiting => {
                    progress.state = TaskState::Failed;
                    progress.cause = format!("{}; not tried again: {cause}", progress.cause);
                }
                _ => continue,
            }
            progress.finished_at = now;
            progress.due = 0;
            progress.target.clear();
            progress.request.clear();
        }
    }

    fn next_due(&self, work: &Work) -> i64 {
        let tasks = work.run.tasks.iter();
        let waits = tasks
            .filter(|task| matches!(task.state, TaskState::Running | TaskState::Waiting))
            .map(|task| task.due);
        let end = (!work.is_ending()).then(|| self.run_ends_at(work));
        let pause = (!work.is_ending() && self.is_paused(&work.run))
            .then(|| self.now().saturating_add(PAUSE_POLL_MS));
        waits.chain(end).chain(pause).min().unwrap_or_default()
    }

    pub(crate) fn run_ends_at(&self, work: &Work) -> i64 {
        work.run
            .started_at
            .saturating_add(work.plan.playbook.timeout_ms)
    }
}
