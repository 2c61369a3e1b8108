//! `prunella decide`: NormalizedAlerts decided, without a broker.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use prunella_knowledge::{KnowledgeSet, Options};
use prunella_schemas::NormalizedAlert;

use crate::alert_line;
use crate::commands::knowledge::print_diagnostics;
use crate::diagnose::{diagnose, has_errors};
use crate::exit::{Exit, FOUND};
use crate::files;
use crate::output::say;

/// Decide NormalizedAlerts, one Decision a line.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  prunella normalize --source alertmanager payload.json | prunella decide --knowledge deploy/knowledge
  prunella decide --knowledge rules/ alerts.jsonl

Time is the latest receive time so far: nothing is stale that was not. Of an alert written by hand only
`alert_name` and `timestamp` are needed. A playbook that is not there is a warning here.")]
pub struct DecideArguments {
    /// Directory of rules and playbooks.
    #[arg(long)]
    knowledge: PathBuf,
    /// JSON lines; `-` or nothing: standard input.
    file: Option<PathBuf>,
}

/// What a first line that is none most often means.
const EXPECTED: &str = "decide reads NormalizedAlerts, one JSON object a line (`prunella normalize --source NAME \
                        PAYLOAD` makes them of a monitoring system's payload)";

/// Runs the command.
///
/// # Errors
/// A line that is no NormalizedAlert, by its number.
pub fn run(arguments: &DecideArguments) -> Result<Exit> {
    let Some(set) = load(&arguments.knowledge)? else {
        return Ok(FOUND);
    };
    let bytes = files::bytes(arguments.file.as_deref())?;
    let text = std::str::from_utf8(&bytes).context("the alerts are not UTF-8")?;
    let mut alerts: Vec<NormalizedAlert> = Vec::new();
    let mut now = i64::MIN;
    for (number, line) in text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
    {
        let alert = alert_line::read(line, number + 1, now)
            .with_context(|| format!("line {}", number + 1))
            .with_context(|| EXPECTED)?;
        now = now.max(alert.received_at);
        alerts.push(alert);
    }
    for decision in prunella_decider::decide_all(set, alerts) {
        say!("{}", serde_json::to_string(&decision?)?)?;
    }
    Ok(Exit::SUCCESS)
}

/// The knowledge of a directory; none, with its mistakes printed, if it has any. Warnings are printed too.
///
/// # Errors
/// A directory that cannot be read.
pub fn load(directory: &std::path::Path) -> Result<Option<KnowledgeSet>> {
    let files = files::knowledge(directory)?;
    let options = Options {
        allow_missing_playbooks: true,
    };
    let found = diagnose(&files, options);
    print_diagnostics(&found);
    if has_errors(&found) {
        return Ok(None);
    }
    Ok(KnowledgeSet::parse_with(&files, options).ok())
}
