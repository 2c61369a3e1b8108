//! Part "backlog", below which no figure of it can go: what the client libraries alone need for one alert. Its
//! call is made and its records are read and written, but nothing is normalized, decided, guarded or remembered.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, ensure};
use clap::Args;
use prunella_topology::topics::{DECISIONS, RAW_ALERTS};
use prunella_topology::{Installation, Prefix, topic_specs};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::child::Child;
use crate::cluster::Scene;
use crate::meter::{Reading, peak_memory_mib};
use crate::worker::Measured;

/// As many calls under way as the runtime's default lets be.
const IN_FLIGHT: usize = 512;

/// Calls a target, says what that cost, and ends.
#[derive(Args, Clone, Debug)]
pub struct CallsArgs {
    /// Where to, as `host:port`.
    #[arg(long)]
    pub target: String,
    /// How often.
    #[arg(long)]
    pub calls: u64,
}

/// Calls, each under a key of its own, with the HTTP client that effects use.
///
/// # Errors
/// If a call fails.
pub fn call(args: &CallsArgs) -> Result<Measured> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let url = format!("http://{}/act", args.target);
    let before = Reading::now();
    runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().build()?;
        let places = Arc::new(Semaphore::new(IN_FLIGHT));
        let mut calls = JoinSet::new();
        for number in 0..args.calls {
            let place = Arc::clone(&places).acquire_owned().await?;
            let request = client
                .post(&url)
                .header("idempotency-key", format!("floor-{number}"));
            calls.spawn(async move {
                let answer = request.send().await?.error_for_status()?.bytes().await;
                drop(place);
                answer.map(drop)
            });
        }
        while let Some(outcome) = calls.join_next().await {
            outcome??;
        }
        anyhow::Ok(())
    })?;
    let after = Reading::now();
    Ok(Measured {
        cpu_us: u64::try_from((after.cpu - before.cpu).as_micros())?,
        wall_us: u64::try_from((after.at - before.at).as_micros())?,
        records: args.calls,
        peak_memory_mib: peak_memory_mib(),
        ..Measured::default()
    })
}

/// What a call costs, in microseconds of processor time.
///
/// # Errors
/// If one fails.
pub fn call_us(dir: &Path, target: &str, calls: u64) -> Result<f64> {
    let args = [
        "calls".to_owned(),
        format!("--target={target}"),
        format!("--calls={calls}"),
    ];
    let measured = Child::start(dir, "calls", &args)?.measured()?;
    Ok(measured.cpu_us as f64 / calls as f64)
}

/// What it costs to read a record and write it again, on average over raw alerts, which are large, and decisions,
/// which are small.
///
/// # Errors
/// If a copy fails.
pub fn copy_us(dir: &Path, scene: &Scene, records: u64) -> Result<f64> {
    let mut costs = Vec::new();
    for topic in [RAW_ALERTS, DECISIONS] {
        let args = [
            "copy".to_owned(),
            format!("--bootstrap={}", scene.bootstrap),
            format!("--from={}", scene.name(topic)),
            format!("--to={}", scene.name("copied")),
            format!("--partitions={}", scene.partitions),
            format!("--records={records}"),
        ];
        let measured = Child::start(dir, "copy", &args)?.measured()?;
        ensure!(measured.records == records, "not all of {topic} was copied");
        costs.push(measured.cpu_us as f64 / records as f64);
    }
    Ok(costs.iter().sum::<f64>() / costs.len() as f64)
}

/// How many records stand in the pipeline's topics, without those of this one. Markers of transactions count too:
/// they are few where many alerts wait.
///
/// # Errors
/// If the broker does not answer.
pub fn records_beside(scene: &Scene, input: &str) -> Result<i64> {
    let prefix = Prefix::new(&scene.prefix).map_err(|error| anyhow::anyhow!("{error}"))?;
    let ends = scene.ends("read_uncommitted")?;
    let mut records = 0;
    for spec in topic_specs(&Installation::on_one_broker(prefix, scene.partitions)) {
        if spec.name != scene.name(input) {
            records += ends.of(&spec.name, spec.partitions)?.iter().sum::<i64>();
        }
    }
    Ok(records)
}
