//! What the executor reads and writes.

use prunella_schemas::{Action, ActionResult, Compacted, Switch};
use prunella_stream::{Codec, io};
use prunella_topology::topics;

io! {
    /// Actions and switches in, results out.
    pub struct ExecutorIo;
    /// A record of any source.
    pub enum ExecutorInput<'a> {
        /// What is to be done.
        Action(Action) = Keyed topics::ACTIONS,
        /// A switch was thrown or removed.
        Switch(Compacted<Switch>) = Broadcast topics::SWITCHES,
    }
    outputs {
        ActionResult => topics::RESULTS,
            key |result, out| out.extend_from_slice(result.domain.as_bytes()),
            value |result, out| Codec::encode(result, out);
    }
}
