//! Part "latency": from when an alert was due at the broker to when a reader of committed records sees what came
//! of it, and hop by hop.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use prunella_runtime::wall_millis;
use prunella_schemas::spec::API_CALL;
use prunella_schemas::{Action, ActionResult, Decision, NormalizedAlert, ResultStatus, decode};
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::message::Message;

use crate::child::Child;
use crate::cluster::Scene;
use crate::feed;
use crate::options::{Flow, Options};
use crate::payload::{number_in, number_of};
use crate::relay::CHAIN_TOPICS;
use crate::report::{Report, Row, Target as Goal};
use crate::stages::{CHAIN, PIPELINE};
use crate::target::Target;

const PART: &str = "latency (ms)";
const HOPS: &str = "median ms of each hop";
/// Seconds of load before those that count.
const WARM: u64 = 5;
/// Longest wait for what is still under way after the last alert.
const PATIENCE: Duration = Duration::from_secs(30);

/// Measures every flow at every rate and number of partitions.
///
/// # Errors
/// If a process fails.
pub fn run(options: &Options, dir: &Path, report: &mut Report) -> Result<()> {
    let target = Target::start()?;
    let mut hops = Vec::new();
    for flow in &options.flows {
        for partitions in &options.partitions {
            for rate in &options.rates {
                let load = Load {
                    flow: *flow,
                    partitions: *partitions,
                    rate: *rate,
                    seconds: options.seconds,
                };
                let (row, hop) = load.measure(&options.bootstrap, dir, &target)?;
                report.add(row);
                hops.push(hop);
            }
        }
    }
    hops.into_iter().for_each(|hop| report.add(hop));
    Ok(())
}

/// Loads the broker until its code is compiled: a cold one takes several times as long for everything.
///
/// # Errors
/// If a process fails.
pub fn warm_up(options: &Options, dir: &Path) -> Result<()> {
    if options.warm_up_seconds == 0 {
        return Ok(());
    }
    let target = Target::start()?;
    for partitions in [8, 1] {
        let load = Load {
            flow: Flow::Chain,
            partitions,
            rate: 1_000,
            seconds: options.warm_up_seconds / 2,
        };
        load.measure(&options.bootstrap, dir, &target)?;
    }
    Ok(())
}

/// One rate over one number of partitions.
#[derive(Clone, Copy, Debug)]
struct Load {
    flow: Flow,
    partitions: i32,
    rate: u64,
    seconds: u64,
}

impl Load {
    fn name(&self) -> String {
        let flow = match self.flow {
            Flow::Chain => "four passing on",
            Flow::Pipeline => "pipeline",
        };
        format!("{flow}, {} p, {}/s", self.partitions, self.rate)
    }

    fn warm(&self) -> u64 {
        WARM * self.rate
    }

    fn all(&self) -> u64 {
        (WARM + self.seconds) * self.rate
    }

