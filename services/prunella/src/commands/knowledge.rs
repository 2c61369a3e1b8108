//! `prunella knowledge`: rules and playbooks checked, applied, listed.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};
use prunella_knowledge::{Diagnostic, Options, digest_of};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::diagnose::{diagnose, has_errors};
use crate::exit::{Exit, FOUND};
use crate::files;
use crate::gateway_client::{GatewayArguments, GatewayClient};
use crate::output::{say, tell};

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
    #[command(after_help = "Examples:
  prunella knowledge check deploy/knowledge
  prunella knowledge check deploy/knowledge --json

Ends with 5 if there is an error; warnings alone are none.")]
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
    #[command(after_help = "Examples:
  prunella knowledge apply deploy/knowledge --comment 'raise the CPU threshold'
  prunella knowledge apply rules/ --allow-missing --gateway http://127.0.0.1:8080 --token-file ada.token

Nothing is published if there is an error (5).")]
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
    #[command(after_help = "Examples:
  prunella knowledge list
  prunella knowledge list --json --gateway http://127.0.0.1:8080")]
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
    let found = diagnose(&files, options(allow_missing));
    let digest = digest_of(&files);
    if json {
        let found: Vec<Value> = found.iter().map(diagnostic_json).collect();
        say!("{}", json!({ "digest": digest, "diagnostics": found }))?;
    } else {
        print_diagnostics(&found);
        let outcome = if found.is_empty() {
            "no mistakes".to_owned()
        } else {
            counted(&found)
        };
        say!(
            "{}, digest {digest}: {outcome}",
            plural(files.len(), "file")
        )?;
    }
    Ok(if has_errors(&found) {
        FOUND
    } else {
        Exit::SUCCESS
    })
}

fn options(allow_missing: bool) -> Options {
    Options {
        allow_missing_playbooks: allow_missing,
    }
}

/// `2 errors, 1 warning`
fn counted(found: &[Diagnostic]) -> String {
    let errors = found.iter().filter(|found| found.is_error()).count();
    format!(
        "{}, {}",
        plural(errors, "error"),
        plural(found.len() - errors, "warning")
    )
}

fn plural(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn diagnostic_json(found: &Diagnostic) -> Value {
    json!({
        "level": if found.is_error() { "error" } else { "warning" },
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
        tell!("{found}\n");
    }
}

async fn apply(
    directory: &std::path::Path,
    allow_missing: bool,
    comment: &str,
    gateway: &GatewayArguments,
) -> Result<Exit> {
    let files = files::knowledge(directory)?;
    let found = diagnose(&files, options(allow_missing));
    print_diagnostics(&found);
    if has_errors(&found) {
        tell!("{}: nothing was published", counted(&found));
        return Ok(FOUND);
    }
    let client = GatewayClient::new(gateway)?;
    let digest = client.publish(&files, comment, allow_missing).await?;
    say!("{} in force as {digest}", plural(files.len(), "file"))?;
    Ok(Exit::SUCCESS)
}

async fn list(json: bool, gateway: &GatewayArguments) -> Result<Exit> {
    let client = GatewayClient::new(gateway)?;
    let answer = client.send(Method::GET, "/v1/knowledge", None).await?;
    if answer.status != StatusCode::OK {
        anyhow::bail!("{}", crate::gateway_client::refusal(&answer, true));
    }
    if json {
        say!("{}", answer.body)?;
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
        None => {
            say!("nothing is in force; `prunella knowledge apply DIR` puts a directory in force")?
        }
        Some(active) => say!("in force: {}", of(active, "digest"))?,
    }
    for version in answer
        .body
        .get("published")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        say!(
            "{}  {}  {}",
            of(version, "digest"),
            of(version, "author"),
            of(version, "comment")
        )?;
    }
    Ok(Exit::SUCCESS)
}
