//! Part "backlog": what an alert costs all stages together when very many wait.

use std::path::Path;

use anyhow::{Result, ensure};
use prunella_schemas::spec::API_CALL;
use prunella_schemas::{ActionResult, ResultStatus, decode};
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::message::Message;

use crate::child::Child;
use crate::cluster::Scene;
use crate::feed;
use crate::floor;
use crate::options::Options;
use crate::report::{Report, Row, Target as Goal};
use crate::stages::PIPELINE;
use crate::target::Target;
use crate::worker::Measured;

const PART: &str = "backlog";

/// Measures the pipeline where few alerts start a run, and where all do.
///
/// # Errors
/// If a process fails or an alert is lost.
pub fn run(options: &Options, dir: &Path, report: &mut Report) -> Result<()> {
    let target = Target::start()?;
    for (one_in, limit) in [(100, 15.0), (1, 55.0)] {
        let name = format!("one in {one_in} starts a run");
        let scene = Scene::new(
            &options.bootstrap,
            &format!("backlog{one_in}"),
            options.stage_partitions,
            &["copied"],
        )?;
        let address = target.address.to_string();
        feed::knowledge(&scene, &address)?;
        let mix = feed::every(one_in);
        feed::raw_alerts(&scene, "raw-alerts", 0..options.records, mix)?;
        let _ = target.take_calls();
        let runs = mix.triggers(&(0..options.records));
        // Each alert is read by three stages; each run has a call and a summary, and a result of each.
        let until = format!("--until={}", options.records * 3 + runs * 4);
        let measured = Child::stages(
            dir,
            &scene,
            PIPELINE,
            "bench-0",
            &[&until, "--target", &address],
        )?
        .measured()?;
        let calls = target.take_calls();
        let failed = failed_calls(&scene)?;
        eprintln!("    processor time by thread in us: {:?}", measured.threads);
        eprintln!(
            "    commits: {:?}, ms: {:?}",
            measured.transactions, measured.commit_ms
        );
        ensure!(
            calls.keys + failed == runs,
            "{runs} runs were to call the target; {} did and {failed} were refused",
            calls.keys
        );
        let written = floor::records_beside(&scene, "raw-alerts")? as f64 / options.records as f64;
        report.add(
            row(
                name.clone(),
                options.records,
                limit,
                &measured,
                calls.repeated,
                failed,
            )
            .with("records written", written),
        );
        report.add(floor_of(
            format!("libraries alone, {name}"),
            &Parts {
                calls: runs as f64 / options.records as f64,
                call_us: floor::call_us(dir, &address, runs.max(1_000))?,
                reads: 3.0 + 4.0 * runs as f64 / options.records as f64,
                copy_us: floor::copy_us(dir, &scene, options.records)?,
            },
        ));
        let _ = target.take_calls();
        scene.remove()?;
    }
    Ok(())
}

/// What one alert needs of the client libraries.
struct Parts {
    calls: f64,
    call_us: f64,
    reads: f64,
    copy_us: f64,
}

/// Each record that a stage reads is taken for one that it also writes: what else is written (state, snapshots,
/// the audit trail) comes on top, so this is below what is needed.
fn floor_of(name: String, parts: &Parts) -> Row {
    let least = parts.calls * parts.call_us + parts.reads * parts.copy_us;
    Row::new(PART, name)
        .with("CPU us/alert", least)
        .with("us a call", parts.call_us)
        .with("us a record copied", parts.copy_us)
        .with("records read", parts.reads)
}

fn row(
    name: String,
    alerts: u64,
    limit: f64,
    measured: &Measured,
    repeated: u64,
    failed: u64,
) -> Row {
    let none = Some(Goal::AtMost(0.0));
    Row::new(PART, name)
        .with_target(
            "CPU us/alert",
            measured.cpu_us as f64 / alerts as f64,
            Some(Goal::AtMost(limit)),
        )
        .with(
            "k alerts/s",
            alerts as f64 / (measured.wall_us as f64 / 1e6) / 1e3,
        )
        .with("MiB", measured.peak_memory_mib as f64)
        .with_target("calls twice", repeated as f64, none)
        .with_target("calls failed", failed as f64, none)
}

fn failed_calls(scene: &Scene) -> Result<u64> {
    let reader = scene.reader("results")?;
    let mut open = scene.partitions;
    let mut failed = 0;
    while open > 0 {
        match reader.poll(std::time::Duration::from_secs(30)) {
            Some(Ok(message)) => {
                let result: ActionResult = decode(message.payload().unwrap_or_default())?;
                let counts = result.kind == API_CALL && result.status != ResultStatus::Succeeded;
                failed += u64::from(counts);
            }
            Some(Err(KafkaError::PartitionEOF(_))) => open -= 1,
            Some(Err(error)) => return Err(error.into()),
            None => anyhow::bail!("the results cannot be read to their end"),
        }
    }
    drop(reader.unassign());
    Ok(failed)
}
