//! Taking partitions up: fence who had them, find where to go on, restore, assign.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use prunella_stream::{SourceKind, Task};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::{Offset, TopicPartitionList};

use crate::fence::{Mark, fence_all};
use crate::kafka::LogContext;
use crate::metrics::StageLabel;
use crate::restore::{ANSWER, RestoreError, restore, side_consumer};
use crate::runtime::RuntimeError;
use crate::stream_thread::{Slot, StreamThread};

/// Why partitions could not be taken up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TakeoverError {
    /// The group took them back meanwhile: wait for what it gives next.
    #[error("the group moved on")]
    Interrupted,
    /// Something passing: try again.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// A changelog could not be read to its end for a while: a broker is away. Try again.
    #[error("changelog {0} stood still")]
    Stalled(String),
    /// Nothing that trying again would mend.
    #[error(transparent)]
    Fatal(RuntimeError),
}

impl From<RestoreError> for TakeoverError {
    fn from(error: RestoreError) -> Self {
        match error {
            RestoreError::Interrupted => TakeoverError::Interrupted,
            RestoreError::Kafka(error) => TakeoverError::Kafka(error),
            RestoreError::Stalled(topic) => TakeoverError::Stalled(topic),
            other => TakeoverError::Fatal(RuntimeError::Changelog(other.to_string())),
        }
    }
}

/// Where one partition of one topic stands.
struct Standing {
    offset: i64,
    mark: Mark,
    /// Partitions that the changelog had then.
    changelog: Option<i32>,
    known: bool,
}

type Standings = BTreeMap<(String, i32), Standing>;

impl StreamThread {
    /// Takes up the partitions: afterwards they are assigned, restored, caught up with broadcast topics, and
    /// reading.
    pub(crate) fn take_over(&mut self, partitions: &BTreeSet<i32>) -> Result<(), TakeoverError> {
        self.leaked = false;
        let side = side_consumer(&self.shared.base, &self.group)?;
        let standings = self.fence_and_look(&side, partitions)?;
        self.refuse_moved_state(&standings)?;
        let assignment = self.assignment(&standings)?;
        self.consumer.assign(&assignment)?;
        self.consumer.pause(&assignment)?;
        self.fill_slots(&side, partitions, &standings)?;
        // Only now: a mark written before the refusal of lost offsets would pass for an owner's at the next start.
        self.mark(&standings, &self.owner_mark())?;
        self.learn()?;
        if self.leaked {
            self.consumer.assign(&assignment)?;
        }
        self.consumer.resume(&assignment)?;
        self.reborn.clear();
        self.shared
            .metrics
            .rebalances
            .get_or_create(&StageLabel {
                stage: self.spec.app,
            })
            .inc();
        tracing::info!(stage = self.spec.app, member = %self.id, ?partitions, "partitions taken up");
        Ok(())
    }

    /// All keyed sources of these partitions.
    fn keyed(&self, partitions: &BTreeSet<i32>) -> Vec<(String, i32)> {
        let topics = self.spec.sources.iter().zip(&self.source_topics);
        topics
            .filter(|(source, _)| source.kind == SourceKind::Keyed)
            .flat_map(|(_, topic)| {
                partitions
                    .iter()
                    .map(|partition| (topic.clone(), *partition))
            })
            .collect()
    }

    /// Reads the marks of the last owners, fences those that may have a transaction open, and only then reads
    /// where to go on. The own mark, which follows, is a plain commit: inside a transaction a third owner would
    /// not see it, and before the stable read it would override a pending transaction's offset.
    fn fence_and_look(
        &self,
        side: &BaseConsumer<LogContext>,
        partitions: &BTreeSet<i32>,
    ) -> Result<Standings, TakeoverError> {
        let wanted = self.keyed(partitions);
        let before = read_committed_offsets(side, &wanted)?;
        let owners: BTreeSet<String> = before
            .values()
            .filter_map(|standing| match &standing.mark {
                Mark::Owner(id) if *id != self.id => Some(id.clone()),
                _ => None,
            })
            .collect();
        if self.is_transactional() && !owners.is_empty() {
            tracing::info!(stage = self.spec.app, ?owners, "fencing the last owners");
            self.shared
                .metrics
                .fences
                .get_or_create(&StageLabel {
                    stage: self.spec.app,
                })
                .inc_by(owners.len() as u64);
            fence_all(&self.shared.base, &owners)?;
        }
        let mut standings = read_committed_offsets(&self.consumer, &wanted)?;
        for ((topic, partition), standing) in &mut standings {
            if !standing.known {
                // An invalid offset in a transaction writes nothing and so fences nothing: give it a number.
                standing.offset = side.fetch_watermarks(topic, *partition, ANSWER)?.0;
            }
        }
        Ok(standings)
    }

