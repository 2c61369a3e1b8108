//! What the edge needs to be told by whoever runs it.

use std::time::Duration;

use prunella_executor::NotStarted;

/// Leave to begin one effect: the process's membership of its group, and the claim's deadline.
pub trait Permit: Send + Sync {
    /// Whether the effect may still be begun.
    ///
    /// # Errors
    /// Why not: then nothing may be sent any more.
    fn check(&self) -> Result<(), NotStarted>;

    /// What is left before the claim's deadline, by a clock that goes on while the machine sleeps; zero once it
    /// has passed.
    fn remaining(&self) -> Duration;
}

/// The kill switches of the `switches` topic, as far as this process has read them.
pub trait Switches: Send + Sync {
    /// What holds for a domain.
    fn state(&self, domain: &str) -> SwitchState;
}

/// What the kill switches say about a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SwitchState {
    /// No kill switch is thrown.
    Clear,
    /// One is.
    Thrown {
        /// Its name: `kill-switch`, or `kill-switch/DOMAIN`.
        name: String,
        /// Who threw it.
        author: String,
    },
    /// None was thrown when the topic was last read to its end; that was so long ago.
    Unconfirmed {
        /// Milliseconds since then.
        age_ms: u64,
    },
}
