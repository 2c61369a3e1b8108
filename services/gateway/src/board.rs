//! What lies on the compacted topics that people ask about: switches and knowledge. A thread of its own reads
//! both from their beginning and goes on reading.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prunella_knowledge::{KnowledgeSet, Options};
use prunella_normalizer::Sources;
use prunella_schemas::{KnowledgeRecord, Switch, decode};
use prunella_stream::Millis;
use prunella_topology::{Prefix, topics};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use serde::Serialize;

use crate::problem::{Kind, Problem};

/// Key of the manifest on the knowledge topic.
pub(crate) const ACTIVE: &str = "active";

/// What was published under one digest, without its files.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Published {
    pub(crate) digest: String,
    pub(crate) author: String,
    pub(crate) comment: String,
    pub(crate) at: Millis,
    /// Paths of its files.
    pub(crate) files: Vec<String>,
    /// How it describes sources.
    #[serde(skip)]
    sources: Arc<Sources>,
}

/// What is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Manifest {
    pub(crate) digest: String,
    pub(crate) author: String,
    pub(crate) comment: String,
    pub(crate) at: Millis,
    pub(crate) allow_missing: bool,
}

/// The present state of both topics.
#[derive(Debug, Default)]
pub(crate) struct Board {
    state: Mutex<State>,
    complete: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    switches: BTreeMap<String, At<Switch>>,
    published: BTreeMap<String, Published>,
    manifest: Option<At<Manifest>>,
}

/// A value with the offset it was written at: what is older never replaces what is newer, whichever comes
/// first, the topic or the acknowledgement of a write of our own.
#[derive(Debug)]
struct At<T> {
    offset: i64,
    value: T,
}

impl Board {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True once both topics were read to their end.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Acquire)
    }

    /// Refuses until both topics were read to their end.
    pub(crate) fn complete(&self) -> Result<&Self, Problem> {
        if self.is_complete() {
            return Ok(self);
        }
        Err(Problem::new(
            Kind::NotReady,
            "the topics switches and knowledge have not been read to their end yet; see /readyz",
        ))
    }

    /// Every switch that was ever thrown, by name.
    pub(crate) fn switches(&self) -> Vec<Switch> {
        self.state().switches.values().map(|at| at.value.clone()).collect()
    }

    pub(crate) fn throw(&self, offset: i64, switch: Switch) {
        let mut state = self.state();
        let newer = state.switches.get(&switch.name).is_none_or(|at| at.offset <= offset);
        if newer {
            let value = switch;
            state.switches.insert(value.name.clone(), At { offset, value });
        }
    }

    /// What is in force, and everything that was published, the newest first.
    pub(crate) fn knowledge(&self) -> (Option<Manifest>, Vec<Published>) {
        let state = self.state();
        let mut published: Vec<Published> = state.published.values().cloned().collect();
        published.sort_by(|left, right| right.at.cmp(&left.at).then(left.digest.cmp(&right.digest)));
        (state.manifest.as_ref().map(|at| at.value.clone()), published)
    }

    pub(crate) fn is_published(&self, digest: &str) -> bool {
        self.state().published.contains_key(digest)
    }

    /// How the knowledge in force describes sources.
    pub(crate) fn sources(&self) -> Arc<Sources> {
        let state = self.state();
        let active = state.manifest.as_ref().map(|at| at.value.digest.as_str());
        let published = active.and_then(|digest| state.published.get(digest));
        published.map(|published| Arc::clone(&published.sources)).unwrap_or_default()
    }

    /// Takes a record of the knowledge topic in.
    pub(crate) fn publish(&self, offset: i64, record: KnowledgeRecord) {
        if record.files.is_empty() {
            let value = Manifest {
                digest: record.digest,
                author: record.author,
                comment: record.comment,
                at: record.at,
                allow_missing: record.allow_missing,
            };
            let mut state = self.state();
            if state.manifest.as_ref().is_none_or(|at| at.offset <= offset) {
                state.manifest = Some(At { offset, value });
            }
            return;
        }
        // Parsed outside of the lock: requests wait for it.
        let published = Published {
            sources: described(&record),
            files: record.files.into_iter().map(|file| file.path).collect(),
            digest: record.digest,
            author: record.author,
            comment: record.comment,
            at: record.at,
        };
        self.state().published.insert(published.digest.clone(), published);
    }

    fn take(&self, topic: Topic, key: &str, value: Option<&[u8]>, offset: i64) {
        match (topic, value) {
            (Topic::Switches, Some(value)) => match decode(value) {
                Ok(switch) => self.throw(offset, switch),
                Err(error) => unreadable(topics::SWITCHES, offset, &error),
            },
            (Topic::Knowledge, Some(value)) => match decode(value) {
                Ok(record) => self.publish(offset, record),
                Err(error) => unreadable(topics::KNOWLEDGE, offset, &error),
            },
            (Topic::Switches, None) => drop(self.state().switches.remove(key)),
            (Topic::Knowledge, None) => drop(self.state().published.remove(key)),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Topic {
    Switches,
    Knowledge,
}

fn unreadable(topic: &str, offset: i64, error: &dyn std::fmt::Display) {
    tracing::warn!(topic, offset, %error, "a record cannot be read and is left out");
}

fn described(record: &KnowledgeRecord) -> Arc<Sources> {
    let options = Options {
        allow_missing_playbooks: true,
    };
    let set = KnowledgeSet::parse_with(&record.files, options).ok();
    let sources = set.and_then(|set| Sources::parse(&set.sources).ok());
    Arc::new(sources.unwrap_or_default())
}

/// Reads both topics until told to stop.
pub(crate) struct Reader {
    consumer: BaseConsumer<Quiet>,
    board: Arc<Board>,
    names: [String; 2],
    /// Partitions whose end has not been seen yet.
    behind: BTreeSet<(String, i32)>,
}

struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        crate::report(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "the reader of switches and knowledge met an error");
    }
}

