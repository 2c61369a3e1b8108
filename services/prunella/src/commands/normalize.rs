//! `prunella normalize`: one payload normalized, without a broker.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use prunella_normalizer::{Meta, Sources, normalize};
use prunella_runtime::wall_millis;
use prunella_topology::topics::RAW_ALERTS;

use crate::commands::decide::load;
use crate::exit::{Exit, FOUND};
use crate::files;

/// Turn one payload into NormalizedAlerts, as JSON lines.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  prunella normalize --source alertmanager payload.json
  curl -s http://alerts.example.com/last | prunella normalize --source zabbix -")]
pub struct NormalizeArguments {
    /// Source: `alertmanager`, `zabbix`, or one that the knowledge describes; others are read as plain JSON.
    #[arg(long)]
    source: String,
    /// Directory of knowledge that describes further sources.
    #[arg(long)]
    knowledge: Option<PathBuf>,
    /// The payload; `-` or nothing: standard input.
    file: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// A payload that the pipeline would dead-letter, with the reason it would give.
pub fn run(arguments: &NormalizeArguments) -> Result<Exit> {
    let payload = files::bytes(arguments.file.as_deref())?;
    let sources = match &arguments.knowledge {
        None => Sources::default(),
        Some(directory) => {
            let Some(set) = load(directory)? else {
                return Ok(FOUND);
            };
            Sources::parse(&set.sources)?
        }
    };
    let meta = Meta {
        topic: RAW_ALERTS,
        partition: 0,
        offset: 0,
        received_at: wall_millis(),
    };
    let alerts = normalize(&arguments.source, None, &payload, &meta, &sources)?;
    let mut out = std::io::stdout().lock();
    for alert in &alerts {
        writeln!(out, "{}", serde_json::to_string(alert)?)?;
    }
    Ok(Exit::SUCCESS)
}
