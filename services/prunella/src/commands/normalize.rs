//! `prunella normalize`: one payload normalized, without a broker.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use prunella_normalizer::{Meta, Sources, normalize};
use prunella_runtime::wall_millis;
use prunella_topology::topics::RAW_ALERTS;

use crate::commands::decide::load;
use crate::exit::{Exit, FOUND};
use crate::files;
use crate::output::say;

/// Turn one payload into NormalizedAlerts, as JSON lines.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  prunella normalize --source alertmanager payload.json
  curl -s http://alerts.example.com/last | prunella normalize --source zabbix -

A payload more than a day old is taken as received when its latest alert was observed, so that rules that count
decide on it as they would have then; any other is received now. `--received-at` says otherwise.")]
pub struct NormalizeArguments {
    /// Source: `alertmanager`, `zabbix`, or one that the knowledge describes; others are read as plain JSON.
    #[arg(long)]
    source: String,
    /// Directory of knowledge that describes further sources.
    #[arg(long)]
    knowledge: Option<PathBuf>,
    /// Receive time, in milliseconds since the Unix epoch.
    #[arg(long)]
    received_at: Option<i64>,
    /// The payload; `-` or nothing: standard input.
    file: Option<PathBuf>,
}

/// What is older was recorded, and is not being received.
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

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
        received_at: arguments.received_at.unwrap_or_else(wall_millis),
    };
    let mut alerts = normalize(&arguments.source, None, &payload, &meta, &sources)?;
    let latest = alerts.iter().map(|alert| alert.timestamp).max();
    if let Some(latest) = latest.filter(|latest| meta.received_at - latest > DAY_MS)
        && arguments.received_at.is_none()
    {
        for alert in &mut alerts {
            alert.received_at = latest;
        }
    }
    for alert in &alerts {
        say!("{}", serde_json::to_string(alert)?)?;
    }
    Ok(Exit::SUCCESS)
}
