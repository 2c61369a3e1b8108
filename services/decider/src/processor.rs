//! The stage.

use std::sync::Arc;

use prunella_knowledge::KnowledgeSet;
use prunella_schemas::{Compacted, KnowledgeRecord, Switch};
use prunella_stream::{Context, Processor, Rejection};

use crate::decision::decision;
use crate::index::RuleIndex;
use crate::io::{DeciderInput, DeciderIo};
use crate::judge::judge;
use crate::state::DeciderState;

/// The stage: decides every alert by the knowledge in force.
#[derive(Clone, Debug, Default)]
pub struct Decider {
    fallback: Option<Arc<RuleIndex>>,
}

impl Decider {
    /// A decider that goes by this set as long as the knowledge topic puts none in force.
    #[must_use]
    pub fn with_knowledge(set: &Arc<KnowledgeSet>) -> Self {
        Self {
            fallback: Some(Arc::new(RuleIndex::new(set))),
        }
    }
}

impl Processor for Decider {
    type Io = DeciderIo;
    type State = DeciderState;
    type Timer = ();
    const APP: &'static str = "decider";

    fn learn(&self, state: &mut DeciderState, input: &DeciderInput<'_>) -> Result<(), Rejection> {
        match input {
            DeciderInput::Knowledge(record) => learn_knowledge(state, record)?,
            DeciderInput::Switch(record) => learn_switch(state, record),
            _ => {}
        }
        Ok(())
    }

    fn on_record(
        &self,
        state: &mut DeciderState,
        context: &mut Context<'_, Self>,
        input: DeciderInput<'_>,
    ) -> Result<(), Rejection> {
        if let DeciderInput::Alert(alert) = input {
            let now = context.now();
            state.expire(now);
            let in_force = state.in_force.get().rules();
            let rules = in_force.or(self.fallback.as_ref()).map(Arc::clone);
            let verdict = judge(state, rules.as_deref(), &alert, now);
            let digest = rules.as_ref().map_or("", |rules| &rules.set().digest);
            context.forward(&decision(alert, verdict, digest, now));
        }
        Ok(())
    }
}

fn learn_knowledge(
    state: &mut DeciderState,
    record: &Compacted<KnowledgeRecord>,
) -> Result<(), Rejection> {
    let in_force = state.in_force.get();
    let next = match &record.value {
        Some(record) => in_force
            .learnt(record)
            .map_err(|reason| Rejection::new("bad_knowledge", reason))?,
        None => in_force.forgot(&String::from_utf8_lossy(&record.key)),
    };
    state.in_force.set(next);
    Ok(())
}

fn learn_switch(state: &mut DeciderState, record: &Compacted<Switch>) {
    state.switches.change(|view| match &record.value {
        Some(switch) => view.learn(switch),
        None => view.forget(&String::from_utf8_lossy(&record.key)),
    });
}
