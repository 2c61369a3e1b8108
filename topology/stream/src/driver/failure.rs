//! Why a run failed, with what is needed to see it again.

use super::faults::Faults;
use crate::codec::CodecFailure;
use crate::record::Millis;

/// A run that failed.
#[derive(Debug, thiserror::Error)]
#[error(
    "seed {seed} with faults {faults:?}, at {at} ms: {cause}; the same settings give the same run: switch \
     `Settings::journal` on to see its events"
)]
pub struct Failure {
    /// Seed of the run.
    pub seed: u64,
    /// Its classes of fault.
    pub faults: Faults,
    /// Simulated time of the failure.
    pub at: Millis,
    /// What happened.
    pub cause: Cause,
}

/// What happened.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// The topology cannot run.
    #[error("{0}")]
    Topology(String),
    /// A task could not read its own changelog.
    #[error("{app}/{partition} cannot read its changelog: {failure}")]
    Restore {
        /// Application id.
        app: &'static str,
        /// Partition.
        partition: i32,
        /// What is wrong with it.
        failure: CodecFailure,
    },
    /// The calm phase ended with something left to do.
    #[error("did not settle within {steps} calm steps: {left}")]
    NotSettled {
        /// Steps taken.
        steps: usize,
        /// What was left.
        left: String,
    },
    /// The calm phase ended with effects open that nothing will ever close.
    #[error("settled with effects open: {0}")]
    OpenEffects(String),
}
