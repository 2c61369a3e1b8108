//! `prunella topology`: what topics there are, are to be, and who may use them.

use anyhow::Result;
use clap::{Args, Subcommand};
use prunella_topology::{Change, TOPICS, acl_commands, acls, acls_json, check, dot, mermaid};

use crate::config::Config;
use crate::exit::{Exit, FOUND};
use crate::kafka;
use crate::output::say;
use crate::reach;

/// Look at the topics and who uses them.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  prunella topology check
  prunella topology graph --format dot | dot -Tsvg -o flow.svg
  prunella topology topics --apply --config prunella.toml
  prunella topology acls --principal-prefix User:prunella-")]
pub struct TopologyArguments {
    #[command(subcommand)]
    command: TopologyCommand,
}

#[derive(Subcommand, Debug)]
enum TopologyCommand {
    /// Check the declaration against the stages: co-partitioning, single writers, no orphans.
    #[command(after_help = "Examples:
  prunella topology check
  prunella topology check --json --config prunella.toml")]
    Check {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Draw the flow.
    #[command(after_help = "Examples:
  prunella topology graph
  prunella topology graph --format dot | dot -Tsvg -o flow.svg")]
    Graph {
        /// `mermaid` or `dot`.
        #[arg(long, default_value = "mermaid", value_parser = ["mermaid", "dot"])]
        format: String,
    },
    /// Compare the cluster's topics with what they are to be; nothing is ever deleted.
    #[command(after_help = "Examples:
  prunella topology topics --config prunella.toml
  prunella topology topics --apply --config prunella.toml

Ends with 5 if something differs and is left so.")]
    Topics {
        /// Create what is missing and set what differs.
        #[arg(long)]
        apply: bool,
    },
    /// Access rules for each service, as commands of Kafka's own tool.
    #[command(after_help = "Examples:
  prunella topology acls --config prunella.toml
  prunella topology acls --principal-prefix User:CN=prunella- --json")]
    Acls {
        /// Put before each service's principal.
        #[arg(long, default_value = "User:prunella-")]
        principal_prefix: String,
        /// Host that services come from.
        #[arg(long, default_value = "*")]
        host: String,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Runs the command.
///
/// # Errors
/// A cluster that does not answer.
pub async fn run(config: &Config, arguments: &TopologyArguments) -> Result<Exit> {
    match &arguments.command {
        TopologyCommand::Check { json } => check_declaration(config, *json),
        TopologyCommand::Graph { format } => {
            let graph = if format == "dot" {
                dot(TOPICS)
            } else {
                mermaid(TOPICS)
            };
            say!("{}", graph.trim_end())?;
            Ok(Exit::SUCCESS)
        }
        TopologyCommand::Topics { apply } => topics(config, *apply).await,
        TopologyCommand::Acls {
            principal_prefix,
            host,
            json,
        } => {
            print_acls(config, principal_prefix, host, *json)?;
            Ok(Exit::SUCCESS)
        }
    }
}

fn check_declaration(config: &Config, json: bool) -> Result<Exit> {
    let stages: Vec<_> = prunella_pipeline::stages()
        .iter()
        .map(|stage| stage.io())
        .collect();
    let findings = check(&config.topology, &stages);
    if json {
        let findings: Vec<_> = findings.iter().map(ToString::to_string).collect();
        say!("{}", serde_json::json!({ "findings": findings }))?;
    } else {
        for finding in &findings {
            say!("{finding}")?;
        }
        if findings.is_empty() {
            say!(
                "{} topics, {} stages: nothing to mend",
                TOPICS.len(),
                stages.len()
            )?;
        }
    }
    Ok(if findings.is_empty() {
        Exit::SUCCESS
    } else {
        FOUND
    })
}

async fn topics(config: &Config, apply: bool) -> Result<Exit> {
    reach::look(&config.kafka)?;
    let changes = kafka::changes(&config.kafka, &config.topology).await?;
    for change in &changes {
        say!("{change}")?;
    }
    let refused = changes
        .iter()
        .any(|change| matches!(change, Change::RefusePartitionCount { .. }));
    let open = changes
        .iter()
        .any(|change| matches!(change, Change::Create(_) | Change::AlterConfig { .. }));
    if apply {
        kafka::apply(&config.kafka, &changes).await?;
        say!("{}", if open { "applied" } else { "nothing to change" })?;
    } else if open {
        say!("nothing was changed; `--apply` does it")?;
    } else if !refused {
        say!("the cluster has every topic as it is to be")?;
    }
    Ok(if refused || (open && !apply) {
        FOUND
    } else {
        Exit::SUCCESS
    })
}

fn print_acls(config: &Config, principal_prefix: &str, host: &str, json: bool) -> Result<()> {
    let acls = acls(principal_prefix, &config.topology.prefix, &[host]);
    if json {
        return say!("{:#}", acls_json(&acls));
    }
    for command in acl_commands(&acls, &config.kafka.bootstrap_servers) {
        say!("{command}")?;
    }
    Ok(())
}
