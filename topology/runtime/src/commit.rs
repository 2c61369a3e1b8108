//! The commands of a transaction, done at Kafka.

use std::collections::BTreeMap;

use prunella_stream::transaction::{Command, Guarantee, Reply};
use prunella_stream::{EffectRequest, Sink, SourceKind};
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use crate::changelog::Changelog;
use crate::clock::{boot_millis, wall_millis};
use crate::config::Assignment;
use crate::effects::{Done, Gate};
use crate::fence::Mark;
use crate::producer::{Outgoing, TransactionalProducer};
use crate::stream_thread::{Slot, StreamThread};
use crate::wire::{Outlets, framed};

/// How often an identical call is repeated before its outcome counts as unknown.
const REPEATS: u32 = 3;

/// What a plain commit of an unchanged offset says about this member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Member {
    /// It is one.
    Current,
    /// It was one: the group has moved on and will give partitions anew.
    Lost,
    /// Another process joined under the same name.
    NameInUse,
    /// The broker did not say.
    Unknown,
}

impl StreamThread {
    /// Does what the machine commands until it wants records or rest.
    pub(crate) fn run_machine(&mut self) {
        let mut repeats = 0;
        while let Some(command) = self.machine.command() {
            if command == Command::Rebuild {
                self.rebuild_wanted = true;
                self.machine.reply(Reply::Done);
                return;
            }
            self.shared.watchdog.begin(&self.id);
            let mut reply = self.execute(command);
            self.shared.watchdog.end(&self.id);
            if reply == Reply::Retriable {
                repeats += 1;
                if repeats > REPEATS {
                    reply = Reply::Fatal;
                }
            }
            self.machine.reply(reply);
        }
    }

    fn execute(&mut self, command: Command) -> Reply {
        match command {
            Command::Begin => self.begin(),
            Command::Produce => self.produce_all(),
            Command::Flush => self
                .producer()
                .map_or(Reply::Fatal, TransactionalProducer::flush),
            Command::SendOffsets => self.send_offsets(),
            Command::Commit => self
                .producer()
                .map_or(Reply::Fatal, TransactionalProducer::commit),
            Command::Fold => self.fold(),
            Command::Abort => match &mut self.producer {
                Some(producer) => producer.abort(),
                None => Reply::Fatal,
            },
            Command::RollBack => self.roll_back(),
            Command::Rewind => self.rewind(),
            Command::Rebuild => Reply::Done,
        }
    }

    fn producer(&self) -> Option<&TransactionalProducer> {
        self.producer.as_ref()
    }

    fn begin(&mut self) -> Reply {
        match &mut self.producer {
            Some(producer) => producer.begin(),
            None => Reply::Fatal,
        }
    }

    fn produce_all(&mut self) -> Reply {
        self.batch.closed_at = Some(std::time::Instant::now());
        let Some(producer) = &self.producer else {
            return Reply::Fatal;
        };
        let mut failure = None;
        let outlets = Outlets {
            sinks: self.spec.sinks,
            sink_topics: &self.sink_topics,
            dead_letter_topics: &self.dead_letter_topics,
            framing: &self.shared.framing,
        };
        for slot in self.slots.values_mut().filter(|slot| slot.touched) {
            if let Err(error) = drain(producer, slot, &outlets, None) {
                failure = Some(error);
            }
        }
        // Without transactions a change of state must not be there before the output it stands for: after a crash
        // the record that comes again would be taken for done.
        if producer.guarantee() == Guarantee::AtLeastOnce {
            match producer.flush() {
                Reply::Done => {}
                other => return other,
            }
        }
        if self.shared.config.assignment == Assignment::Group {
            let logged = produce_changes(producer, &mut self.slots, &self.changelog);
            failure = failure.or(logged.err());
        }
        match failure {
            None => Reply::Done,
            Some(error) => {
                tracing::warn!(stage = self.spec.app, %error, "a record could not be produced");
                Reply::Abortable
            }
        }
    }

    /// Also a transaction that only a timer or an effect caused sends its unchanged offsets: without them it
    /// would not be fenced by the group.
    fn send_offsets(&mut self) -> Reply {
        let begun = boot_millis();
        let offsets = match self.offsets(&self.owner_mark(), |slot| slot.touched) {
            Ok(offsets) => offsets,
            Err(error) => {
                tracing::warn!(stage = self.spec.app, %error, "offsets cannot be written down");
                return Reply::Fatal;
            }
        };
        if self.shared.config.assignment == Assignment::All || offsets.count() == 0 {
            self.commit_begun = begun;
            return Reply::Done;
        }
        let reply = match (&self.producer, &self.metadata) {
            (Some(producer), Some(metadata)) if producer.guarantee() == Guarantee::ExactlyOnce => {
                producer.send_offsets(&offsets, metadata)
            }
            // A plain commit now would not wait for the transaction.
            (Some(producer), None) if producer.guarantee() == Guarantee::ExactlyOnce => {
                tracing::warn!(stage = self.spec.app, "no group to commit offsets for");
                Reply::Fatal
            }
            (Some(_), _) => match self.consumer.commit(&offsets, CommitMode::Sync) {
                Ok(()) => Reply::Done,
                Err(error) => {
                    tracing::warn!(stage = self.spec.app, %error, "offsets were not committed");
                    Reply::Abortable
                }
            },
            (None, _) => Reply::Fatal,
        };
        if reply == Reply::Done {
            self.commit_begun = begun;
        }
        reply
    }

    /// The mark of what this thread owns.
    pub(crate) fn owner_mark(&self) -> String {
        Mark::owner(&self.id, self.changelog.partitions)
    }

