//! What has come out so far, and what is still open, while the pipeline works. The verdict at the end is not
//! taken from here: another client library counts then.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Result;
use prunella_schemas::state::{Claim, ClaimPhase};
use prunella_schemas::{Decision, Outcome, PlaybookRun, decode};
use prunella_stream::Codec;
use prunella_topology::topics::{DECISIONS, RUNS, changelog};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::pipeline::Pipeline;

/// Store of the executor's open actions, and of the orchestrator's runs, in their changelogs.
const OPEN: u8 = 1;

/// Task and key of an entry in a changelog.
type Entry = (i32, Vec<u8>);

/// What is known by now.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Decisions, by service.
    pub decided: BTreeMap<String, usize>,
    /// Services for which a playbook was triggered.
    pub triggered: BTreeSet<String>,
    /// Services whose run has ended.
    pub ended: BTreeSet<String>,
    /// Actions that the executor has and that have no result, by task: whether their effect is claimed.
    pub actions: BTreeMap<Entry, bool>,
    /// Runs that the orchestrator has and that have not ended.
    pub runs: BTreeSet<Entry>,
    /// Everything that was read.
    pub records: usize,
}

impl Counts {
    /// Claims that are open in these partitions.
    #[must_use]
    pub fn claims(&self, of: impl Fn(i32) -> bool) -> usize {
        self.actions
            .iter()
            .filter(|((partition, _), claimed)| **claimed && of(*partition))
            .count()
    }

    /// True if nothing is left to be done.
    #[must_use]
    pub fn nothing_open(&self) -> bool {
        self.actions.is_empty() && self.runs.is_empty()
    }
}

/// Reads along in a thread of its own until it is dropped.
pub struct Tally {
    counts: Arc<Mutex<Counts>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Tally {
    /// Reads along with this pipeline.
    ///
    /// # Errors
    /// Settings that the client refuses.
    pub fn start(pipeline: &Pipeline) -> Result<Self> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &pipeline.bootstrap)
            .set("group.id", "none")
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("isolation.level", "read_committed")
            .set("fetch.wait.max.ms", "50")
            .set("log_level", "3");
        let consumer: BaseConsumer = config.create()?;
        let mut assignment = TopicPartitionList::new();
        let topics = [
            DECISIONS.to_owned(),
            RUNS.to_owned(),
            changelog("executor"),
            changelog("orchestrator"),
        ];
        for topic in &topics {
            for partition in 0..pipeline.partitions(topic) {
                assignment.add_partition_offset(
                    &pipeline.topic(topic),
                    partition,
                    Offset::Beginning,
                )?;
            }
        }
        consumer.assign(&assignment)?;
        let counts: Arc<Mutex<Counts>> = Arc::default();
        let stop = Arc::new(AtomicBool::new(false));
        let (into, stopped) = (Arc::clone(&counts), Arc::clone(&stop));
        let prefix = pipeline.prefix.clone();
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::SeqCst) {
                // An error is a broker that is away: the client comes back to it.
                if let Some(Ok(message)) = consumer.poll(Duration::from_millis(50)) {
                    let topic = message.topic().strip_prefix(&prefix).unwrap_or_default();
                    lock(&into).take(topic, &message);
                }
            }
        });
        Ok(Self {
            counts,
            stop,
            thread: Some(thread),
        })
    }

    /// What is known by now.
    #[must_use]
    pub fn counts(&self) -> Counts {
        lock(&self.counts).clone()
    }

    /// Looks at what is known by now.
    pub fn look<R>(&self, look: impl FnOnce(&Counts) -> R) -> R {
        look(&lock(&self.counts))
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // A panic in it has been printed.
            let _ = thread.join();
        }
    }
}

fn lock(counts: &Mutex<Counts>) -> MutexGuard<'_, Counts> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An entry's key begins with the number of its task: of the partition that the task reads.
fn entry(key: &[u8]) -> Entry {
    match key.split_first_chunk() {
        Some((task, key)) => (i32::from_be_bytes(*task), key.to_vec()),
        None => (-1, key.to_vec()),
    }
}

impl Counts {
    fn take(&mut self, topic: &str, message: &BorrowedMessage<'_>) {
        self.records += 1;
        let entry = entry(message.key().unwrap_or_default());
        let is_open = entry.1.first() == Some(&OPEN);
        match (topic, message.payload()) {
            (DECISIONS, Some(value)) => self.decision(value),
            (RUNS, Some(value)) => self.run(value),
            ("executor-changelog", Some(value)) if is_open => {
                self.actions.insert(entry, is_claimed(value));
            }
            ("executor-changelog", None) if is_open => drop(self.actions.remove(&entry)),
            ("orchestrator-changelog", Some(_)) if is_open => drop(self.runs.insert(entry)),
            ("orchestrator-changelog", None) if is_open => drop(self.runs.remove(&entry)),
            _ => {}
        }
    }

    fn decision(&mut self, value: &[u8]) {
        let Ok(decision) = decode::<Decision>(value) else {
            return;
        };
        let service = decision.service_name.unwrap_or_default();
        if decision.outcome == Outcome::Triggered {
            self.triggered.insert(service.clone());
        }
        *self.decided.entry(service).or_default() += 1;
    }

    fn run(&mut self, value: &[u8]) {
        if let Ok(run) = decode::<PlaybookRun>(value)
            && run.finished_at > 0
        {
            self.ended.extend(run.service_name);
        }
    }
}

/// An open action is its claim, with its length before it, and the action.
fn is_claimed(value: &[u8]) -> bool {
    let Some((length, rest)) = value.split_first_chunk::<4>() else {
        return false;
    };
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
    let claim = rest.get(..length).map(Claim::decode);
    matches!(claim, Some(Ok(claim)) if matches!(claim.phase, ClaimPhase::Acting | ClaimPhase::Probing))
}
