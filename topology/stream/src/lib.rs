//! The pure stream core: what a stage is, what it keeps, and in which order a transaction happens.
//!
//! A stage is a [`Processor`]: it sees a record, a timer that fired or an effect that settled, its state,
//! and a [`Context`] through which it forwards records, sets timers and asks for effects. It reads no clock,
//! draws no random number and never blocks: time arrives as an argument. [`StageTask`] wraps it as an
//! object-safe, byte-level [`Task`], the seam that the Kafka edge, the test driver and a backtest share.

mod cell;
mod codec;
mod context;
mod digest;
#[cfg(feature = "driver")]
pub mod driver;
mod effect;
mod io;
mod output;
mod processor;
mod record;
mod stage_task;
mod store;
mod task;
mod timers;
pub mod transaction;
mod window;

pub use cell::Cell;
pub use codec::{Codec, CodecFailure};
pub use context::Context;
pub use digest::Digest;
pub use effect::{Completion, EffectId, EffectRequest, OpenEffect};
pub use io::{Emit, FromRecord, Io, Source, SourceKind};
pub use output::{Output, Outputs, Sink};
pub use processor::Processor;
pub use record::{Header, Millis, Record, Rejection};
pub use stage_task::StageTask;
#[doc(hidden)]
pub use store::check_store_numbers;
pub use store::{DeltaSink, Deltas, HashStore, State, Store, TreeStore, Unlogged};
pub use task::{Accepted, Task};
pub use timers::{Clock, Timers};
pub use window::WindowStore;
