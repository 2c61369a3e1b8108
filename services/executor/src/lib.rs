//! Claims and results of effects, pure.
//!
//! An action is *claimed* in one transaction, its effect begins after that transaction has committed, and its
//! result is recorded in a later one. A claim that is found open after a crash is in doubt: its deadline is
//! waited out, by which time whatever was begun has ended, and then the target is asked. Only what cannot be
//! asked for becomes `Unknown`, which is a person's to look at.
//!
//! ```text
//! Queued --> Acting --------------------------> result
//!              |  ^ \ not begun
//!     in doubt |  |  `--> ActLater --> Acting
//!              v  | the target says: not done
//!          Doubtful --> Probing --------------> result
//!                        |  ^ no answer
//!                        v  |
//!                      ProbeLater
//! ```
//!
//! | after | a read | a notification | what may change its target |
//! |---|---|---|---|
//! | a crash of ours | is read again | is sent again, under the same key | probed; done again only if the target says that it was not done |
//! | no answer | failed | is sent again, under the same key | probed; never done again by itself |
//!
//! A notification that comes twice is better than none; an action is the other way round.

mod effect;
mod executor;
mod io;
mod output;
mod probe;
mod results;
mod settings;
mod settle;
mod state;

pub use effect::{EffectOutcome, EffectSpec, Ended, NotStarted, Step};
pub use executor::Executor;
pub use io::{ExecutorInput, ExecutorIo};
pub use output::bounded;
pub use settings::ExecutorSettings;
pub use state::{ExecutorState, Open, Timer};
