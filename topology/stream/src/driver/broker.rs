//! A simulated broker: topics, transactions, epochs and group offsets.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::log::{Log, Message, Outcome, Stored};
use super::partitioner::partition_of;
use crate::record::Millis;

/// Index of a topic.
pub(super) type TopicId = usize;

/// Why the broker does not do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Another producer with the same transactional id has begun since.
    Fenced,
    /// There is no such transaction.
    NoTransaction,
}

/// Offsets of one task: one for each source of its stage, absent where none was committed or the source is
/// broadcast.
pub(super) type Offsets = Vec<Option<i64>>;

#[derive(Debug)]
struct Topic {
    name: String,
    logs: Vec<Log>,
}

#[derive(Debug)]
struct Pending {
    number: usize,
    touched: BTreeSet<(TopicId, i32)>,
    offsets: Vec<(usize, i32, Offsets)>,
}

/// State of one transactional id.
#[derive(Debug, Default)]
struct Producer {
    epoch: u64,
    pending: Option<Pending>,
    /// The last transaction of this epoch ended with a commit: asked to commit again, the broker agrees.
    committed: bool,
}

#[derive(Debug, Default)]
pub(super) struct Broker {
    topics: Vec<Topic>,
    outcomes: Vec<Outcome>,
    /// By transactional id: one for each instance.
    producers: Vec<Producer>,
    /// By stage and partition.
    offsets: Vec<Vec<Offsets>>,
}

impl Broker {
    pub(super) fn topic(&self, name: &str) -> Option<TopicId> {
        self.topics.iter().position(|topic| topic.name == name)
    }

    pub(super) fn create(&mut self, name: &str, partitions: i32) -> TopicId {
        self.topics.push(Topic {
            name: name.to_owned(),
            logs: (0..partitions).map(|_| Log::default()).collect(),
        });
        self.topics.len() - 1
    }

    pub(super) fn partitions(&self, topic: TopicId) -> i32 {
        i32::try_from(self.topics[topic].logs.len()).unwrap_or(i32::MAX)
    }

    /// Adds a consumer group with no offsets, for the stage of the next index.
    pub(super) fn add_group(&mut self, partitions: i32, sources: usize) {
        self.offsets
            .push((0..partitions).map(|_| vec![None; sources]).collect());
    }

    /// Adds a transactional id, for the instance of the next index.
    pub(super) fn add_producer(&mut self) {
        self.producers.push(Producer::default());
    }

    /// Puts a record on a topic outside any transaction; to the partition given, or to the one of the key.
    pub(super) fn put(
        &mut self,
        topic: TopicId,
        partition: Option<i32>,
        message: Message,
        now: Millis,
    ) -> (i32, i64) {
        let count = self.partitions(topic);
        let partition = partition.unwrap_or_else(|| partition_of(message.key.as_deref(), count));
        let offset = self
            .log_mut(topic, partition)
            .append(partition, message, now, None);
        (partition, offset)
    }

    pub(super) fn fetch(
        &self,
        topic: TopicId,
        partition: i32,
        cursor: &mut i64,
    ) -> Option<Arc<Stored>> {
        self.log(topic, partition).fetch(cursor, &self.outcomes)
    }

    /// The offset after the last record, open transactions included.
    pub(super) fn end(&self, topic: TopicId, partition: i32) -> i64 {
        self.log(topic, partition).end()
    }

    /// Every committed record of a topic before the last stable offset, by partition and offset.
    pub(super) fn committed(&self, topic: TopicId) -> Vec<Arc<Stored>> {
        let mut records = Vec::new();
        for log in &self.topics[topic].logs {
            let mut cursor = 0;
            while let Some(record) = log.fetch(&mut cursor, &self.outcomes) {
                records.push(record);
                cursor += 1;
            }
        }
        records
    }

    /// Takes a transactional id over: aborts its open transaction and fences who used it before.
    pub(super) fn init(&mut self, producer: usize) -> u64 {
        self.end_transaction(producer, Outcome::Aborted);
        let state = &mut self.producers[producer];
        state.epoch += 1;
        state.committed = false;
        state.epoch
    }

    pub(super) fn begin(&mut self, producer: usize, epoch: u64) -> Result<(), Refused> {
        self.check(producer, epoch)?;
        if self.producers[producer].pending.is_none() {
            self.producers[producer].pending = Some(Pending {
                number: self.outcomes.len(),
                touched: BTreeSet::new(),
                offsets: Vec::new(),
            });
            self.outcomes.push(Outcome::Open);
        }
        Ok(())
    }

    /// Produces inside the open transaction; to the partition given, or to the one of the key.
    pub(super) fn produce(
        &mut self,
        producer: usize,
        epoch: u64,
        topic: TopicId,
        partition: Option<i32>,
        message: Message,
        now: Millis,
    ) -> Result<(), Refused> {
        self.check(producer, epoch)?;
        let count = self.partitions(topic);
        let partition = partition.unwrap_or_else(|| partition_of(message.key.as_deref(), count));
        let pending = self.pending(producer)?;
        pending.touched.insert((topic, partition));
        let number = pending.number;
        self.log_mut(topic, partition)
            .append(partition, message, now, Some(number));
        Ok(())
    }

    pub(super) fn add_offsets(
        &mut self,
        producer: usize,
        epoch: u64,
        stage: usize,
        partition: i32,
        offsets: Offsets,
    ) -> Result<(), Refused> {
        self.check(producer, epoch)?;
        let pending = self.pending(producer)?;
        pending.offsets.push((stage, partition, offsets));
        Ok(())
    }

