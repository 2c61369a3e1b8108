//! Benchmarks against a real Apache Kafka.
//!
//! One command measures everything in one run against one warmed-up broker. What is measured runs in processes of
//! its own (the hidden subcommands), so that their processor time is theirs alone; the load generator and the HTTP
//! server that actions go to are in this one.

mod backlog;
mod child;
mod cluster;
mod copy;
mod effects;
mod feed;
mod floor;
mod latency;
mod meter;
mod options;
mod payload;
mod recovery;
mod relay;
mod report;
mod stages;
mod target;
mod throughput;
mod worker;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use prunella_test_servers::{ClusterOptions, Jit, KafkaCluster};

use crate::options::{Options, Part, RunArgs};
use crate::report::Report;
use crate::worker::Measured;

/// Measures stages, latency, throughput and recovery against a real Apache Kafka.
#[derive(Parser)]
#[command(name = "prunella-bench", version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Subcommand)]
enum Command {
    /// A process of stages
    #[command(hide = true)]
    Stages(worker::StagesArgs),
    /// Bare calls
    #[command(hide = true)]
    Calls(floor::CallsArgs),
    /// A bare copy
    #[command(hide = true)]
    Copy(copy::CopyArgs),
}

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let cli = Cli::parse();
    let outcome = match &cli.command {
        Some(Command::Stages(args)) => worker::run(args).and_then(|measured| tell(&measured)),
        Some(Command::Copy(args)) => copy::copy(args).and_then(|measured| tell(&measured)),
        Some(Command::Calls(args)) => floor::call(args).and_then(|measured| tell(&measured)),
        None => measure(&cli.run),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("prunella-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn tell(measured: &Measured) -> Result<()> {
    worker::say(&format!(
        "{}{}",
        child::MEASURED,
        serde_json::to_string(measured)?
    ))
}

fn measure(args: &RunArgs) -> Result<()> {
    let cluster = match args.bootstrap {
        Some(_) => None,
        None => Some(start_broker()?),
    };
    let bootstrap = args
        .bootstrap
        .as_deref()
        .or(cluster.as_ref().map(KafkaCluster::bootstrap));
    let options = args.options(bootstrap.context("no broker")?);
    let logs = tempfile::tempdir()?;
    let mut report = Report::default();
    let outcome = measure_parts(&options, logs.path(), &mut report);
    // What was measured before something failed is worth seeing too.
    print!("\n{}", report.table());
    if let Some(path) = &args.json {
        std::fs::write(path, format!("{:#}\n", report.json()))
            .with_context(|| format!("write {}", path.display()))?;
        println!("all figures: {}", path.display());
    }
    outcome
}

/// One broker as in production: compiled fully, its files deleted soon, since a run writes many gigabytes.
fn start_broker() -> Result<KafkaCluster> {
    let property = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    Ok(KafkaCluster::start_with(ClusterOptions {
        nodes: 1,
        jit: Jit::Full,
        properties: vec![property("log.segment.delete.delay.ms", "1000")],
        ..ClusterOptions::default()
    })?)
}

fn measure_parts(options: &Options, logs: &Path, report: &mut Report) -> Result<()> {
    eprintln!("Warm-up");
    latency::warm_up(options, logs)?;
    for part in &options.parts {
        eprintln!("{part:?}");
        match part {
            Part::Stages => throughput::run(options, logs, report)?,
            Part::Latency => latency::run(options, logs, report)?,
            Part::Backlog => backlog::run(options, logs, report)?,
            Part::Recovery => recovery::run(options, logs, report)?,
        }
    }
    Ok(())
}
