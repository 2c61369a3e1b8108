//! Following the group: assignments, revocations, rebuilding, and leaving.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use prunella_stream::SourceKind;
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use crate::clock::boot_millis;
use crate::commit::Member;
use crate::config::Assignment;
use crate::effects::Lease;
use crate::fence::Mark;
use crate::metrics::StageLabel;
use crate::producer::TransactionalProducer;
use crate::rebalance::Membership;
use crate::runtime::RuntimeError;
use crate::stream_thread::{Slot, StreamThread};
use crate::takeover::TakeoverError;

impl StreamThread {
    /// Does what the group said since the last look.
    pub(crate) fn follow_group(&mut self) -> Result<(), RuntimeError> {
        while let Some(event) = self.consumer.context().next() {
            match event {
                Membership::Revoked => self.hand_over()?,
                Membership::Assigned {
                    partitions,
                    metadata,
                } => {
                    self.metadata = metadata;
                    self.lease = Lease::new(self.shared.config.session_timeout_ms);
                    self.lease.renew(boot_millis());
                    let partitions = self.whole_partitions(&partitions);
                    self.take_up(&partitions)?;
                }
            }
        }
        self.check_fatal()
    }

    pub(crate) fn check_fatal(&self) -> Result<(), RuntimeError> {
        if self.consumer.context().is_fatal() {
            return Err(self.fenced());
        }
        Ok(())
    }

    /// Why the client cannot go on. Who was cut off was fenced for what it did itself; there is no other.
    fn fenced(&self) -> RuntimeError {
        if self.consumer.context().is_cut_off() {
            RuntimeError::CutOff(self.id.clone())
        } else {
            RuntimeError::NameInUse(self.id.clone())
        }
    }

    /// Partitions of which every keyed source was given.
    fn whole_partitions(&self, given: &[(String, i32)]) -> BTreeSet<i32> {
        let keyed = self
            .spec
            .sources
            .iter()
            .filter(|source| source.kind == SourceKind::Keyed);
        let wanted = keyed.count();
        let mut counts: BTreeMap<i32, usize> = BTreeMap::new();
        for (_, partition) in given {
            *counts.entry(*partition).or_default() += 1;
        }
        let (whole, parts): (Vec<_>, Vec<_>) =
            counts.into_iter().partition(|(_, count)| *count == wanted);
        if !parts.is_empty() {
            tracing::error!(
                stage = self.spec.app,
                partitions = ?parts,
                "the stage's topics differ in their partitions: run `prunella topology check`"
            );
        }
        whole.into_iter().map(|(partition, _)| partition).collect()
    }

    /// Takes partitions up, again and again while the broker has passing trouble.
    fn take_up(&mut self, partitions: &BTreeSet<i32>) -> Result<(), RuntimeError> {
        if partitions.is_empty() {
            let outcome = self.consumer.assign(&TopicPartitionList::new());
            self.count_assigned();
            self.shared.health.set_ready(&self.id, true);
            return outcome.map_err(RuntimeError::from);
        }
        loop {
            match self.take_over(partitions) {
                Ok(()) => break,
                Err(TakeoverError::Interrupted) => {
                    // Not restored or not taught: neither to be worked with nor to be parked.
                    self.keep_for_rebirth();
                    return Ok(());
                }
                Err(TakeoverError::Fatal(error)) => return Err(error),
                Err(TakeoverError::Stalled(topic)) => {
                    tracing::warn!(
                        stage = self.spec.app,
                        topic,
                        "a restore stood still; trying again. If it goes on while every broker is there, a transaction hangs at the broker: `kafka-transactions.sh find-hanging` finds it"
                    );
                    self.keep_for_rebirth();
                }
                Err(TakeoverError::Kafka(error)) => {
                    tracing::warn!(stage = self.spec.app, %error, "taking partitions up failed; trying again");
                    self.keep_for_rebirth();
                    match crate::commit::member_of(&error) {
                        Member::NameInUse => return Err(self.fenced()),
                        Member::Lost => return self.let_go(),
                        Member::Current | Member::Unknown => {}
                    }
                }
            }
            let _ = self.consumer.poll(Duration::from_millis(200));
            self.check_fatal()?;
            if self.consumer.context().has_event() || self.is_stopping() {
                return Ok(());
            }
        }
        self.paused = false;
        self.count_assigned();
        self.shared.health.set_ready(&self.id, true);
        Ok(())
    }

