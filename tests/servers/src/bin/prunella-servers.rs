//! Starts real servers in the foreground, for scripts and for trials by hand.

use std::{
    fmt::Write as _,
    io::{self, Read, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
};

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use prunella_test_servers::{ClusterOptions, Jit, KafkaCluster, jars};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};

/// Real servers for tests, in the foreground: each prints its address when it is ready and ends with this command.
#[derive(Parser)]
#[command(name = "prunella-servers", version)]
struct Cli {
    #[command(subcommand)]
    server: Server,
}

#[derive(Subcommand)]
enum Server {
    /// Apache Kafka in KRaft mode on loopback; prints its bootstrap servers.
    ///
    /// It stops on SIGTERM, SIGINT, or, if asked to, when its standard input is closed.
    #[command(after_help = "Examples:
  prunella-servers kafka
  prunella-servers kafka --nodes 3 --dir ./kafka-data --env-file ./kafka.env")]
    Kafka(KafkaArgs),
}

#[derive(Args)]
struct KafkaArgs {
    /// 1 or 3 processes, each broker and controller
    #[arg(long, default_value_t = 1)]
    nodes: usize,
    /// Keep data and logs here, and continue what is there [default: a temporary directory]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Once ready, write a file of shell assignments: PRUNELLA_TEST_KAFKA, PRUNELLA_JARS, PRUNELLA_SERVERS_PID,
    /// PRUNELLA_KAFKA_PIDS, PRUNELLA_KAFKA_DIR
    #[arg(long)]
    env_file: Option<PathBuf>,
    /// A line for server.properties, such as log.segment.bytes=1048576; may be repeated
    #[arg(long = "property", value_name = "NAME=VALUE", value_parser = property)]
    properties: Vec<(String, String)>,
    /// Let the JVM compile fully, as in production: slower to start, faster when warm
    #[arg(long)]
    full_jit: bool,
    /// Stop when standard input is closed, for callers that may be killed
    #[arg(long)]
    until_stdin_closes: bool,
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("prunella-servers: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<()> {
    let Server::Kafka(args) = cli.server;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(kafka(args))
}

async fn kafka(args: KafkaArgs) -> Result<()> {
    // Before the start, so that a signal during it is not lost.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let keep = args.dir.is_some();
    let cluster = KafkaCluster::start_with(ClusterOptions {
        nodes: args.nodes,
        dir: args.dir,
        properties: args.properties,
        jit: if args.full_jit { Jit::Full } else { Jit::Quick },
    })?;
    if let Some(path) = &args.env_file {
        write_whole(path, &env_text(&cluster)?)?;
    }
    writeln!(io::stdout(), "{}", cluster.bootstrap())?;
    io::stdout().flush()?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = stdin_closed(), if args.until_stdin_closes => {}
    }
    if keep {
        cluster.stop_all()?;
    }
    Ok(())
}

fn property(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    Ok((name.into(), value.into()))
}

async fn stdin_closed() {
    let (sender, receiver) = oneshot::channel();
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin().lock().by_ref(), &mut io::sink());
        let _ = sender.send(());
    });
    let _ = receiver.await;
}

fn env_text(cluster: &KafkaCluster) -> Result<String> {
    let mut pids = Vec::new();
    for node in 1..=cluster.size() {
        pids.extend(cluster.pid(node)?.map(|pid| pid.to_string()));
    }
    let mut text = String::new();
    let assignments = [
        ("PRUNELLA_TEST_KAFKA", cluster.bootstrap().to_owned()),
        ("PRUNELLA_JARS", jars()?.display().to_string()),
        ("PRUNELLA_SERVERS_PID", std::process::id().to_string()),
        ("PRUNELLA_KAFKA_PIDS", pids.join(" ")),
        ("PRUNELLA_KAFKA_DIR", cluster.dir().display().to_string()),
    ];
    for (name, value) in assignments {
        writeln!(text, "{name}='{}'", value.replace('\'', r"'\''"))?;
    }
    Ok(text)
}

/// Whoever waits for the file finds all of it.
fn write_whole(path: &Path, text: &str) -> Result<()> {
    let part = path.with_extension("part");
    std::fs::write(&part, text)
        .and_then(|()| std::fs::rename(&part, path))
        .with_context(|| format!("write {}", path.display()))
}
