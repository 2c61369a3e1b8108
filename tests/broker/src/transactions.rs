//! Open transactions as a cluster shows them: records beyond the last stable offset that nobody has decided.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

const ANSWER: Duration = Duration::from_secs(10);
/// What the runtime writes into the metadata of its offsets, before its transactional id.
const OWNER: &str = "prunella owner ";

/// What nobody has decided yet in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undecided {
    /// Offset of the first.
    pub from: i64,
    /// How many there are, their markers among them.
    pub records: i64,
}

/// Asks for the ends of partitions, for one who reads everything and for one who reads what is committed.
pub struct Transactions {
    all: BaseConsumer,
    committed: BaseConsumer,
}

impl Transactions {
    /// Asks this cluster.
    ///
    /// # Errors
    /// Settings that the client refuses.
    pub fn new(bootstrap: &str) -> Result<Self> {
        Ok(Self {
            all: consumer(bootstrap, "none", "read_uncommitted")?,
            committed: consumer(bootstrap, "none", "read_committed")?,
        })
    }

    /// Partitions of the topic that hold undecided records, with how many (their markers count too).
    ///
    /// # Errors
    /// A cluster that does not answer.
    pub fn undecided(&self, topic: &str, partitions: i32) -> Result<BTreeMap<i32, Undecided>> {
        // In this order: what is committed in between makes the difference smaller, not larger.
        let all = ends(&self.all, topic, partitions)?;
        let committed = ends(&self.committed, topic, partitions)?;
        let open = |(partition, end): (i32, i64)| {
            let from = committed.get(&partition).copied().unwrap_or(end);
            let records = end - from;
            (records > 0).then_some((partition, Undecided { from, records }))
        };
        Ok(all.into_iter().filter_map(open).collect())
    }
}

/// Tells who owns the partitions of a stage: the mark of the last commit says so.
pub struct Owners {
    consumer: BaseConsumer,
    group: String,
    topic: String,
    partitions: i32,
}

impl Owners {
    /// Asks about a group that reads this topic.
    ///
    /// # Errors
    /// Settings that the client refuses.
    pub fn new(bootstrap: &str, group: &str, topic: &str, partitions: i32) -> Result<Self> {
        Ok(Self {
            consumer: consumer(bootstrap, group, "read_uncommitted")?,
            group: group.to_owned(),
            topic: topic.to_owned(),
            partitions,
        })
    }

    /// The partitions that an instance owns; none if the cluster cannot say so now.
    #[must_use]
    pub fn of(&self, instance: &str) -> BTreeSet<i32> {
        let mut wanted = TopicPartitionList::new();
        wanted.add_partition_range(&self.topic, 0, self.partitions - 1);
        let Ok(committed) = self.consumer.committed_offsets(wanted, ANSWER) else {
            return BTreeSet::new();
        };
        let prefix = format!("{OWNER}{}.{instance}.", self.group);
        let elements = committed.elements();
        let owned = elements
            .iter()
            .filter(|element| element.metadata().starts_with(&prefix));
        owned.map(|element| element.partition()).collect()
    }
}

fn consumer(bootstrap: &str, group: &str, isolation: &str) -> Result<BaseConsumer> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("isolation.level", isolation)
        .set("log_level", "3");
    config.create().context("a consumer")
}

fn ends(consumer: &BaseConsumer, topic: &str, partitions: i32) -> Result<BTreeMap<i32, i64>> {
    let mut wanted = TopicPartitionList::new();
    for partition in 0..partitions {
        // As a time, -1 means the end.
        wanted.add_partition_offset(topic, partition, Offset::End)?;
    }
    let found = consumer.offsets_for_times(wanted, ANSWER)?;
    let mut ends = BTreeMap::new();
    for element in found.elements() {
        element.error()?;
        if let Some(end) = element.offset().to_raw() {
            ends.insert(element.partition(), end);
        }
    }
    Ok(ends)
}