    /// The group has moved on without us: drop everything and wait for what it gives.
    fn let_go(&mut self) -> Result<(), RuntimeError> {
        self.lease.close();
        self.slots.clear();
        self.parked.clear();
        self.metadata = None;
        self.count_assigned();
        Ok(())
    }

    /// The group takes back what it gave. The batch is dropped: no transaction spans two assignments. A mark
    /// says that no transaction is open, so that the next owner need not fence us; and if nobody touched the
    /// partition when we get it back, its task is still good.
    pub(crate) fn hand_over(&mut self) -> Result<(), RuntimeError> {
        self.shared.health.set_ready(&self.id, false);
        self.lease.close();
        self.handing_over = true;
        self.machine.give_up();
        self.run_machine();
        self.handing_over = false;
        if self.rebuild_wanted {
            // The producer is beyond use; the tasks' state may be too.
            self.keep_for_rebirth();
        }
        // A member that lost its assignment has no id any more: its commit would be taken for that of a second
        // process under our name.
        let token = if self.has_lost_membership() {
            None
        } else {
            self.release()
        };
        for (partition, mut slot) in std::mem::take(&mut self.slots) {
            if let Some(token) = &token {
                slot.released = Some(token.clone());
                self.parked.insert(partition, slot);
            }
        }
        self.metadata = None;
        if let Err(error) = self.consumer.unassign() {
            tracing::debug!(%error, "unassigning failed");
        }
        self.count_assigned();
        if std::mem::take(&mut self.rebuild_wanted) {
            self.producer = None;
            self.renew_producer()?;
        }
        Ok(())
    }

    /// True if a commit now would not be a member's. An assignment made meanwhile clears the client library's
    /// own word for it.
    pub(crate) fn has_lost_membership(&self) -> bool {
        self.consumer.assignment_lost() || self.consumer.context().is_cut_off()
    }

    /// Commits the offsets under a mark of release; its token, if the group accepted it.
    fn release(&mut self) -> Option<String> {
        if self.slots.is_empty() {
            return None;
        }
        self.releases += 1;
        let token = format!("{} {} {}", self.id, self.shared.started, self.releases);
        let offsets = self
            .offsets(&Mark::released(&token, self.changelog.partitions), |_| true)
            .ok()?;
        match self.consumer.commit(&offsets, CommitMode::Sync) {
            Ok(()) => Some(token),
            Err(error) => {
                tracing::debug!(stage = self.spec.app, %error, "the partitions were lost before they were released");
                None
            }
        }
    }

    /// Takes everything up anew after a failure that the producer does not survive. Who is fenced asks the
    /// group first: two processes under one name would fence each other for ever.
    pub(crate) fn rebuild(&mut self) -> Result<(), RuntimeError> {
        self.rebuild_wanted = false;
        self.end_transaction("rebuilt");
        self.lease.close();
        self.shared.health.set_ready(&self.id, false);
        let partitions: BTreeSet<i32> = self.slots.keys().copied().collect();
        for slot in self.slots.values_mut() {
            slot.task.abort();
            slot.touched = false;
        }
        // What is pending is settled by the new producer before any offset is written: a plain commit now could
        // wind back a transaction that did commit. The mark of the takeover tells whether we are still a member.
        let _ = self.consumer.poll(Duration::ZERO);
        self.check_fatal()?;
        self.producer = None;
        self.renew_producer()?;
        self.lease = Lease::new(self.shared.config.session_timeout_ms);
        self.lease.renew(boot_millis());
        if self.shared.config.assignment == Assignment::All {
            // There is no changelog to restore from: the tasks stand as they did before the failed batch.
            let positions = self.offsets("", |_| true)?;
            self.consumer.assign(&positions)?;
            self.shared.health.set_ready(&self.id, true);
            return Ok(());
        }
        self.keep_for_rebirth();
        if self.consumer.context().has_event() {
            return Ok(());
        }
        self.take_up(&partitions)
    }

