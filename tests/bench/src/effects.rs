//! Effects as `prunella run` has them: over HTTP, behind the same guards.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use prunella_effects::{EffectsConfig, HttpEffects, Permit, SwitchState, Switches};
use prunella_executor::{EffectOutcome, EffectSpec, Ended, NotStarted};
use prunella_runtime::{Broadcast, Done, EffectRunner, Gate, GateClosed};
use prunella_stream::EffectRequest;
use prunella_topology::topics::SWITCHES;
use tokio::runtime::Runtime;

/// Runs effects on a tokio runtime.
pub struct Effects {
    effects: Arc<HttpEffects>,
    runtime: Runtime,
}

impl Effects {
    /// Effects that may go to this `host:port` only.
    ///
    /// # Errors
    /// If it is none.
    pub fn new(target: &str, broadcast: &Broadcast) -> Result<Self> {
        // As the binary has it.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("effects")
            .enable_all()
            .build()?;
        let config = EffectsConfig {
            allowed_hosts: vec![target.to_owned()],
            ..EffectsConfig::default()
        };
        let switches = Arc::new(NoneThrown(broadcast.clone()));
        let effects = HttpEffects::new(&config, switches).context("effects")?;
        Ok(Self {
            effects: Arc::new(effects),
            runtime,
        })
    }
}

impl EffectRunner for Effects {
    fn begin(
        &self,
        _app: &'static str,
        _partition: i32,
        request: EffectRequest,
        gate: Gate,
        done: Done,
    ) {
        let effects = Arc::clone(&self.effects);
        self.runtime.spawn(async move {
            let outcome = match EffectSpec::decode(&request.payload) {
                Ok(spec) => effects.perform(spec, Arc::new(GatePermit(gate))).await,
                Err(error) => EffectOutcome::new(Ended::Failed, error.to_string()),
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

/// Nobody throws a switch here; whether that is known is asked all the same.
struct NoneThrown(Broadcast);

impl Switches for NoneThrown {
    fn state(&self, _domain: &str) -> SwitchState {
        match self.0.age_ms(SWITCHES) {
            Some(age) if age < 5_000 => SwitchState::Clear,
            age => SwitchState::Unconfirmed {
                age_ms: age
                    .and_then(|age| u64::try_from(age).ok())
                    .unwrap_or(u64::MAX),
            },
        }
    }
}
