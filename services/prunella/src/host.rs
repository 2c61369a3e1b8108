//! One process of the pipeline: its stages, its gateway, its health and metrics.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use prunella_effects::HttpEffects;
use prunella_runtime::{
    Broadcast, EffectRunner, Health, Metrics, NoEffects, Prefixed, Runtime, RuntimeError, StageSpec,
};
use prunella_schema_registry::ConfluentFraming;
use prunella_topology::topics::{KNOWLEDGE, SWITCHES};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::config::Config;
use prunella_effects_runner::{HttpRunner, SwitchesOf};

/// The running stages and the listener for health and metrics.
pub struct Host {
    runtime: Runtime,
    health: Arc<Health>,
    /// Where health and metrics are served.
    pub ops: SocketAddr,
    stop: watch::Sender<bool>,
}

#[derive(Clone)]
struct Ops {
    health: Arc<Health>,
    metrics: Arc<Metrics>,
    broadcast: Broadcast,
}

impl Host {
    /// Starts these stages. They are ready when [`Host::is_ready`] says so.
    ///
    /// # Errors
    /// A setting, a topic or a port that cannot be.
    pub async fn start(config: &Config, stages: &[&str]) -> Result<Self> {
        let broadcast = Broadcast::new(&[KNOWLEDGE, SWITCHES]);
        let metrics = Arc::new(Metrics::default());
        let runner = effect_runner(config, stages, &broadcast)?;
        let specs = stages
            .iter()
            .map(|stage| stage_spec(stage))
            .collect::<Result<Vec<_>>>()?;
        let listener = TcpListener::bind(config.http.listen)
            .await
            .with_context(|| {
                format!(
                    "cannot listen on {}; stop what listens there, or change http.listen",
                    config.http.listen
                )
            })?;
        let ops = listener.local_addr()?;
        let kafka = config.kafka.clone();
        let registry = config.schema_registry.clone();
        let settings = config.runtime.clone();
        let shared = Arc::clone(&metrics);
        let log = broadcast.clone();
        let runtime = tokio::task::spawn_blocking(move || {
            let prefix = Prefixed(kafka.prefix.clone());
            let sinks = specs.iter().flat_map(|spec| spec.sinks).copied();
            let framing = ConfluentFraming::start(&registry, &prefix, sinks)?;
            let framing = framing.map(|framing| Arc::new(framing) as _);
            let runtime =
                Runtime::start_framed(framing, &kafka, settings, specs, log, runner, shared)?;
            anyhow::Ok(runtime)
        })
        .await??;
        let health = runtime.health();
        let (stop, stopped) = watch::channel(false);
        let state = Ops {
            health: Arc::clone(&health),
            metrics,
            broadcast,
        };
        tokio::spawn(serve_ops(listener, state, stopped));
        Ok(Self {
            runtime,
            health,
            ops,
            stop,
        })
    }

    /// True once every stream thread has its partitions and has restored them.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.health.waiting().is_empty()
    }

    /// What ends the process, if something does.
    #[must_use]
    pub fn failure(&self) -> Option<RuntimeError> {
        self.health.failure()
    }

    /// Stops in order: what is open is committed, effects under way may end.
    ///
    /// # Errors
    /// If the stopping thread itself fails.
    pub async fn stop(self) -> Result<()> {
        let runtime = self.runtime;
        tokio::task::spawn_blocking(move || runtime.stop()).await?;
        let _ = self.stop.send(true);
        Ok(())
    }
}

fn stage_spec(stage: &str) -> Result<StageSpec> {
    let spec = prunella_pipeline::stage(stage).with_context(|| {
        let known: Vec<&str> = prunella_pipeline::stages()
            .iter()
            .map(|stage| stage.app)
            .collect();
        format!(
            "there is no service `{stage}`; there are gateway, {}",
            known.join(", ")
        )
    })?;
    let make = spec.make;
    Ok(StageSpec {
        app: spec.app,
        sources: spec.sources,
        sinks: spec.sinks,
        make: Arc::new(make),
    })
}

/// Only the executor asks for effects; a process without it needs no HTTP client.
fn effect_runner(
    config: &Config,
    stages: &[&str],
    broadcast: &Broadcast,
) -> Result<Arc<dyn EffectRunner>> {
    if !stages.contains(&"executor") {
        return Ok(Arc::new(NoEffects));
    }
    let switches = Arc::new(SwitchesOf::new(broadcast.clone()));
    let effects = HttpEffects::new(&config.effects, switches)?;
    Ok(Arc::new(HttpRunner::new(
        effects,
        tokio::runtime::Handle::current(),
    )))
}

async fn serve_ops(listener: TcpListener, state: Ops, mut stopped: watch::Receiver<bool>) {
    let router = Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(state);
    let served = axum::serve(listener, router).with_graceful_shutdown(async move {
        // An error means that the host is gone, which ends the listener too.
        let _ = stopped.wait_for(|stop| *stop).await;
    });
    if let Err(error) = served.await {
        tracing::error!(%error, "the listener for health and metrics ended");
    }
}

async fn healthz(State(ops): State<Ops>) -> impl IntoResponse {
    match ops.health.failure() {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")),
    }
}

async fn readyz(State(ops): State<Ops>) -> impl IntoResponse {
    let waiting = ops.health.waiting();
    if !ops.broadcast.ready() {
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            "knowledge and switches have not been read to their ends\n".to_owned(),
        );
    }
    if waiting.is_empty() {
        (StatusCode::OK, "ready\n".to_owned())
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            format!(
                "waiting for partitions or restoring: {}\n",
                waiting.join(", ")
            ),
        )
    }
}

async fn metrics(State(ops): State<Ops>) -> impl IntoResponse {
    (
        [(
            "content-type",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        )],
        ops.metrics.render(),
    )
}
