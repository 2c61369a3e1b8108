//! What the stage keeps.

use std::sync::Arc;

use prunella_knowledge::{KnowledgeSet, KnowledgeView, SwitchView};
use prunella_schemas::KnowledgeRecord;
use prunella_schemas::state::{Counted, Seen, Watermark, Window};
use prunella_stream::{Cell, Digest, Millis, WindowStore};

use crate::index::RuleIndex;

/// How many entries of each store an alert may expire: more than it can make.
const EXPIRIES: usize = 8;

prunella_stream::state! {
    /// The decider's state. Everything in it expires by the time of day.
    pub struct DeciderState {
        /// What was decided, by occurrence and by playbook or rule.
        1 => seen: WindowStore<Digest, Seen>,
        /// What was counted, by occurrence and window.
        2 => counted: WindowStore<Digest, Counted>,
        /// The windows, by rule, domain and service.
        3 => windows: WindowStore<Digest, Window>,
        /// How far each source's event time has come.
        4 => watermarks: WindowStore<String, Watermark>,
        /// The knowledge in force; read again after a restart.
        5 => in_force: Cell<InForce>,
        /// The switches; read again after a restart.
        6 => switches: Cell<SwitchView>,
    }
}

/// The knowledge in force and the index over its rules.
#[derive(Clone, Debug, Default)]
pub struct InForce {
    view: KnowledgeView,
    rules: Option<Arc<RuleIndex>>,
}

impl InForce {
    /// The index over the rules in force.
    #[must_use]
    pub fn rules(&self) -> Option<&Arc<RuleIndex>> {
        self.rules.as_ref()
    }

    /// What is in force once this record is taken in.
    ///
    /// # Errors
    /// Why the record changes nothing, in words.
    pub(crate) fn learnt(&self, record: &KnowledgeRecord) -> Result<Self, String> {
        let mut next = self.clone();
        next.view.learn(record)?;
        let set = next.view.active();
        if set.map(Arc::as_ptr) != self.view.active().map(Arc::as_ptr) {
            next.rules = set.map(|set: &Arc<KnowledgeSet>| Arc::new(RuleIndex::new(set)));
        }
        Ok(next)
    }

    /// What is in force once this set is removed.
    pub(crate) fn forgot(&self, digest: &str) -> Self {
        let mut next = self.clone();
        next.view.forget(digest);
        next
    }
}

impl DeciderState {
    /// Drops a bounded number of entries that nothing can ask for any more.
    pub(crate) fn expire(&mut self, now: Millis) {
        self.seen.expire(now, EXPIRIES);
        self.counted.expire(now, EXPIRIES);
        self.windows.expire(now, EXPIRIES);
        self.watermarks.expire(now, EXPIRIES);
    }
}