    /// Takes the tasks out of work. They are restored before they work again, but the outcomes that they hold
    /// are on no log and must not be lost.
    pub(crate) fn keep_for_rebirth(&mut self) {
        for (partition, slot) in std::mem::take(&mut self.slots) {
            self.reborn.insert(partition, slot.task);
        }
    }

    /// Makes a new producer; as long as the broker has trouble, again.
    pub(crate) fn renew_producer(&mut self) -> Result<(), RuntimeError> {
        loop {
            let created = TransactionalProducer::create(
                &self.shared.base,
                &self.id,
                self.shared.config.guarantee,
                self.shared.config.transaction_timeout_ms,
            );
            match created {
                Ok(producer) => {
                    self.producer = Some(producer);
                    return Ok(());
                }
                Err(_) if self.is_stopping() => return Ok(()),
                Err(error) => {
                    tracing::warn!(stage = self.spec.app, %error, "no producer yet; trying again");
                    let _ = self.consumer.poll(Duration::from_millis(500));
                    self.check_fatal()?;
                }
            }
        }
    }

    /// Without a group: every partition, from its beginning.
    pub(crate) fn take_all(&mut self) -> Result<(), RuntimeError> {
        let mut assignment = TopicPartitionList::new();
        let mut partitions = BTreeSet::new();
        for (source, topic) in self.spec.sources.iter().zip(&self.source_topics) {
            if source.kind != SourceKind::Keyed {
                continue;
            }
            let metadata = self
                .consumer
                .fetch_metadata(Some(topic), Duration::from_secs(10))?;
            let found = metadata
                .topics()
                .iter()
                .flat_map(|topic| topic.partitions());
            for partition in found {
                partitions.insert(partition.id());
                assignment.add_partition_offset(topic, partition.id(), Offset::Beginning)?;
            }
        }
        for partition in partitions {
            let mut slot = Slot::new((self.spec.make)(partition));
            slot.task.restored(&|_, _| false);
            self.slots.insert(partition, slot);
        }
        self.lease.renew(boot_millis());
        while !self.shared.broadcast.ready() && !self.is_stopping() {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.consumer.assign(&assignment)?;
        self.count_assigned();
        self.shared.health.set_ready(&self.id, true);
        Ok(())
    }

    /// Ends in order: commits what is open, waits for effects under way and commits their outcomes, releases
    /// the partitions and leaves the group, so that the others need not wait for a timeout.
    pub(crate) fn finish(&mut self) {
        self.shared.health.set_ready(&self.id, false);
        let give_up = Instant::now() + Duration::from_millis(self.shared.config.drain_ms);
        loop {
            self.take_completions();
            self.settle_turn();
            let waiting = |slot: &Slot| slot.task.next_due() == Some(i64::MIN);
            let drained = self.in_flight.is_empty()
                && self.settled.1.is_empty()
                && !self.slots.values().any(waiting);
            if drained || self.rebuild_wanted || Instant::now() >= give_up {
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        self.lease.close();
        if !self.rebuild_wanted {
            self.release();
        }
        self.consumer.context().close();
        let _ = self.consumer.unassign();
        self.consumer.unsubscribe();
        let leave = Instant::now() + Duration::from_millis(500);
        while Instant::now() < leave && self.consumer.context().next().is_none() {
            let _ = self.consumer.poll(Duration::from_millis(50));
        }
    }

    pub(crate) fn count_assigned(&self) {
        self.shared
            .metrics
            .assigned
            .get_or_create(&StageLabel {
                stage: self.spec.app,
            })
            .set(i64::try_from(self.slots.len()).unwrap_or(i64::MAX));
    }
}
