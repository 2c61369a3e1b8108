//! Runs effects for the runtime.

use std::sync::Arc;
use std::time::Duration;

use prunella_effects::{HttpEffects, Permit};
use prunella_executor::{EffectOutcome, EffectSpec, Ended, NotStarted};
use prunella_runtime::{Done, EffectRunner, Gate, GateClosed};
use prunella_stream::EffectRequest;

/// Runs effects on a tokio runtime.
pub struct HttpRunner {
    effects: Arc<HttpEffects>,
    handle: tokio::runtime::Handle,
}

impl HttpRunner {
    /// A runner of these effects. The tokio runtime needs I/O and time enabled.
    #[must_use]
    pub fn new(effects: HttpEffects, handle: tokio::runtime::Handle) -> Self {
        Self {
            effects: Arc::new(effects),
            handle,
        }
    }
}

impl EffectRunner for HttpRunner {
    fn begin(
        &self,
        _app: &'static str,
        _partition: i32,
        request: EffectRequest,
        gate: Gate,
        done: Done,
    ) {
        let effects = Arc::clone(&self.effects);
        self.handle.spawn(async move {
            let outcome = match EffectSpec::decode(&request.payload) {
                Ok(spec) => effects.perform(spec, Arc::new(GatePermit(gate))).await,
                Err(error) => EffectOutcome::new(
                    Ended::Failed,
                    format!("this process cannot read the claim ({error}): it was written by a newer version"),
                ),
            };
            done.settle(outcome.encode());
        });
    }
}

struct GatePermit(Gate);

impl Permit for GatePermit {
    fn check(&self) -> Result<(), NotStarted> {
        self.0.check().map_err(|closed| match closed {
            GateClosed::DeadlinePassed => NotStarted::DeadlinePassed,
            GateClosed::LeaseExpired => NotStarted::LeaseExpired,
            GateClosed::Draining => NotStarted::Draining,
        })
    }

    fn remaining(&self) -> Duration {
        self.0.remaining()
    }
}
