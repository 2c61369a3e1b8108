//! Reads a compacted topic from its beginning into the board, and goes on reading.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use prunella_topology::Prefix;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use crate::board::{Board, Topic};

/// A reader of one topic.
pub(crate) struct Reader {
    consumer: BaseConsumer<Quiet>,
    board: Arc<Board>,
    topic: Topic,
    name: String,
    /// Partitions whose end has not been seen yet.
    behind: BTreeSet<i32>,
}

struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        crate::report(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "a reader met an error");
    }
}

impl ConsumerContext for Quiet {}

/// How long one step blocks at most.
const STEP: Duration = Duration::from_millis(100);
/// How long the brokers may take to describe the topic.
const METADATA: Duration = Duration::from_secs(3);

impl Reader {
    pub(crate) fn new(
        kafka: &ClientConfig,
        prefix: &Prefix,
        topic: Topic,
        board: Arc<Board>,
    ) -> Result<Self, KafkaError> {
        let mut config = kafka.clone();
        for (name, value) in [
            // The group is never joined and nothing is committed to it; librdkafka wants a name.
            ("group.id", prefix.app("gateway").as_str()),
            ("enable.auto.commit", "false"),
            ("enable.partition.eof", "true"),
            ("isolation.level", "read_committed"),
            ("auto.offset.reset", "earliest"),
            // A broker tells of a topic's end only when a fetch ends, and a fetch of an empty one waits.
            ("fetch.wait.max.ms", "100"),
        ] {
            config.set(name, value);
        }
        Ok(Self {
            consumer: config.create_with_context(Quiet)?,
            board,
            topic,
            name: prefix.topic(topic.name()),
            behind: BTreeSet::new(),
        })
    }

    /// Reads until told to stop. Blocks.
    pub(crate) fn run(mut self, stop: &AtomicBool) {
        let stopped = || stop.load(Ordering::Acquire);
        while !stopped() {
            match self.assign() {
                Ok(true) => break,
                Ok(false) => {}
                Err(error) => {
                    tracing::debug!(topic = self.name, %error, "the topic cannot be read yet")
                }
            }
            std::thread::sleep(STEP);
        }
        while !stopped() {
            self.step();
        }
    }

    /// Takes every partition from its beginning; false while the topic is not there.
    fn assign(&mut self) -> KafkaResult<bool> {
        let metadata = self.consumer.fetch_metadata(Some(&self.name), METADATA)?;
        let found = metadata
            .topics()
            .iter()
            .find(|topic| topic.name() == self.name);
        let Some(found) = found.filter(|topic| topic.error().is_none()) else {
            return Ok(false);
        };
        let mut list = TopicPartitionList::new();
        for partition in found.partitions() {
            list.add_partition_offset(&self.name, partition.id(), Offset::Beginning)?;
            self.behind.insert(partition.id());
        }
        if self.behind.is_empty() {
            return Ok(false);
        }
        self.consumer.assign(&list)?;
        Ok(true)
    }

    fn step(&mut self) {
        match self.consumer.poll(STEP) {
            None => {}
            Some(Ok(message)) => {
                let key = String::from_utf8_lossy(message.key().unwrap_or_default());
                self.board
                    .take(self.topic, &key, message.payload(), message.offset());
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                self.behind.remove(&partition);
                if self.behind.is_empty() {
                    self.board.read_to_end(self.topic);
                }
            }
            Some(Err(error)) => {
                tracing::debug!(topic = self.name, %error, "the topic cannot be read just now");
            }
        }
    }
}
