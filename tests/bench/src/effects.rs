//! Effects as `prunella run` has them: over HTTP, behind the same guards.

use std::sync::Arc;

use anyhow::{Context, Result};
use prunella_effects::{EffectsConfig, HttpEffects};
use prunella_effects_runner::{HttpRunner, SwitchesOf};
use prunella_runtime::{Broadcast, Done, EffectRunner, Gate};
use prunella_stream::EffectRequest;
use tokio::runtime::Runtime;

/// Runs effects on a tokio runtime of its own.
pub struct Effects {
    runner: HttpRunner,
    /// Ends with the effects.
    _runtime: Runtime,
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
        let switches = Arc::new(SwitchesOf::new(broadcast.clone()));
        let effects = HttpEffects::new(&config, switches).context("effects")?;
        Ok(Self {
            runner: HttpRunner::new(effects, runtime.handle().clone()),
            _runtime: runtime,
        })
    }
}

impl EffectRunner for Effects {
    fn begin(
        &self,
        app: &'static str,
        partition: i32,
        request: EffectRequest,
        gate: Gate,
        done: Done,
    ) {
        self.runner.begin(app, partition, request, gate, done);
    }
}
