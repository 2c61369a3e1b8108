//! `prunella up`: the whole pipeline in one process.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use prunella_gateway::{GatewayConfig, PersonConfig, Role, Secret};
use prunella_runtime::Guarantee;
use prunella_stream::Digest;

use crate::commands::knowledge::print_diagnostics;
use crate::commands::run::{STAGES, report, watch};
use crate::config::Config;
use crate::diagnose::{diagnose, has_errors};
use crate::embedded::Embedded;
use crate::exit::{Exit, FOUND};
use crate::files;
use crate::gateway::Gateway;
use crate::gateway_client::GatewayClient;
use crate::host::Host;
use crate::kafka;
use crate::output::tell;
use crate::reach;
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
        Some(directory) => {
            let files = files::knowledge(directory)?;
            let found = diagnose(
                &files,
                prunella_knowledge::Options {
                    allow_missing_playbooks: arguments.allow_missing,
                },
            );
            print_diagnostics(&found);
            if has_errors(&found) {
                tell!("nothing was started; mend these first");
                return Ok(FOUND);
            }
            Some(files)
        }
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
        reach::look(&config.kafka)?;
        let changes = kafka::changes(&config.kafka, &config.topology).await?;
        kafka::apply(&config.kafka, &changes).await?;
    }
    let token = own_token(&mut config.gateway)?;
    let gateway = Gateway::start(&config).await?;
    tell!("gateway listens on http://{}", gateway.address);
    if let Some(files) = knowledge {
        let published = own_client(&gateway, token)?
            .publish(&files, "prunella up", arguments.allow_missing)
            .await;
        if let Err(error) = published {
            gateway.stop().await?;
            return Err(error);
        }
    }
    let host = Host::start(&config, &STAGES).await?;
    tell!("health and metrics on http://{}", host.ops);
    let failure = watch(Some(&host), Some(&gateway), &mut stop).await;
    gateway.stop().await?;
    host.stop().await?;
    Ok(failure.map_or(Exit::SUCCESS, |error| report(&error)))
}

/// What is promised, before anything else.
fn announce(config: &Config, embedded: Option<&Embedded>) {
    match embedded {
        Some(embedded) => tell!(
            "at least once: the embedded broker on {0} has no transactions and keeps nothing when this process ends; \
             `prunella tail decisions --from-beginning --kafka {0}` reads it",
            embedded.bootstrap
        ),
        None => tell!(
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
pub fn own_client(gateway: &Gateway, token: Option<String>) -> Result<GatewayClient> {
    GatewayClient::with_token(&format!("http://{}", gateway.address), token)
}

/// Author of what this process publishes of itself, where the gateway asks who it is.
const OWN_NAME: &str = "prunella-up";

/// Where others need a token this process needs one as well, to publish its `--knowledge`: one that nobody else
/// has and that ends with it. Whoever starts the process could configure one just as well.
fn own_token(gateway: &mut GatewayConfig) -> Result<Option<String>> {
    let sources = gateway.sources.values().any(|source| {
        source.token.is_some() || source.token_file.is_some() || source.token_env.is_some()
    });
    let people = gateway.people.values().any(|person| {
        person.token.is_some() || person.token_file.is_some() || person.token_env.is_some()
    });
    if !sources && !people {
        return Ok(None);
    }
    let mut random = [0_u8; 32];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut random))
        .context("no random token can be made")?;
    let token = Digest::of(&[&random]).hex();
    let person = PersonConfig {
        token: Some(Secret::new(token.clone())),
        roles: vec![Role::Publish],
        ..PersonConfig::default()
    };
    gateway.people.insert(OWN_NAME.to_owned(), person);
    Ok(Some(token))
}
