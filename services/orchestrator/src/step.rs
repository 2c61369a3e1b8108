//! One step of the orchestrator: one record, command or timer. Everything it does goes through here.

use std::sync::Arc;

use prunella_knowledge::{KnowledgeSet, Settings};
use prunella_schemas::Action;
use prunella_schemas::state::{ChainHead, LiveRun};
use prunella_stream::{Clock, Context, Digest, Millis};

use crate::audit::{self, Fact};
use crate::plan::{Plan, Plans};
use crate::processor::Orchestrator;
use crate::settings::Limits;
use crate::state::{OrchestratorState, Timer};

/// What a step works with.
pub(crate) struct Step<'s, 'k> {
    pub(crate) limits: &'s Limits,
    pub(crate) plans: &'s Plans,
    pub(crate) state: &'s mut OrchestratorState,
    pub(crate) context: &'s mut Context<'k, Orchestrator>,
    /// Runs whose turn has come in this step.
    pub(crate) turns: Vec<Digest>,
}

/// A run that is being worked on: taken out of the state, put back when the step is done with it.
pub(crate) struct Work {
    pub(crate) id: Digest,
    pub(crate) run_id: String,
    pub(crate) run: LiveRun,
    pub(crate) plan: Arc<Plan>,
    pub(crate) set: Arc<KnowledgeSet>,
}

/// How often the memory of ended runs is swept, and how much of it at once.
const SWEEP_MS: Millis = 60_000;
const SWEEP_ENTRIES: usize = 5_000;

impl Step<'_, '_> {
    pub(crate) fn now(&self) -> Millis {
        self.context.now()
    }

    /// The settings in force, else those that the run follows: safety is what people say now.
    pub(crate) fn settings<'a>(&'a self, followed: &'a KnowledgeSet) -> &'a Settings {
        let active = self.state.knowledge.get().active();
        active.map_or(&followed.settings, |active| &active.settings)
    }

    /// Appends an entry to the task's audit chain.
    pub(crate) fn audit(&mut self, about: About<'_>, summary: String) {
        let writer = format!("orchestrator-{}", self.context.partition());
        let fact = Fact {
            at: self.now(),
            domain: about.domain,
            subject: about.subject,
            subject_id: about.id,
            actor: about.actor,
        };
        let mut head: ChainHead = self.state.chain.get(&()).cloned().unwrap_or_default();
        let entry = audit::append(&mut head, writer, fact, summary);
        self.state.chain.put((), head);
        self.context.forward(&entry);
    }

    /// Sends an action under the run's trace.
    pub(crate) fn send(&mut self, action: &Action, trace: Option<&str>) {
        self.context.forward_traced(action, trace.map(str::as_bytes));
    }

    /// True if the id was used before: of a live run, an ended one, or something people were told of.
    pub(crate) fn used_up(&self, id: &Digest) -> bool {
        self.state.runs.contains(id) || self.state.done.get(id).is_some()
    }

    /// Uses an id up for as long as the retention says.
    pub(crate) fn use_up(&mut self, id: Digest) {
        if self.state.done.is_empty() {
            let due = self.now().saturating_add(SWEEP_MS);
            self.context.set_timer(Clock::Processing, Timer::Sweep, due);
        }
        let until = self.now().saturating_add(self.limits.retention_ms);
        self.state.done.put(id, (), until);
    }

    /// Forgets what need not be remembered any more; sets its own timer while anything is left.
    pub(crate) fn sweep(&mut self) {
        let now = self.now();
        let dropped = self.state.done.expire(now, SWEEP_ENTRIES);
        self.state.cooldowns.expire(now, SWEEP_ENTRIES);
        self.state.budgets.expire(now, SWEEP_ENTRIES);
        let wait = if dropped == SWEEP_ENTRIES { 0 } else { SWEEP_MS };
        if !self.state.done.is_empty() {
            self.context.set_timer(Clock::Processing, Timer::Sweep, now.saturating_add(wait));
        }
    }

    /// Sets or clears the run's only timer; 0 clears it.
    pub(crate) fn wake_at(&mut self, id: Digest, run: &mut LiveRun, due: Millis) {
        if run.wake_at == due {
            return;
        }
        run.wake_at = due;
        if due == 0 {
            self.context.cancel_timer(Clock::Processing, &Timer::Wake(id));
        } else {
            self.context.set_timer(Clock::Processing, Timer::Wake(id), due);
        }
    }
}

/// What an audit entry is about, and who did it; no actor: the task itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About<'a> {
    pub(crate) domain: &'a str,
    pub(crate) subject: &'a str,
    pub(crate) id: &'a str,
    pub(crate) actor: &'a str,
}

impl<'a> About<'a> {
    pub(crate) fn run(run: &'a LiveRun, run_id: &'a str) -> Self {
        Self {
            domain: &run.facts.alert.domain,
            subject: "run",
            id: run_id,
            actor: "",
        }
    }

    pub(crate) fn action(domain: &'a str, action_id: &'a str) -> Self {
        Self {
            domain,
            subject: "action",
            id: action_id,
            actor: "",
        }
    }
}