    pub(super) fn commit(&mut self, producer: usize, epoch: u64) -> Result<(), Refused> {
        self.check(producer, epoch)?;
        if self.producers[producer].pending.is_none() {
            // The identical call repeated: the first one did it.
            let committed = self.producers[producer].committed;
            return committed.then_some(()).ok_or(Refused::NoTransaction);
        }
        self.end_transaction(producer, Outcome::Committed);
        Ok(())
    }

    pub(super) fn abort(&mut self, producer: usize, epoch: u64) -> Result<(), Refused> {
        self.check(producer, epoch)?;
        self.end_transaction(producer, Outcome::Aborted);
        Ok(())
    }

    /// Commits offsets outside any transaction.
    pub(super) fn commit_offsets(&mut self, stage: usize, partition: i32, offsets: Offsets) {
        self.offsets[stage][index(partition)] = offsets;
    }

    /// The committed offsets of a task; nothing while a transaction that would change them is open.
    pub(super) fn stable_offsets(&self, stage: usize, partition: i32) -> Option<&Offsets> {
        let unstable = self
            .producers
            .iter()
            .filter_map(|producer| producer.pending.as_ref())
            .flat_map(|pending| &pending.offsets)
            .any(|pending| (pending.0, pending.1) == (stage, partition));
        (!unstable).then(|| &self.offsets[stage][index(partition)])
    }

    fn check(&self, producer: usize, epoch: u64) -> Result<(), Refused> {
        if self.producers[producer].epoch == epoch {
            Ok(())
        } else {
            Err(Refused::Fenced)
        }
    }

    fn pending(&mut self, producer: usize) -> Result<&mut Pending, Refused> {
        let pending = self.producers[producer].pending.as_mut();
        pending.ok_or(Refused::NoTransaction)
    }

    fn end_transaction(&mut self, producer: usize, outcome: Outcome) {
        let Some(pending) = self.producers[producer].pending.take() else {
            return;
        };
        self.producers[producer].committed = outcome == Outcome::Committed;
        self.outcomes[pending.number] = outcome;
        for (topic, partition) in pending.touched {
            self.log_mut(topic, partition).mark();
        }
        if outcome == Outcome::Committed {
            for (stage, partition, offsets) in pending.offsets {
                self.commit_offsets(stage, partition, offsets);
            }
        }
    }

    fn log(&self, topic: TopicId, partition: i32) -> &Log {
        &self.topics[topic].logs[index(partition)]
    }

    fn log_mut(&mut self, topic: TopicId, partition: i32) -> &mut Log {
        &mut self.topics[topic].logs[index(partition)]
    }
}

fn index(partition: i32) -> usize {
    usize::try_from(partition).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broker() -> Broker {
        let mut broker = Broker::default();
        broker.create("out", 1);
        broker.add_group(1, 1);
        broker.add_producer();
        broker
    }

    fn seen(broker: &Broker) -> Vec<String> {
        let records = broker.committed(0);
        records.iter().map(|r| r.value_text().to_owned()).collect()
    }

    fn produce(broker: &mut Broker, epoch: u64, value: &str) -> Result<(), Refused> {
        broker.produce(0, epoch, 0, None, Message::new("k", value), 0)
    }

    #[test]
    fn an_open_transaction_hides_its_records_and_what_lies_behind_them() {
        let mut broker = broker();
        let epoch = broker.init(0);
        broker.begin(0, epoch).expect("begins");
        produce(&mut broker, epoch, "a").expect("produces");
        broker.put(0, None, Message::new("k", "b"), 0);
        assert!(seen(&broker).is_empty());
        broker.commit(0, epoch).expect("commits");
        assert_eq!(seen(&broker), ["a", "b"]);
    }

    #[test]
    fn an_aborted_transaction_shows_nothing_and_moves_no_offset() {
        let mut broker = broker();
        let epoch = broker.init(0);
        broker.begin(0, epoch).expect("begins");
        produce(&mut broker, epoch, "a").expect("produces");
        let offsets = broker.add_offsets(0, epoch, 0, 0, vec![Some(5)]);
        offsets.expect("offsets");
        assert_eq!(broker.stable_offsets(0, 0), None);
        broker.abort(0, epoch).expect("aborts");
        assert!(seen(&broker).is_empty());
        assert_eq!(broker.stable_offsets(0, 0), Some(&vec![None]));
    }

    #[test]
    fn whoever_takes_the_id_over_fences_its_user() {
        let mut broker = broker();
        let old = broker.init(0);
        broker.begin(0, old).expect("begins");
        produce(&mut broker, old, "a").expect("produces");
        let new = broker.init(0);
        assert_eq!(broker.commit(0, old), Err(Refused::Fenced));
        assert_eq!(produce(&mut broker, old, "b"), Err(Refused::Fenced));
        broker.begin(0, new).expect("the new one begins");
        assert!(seen(&broker).is_empty());
    }

    #[test]
    fn a_commit_may_be_repeated_and_one_of_nothing_is_refused() {
        let mut broker = broker();
        let epoch = broker.init(0);
        assert_eq!(broker.commit(0, epoch), Err(Refused::NoTransaction));
        broker.begin(0, epoch).expect("begins");
        assert_eq!(broker.commit(0, epoch), Ok(()));
        assert_eq!(broker.commit(0, epoch), Ok(()));
    }
}
