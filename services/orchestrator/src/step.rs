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
    /// What this step did to one run, for the audit trail.
    pub(crate) trail: Option<Trail>,
}

/// A run that is being worked on: taken out of the state, put back when the step is done with it.
pub(crate) struct Work {
    pub(crate) id: Digest,
    pub(crate) run_id: String,
    pub(crate) run: LiveRun,
    pub(crate) plan: Arc<Plan>,
    pub(crate) set: Arc<KnowledgeSet>,
}

/// What happened to one run in one step: one entry of the audit trail.
pub(crate) struct Trail {
    run_id: String,
    domain: String,
    actor: String,
    text: String,
}

/// How many runs one timer wakes at most; the next timer wakes the others.
const WAKES: usize = 64;

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

    /// Notes what happened to a run. What one step does to it is one entry of the audit trail.
    pub(crate) fn note(&mut self, run_id: &str, run: &LiveRun, actor: &str, text: &str) {
        if let Some(trail) = self.trail.as_mut().filter(|trail| trail.run_id == run_id) {
            trail.text.push_str("; ");
            trail.text.push_str(text);
            return;
        }
        self.write_trail();
        self.trail = Some(Trail {
            run_id: run_id.to_owned(),
            domain: run.facts.alert.domain.clone(),
            actor: actor.to_owned(),
            text: text.to_owned(),
        });
    }

    fn write_trail(&mut self) {
        if let Some(trail) = self.trail.take() {
            let about = About {
                domain: &trail.domain,
                subject: "run",
                id: &trail.run_id,
                actor: &trail.actor,
            };
            self.audit(about, trail.text);
        }
    }

    /// Ends the step: lets in the runs whose turn has come, writes the trail, sets the timer.
    pub(crate) fn end(&mut self) {
        self.take_turns();
        self.write_trail();
        self.arm();
    }

    /// Sends an action under the run's trace.
    pub(crate) fn send(&mut self, action: &Action, trace: Option<&str>) {
        self.context
            .forward_traced(action, trace.map(str::as_bytes));
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
        let wait = if dropped == SWEEP_ENTRIES {
            0
        } else {
            SWEEP_MS
        };
        if !self.state.done.is_empty() {
            self.context
                .set_timer(Clock::Processing, Timer::Sweep, now.saturating_add(wait));
        }
    }

    /// Says when the run is to be woken; 0: not at all.
    pub(crate) fn wake_at(&mut self, id: Digest, run: &mut LiveRun, due: Millis) {
        if run.wake_at == due {
            return;
        }
        let index = &mut self.state.due.0;
        if run.wake_at != 0 {
            index.remove(&(run.wake_at, id));
        }
        if due != 0 {
            index.put((due, id), ());
        }
        run.wake_at = due;
    }

    /// Wakes the runs for which something is due.
    pub(crate) fn wake_due(&mut self) {
        for _ in 0..WAKES {
            match self.first_due() {
                Some((due, id)) if due <= self.now() => {
                    self.state.due.0.remove(&(due, id));
                    self.wake(id);
                }
                _ => return,
            }
        }
    }

    /// Sets the one timer, unless it fires early enough. One that fires too early does nothing: so that a run
    /// that begins and ends costs no change of timers.
    fn arm(&mut self) {
        let Some((due, _)) = self.first_due() else {
            return;
        };
        let armed = *self.state.armed.get();
        if armed <= self.now() || due < armed {
            self.state.armed.set(due);
            self.context.set_timer(Clock::Processing, Timer::Wake, due);
        }
    }

    fn first_due(&self) -> Option<(Millis, Digest)> {
        self.state.due.0.iter().next().map(|(first, ())| *first)
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
    pub(crate) fn action(domain: &'a str, action_id: &'a str) -> Self {
        Self {
            domain,
            subject: "action",
            id: action_id,
            actor: "",
        }
    }
}
