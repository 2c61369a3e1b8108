//! One process of the ledger stage. Says `ready` when it has its partitions; ends with 4 if its name is in use.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use prunella_broker_tests::ledger::{Ledger, LedgerIo};
use prunella_runtime::{
    Broadcast, Guarantee, KafkaConfig, Metrics, NoEffects, Runtime, RuntimeConfig, RuntimeError,
    StageSpec,
};
use prunella_stream::{Io, StageTask};

#[derive(Parser)]
struct Arguments {
    #[arg(long)]
    bootstrap: String,
    #[arg(long)]
    prefix: String,
    #[arg(long)]
    instance: String,
    #[arg(long, default_value_t = 1)]
    threads: usize,
    #[arg(long)]
    at_least_once: bool,
    #[arg(long)]
    accept_lost_offsets: bool,
    #[arg(long, default_value_t = 3_000)]
    session_timeout_ms: u32,
    #[arg(long, default_value_t = 100)]
    commit_interval_ms: u64,
}

fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let arguments = Arguments::parse();
    let kafka = KafkaConfig {
        bootstrap_servers: arguments.bootstrap,
        prefix: arguments.prefix,
        ..KafkaConfig::default()
    };
    let config = RuntimeConfig {
        instance: arguments.instance,
        threads: arguments.threads,
        guarantee: if arguments.at_least_once {
            Guarantee::AtLeastOnce
        } else {
            Guarantee::ExactlyOnce
        },
        accept_lost_offsets: arguments.accept_lost_offsets,
        session_timeout_ms: arguments.session_timeout_ms,
        commit_interval_ms: arguments.commit_interval_ms,
        ..RuntimeConfig::default()
    };
    let stage = StageSpec {
        app: "ledger",
        sources: LedgerIo::SOURCES,
        sinks: LedgerIo::SINKS,
        make: Arc::new(|partition| Box::new(StageTask::new(Ledger, partition))),
    };
    let metrics = Arc::new(Metrics::default());
    let broadcast = Broadcast::new(&[]);
    let runtime = Runtime::start(
        &kafka,
        config,
        vec![stage],
        broadcast,
        Arc::new(NoEffects),
        metrics,
    )?;
    watch(runtime)
}

/// Runs until the process is asked to end or the stage fails.
fn watch(runtime: Runtime) -> anyhow::Result<()> {
    let health = runtime.health();
    let closed = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let flag = Arc::clone(&closed);
    std::thread::spawn(move || {
        if wait_for_sigterm().is_ok() {
            flag.store(true, std::sync::atomic::Ordering::SeqCst);
        }
    });
    let mut ready = false;
    loop {
        if let Some(error) = health.failure() {
            eprintln!("failed: {error}");
            std::process::exit(if matches!(error, RuntimeError::NameInUse(_)) {
                4
            } else {
                1
            });
        }
        if closed.load(std::sync::atomic::Ordering::SeqCst) {
            runtime.stop();
            return Ok(());
        }
        if health.waiting().is_empty() != ready {
            ready = !ready;
            println!("{}", if ready { "ready" } else { "waiting" });
            std::io::stdout().flush()?;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn wait_for_sigterm() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        signal(SignalKind::terminate())?.recv().await;
        Ok(())
    })
}
