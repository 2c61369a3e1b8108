//! A process of stages, as `prunella run` would be one, that says what it cost.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;
use prunella_runtime::{
    Broadcast, EffectRunner, Guarantee, KafkaConfig, Metrics, NoEffects, Runtime, RuntimeConfig,
};
use prunella_topology::topics::{KNOWLEDGE, SWITCHES};
use serde::{Deserialize, Serialize};

use crate::effects::Effects;
use crate::meter::{Reading, peak_memory_mib, processor_time_by_thread};
use crate::stages;

/// How often a worker looks at its own metrics.
const LOOK: Duration = Duration::from_millis(20);
/// A worker that is to end by itself does when nothing has moved for so long.
const QUIET: Duration = Duration::from_millis(1_500);

/// What a worker process has measured of itself.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Measured {
    /// Processor time from when it was ready until it was done, in microseconds.
    pub cpu_us: u64,
    /// The same on the wall.
    pub wall_us: u64,
    /// Records that it processed, all stages together.
    pub records: u64,
    /// The most memory it ever held.
    pub peak_memory_mib: u64,
    /// Transactions committed, by stage.
    pub transactions: BTreeMap<String, u64>,
    /// From closing a transaction to its fold in milliseconds on average, by stage.
    pub commit_ms: BTreeMap<String, f64>,
    /// Processor time since the process began in microseconds, by name of thread.
    pub threads: BTreeMap<String, u64>,
}

/// Runs stages until told to end or done.
#[derive(Args, Clone, Debug)]
pub struct StagesArgs {
    /// Names of the stages.
    #[arg(value_delimiter = ',')]
    pub stages: Vec<String>,
    /// Broker.
    #[arg(long)]
    pub bootstrap: String,
    /// Put before every name.
    #[arg(long)]
    pub prefix: String,
    /// Name of this instance.
    #[arg(long, default_value = "bench-0")]
    pub instance: String,
    /// At least once instead of exactly once.
    #[arg(long)]
    pub at_least_once: bool,
    /// Session timeout in milliseconds.
    #[arg(long, default_value_t = RuntimeConfig::default().session_timeout_ms)]
    pub session_timeout_ms: u32,
    /// Age at which a transaction commits, in milliseconds.
    #[arg(long, default_value_t = RuntimeConfig::default().commit_interval_ms)]
    pub commit_interval_ms: u64,
    /// End when so many records have been processed and nothing moves any more; 0: run on.
    #[arg(long, default_value_t = 0)]
    pub until: u64,
    /// A librdkafka setting of every client, as `name=value`.
    #[arg(long = "property", value_parser = property)]
    pub properties: Vec<(String, String)>,
    /// Where effects may go, as `host:port`.
    #[arg(long)]
    pub target: Option<String>,
}

/// Reads `name=value`.
///
/// # Errors
/// If it is not.
pub fn property(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Runs stages. Prints `ready` when all have their partitions, and what was measured when it ends.
///
/// # Errors
/// If a stage fails or nothing moves for a minute.
pub fn run(args: &StagesArgs) -> Result<Measured> {
    let kafka = KafkaConfig {
        bootstrap_servers: args.bootstrap.clone(),
        prefix: args.prefix.clone(),
        properties: args.properties.iter().cloned().collect(),
    };
    let config = RuntimeConfig {
        instance: args.instance.clone(),
        guarantee: if args.at_least_once {
            Guarantee::AtLeastOnce
        } else {
            Guarantee::ExactlyOnce
        },
        session_timeout_ms: args.session_timeout_ms,
        commit_interval_ms: args.commit_interval_ms,
        ..RuntimeConfig::default()
    };
    let specs = args
        .stages
        .iter()
        .map(|name| stages::stage(name))
        .collect::<Result<Vec<_>>>()?;
    let metrics = Arc::new(Metrics::default());
    let broadcast = Broadcast::new(&[KNOWLEDGE, SWITCHES]);
    let runner: Arc<dyn EffectRunner> = match &args.target {
        Some(target) => Arc::new(Effects::new(target, &broadcast)?),
        None => Arc::new(NoEffects),
    };
    let runtime = Runtime::start(
        &kafka,
        config,
        specs,
        broadcast,
        runner,
        Arc::clone(&metrics),
    )?;
    let measured = watch(&runtime, &metrics, args.until);
    runtime.stop();
    measured
}

fn watch(runtime: &Runtime, metrics: &Metrics, until: u64) -> Result<Measured> {
    let health = runtime.health();
    let stop = stop_flag();
    let mut ready = None;
    let mut last = (Counts::default(), Reading::now());
    while !stop.load(Ordering::SeqCst) {
        if let Some(error) = health.failure() {
            bail!("{error}");
        }
        let Some(begun) = ready else {
            if health.waiting().is_empty() {
                ready = Some(Reading::now());
                say("ready")?;
            } else {
                std::thread::sleep(Duration::from_millis(1));
            }
            continue;
        };
        let counts = Counts::read(&metrics.render());
        if counts.moved_since(&last.0) {
            last = (counts, Reading::now());
        }
        let quiet = last.1.at.elapsed().min(Instant::now() - begun.at);
        if until > 0 && last.0.records() >= until && quiet > QUIET {
            break;
        }
        if until > 0 && quiet > Duration::from_mins(1) {
            bail!(
                "{} records of {until} were processed, then nothing came",
                last.0.records()
            );
        }
        std::thread::sleep(LOOK);
    }
    let begun = ready.unwrap_or(last.1);
    Ok(last.0.measured(begun, last.1))
}

/// Says something to whoever reads this process's log.
///
/// # Errors
/// If nobody does any more.
pub fn say(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()?;
    Ok(())
}

/// A flag that is set when the process is asked to end.
fn stop_flag() -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&flag);
    std::thread::spawn(move || {
        if wait_for_sigterm().is_ok() {
            set.store(true, Ordering::SeqCst);
        }
    });
    flag
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

