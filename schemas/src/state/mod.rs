//! The values that the stages keep in their state: each stage has a file of its own here.
//!
//! To keep a new value:
//! 1. write the struct in `state/STAGE.rs`, deriving `Serialize` and `Deserialize`, with the fields in the
//!    schema's order: integers are `i32` or `i64`, maps are `BTreeMap<String, _>`, lists are `Vec`;
//! 2. write its schema in `avro/state/NAME.avsc` (namespace `prunella.state`), and copy it to
//!    `history/state/NAME/1.avsc`;
//! 3. below the struct: `avro_value!(TheStruct, "state/NAME", history: [1]);`
//! 4. enter it in `ALL` in `catalogue.rs`, and put two examples into `examples/state/NAME.json`.
//!
//! The tests check the rest. To change it later: add fields with a default, in the struct `#[serde(default)]`;
//! copy the new schema to `history/state/NAME/2.avsc` and write `history: [1, 2]`. What older versions wrote
//! is then still restored.

mod decider;
mod executor;
mod orchestrator;
mod shared;

use serde::{Deserialize, Serialize};

use crate::schema::avro_value;

pub use decider::{Counted, Seen, Watermark, Window};
pub use executor::{Answered, Claim, ClaimPhase};
pub use orchestrator::{Budget, ChainHead, Cooldown, LiveRun, RunFacts, TaskProgress};
pub use shared::Shared;

/// How far a task has read one partition of a broadcast topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Offset of the next record to read.
    pub offset: i64,
}
avro_value!(Position, "state/position", history: [1]);
