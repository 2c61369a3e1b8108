//! A stage that runs in the test's own process: its effects and its metrics are at hand.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use prunella_runtime::{
    Broadcast, EffectRunner, KafkaConfig, Metrics, Runtime, RuntimeConfig, StageSpec,
};
use prunella_stream::{Io, Processor, StageTask};

use crate::installation::Installation;

/// Longest wait for the stage.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running stage.
pub struct Hosted {
    runtime: Option<Runtime>,
    metrics: Arc<Metrics>,
}

/// What a hosted stage is started with, unless the test says otherwise: one thread, sessions and transactions that
/// end soon.
#[must_use]
pub fn config(instance: &str) -> RuntimeConfig {
    RuntimeConfig {
        instance: instance.to_owned(),
        session_timeout_ms: 3_000,
        transaction_timeout_ms: 4_000,
        ..RuntimeConfig::default()
    }
}

impl Hosted {
    /// Starts a stage whose clients begin with this address.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start<P: Processor + Clone + Sync>(
        installation: &Installation,
        address: &str,
        config: RuntimeConfig,
        stage: P,
        effects: Arc<dyn EffectRunner>,
    ) -> Result<Self> {
        // Shown where the test fails. Another test may have been first.
        let _ = tracing_subscriber::fmt()
            .with_env_filter("info,librdkafka=warn")
            .with_test_writer()
            .try_init();
        let kafka = KafkaConfig {
            bootstrap_servers: address.to_owned(),
            prefix: installation.prefix.clone(),
            ..KafkaConfig::default()
        };
        let spec = StageSpec {
            app: P::APP,
            sources: P::Io::SOURCES,
            sinks: P::Io::SINKS,
            make: Arc::new(move |partition| Box::new(StageTask::new(stage.clone(), partition))),
        };
        let metrics = Arc::new(Metrics::default());
        let broadcast = Broadcast::new(&[]);
        let runtime = Runtime::start(
            &kafka,
            config,
            vec![spec],
            broadcast,
            effects,
            Arc::clone(&metrics),
        )?;
        let hosted = Self {
            runtime: Some(runtime),
            metrics,
        };
        hosted.wait_until("ready", || hosted.is_ready())?;
        Ok(hosted)
    }

    /// True if it has what the group gave it.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let health = self.runtime.as_ref().map(Runtime::health);
        health.is_some_and(|health| health.waiting().is_empty())
    }

    /// Transactions that ended this way: `committed`, `aborted` or `rebuilt`.
    #[must_use]
    pub fn transactions(&self, outcome: &str) -> u64 {
        self.metric("prunella_transactions_total", outcome)
    }

    /// How often it took up what the group gave it.
    #[must_use]
    pub fn taken_up(&self) -> u64 {
        self.metric("prunella_rebalances_total", "")
    }

    fn metric(&self, name: &str, label: &str) -> u64 {
        let text = self.metrics.render();
        let line = text
            .lines()
            .find(|line| line.starts_with(name) && line.contains(label));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
            .unwrap_or(0)
    }

    /// Waits until this holds.
    ///
    /// # Errors
    /// If it does not, or if the stage fails.
    pub fn wait_until(&self, what: &str, holds: impl Fn() -> bool) -> Result<()> {
        let give_up = Instant::now() + PATIENCE;
        while !holds() {
            let runtime = self.runtime.as_ref().context("it has been stopped")?;
            if let Some(error) = runtime.health().failure() {
                return Err(error).with_context(|| format!("not {what}"));
            }
            if Instant::now() > give_up {
                bail!("not {what}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Stops it in order.
    pub fn stop(mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.stop();
        }
    }
}

impl Drop for Hosted {
    /// A test that failed does not wait for the stage's end: its broker may be out of reach.
    fn drop(&mut self) {
        if let Some(runtime) = &self.runtime {
            runtime.request_stop();
        }
    }
}
