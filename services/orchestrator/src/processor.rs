//! The stage: which topics it reads and writes, and what each record sets going.

use prunella_schemas::{
    Action, ActionResult, AuditEntry, Compacted, Decision, KnowledgeRecord, PlaybookRun, Switch,
};
use prunella_stream::{Codec, Context, Processor, Rejection};
use prunella_topology::topics;

use crate::control::Command;
use crate::plan::Plans;
use crate::settings::Limits;
use crate::state::{OrchestratorState, Timer};
use crate::step::Step;

prunella_stream::io! {
    /// Decisions, results and commands in; actions, runs and the audit trail out.
    pub struct OrchestratorIo;
    /// A record of any source.
    #[allow(clippy::large_enum_variant, reason = "made once a record and taken apart at once")]
    pub enum OrchestratorInput<'a> {
        /// What became of an alert.
        Decision(Decision) = Keyed topics::DECISIONS,
        /// What came of an action.
        Result(ActionResult) = Keyed topics::RESULTS,
        /// A person's command.
        Command(Command) = Keyed topics::CONTROL,
        /// Rules and playbooks, or which of them are in force.
        Knowledge(Compacted<KnowledgeRecord>) = Broadcast topics::KNOWLEDGE,
        /// A switch.
        Switch(Compacted<Switch>) = Broadcast topics::SWITCHES,
    }
    outputs {
        Action => topics::ACTIONS, key |action, out| out.extend_from_slice(action.target.as_bytes()), value |action, out| action.encode(out);
        PlaybookRun => topics::RUNS, key |run, out| out.extend_from_slice(run.run_id.as_bytes()), value |run, out| run.encode(out);
        AuditEntry => topics::AUDIT, key |entry, out| out.extend_from_slice(entry.domain.as_bytes()), value |entry, out| entry.encode(out);
    }
}

/// The orchestrator: starts playbook runs, sends their actions through the guards, takes their results.
#[derive(Debug, Default)]
pub struct Orchestrator {
    limits: Limits,
    plans: Plans,
}

impl Orchestrator {
    /// An orchestrator within these limits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            plans: Plans::default(),
        }
    }

    fn step(
        &self,
        state: &mut OrchestratorState,
        context: &mut Context<'_, Self>,
        work: impl FnOnce(&mut Step<'_, '_>),
    ) {
        let mut step = Step {
            limits: &self.limits,
            plans: &self.plans,
            state,
            context,
            turns: Vec::new(),
            trail: None,
        };
        work(&mut step);
        step.end();
    }
}

impl Processor for Orchestrator {
    type Io = OrchestratorIo;
    type State = OrchestratorState;
    type Timer = Timer;
    const APP: &'static str = "orchestrator";

    fn learn(
        &self,
        state: &mut OrchestratorState,
        input: &OrchestratorInput<'_>,
    ) -> Result<(), Rejection> {
        match input {
            OrchestratorInput::Knowledge(record) => learn_knowledge(state, record),
            OrchestratorInput::Switch(record) => {
                learn_switch(state, record);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn on_record(
        &self,
        state: &mut OrchestratorState,
        context: &mut Context<'_, Self>,
        input: OrchestratorInput<'_>,
    ) -> Result<(), Rejection> {
        match input {
            OrchestratorInput::Decision(decision) => {
                self.step(state, context, |step| step.decided(decision));
            }
            OrchestratorInput::Result(result) => {
                self.step(state, context, |step| step.result(result));
            }
            OrchestratorInput::Command(command) => {
                self.step(state, context, |step| step.command(command));
            }
            _ => {}
        }
        Ok(())
    }

    fn on_timer(
        &self,
        state: &mut OrchestratorState,
        context: &mut Context<'_, Self>,
        timer: Timer,
    ) {
        self.step(state, context, |step| match timer {
            Timer::Wake => step.wake_due(),
            Timer::Sweep => step.sweep(),
        });
    }

    fn rebuild(&self, state: &mut OrchestratorState) {
        state.rebuild();
    }
}

/// Folds a record of the knowledge topic in. A set that cannot be read is reported and replaces nothing.
fn learn_knowledge(
    state: &mut OrchestratorState,
    record: &Compacted<KnowledgeRecord>,
) -> Result<(), Rejection> {
    let mut view = state.knowledge.get().clone();
    match &record.value {
        Some(value) => view
            .learn(value)
            .map_err(|reason| Rejection::new("knowledge_refused", reason))?,
        None => view.forget(&String::from_utf8_lossy(&record.key)),
    }
    state.knowledge.set(view);
    Ok(())
}

fn learn_switch(state: &mut OrchestratorState, record: &Compacted<Switch>) {
    state.switches.change(|view| match &record.value {
        Some(value) => view.learn(value),
        None => view.forget(&String::from_utf8_lossy(&record.key)),
    });
}