    fn mark(&self, standings: &Standings, mark: &str) -> Result<(), TakeoverError> {
        let mut offsets = TopicPartitionList::new();
        for ((topic, partition), standing) in standings {
            let mut element = offsets.add_partition(topic, *partition);
            element.set_offset(Offset::Offset(standing.offset))?;
            element.set_metadata(mark);
        }
        self.consumer.commit(&offsets, CommitMode::Sync)?;
        Ok(())
    }

    fn assignment(&self, standings: &Standings) -> KafkaResult<TopicPartitionList> {
        let mut assignment = TopicPartitionList::new();
        for ((topic, partition), standing) in standings {
            assignment.add_partition_offset(topic, *partition, Offset::Offset(standing.offset))?;
        }
        Ok(assignment)
    }

    /// Makes or keeps a task for each partition and restores those that were not kept.
    fn fill_slots(
        &mut self,
        side: &BaseConsumer<LogContext>,
        partitions: &BTreeSet<i32>,
        standings: &Standings,
    ) -> Result<(), TakeoverError> {
        self.slots.clear();
        let mut fresh = BTreeMap::new();
        for partition in partitions {
            let parked = self.parked.remove(partition);
            match parked.filter(|slot| self.is_untouched(*partition, slot, standings)) {
                Some(slot) => drop(self.slots.insert(*partition, slot)),
                None => {
                    let reborn = self.reborn.remove(partition);
                    let mut task = reborn.unwrap_or_else(|| (self.spec.make)(*partition));
                    task.clear();
                    fresh.insert(*partition, Slot::new(task));
                }
            }
        }
        self.parked.clear();
        let mut tasks = fresh
            .iter_mut()
            .map(|(partition, slot)| (*partition, &mut slot.task))
            .collect();
        let consumer = &self.consumer;
        let stop = &self.shared.stop;
        let leaked = &mut self.leaked;
        let counts = restore(
            &self.shared.base,
            side,
            &self.group,
            &self.changelog,
            &mut tasks,
            &mut || {
                // This serves the group. Nothing should come while paused; what does is read again.
                *leaked |= matches!(consumer.poll(Duration::ZERO), Some(Ok(_)));
                !consumer.context().has_event() && !stop.load(std::sync::atomic::Ordering::SeqCst)
            },
        )?;
        drop(tasks);
        self.refuse_lost_offsets(&counts, standings)?;
        self.count_restored(&counts);
        for (partition, mut slot) in fresh {
            let in_flight = &self.in_flight;
            slot.task
                .restored(&|id, attempt| in_flight.contains(&(partition, *id, attempt)));
            self.slots.insert(partition, slot);
        }
        self.set_positions(standings);
        Ok(())
    }

    /// A parked task is as good as new if the release it was parked under is still the last word.
    fn is_untouched(&self, partition: i32, slot: &Slot, standings: &Standings) -> bool {
        let Some(token) = &slot.released else {
            return false;
        };
        standings
            .iter()
            .filter(|((_, candidate), _)| *candidate == partition)
            .all(|(_, standing)| standing.mark == Mark::Released(token.clone()))
    }

