//! `prunella knowledge`: rules and playbooks checked, applied, listed.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};
use prunella_knowledge::{Diagnostic, Level, Options, check_with, digest_of};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::exit::{Exit, FOUND};
use crate::files;
use crate::gateway_client::{GatewayArguments, GatewayClient};

/// Check, apply and list rules and playbooks.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  prunella knowledge check deploy/knowledge
  prunella knowledge apply deploy/knowledge --comment 'raise the CPU threshold' --gateway http://127.0.0.1:8080
  prunella knowledge list --json")]
pub struct KnowledgeArguments {
    #[command(subcommand)]
    command: KnowledgeCommand,
}

#[derive(Subcommand, Debug)]
enum KnowledgeCommand {
    /// Find every mistake in a directory, each with its place and a suggestion.
    Check {
        /// Directory of YAML files.
        directory: PathBuf,
        /// Rules may name playbooks that are not there; people are notified instead.
        #[arg(long)]
        allow_missing: bool,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Publish a directory; all of it comes into force at once.
    Apply {
        /// Directory of YAML files.
        directory: PathBuf,
        /// Rules may name playbooks that are not there; people are notified instead.
        #[arg(long)]
        allow_missing: bool,
        /// Why; it is recorded.
        #[arg(long, default_value = "")]
        comment: String,
        #[command(flatten)]
        gateway: GatewayArguments,
    },
    /// What is in force and what was before.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        gateway: GatewayArguments,
    },
}

/// Runs the command.
///
/// # Errors
/// A directory that cannot be read, a gateway that refuses or does not answer.
pub async fn run(arguments: &KnowledgeArguments) -> Result<Exit> {
    match &arguments.command {
        KnowledgeCommand::Check {
            directory,
            allow_missing,
            json,
        } => check_directory(directory, *allow_missing, *json),
        KnowledgeCommand::Apply {
            directory,
            allow_missing,
            comment,
            gateway,
        } => apply(directory, *allow_missing, comment, gateway).await,
        KnowledgeCommand::List { json, gateway } => list(*json, gateway).await,
    }
}

fn check_directory(directory: &std::path::Path, allow_missing: bool, json: bool) -> Result<Exit> {
    let files = files::knowledge(directory)?;
    let found = check_with(&files, options(allow_missing));
    if json {
        let found: Vec<Value> = found.iter().map(diagnostic_json).collect();
        println!(
            "{}",
            json!({ "digest": digest_of(&files), "diagnostics": found })
        );
    } else {
        print_diagnostics(&found);
    }
    let errors = found
        .iter()
        .filter(|found| found.level == Level::Error)
        .count();
    if !json && errors == 0 {
        println!(
            "{} files, digest {}: no mistakes",
            files.len(),
            digest_of(&files)
        );
    }
    Ok(if errors == 0 { Exit::SUCCESS } else { FOUND })
}

fn options(allow_missing: bool) -> Options {
    Options {
        allow_missing_playbooks: allow_missing,
        ..Options::default()
    }
}

fn diagnostic_json(found: &Diagnostic) -> Value {
    json!({
        "level": if found.level == Level::Error { "error" } else { "warning" },
        "file": found.path,
        "line": found.line,
        "column": found.column,
        "message": found.message,
        "suggestion": found.suggestion,
    })
}

/// Every diagnostic as a compiler would print it.
pub fn print_diagnostics(found: &[Diagnostic]) {
    for found in found {
        eprintln!("{found}\n");
    }
}

async fn apply(
    directory: &std::path::Path,
    allow_missing: bool,
    comment: &str,
    gateway: &GatewayArguments,
) -> Result<Exit> {
    let files = files::knowledge(directory)?;
    let found = check_with(&files, options(allow_missing));
    if found.iter().any(|found| found.level == Level::Error) {
        print_diagnostics(&found);
        eprintln!("nothing was published");
        return Ok(FOUND);
    }
    let client = GatewayClient::new(gateway)?;
    let digest = client.publish(&files, comment, allow_missing).await?;
    println!("{} files are in force as {digest}", files.len());
    Ok(Exit::SUCCESS)
}

async fn list(json: bool, gateway: &GatewayArguments) -> Result<Exit> {
    let client = GatewayClient::new(gateway)?;
    let answer = client.send(Method::GET, "/v1/knowledge", None).await?;
    if answer.status != StatusCode::OK {
        anyhow::bail!("{}", crate::gateway_client::refusal(&answer, true));
    }
    if json {
        println!("{}", answer.body);
        return Ok(Exit::SUCCESS);
    }
    let of = |value: &Value, name: &str| {
        value
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    match answer.body.get("active").filter(|active| !active.is_null()) {
        None => println!("nothing is in force"),
        Some(active) => println!("in force: {}", of(active, "digest")),
    }
    for version in answer
        .body
        .get("published")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        println!(
            "{}  {}  {}",
            of(version, "digest"),
            of(version, "author"),
            of(version, "comment")
        );
    }
    Ok(Exit::SUCCESS)
}