    /// The next offsets wanted, under a mark.
    pub(crate) fn offsets(
        &self,
        mark: &str,
        of: impl Fn(&Slot) -> bool,
    ) -> KafkaResult<TopicPartitionList> {
        let mut offsets = TopicPartitionList::new();
        for (partition, slot) in self.slots.iter().filter(|(_, slot)| of(slot)) {
            for (index, source) in self.spec.sources.iter().enumerate() {
                if source.kind == SourceKind::Keyed {
                    let mut element = offsets.add_partition(&self.source_topics[index], *partition);
                    element.set_offset(Offset::Offset(slot.task.position(index)))?;
                    element.set_metadata(mark);
                }
            }
        }
        Ok(offsets)
    }

    fn fold(&mut self) -> Reply {
        self.lease.renew(self.commit_begun);
        let mut requests: Vec<(i32, EffectRequest)> = Vec::new();
        for (partition, slot) in self.slots.iter_mut().filter(|(_, slot)| slot.touched) {
            slot.task
                .committed(&mut |request| requests.push((*partition, request)));
            slot.touched = false;
        }
        for (partition, request) in requests {
            self.in_flight
                .insert((partition, request.id, request.attempt));
            let gate = Gate::new(&self.lease, request.deadline);
            let done = Done::new(
                partition,
                request.id,
                request.attempt,
                self.settled.0.clone(),
            );
            self.shared
                .runner
                .begin(self.spec.app, partition, request, gate, done);
        }
        self.end_transaction("committed");
        Reply::Done
    }

    fn roll_back(&mut self) -> Reply {
        for slot in self.slots.values_mut() {
            slot.task.abort();
            slot.touched = false;
        }
        self.end_transaction("aborted");
        Reply::Done
    }

    /// Reads again from the last committed offsets. Assigning anew, not seeking: a seek right after an
    /// assignment failed and reading began at 0.
    pub(crate) fn rewind(&mut self) -> Reply {
        // Partitions that are being given back are not read again.
        if self.handing_over {
            return Reply::Done;
        }
        let outcome = self
            .offsets("", |_| true)
            .and_then(|offsets| self.consumer.assign(&offsets));
        match outcome {
            Ok(()) => Reply::Done,
            Err(error) => {
                tracing::warn!(stage = self.spec.app, %error, "cannot read again");
                Reply::Fatal
            }
        }
    }

    /// A plain commit of unchanged offsets: who is fenced learns it here, before anything is created anew.
    pub(crate) fn membership(&self) -> Member {
        if self.consumer.context().is_fatal() {
            return Member::NameInUse;
        }
        if self.has_lost_membership() || self.consumer.context().has_event() {
            return Member::Lost;
        }
        let Ok(offsets) = self.offsets(&self.owner_mark(), |_| true) else {
            return Member::Unknown;
        };
        if offsets.count() == 0 {
            return Member::Lost;
        }
        let begun = boot_millis();
        match self.consumer.commit(&offsets, CommitMode::Sync) {
            Ok(()) => {
                self.lease.renew(begun);
                Member::Current
            }
            Err(error) => member_of(&error),
        }
    }
}

pub(crate) fn member_of(error: &KafkaError) -> Member {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::FencedInstanceId | RDKafkaErrorCode::Fatal) => Member::NameInUse,
        Some(
            RDKafkaErrorCode::UnknownMemberId
            | RDKafkaErrorCode::IllegalGeneration
            | RDKafkaErrorCode::RebalanceInProgress
            | RDKafkaErrorCode::AssignmentLost,
        ) => Member::Lost,
        _ => Member::Unknown,
    }
}

/// Produces what a task has forwarded. A dead letter keeps the bytes that came: `original`, if the task was given
/// others.
pub(crate) fn drain(
    producer: &TransactionalProducer,
    slot: &mut Slot,
    outlets: &Outlets<'_>,
    original: Option<&[u8]>,
) -> KafkaResult<()> {
    let mut failure = None;
    let mut scratch = Vec::new();
    slot.task.drain(&mut |output| {
        // One that waited in vain for room in the queue is enough.
        if failure.is_some() {
            return;
        }
        let (topic, value) = match output.sink {
            Sink::Topic(index) => (
                &outlets.sink_topics[index],
                framed(
                    outlets.framing,
                    outlets.sinks[index],
                    output.value,
                    &mut scratch,
                ),
            ),
            Sink::DeadLetter(index) => (
                &outlets.dead_letter_topics[index],
                original.or(output.value),
            ),
        };
        let sent = producer.send(&Outgoing {
            topic,
            partition: None,
            key: output.key,
            value,
            timestamp: output.timestamp,
            headers: output.headers,
        });
        if let Err(error) = sent {
            failure = Some(error);
        }
    });
    failure.map_or(Ok(()), Err)
}

/// Produces what the open transaction changed in the tasks' state.
fn produce_changes(
    producer: &TransactionalProducer,
    slots: &mut BTreeMap<i32, Slot>,
    changelog: &Changelog,
) -> KafkaResult<()> {
    let now = wall_millis();
    let mut failure = None;
    let mut entry = Vec::new();
    for (task, slot) in slots.iter_mut().filter(|(_, slot)| slot.touched) {
        let partition = changelog.partition_of(*task);
        slot.task.prepare(&mut |key, value| {
            if failure.is_some() {
                return;
            }
            Changelog::key(*task, key, &mut entry);
            let sent = producer.send(&Outgoing {
                topic: &changelog.topic,
                partition: Some(partition),
                key: Some(&entry),
                value,
                timestamp: now,
                headers: &[],
            });
            if let Err(error) = sent {
                failure = Some(error);
            }
        });
    }
    failure.map_or(Ok(()), Err)
}