impl ConsumerContext for Quiet {}

/// How long one step of the reader blocks at most.
const STEP: Duration = Duration::from_millis(100);
/// How long the brokers may take to describe a topic.
const METADATA: Duration = Duration::from_secs(3);

impl Reader {
    pub(crate) fn new(
        kafka: &ClientConfig,
        prefix: &Prefix,
        board: Arc<Board>,
    ) -> Result<Self, KafkaError> {
        let mut config = kafka.clone();
        // The group is never joined and nothing is committed to it; librdkafka wants a name.
        config.set("group.id", prefix.app("gateway"));
        config.set("enable.auto.commit", "false");
        config.set("enable.partition.eof", "true");
        config.set("isolation.level", "read_committed");
        config.set("auto.offset.reset", "earliest");
        Ok(Self {
            consumer: config.create_with_context(Quiet)?,
            board,
            names: [topics::SWITCHES, topics::KNOWLEDGE].map(|name| prefix.topic(name)),
            behind: BTreeSet::new(),
        })
    }

    /// Reads until told to stop. Blocks.
    pub(crate) fn run(mut self, stop: &AtomicBool) {
        while !stop.load(Ordering::Acquire) {
            match self.assign() {
                Ok(true) => break,
                Ok(false) => std::thread::sleep(STEP),
                Err(error) => {
                    tracing::debug!(%error, "switches and knowledge cannot be read yet");
                    std::thread::sleep(STEP);
                }
            }
        }
        while !stop.load(Ordering::Acquire) {
            self.step();
        }
    }

    /// Takes every partition of both topics from its beginning; false while one of the topics is not there.
    fn assign(&mut self) -> KafkaResult<bool> {
        let mut list = TopicPartitionList::new();
        for name in &self.names {
            let metadata = self.consumer.fetch_metadata(Some(name), METADATA)?;
            let found = metadata.topics().iter().find(|topic| topic.name() == name);
            let partitions = found.filter(|topic| topic.error().is_none()).map(|topic| topic.partitions());
            let Some(partitions) = partitions.filter(|partitions| !partitions.is_empty()) else {
                return Ok(false);
            };
            for partition in partitions {
                list.add_partition_offset(name, partition.id(), Offset::Beginning)?;
                self.behind.insert((name.clone(), partition.id()));
            }
        }
        self.consumer.assign(&list)?;
        Ok(true)
    }

    fn step(&mut self) {
        match self.consumer.poll(STEP) {
            None => {}
            Some(Ok(message)) => {
                let topic = if message.topic() == self.names[0] {
                    Topic::Switches
                } else {
                    Topic::Knowledge
                };
                let key = String::from_utf8_lossy(message.key().unwrap_or_default());
                self.board.take(topic, &key, message.payload(), message.offset());
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                // The error does not say which topic's partition ended; the position does.
                self.caught_up(partition);
            }
            Some(Err(error)) => tracing::debug!(%error, "the reader of switches and knowledge met an error"),
        }
    }
}
