//! One decision for every alert, with its reason.
//!
//! The order in which an alert is looked at:
//! 1. An alert that **resolved** starts nothing; what was decided of its occurrence is re-armed.
//! 2. A **silence** or maintenance that covers it ends the matter; it is not counted either.
//! 3. Of the rules whose **equality fields** match, the most specific is asked first (how that is told:
//!    [`RuleIndex`]). One whose **condition** is false, or for whose window the alert comes too **late**, is
//!    passed over. The first that holds decides; so does the first whose condition cannot be evaluated, which
//!    notifies people.
//! 4. A **windowed** rule counts occurrences until its window holds enough of them, however long each waited;
//!    any other rule acts once an occurrence until that **re-arms**. While a rule counts, or its occurrence has
//!    not re-armed, less specific rules are not asked.
//! 5. What waited longer than `act_within` is **stale**: recorded, notified if critical, never acted on.
//! 6. What is left triggers the rule's playbook, or notifies if the rule names none or one that is not there.
//!
//! An occurrence is a fingerprint and the time it began to fire. When a run failed or was refused, its
//! occurrence re-arms by time only.

mod decision;
mod index;
mod io;
mod judge;
mod offline;
mod processor;
mod seen;
mod state;
mod window;

pub use index::RuleIndex;
pub use io::{DeciderInput, DeciderIo};
pub use offline::{Offline, decide_all};
pub use processor::Decider;
pub use state::{DeciderState, InForce};
