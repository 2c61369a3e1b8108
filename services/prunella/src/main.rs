//! The prunella command.

mod alert_line;
mod commands;
mod config;
mod demo;
mod diagnose;
mod embedded;
mod exit;
mod files;
mod gateway;
mod gateway_client;
mod host;
mod kafka;
mod output;
mod reach;
mod stop;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use prunella_runtime::RuntimeError;
use tracing_subscriber::EnvFilter;

use crate::commands::{decide, doctor, kill_switch, knowledge, normalize, run, tail, topology, up};
use crate::config::{Config, LogConfig, LogFormat};
use crate::exit::{Exit, FAILED, NAME_IN_USE};
use crate::output::{Closed, explain, tell};

/// A remediation pipeline on Apache Kafka: alerts in, safe and verified fixes out.
#[derive(Parser, Debug)]
#[command(
    version,
    after_help = "Start with `prunella demo`.

Exit codes: 0 done; 1 failed, the message says why; 2 the command line is wrong; 3 the kill switch was on and
nothing was changed (demo); 4 another process runs under this name; 5 a check found something to mend.

Settings come from --config FILE (TOML) and from variables such as PRUNELLA__KAFKA__BOOTSTRAP_SERVERS."
)]
struct Cli {
    /// Configuration, TOML.
    #[arg(long, global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// See it work: a service falls ill, its alert comes in, it is healed and verified.
    Demo(demo::DemoArguments),
    Up(up::UpArguments),
    Run(run::RunArguments),
    Tail(tail::TailArguments),
    Normalize(normalize::NormalizeArguments),
    Decide(decide::DecideArguments),
    Knowledge(knowledge::KnowledgeArguments),
    KillSwitch(kill_switch::KillSwitchArguments),
    Topology(topology::TopologyArguments),
    Doctor(doctor::DoctorArguments),
    #[command(name = "__patient", hide = true)]
    Patient(demo::patient::PatientArguments),
    #[command(name = "__judge", hide = true)]
    Judge(demo::judge::JudgeArguments),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match start(cli) {
        Ok(exit) => exit.into(),
        // Quietly, but not as if all had been said.
        Err(error) if error.is::<Closed>() => FAILED.into(),
        Err(error) => {
            tell!("error: {}", explain(&error));
            exit_of(&error).into()
        }
    }
}

fn exit_of(error: &anyhow::Error) -> Exit {
    match error.downcast_ref::<RuntimeError>() {
        Some(RuntimeError::NameInUse(_)) => NAME_IN_USE,
        _ => FAILED,
    }
}

fn start(cli: Cli) -> Result<Exit> {
    let config = Config::load(cli.config.as_deref())?;
    if !matches!(cli.command, Command::Demo(_)) {
        log(&config.log)?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(dispatch(config, cli.command));
    // What an effect or a client still holds must not keep the process.
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    outcome
}

async fn dispatch(config: Config, command: Command) -> Result<Exit> {
    match command {
        Command::Demo(arguments) => demo::run(config, &arguments).await,
        Command::Up(arguments) => up::run(config, &arguments).await,
        Command::Run(arguments) => run::run(&config, &arguments).await,
        Command::Tail(arguments) => {
            tokio::task::block_in_place(|| tail::run(&config, &arguments)).map(|()| Exit::SUCCESS)
        }
        Command::Normalize(arguments) => normalize::run(&arguments),
        Command::Decide(arguments) => decide::run(&arguments),
        Command::Knowledge(arguments) => knowledge::run(&arguments).await,
        Command::KillSwitch(arguments) => kill_switch::run(&arguments).await,
        Command::Topology(arguments) => topology::run(&config, &arguments).await,
        Command::Doctor(arguments) => doctor::run(&config, &arguments).await,
        Command::Patient(arguments) => demo::patient::run(arguments).await.map(|()| Exit::SUCCESS),
        Command::Judge(arguments) => demo::judge::run(arguments).await.map(|()| Exit::SUCCESS),
    }
}

/// Logs go to standard error; standard output is for what was asked.
fn log(config: &LogConfig) -> Result<()> {
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter(&config.level)?)
        // Where nobody reads the log, it is not worth a panic.
        .log_internal_errors(false)
        .with_writer(std::io::stderr);
    match config.format {
        LogFormat::Human => logs.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => logs.json().init(),
    }
    Ok(())
}

/// A lone word that is no level would be taken for the name of a module, and nothing would be logged.
fn filter(level: &str) -> Result<EnvFilter> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let is_known = |part: &str| {
        part.contains('=') || LEVELS.iter().any(|level| part.eq_ignore_ascii_case(level))
    };
    if let Some(part) = level.split(',').find(|part| !is_known(part.trim())) {
        bail!(
            "log.level: `{part}` is no level; use {}, or MODULE=LEVEL, with commas in between",
            LEVELS.join(", ")
        );
    }
    let directives: String = level.split_whitespace().collect();
    EnvFilter::try_new(directives).with_context(|| {
        format!("log.level: `{level}` is none; write for example `info` or `info,prunella_runtime=debug`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_no_level_is_refused() {
        for good in [
            "info",
            "DEBUG",
            "info,librdkafka=warn",
            "off, prunella_runtime=trace",
        ] {
            assert!(filter(good).is_ok(), "{good}");
        }
        for bad in ["loud", "", "info,loud", "a=loud"] {
            let error = format!("{:#}", filter(bad).expect_err(bad));
            assert!(error.starts_with("log.level: "), "{error}");
        }
    }
}