    /// State lies where the number of the changelog's partitions says; with another number it would be looked
    /// for, and not found, elsewhere.
    fn refuse_moved_state(&self, standings: &Standings) -> Result<(), TakeoverError> {
        let now = self.changelog.partitions;
        if self.shared.config.accept_lost_offsets {
            return Ok(());
        }
        // A mark of ours that does not tell was made when every task had a partition of its own.
        let ours = standings
            .values()
            .filter(|it| matches!(it.mark, Mark::Owner(_) | Mark::Released(_)));
        let moved = ours
            .map(|it| it.changelog.unwrap_or_default())
            .find(|then| *then != now);
        let Some(then) = moved else {
            return Ok(());
        };
        Err(TakeoverError::Fatal(RuntimeError::Changelog(format!(
            "{} has {now} partitions and had {then} (0: one a task) when the state of this stage was written: it would not be found. Partitions cannot be taken away again: take a new prefix, or, to begin without state, delete the topic's records and set `runtime.accept_lost_offsets = true` for one start",
            self.changelog.topic
        ))))
    }

    /// State without the offsets that belong to it would process the same input twice.
    fn refuse_lost_offsets(
        &self,
        counts: &BTreeMap<i32, u64>,
        standings: &Standings,
    ) -> Result<(), TakeoverError> {
        if self.shared.config.accept_lost_offsets {
            return Ok(());
        }
        for ((topic, partition), standing) in standings {
            let restored = counts.get(partition).copied().unwrap_or(0);
            let lost = !standing.known || matches!(standing.mark, Mark::None | Mark::Foreign);
            if restored > 0 && lost {
                return Err(TakeoverError::Fatal(RuntimeError::LostOffsets {
                    group: self.group.clone(),
                    topic: topic.clone(),
                    partition: *partition,
                }));
            }
        }
        Ok(())
    }

    fn count_restored(&self, counts: &BTreeMap<i32, u64>) {
        let restored: u64 = counts.values().sum();
        if restored > 0 {
            tracing::info!(stage = self.spec.app, records = restored, "state restored");
        }
        self.shared
            .metrics
            .restored
            .get_or_create(&StageLabel {
                stage: self.spec.app,
            })
            .inc_by(restored);
    }

    fn set_positions(&mut self, standings: &Standings) {
        for ((topic, partition), standing) in standings {
            let source = self
                .source_topics
                .iter()
                .position(|candidate| candidate == topic);
            if let (Some(source), Some(slot)) = (source, self.slots.get_mut(partition)) {
                slot.task.set_position(source, standing.offset);
            }
        }
    }

    /// Shows the tasks what they had learnt of broadcast topics before; what is newer comes as records. Waits
    /// until this process has read those topics to their ends, so that no alert is decided without its rules.
    fn learn(&mut self) -> Result<(), TakeoverError> {
        while !self.shared.broadcast.ready() {
            self.leaked |= matches!(self.consumer.poll(Duration::from_millis(10)), Some(Ok(_)));
            if self.consumer.context().has_event() || self.is_stopping() {
                return Err(TakeoverError::Interrupted);
            }
        }
        self.learn_again();
        Ok(())
    }
}

/// Shows one task the broadcast records before its position.
pub(crate) fn learn_task(task: &mut dyn Task, broadcast: &crate::broadcast::Broadcast) {
    for (index, source) in task.sources().iter().enumerate() {
        if source.kind != SourceKind::Broadcast {
            continue;
        }
        let position = task.position(index);
        for record in broadcast.read(source.topic, 0, usize::MAX) {
            if record.offset >= position {
                break;
            }
            crate::stream_thread::with_broadcast(index, &record, &mut |record| task.learn(record));
        }
    }
}

fn read_committed_offsets<C: rdkafka::consumer::ConsumerContext>(
    consumer: &BaseConsumer<C>,
    wanted: &[(String, i32)],
) -> KafkaResult<Standings> {
    let mut standings = Standings::new();
    // One request for many partitions may take longer than its timeout while a coordinator moves.
    for slice in wanted.chunks(64) {
        let mut list = TopicPartitionList::new();
        for (topic, partition) in slice {
            list.add_partition(topic, *partition);
        }
        for element in consumer.committed_offsets(list, ANSWER)?.elements() {
            element.error()?;
            let offset = element.offset().to_raw().filter(|offset| *offset >= 0);
            let (mark, changelog) = Mark::read(element.metadata());
            standings.insert(
                (element.topic().to_owned(), element.partition()),
                Standing {
                    offset: offset.unwrap_or(0),
                    mark,
                    changelog,
                    known: offset.is_some(),
                },
            );
        }
    }
    Ok(standings)
}
