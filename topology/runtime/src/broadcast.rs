//! Broadcast topics, read once for the whole process: every task reads them from here at its own position.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::clock::{boot_millis, wall_millis};
use crate::config::Prefixed;
use crate::kafka::LogContext;
use crate::wire::{Framing, Inbound, PAUSE};

/// One record of a broadcast topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BroadcastRecord {
    /// Its offset.
    pub offset: i64,
    /// Its timestamp in milliseconds.
    pub timestamp: i64,
    /// Key bytes.
    pub key: Option<Vec<u8>>,
    /// Value bytes.
    pub value: Option<Vec<u8>>,
    /// Value bytes as they lay on the topic, if stages read others.
    pub original: Option<Vec<u8>>,
    /// Headers.
    pub headers: Vec<(String, Vec<u8>)>,
}

#[derive(Default)]
struct Topic {
    records: RwLock<Vec<Arc<BroadcastRecord>>>,
    /// Time since boot at which this process knew that it had read everything; -1 before the first.
    confirmed: AtomicI64,
}

/// What this process has read of the broadcast topics.
#[derive(Clone)]
pub struct Broadcast {
    topics: Arc<BTreeMap<String, Topic>>,
    stop: Arc<AtomicBool>,
}

impl Broadcast {
    /// A log for these topics, by their names without prefix.
    #[must_use]
    pub fn new(topics: &[&str]) -> Self {
        let topics = topics.iter().map(|topic| {
            let log = Topic {
                records: RwLock::default(),
                confirmed: AtomicI64::new(-1),
            };
            ((*topic).to_owned(), log)
        });
        Self {
            topics: Arc::new(topics.collect()),
            stop: Arc::new(AtomicBool::new(false)),
        }
    }

    /// Records of a topic from an offset on, at most `limit`.
    #[must_use]
    pub fn read(&self, topic: &str, from: i64, limit: usize) -> Vec<Arc<BroadcastRecord>> {
        let Some(topic) = self.topics.get(topic) else {
            return Vec::new();
        };
        let records = topic
            .records
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let start = records.partition_point(|record| record.offset < from);
        records[start..].iter().take(limit).cloned().collect()
    }

    /// True if there is a record at or after the offset.
    #[must_use]
    pub fn has(&self, topic: &str, from: i64) -> bool {
        self.topics.get(topic).is_some_and(|topic| {
            let records = topic
                .records
                .read()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            records.last().is_some_and(|record| record.offset >= from)
        })
    }

    /// Milliseconds since this process last knew that it had read all of the topic; absent if it never did.
    #[must_use]
    pub fn age_ms(&self, topic: &str) -> Option<i64> {
        let confirmed = self.topics.get(topic)?.confirmed.load(Ordering::SeqCst);
        (confirmed >= 0).then(|| boot_millis() - confirmed)
    }

    /// True once every topic has been read to its end at least once.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.topics.keys().all(|topic| self.age_ms(topic).is_some())
    }

    /// Names of the topics.
    pub fn topics(&self) -> impl Iterator<Item = &str> {
        self.topics.keys().map(String::as_str)
    }

    /// Ends the reading thread.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    fn append(&self, topic: &str, record: BroadcastRecord) {
        if let Some(topic) = self.topics.get(topic) {
            let mut records = topic
                .records
                .write()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            if records
                .last()
                .is_none_or(|last| last.offset < record.offset)
            {
                records.push(Arc::new(record));
            }
        }
    }

    fn confirm(&self, topic: &str, at: i64) {
        if let Some(topic) = self.topics.get(topic) {
            topic.confirmed.store(at, Ordering::SeqCst);
        }
    }

    /// Reads until stopped. A broker that is away leaves the log as it is and unconfirmed.
    pub(crate) fn run(
        &self,
        base: &ClientConfig,
        prefix: &Prefixed,
        framing: &Framing,
    ) -> rdkafka::error::KafkaResult<()> {
        let mut config = base.clone();
        config
            .set("group.id", prefix.name("broadcast"))
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("isolation.level", "read_committed")
            .set("fetch.wait.max.ms", "100");
        let consumer: BaseConsumer<LogContext> = config.create_with_context(LogContext)?;
        let mut assignment = TopicPartitionList::new();
        for topic in self.topics() {
            assignment.add_partition_offset(&prefix.name(topic), 0, Offset::Beginning)?;
        }
        consumer.assign(&assignment)?;
        let mut next_check = 0;
        while !self.stop.load(Ordering::SeqCst) {
            match consumer.poll(Duration::from_millis(20)) {
                Some(Ok(message)) => {
                    if let Some(topic) = prefix.strip(message.topic())
                        && let Some(record) = self.readable(topic, owned(&message), framing)
                    {
                        self.append(topic, record);
                    }
                    continue;
                }
                Some(Err(error)) => tracing::debug!(%error, "reading broadcast topics"),
                None => {}
            }
            if boot_millis() >= next_check {
                self.check(&consumer, prefix);
                next_check = boot_millis() + if self.ready() { 1_000 } else { 20 };
            }
        }
        Ok(())
    }

    /// The record as stages read it. What cannot be read yet is waited for: meanwhile nothing is confirmed, and
    /// whoever needs fresh switches holds still. Absent if the process stops before.
    fn readable(
        &self,
        topic: &str,
        mut record: BroadcastRecord,
        framing: &Framing,
    ) -> Option<BroadcastRecord> {
        let (Some(wire), Some(value)) = (framing, &record.value) else {
            return Some(record);
        };
        while !self.stop.load(Ordering::SeqCst) {
            let mut out = Vec::new();
            match wire.inbound(topic, value, &mut out) {
                Inbound::AsItIs => return Some(record),
                Inbound::Changed => {
                    record.original = record.value.replace(out);
                    return Some(record);
                }
                Inbound::NotNow(reason) => {
                    tracing::warn!(
                        topic,
                        offset = record.offset,
                        reason,
                        "a record waits until it can be read"
                    );
                    std::thread::sleep(PAUSE);
                }
            }
        }
        None
    }

    /// Confirms every topic whose end has been reached. The time is taken before the broker is asked.
    fn check(&self, consumer: &BaseConsumer<LogContext>, prefix: &Prefixed) {
        let Ok(positions) = consumer.position() else {
            return;
        };
        for topic in self.topics() {
            let name = prefix.name(topic);
            let at = boot_millis();
            let Ok((low, high)) = consumer.fetch_watermarks(&name, 0, Duration::from_secs(2))
            else {
                continue;
            };
            let position = positions
                .find_partition(&name, 0)
                .and_then(|element| element.offset().to_raw())
                .unwrap_or(-1);
            if low == high || position >= high {
                self.confirm(topic, at);
            }
        }
    }
}

fn owned<M: Message>(message: &M) -> BroadcastRecord {
    BroadcastRecord {
        offset: message.offset(),
        timestamp: message.timestamp().to_millis().unwrap_or_else(wall_millis),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        original: None,
        headers: message.headers().map_or_else(Vec::new, |headers| {
            headers
                .iter()
                .map(|header| {
                    (
                        header.key.to_owned(),
                        header.value.unwrap_or_default().to_vec(),
                    )
                })
                .collect()
        }),
    }
}
