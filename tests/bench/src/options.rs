//! What is measured, and how much of it.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Part {
    /// Processor time a record of each stage, against a bare copy.
    Stages,
    /// End to end, at several rates.
    Latency,
    /// Processor time an alert of the whole pipeline with many waiting.
    Backlog,
    /// From kill -9 to the first output.
    Recovery,
}

/// What latency is measured of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Flow {
    /// Four stages that pass every alert on: what the runtime and the broker need.
    Chain,
    /// The pipeline; every alert starts a run of one call.
    Pipeline,
}

/// The flags of a run.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// Only these parts
    #[arg(long, value_enum, value_delimiter = ',')]
    pub only: Vec<Part>,
    /// A tenth of everything: to see that it works, not how fast it is
    #[arg(long)]
    pub quick: bool,
    /// How often each stage is measured [default: 5, quick: 2]
    #[arg(long)]
    pub repetitions: Option<usize>,
    /// Records a stage, and alerts that wait [default: 200000, quick: 20000]
    #[arg(long)]
    pub records: Option<u64>,
    /// Partitions of the topics that stages are measured on
    #[arg(long, default_value_t = 1)]
    pub stage_partitions: i32,
    /// Alerts a second
    #[arg(long, value_delimiter = ',', default_values_t = [10, 100, 1_000])]
    pub rates: Vec<u64>,
    /// Partitions of the topics that latency is measured on
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8])]
    pub partitions: Vec<i32>,
    /// What latency is measured of
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Flow::Chain, Flow::Pipeline])]
    pub flows: Vec<Flow>,
    /// Seconds of each latency measurement [default: 20, quick: 5]
    #[arg(long)]
    pub seconds: Option<u64>,
    /// Seconds of load before anything is measured [default: 40, quick: 4]
    #[arg(long)]
    pub warm_up: Option<u64>,
    /// Keys of state to recover [default: 100000,1000000, quick: 100000]
    #[arg(long, value_delimiter = ',')]
    pub keys: Vec<u64>,
    /// A broker that is there (host:port) instead of one that is started
    #[arg(long)]
    pub bootstrap: Option<String>,
    /// Where the figures go as JSON
    #[arg(long)]
    pub json: Option<PathBuf>,
}

/// The same with every default filled in.
#[derive(Clone, Debug)]
pub struct Options {
    /// Parts in their order.
    pub parts: Vec<Part>,
    /// Broker.
    pub bootstrap: String,
    /// How often each stage is measured.
    pub repetitions: usize,
    /// Records a stage, and alerts that wait.
    pub records: u64,
    /// Partitions of the topics that stages are measured on.
    pub stage_partitions: i32,
    /// Alerts a second.
    pub rates: Vec<u64>,
    /// Partitions of the topics that latency is measured on.
    pub partitions: Vec<i32>,
    /// What latency is measured of.
    pub flows: Vec<Flow>,
    /// Seconds of each latency measurement.
    pub seconds: u64,
    /// Seconds of load before anything is measured.
    pub warm_up_seconds: u64,
    /// Keys of state to recover.
    pub keys: Vec<u64>,
}

impl RunArgs {
    /// Fills the defaults in.
    #[must_use]
    pub fn options(&self, bootstrap: &str) -> Options {
        let quick = |full, quick| if self.quick { quick } else { full };
        let all = [Part::Stages, Part::Latency, Part::Backlog, Part::Recovery];
        let wanted = |part: &Part| self.only.is_empty() || self.only.contains(part);
        let keys = if self.keys.is_empty() {
            if self.quick {
                vec![100_000]
            } else {
                vec![100_000, 1_000_000]
            }
        } else {
            self.keys.clone()
        };
        Options {
            parts: all.into_iter().filter(wanted).collect(),
            bootstrap: bootstrap.to_owned(),
            repetitions: self.repetitions.unwrap_or(if self.quick { 2 } else { 5 }),
            records: self.records.unwrap_or(quick(200_000, 20_000)),
            stage_partitions: self.stage_partitions,
            rates: self.rates.clone(),
            partitions: self.partitions.clone(),
            flows: self.flows.clone(),
            seconds: self.seconds.unwrap_or(quick(20, 5)),
            warm_up_seconds: self.warm_up.unwrap_or(quick(40, 4)),
            keys,
        }
    }
}