    fn measure(&self, bootstrap: &str, dir: &Path, target: &Target) -> Result<(Row, Row)> {
        let name =
            format!("latency-{:?}-{}-{}", self.flow, self.partitions, self.rate).to_lowercase();
        let further = if self.flow == Flow::Chain {
            CHAIN_TOPICS
        } else {
            &[]
        };
        let scene = Scene::new(bootstrap, &name, self.partitions, further)?;
        let address = target.address.to_string();
        let stages = match self.flow {
            Flow::Chain => CHAIN,
            Flow::Pipeline => {
                feed::knowledge(&scene, &address)?;
                PIPELINE
            }
        };
        let mut worker = Child::stages(dir, &scene, stages, "bench-0", &["--target", &address])?;
        worker.wait_ready()?;
        let _ = target.take_calls();
        let seen = self.send_and_see(&scene)?;
        let measured = worker.stop()?;
        eprintln!(
            "    processor time by thread in us: {:?}; commits: {:?}, ms: {:?}",
            measured.threads, measured.transactions, measured.commit_ms
        );
        let calls = target.take_calls();
        let hops = self.hops(&scene, &seen)?;
        let lost = self.all() - seen.arrived.len() as u64;
        let mut row = Row::new(PART, self.name());
        for (label, quantile) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0)] {
            let millis = seen.micros.value_at_quantile(quantile) as f64 / 1e3;
            row = row.with_target(label, millis, self.goal(label));
        }
        row = row.with_target("lost", lost as f64, Some(Goal::AtMost(0.0)));
        row = row.with_target(
            "twice",
            (seen.twice + calls.repeated) as f64,
            Some(Goal::AtMost(0.0)),
        );
        if self.flow == Flow::Pipeline {
            row = row.with_target("failed", seen.failed as f64, Some(Goal::AtMost(0.0)));
        }
        row = row.with("CPU us/alert", measured.cpu_us as f64 / self.all() as f64);
        scene.remove()?;
        Ok((row, hops))
    }

    fn goal(&self, label: &str) -> Option<Goal> {
        let limit = match (self.flow, self.rate, self.partitions, label) {
            (Flow::Pipeline, 1_000, 1, "p50") => 45.0,
            (Flow::Pipeline, 1_000, 1, "p99") => 100.0,
            (Flow::Pipeline, 1_000, 8, "p50") => 75.0,
            (Flow::Pipeline, 1_000, 8, "p99") => 150.0,
            _ => return None,
        };
        Some(Goal::AtMost(limit))
    }

    fn input(&self) -> &'static str {
        match self.flow {
            Flow::Chain => "hop-0",
            Flow::Pipeline => "raw-alerts",
        }
    }

    fn output(&self) -> &'static str {
        match self.flow {
            Flow::Chain => "hop-4",
            Flow::Pipeline => "results",
        }
    }

    /// Sends on one thread and reads on this one.
    fn send_and_see(&self, scene: &Scene) -> Result<Seen> {
        let reader = scene.reader(self.output())?;
        // Its connection and its first fetch are no part of what is measured.
        let _ = reader.poll(Duration::from_millis(500));
        let begun = Instant::now() + Duration::from_millis(100);
        let (all, rate, input) = (self.all(), self.rate, self.input());
        let sender = {
            let scene = scene.clone();
            std::thread::spawn(move || feed::at_rate(&scene, input, 0..all, rate, begun))
        };
        let mut seen = Seen::new()?;
        let give_up = begun + feed::due(all, rate) + PATIENCE;
        while (seen.arrived.len() as u64) < all && Instant::now() < give_up {
            let Some(Ok(message)) = reader.poll(Duration::from_millis(100)) else {
                continue;
            };
            let Some(output) = self.identify(self.output(), message.payload().unwrap_or_default())
            else {
                continue;
            };
            let (at, wall) = (Instant::now(), wall_millis());
            seen.failed += u64::from(output.failed);
            if seen.arrived.insert(output.number, wall).is_some() {
                seen.twice += 1;
            } else if output.number >= self.warm() {
                let latency = at.saturating_duration_since(begun + feed::due(output.number, rate));
                seen.micros
                    .saturating_record(u64::try_from(latency.as_micros())?);
            }
        }
        sender.join().ok().context("the sender panicked")??;
        Ok(seen)
    }

    /// Which alert a record is about; nothing if it is not of the kind that is followed.
    fn identify(&self, topic: &str, value: &[u8]) -> Option<About> {
        let number = match topic {
            "normalized-alerts" => {
                number_of(&decode::<NormalizedAlert>(value).ok()?.service_name?)?
            }
            "decisions" => number_of(&decode::<Decision>(value).ok()?.service_name?)?,
            "actions" => {
                let action: Action = decode(value).ok()?;
                number_of(&action.target).filter(|_| action.kind == API_CALL)?
            }
            "results" => {
                let result: ActionResult = decode(value).ok()?;
                return Some(About {
                    number: number_of(&result.target).filter(|_| result.kind == API_CALL)?,
                    failed: result.status != ResultStatus::Succeeded,
                    began: Some(result.started_at),
                });
            }
            _ => number_in(value)?,
        };
        Some(About {
            number,
            failed: false,
            began: None,
        })
    }

    /// Reads the topics once more and compares the times in which their records were made.
    fn hops(&self, scene: &Scene, seen: &Seen) -> Result<Row> {
        let topics: &[(&str, &str)] = match self.flow {
            Flow::Chain => &[
                ("hop-0", ""),
                ("hop-1", "stage 1"),
                ("hop-2", "stage 2"),
                ("hop-3", "stage 3"),
                ("hop-4", "stage 4"),
            ],
            Flow::Pipeline => &[
                ("raw-alerts", ""),
                ("normalized-alerts", "normalizer"),
                ("decisions", "decider"),
                ("actions", "orchestrator"),
                ("results", "executor"),
            ],
        };
        let mut row = Row::new(HOPS, self.name());
        let mut before: HashMap<u64, i64> = HashMap::new();
        for (topic, label) in topics {
            let mut times = HashMap::new();
            let mut began = HashMap::new();
            self.read_all(scene, topic, |about, timestamp| {
                times.insert(about.number, timestamp);
                began.extend(about.began.map(|at| (about.number, at)));
            })?;
            if !label.is_empty() {
                if !began.is_empty() {
                    row = row.with("claim committed, call begun", self.median(&before, &began));
                    before = began;
                }
                row = row.with(label, self.median(&before, &times));
            }
            before = times;
        }
        Ok(row.with("committed and seen", self.median(&before, &seen.arrived)))
    }

    fn median(&self, from: &HashMap<u64, i64>, to: &HashMap<u64, i64>) -> f64 {
        let counted = to.iter().filter(|(number, _)| **number >= self.warm());
        let spans: Vec<f64> = counted
            .filter_map(|(number, at)| Some((at - from.get(number)?) as f64))
            .collect();
        crate::meter::median(&spans)
    }

    fn read_all(&self, scene: &Scene, topic: &str, mut each: impl FnMut(About, i64)) -> Result<()> {
        let reader = scene.reader(topic)?;
        let mut open = self.partitions;
        let give_up = Instant::now() + PATIENCE;
        while open > 0 && Instant::now() < give_up {
            match reader.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    if let Some(about) = self.identify(topic, message.payload().unwrap_or_default())
                    {
                        each(about, message.timestamp().to_millis().unwrap_or(0));
                    }
                }
                Some(Err(KafkaError::PartitionEOF(_))) => open -= 1,
                Some(Err(error)) => return Err(error.into()),
                None => {}
            }
        }
        drop(reader.unassign());
        Ok(())
    }
}

/// What a record says of its alert.
struct About {
    number: u64,
    failed: bool,
    /// When the effect was begun.
    began: Option<i64>,
}

/// What was seen at the end of the flow.
struct Seen {
    micros: Histogram<u64>,
    /// When the first record about an alert was seen.
    arrived: HashMap<u64, i64>,
    twice: u64,
    failed: u64,
}

impl Seen {
    fn new() -> Result<Self> {
        Ok(Self {
            micros: Histogram::new_with_bounds(1, 60_000_000, 3)?,
            arrived: HashMap::new(),
            twice: 0,
            failed: 0,
        })
    }
}