/// What the metrics say, by stage.
#[derive(Clone, Debug, Default, PartialEq)]
struct Counts {
    records: BTreeMap<String, u64>,
    transactions: BTreeMap<String, u64>,
    commit_sum: BTreeMap<String, f64>,
    commit_count: BTreeMap<String, f64>,
}

impl Counts {
    fn read(text: &str) -> Self {
        let mut counts = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((series, value)) = line.rsplit_once(' ') else {
                continue;
            };
            let Some(stage) = label(series, "stage") else {
                continue;
            };
            let number: f64 = value.parse().unwrap_or(0.0);
            let stage = stage.to_owned();
            match series.split('{').next() {
                Some("prunella_records_total") => {
                    *counts.records.entry(stage).or_default() += number as u64
                }
                Some("prunella_transactions_total")
                    if label(series, "outcome") == Some("committed") =>
                {
                    *counts.transactions.entry(stage).or_default() += number as u64;
                }
                Some("prunella_commit_seconds_sum") => {
                    counts.commit_sum.insert(stage, number);
                }
                Some("prunella_commit_seconds_count") => {
                    counts.commit_count.insert(stage, number);
                }
                _ => {}
            }
        }
        counts
    }

    fn records(&self) -> u64 {
        self.records.values().sum()
    }

    fn moved_since(&self, before: &Self) -> bool {
        self.records() != before.records() || self.transactions != before.transactions
    }

    fn measured(&self, begun: Reading, ended: Reading) -> Measured {
        let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        let mean = |(stage, sum): (&String, &f64)| {
            let count = self
                .commit_count
                .get(stage)
                .copied()
                .unwrap_or(0.0)
                .max(1.0);
            (stage.clone(), sum / count * 1_000.0)
        };
        Measured {
            cpu_us: micros(ended.cpu.saturating_sub(begun.cpu)),
            wall_us: micros(ended.at.saturating_duration_since(begun.at)),
            records: self.records(),
            peak_memory_mib: peak_memory_mib(),
            transactions: self.transactions.clone(),
            commit_ms: self.commit_sum.iter().map(mean).collect(),
            threads: processor_time_by_thread(),
        }
    }
}

fn label<'a>(series: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = series.split_once(&format!("{name}=\""))?;
    rest.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metrics_of_a_process_are_added_up_by_stage() {
        let counts = Counts::read(concat!(
            "# TYPE prunella_records counter\n",
            "prunella_records_total{stage=\"decider\",outcome=\"processed\"} 40\n",
            "prunella_records_total{stage=\"decider\",outcome=\"rejected\"} 2\n",
            "prunella_transactions_total{stage=\"decider\",outcome=\"committed\"} 4\n",
            "prunella_transactions_total{stage=\"decider\",outcome=\"aborted\"} 9\n",
            "prunella_commit_seconds_sum{stage=\"decider\"} 0.02\n",
            "prunella_commit_seconds_count{stage=\"decider\"} 4\n",
        ));
        assert_eq!(counts.records(), 42);
        let now = Reading::now();
        let measured = counts.measured(now, now);
        assert_eq!(measured.transactions["decider"], 4);
        assert!((measured.commit_ms["decider"] - 5.0).abs() < 1e-6);
    }

    #[test]
    fn only_progress_counts_as_movement() {
        let before = Counts::read("prunella_records_total{stage=\"a\",outcome=\"processed\"} 1\n");
        let after = Counts::read("prunella_records_total{stage=\"a\",outcome=\"processed\"} 2\n");
        assert!(after.moved_since(&before));
        assert!(!before.moved_since(&before.clone()));
    }
}
