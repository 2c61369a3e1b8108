//! `prunella run`: services of the pipeline in one process, against a Kafka.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use prunella_runtime::RuntimeError;

use crate::config::Config;
use crate::exit::{Exit, FAILED, NAME_IN_USE};
use crate::gateway::Gateway;
use crate::host::Host;
use crate::output::tell;
use crate::stop::Stop;

/// Run services: gateway, normalizer, decider, orchestrator, executor.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  prunella run normalizer --config prunella.toml
  prunella run gateway decider orchestrator --config prunella.toml

Give each process a `runtime.instance` of its own that stays the same over restarts
(PRUNELLA__RUNTIME__INSTANCE=$HOSTNAME in a StatefulSet).")]
pub struct RunArguments {
    /// Services; `all` for every one.
    #[arg(required = true, value_parser = ["gateway", "normalizer", "decider", "orchestrator", "executor", "all"])]
    services: Vec<String>,
}

/// Every stage, in the order of the flow.
pub const STAGES: [&str; 4] = ["normalizer", "decider", "orchestrator", "executor"];

/// Runs the command until the process is asked to end.
///
/// # Errors
/// What keeps a service from starting.
pub async fn run(config: &Config, arguments: &RunArguments) -> Result<Exit> {
    let wanted = |service: &str| {
        arguments
            .services
            .iter()
            .any(|name| name == service || name == "all")
    };
    let stages: Vec<&str> = STAGES.into_iter().filter(|stage| wanted(stage)).collect();
    let mut stop = Stop::new()?;
    let gateway = if wanted("gateway") {
        let gateway = Gateway::start(config).await?;
        tell!("gateway listens on http://{}", gateway.address);
        Some(gateway)
    } else {
        None
    };
    // A gateway alone has health and metrics of its own.
    let host = if stages.is_empty() {
        None
    } else {
        Some(Host::start(config, &stages).await?)
    };
    if let Some(host) = &host {
        tell!("health and metrics on http://{}", host.ops);
    }
    let failure = watch(host.as_ref(), gateway.as_ref(), &mut stop).await;
    if let Some(gateway) = gateway {
        gateway.stop().await?;
    }
    if let Some(host) = host {
        host.stop().await?;
    }
    Ok(failure.map_or(Exit::SUCCESS, |error| report(&error)))
}

/// Until something ends it.
pub async fn watch(
    host: Option<&Host>,
    gateway: Option<&Gateway>,
    stop: &mut Stop,
) -> Option<RuntimeError> {
    let mut said_ready = false;
    loop {
        if let Some(error) = host.and_then(Host::failure) {
            return Some(error);
        }
        if gateway.is_some_and(Gateway::has_ended) {
            return None;
        }
        if !said_ready && host.is_none_or(Host::is_ready) {
            said_ready = true;
            tell!("ready");
        }
        tokio::select! {
            () = stop.asked() => return None,
            () = tokio::time::sleep(Duration::from_millis(50)) => {}
        }
    }
}

/// Prints the failure; its exit code.
pub fn report(error: &RuntimeError) -> Exit {
    tell!("error: {error}");
    if matches!(error, RuntimeError::NameInUse(_)) {
        NAME_IN_USE
    } else {
        FAILED
    }
}
