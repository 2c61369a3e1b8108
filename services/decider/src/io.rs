//! What the stage reads and writes.

use prunella_schemas::{BorrowedAlert, BorrowedDecision, Compacted, KnowledgeRecord, Switch};
use prunella_topology::topics;

prunella_stream::io! {
    /// What the decider reads and writes.
    pub struct DeciderIo;
    /// A record of any source.
    pub enum DeciderInput<'a> {
        /// An alert.
        Alert(BorrowedAlert<'a>) = Keyed topics::NORMALIZED_ALERTS,
        /// Knowledge: rules and settings.
        Knowledge(Compacted<KnowledgeRecord>) = Broadcast topics::KNOWLEDGE,
        /// A switch: silences and maintenance.
        Switch(Compacted<Switch>) = Broadcast topics::SWITCHES,
    }
    outputs {
        BorrowedDecision<'_> => topics::DECISIONS,
            key |decision, out| out.extend_from_slice(decision.domain.as_bytes()),
            value |decision, out| decision.write(out);
    }
}
