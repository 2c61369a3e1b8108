//! `prunella up`: the whole pipeline in one process.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use prunella_runtime::Guarantee;

use crate::commands::knowledge::print_diagnostics;
use crate::commands::run::{STAGES, report, watch};
use crate::config::Config;
use crate::embedded::Embedded;
use crate::exit::{Exit, FOUND};
use crate::files;
use crate::gateway::Gateway;
use crate::gateway_client::{GatewayArguments, GatewayClient};
use crate::host::Host;
use crate::kafka;
use crate::stop::Stop;

/// Run the gateway and every stage in this process.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  prunella up --embedded --knowledge deploy/knowledge
  prunella up --kafka 127.0.0.1:9092 --knowledge deploy/knowledge

With --kafka the topics are created where they are missing, as `prunella topology topics --apply` does.")]
pub struct UpArguments {
    /// With a broker inside the process that keeps nothing: at least once, for trying things out.
    #[arg(long, conflicts_with = "kafka")]
    embedded: bool,
    /// Kafka to use, `host:port,...`.
    #[arg(long)]
    kafka: Option<String>,
    /// Rules and playbooks to apply at the start.
    #[arg(long)]
    knowledge: Option<PathBuf>,
    /// Rules may name playbooks that are not there; people are notified instead.
    #[arg(long)]
    allow_missing: bool,
}

/// Runs the command until the process is asked to end.
///
/// # Errors
/// What keeps the pipeline from starting.
pub async fn run(mut config: Config, arguments: &UpArguments) -> Result<Exit> {
    let knowledge = match &arguments.knowledge {
        None => None,
        Some(directory) => Some(files::knowledge(directory)?),
    };
    let mut stop = Stop::new()?;
    let embedded = if arguments.embedded {
        Some(Embedded::start(&mut config)?)
    } else {
        None
    };
    if let Some(bootstrap) = &arguments.kafka {
        config.kafka.bootstrap_servers.clone_from(bootstrap);
    }
    announce(&config, embedded.as_ref());
    if embedded.is_none() {
        let changes = kafka::changes(&config.kafka, &config.topology).await?;
        kafka::apply(&config.kafka, &changes).await?;
    }
    let gateway = Gateway::start(&config).await?;
    eprintln!("gateway listens on http://{}", gateway.address);
    if let Some(files) = knowledge {
        let found = prunella_knowledge::check_with(
            &files,
            prunella_knowledge::Options {
                allow_missing_playbooks: arguments.allow_missing,
                ..prunella_knowledge::Options::default()
            },
        );
        if found
            .iter()
            .any(|found| found.level == prunella_knowledge::Level::Error)
        {
            print_diagnostics(&found);
            gateway.stop().await?;
            return Ok(FOUND);
        }
        let published = own_client(&gateway)?
            .publish(&files, "prunella up", arguments.allow_missing)
            .await;
        if let Err(error) = published {
            gateway.stop().await?;
            return Err(error);
        }
    }
    let host = Host::start(&config, &STAGES).await?;
    eprintln!("health and metrics on http://{}", host.ops);
    let failure = watch(Some(&host), Some(&gateway), &mut stop).await;
    gateway.stop().await?;
    host.stop().await?;
    Ok(failure.map_or(Exit::SUCCESS, |error| report(&error)))
}

/// What is promised, before anything else.
fn announce(config: &Config, embedded: Option<&Embedded>) {
    match embedded {
        Some(embedded) => eprintln!(
            "at least once: the embedded broker on {} has no transactions and keeps nothing when this process ends",
            embedded.bootstrap
        ),
        None => eprintln!(
            "{}: Kafka at {}",
            match config.runtime.guarantee {
                Guarantee::ExactlyOnce => "exactly once",
                Guarantee::AtLeastOnce => "at least once",
            },
            config.kafka.bootstrap_servers
        ),
    }
}

/// A client of this process's own gateway.
pub fn own_client(gateway: &Gateway) -> Result<GatewayClient> {
    GatewayClient::new(&GatewayArguments {
        gateway: format!("http://{}", gateway.address),
        token_file: None,
    })
}
