//! A stream thread: one consumer, one producer, and the tasks of the partitions that the group gave it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use prunella_stream::transaction::{Guarantee, Transaction};
use prunella_stream::{Accepted, Completion, EffectId, Header, Record, SourceKind, Task};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::message::{BorrowedMessage, Headers, Message};

use crate::broadcast::BroadcastRecord;
use crate::changelog::Changelog;
use crate::clock::wall_millis;
use crate::commit::drain;
use crate::config::Assignment;
use crate::effects::Lease;
use crate::metrics::StageLabel;
use crate::producer::TransactionalProducer;
use crate::rebalance::RebalanceContext;
use crate::runtime::{RuntimeError, Shared, StageSpec};
use crate::takeover::learn_task;
use crate::wire::{Inbound, Outlets};

/// Records taken before timers, completions and the group are looked at again.
const TURN: usize = 500;
/// Longest wait for input while nothing else is due.
const IDLE: Duration = Duration::from_millis(20);

/// A task and what the thread knows of it.
pub(crate) struct Slot {
    pub(crate) task: Box<dyn Task>,
    /// True if the open transaction did something with it.
    pub(crate) touched: bool,
    /// Token of the release under which it was parked.
    pub(crate) released: Option<String>,
}

impl Slot {
    pub(crate) fn new(task: Box<dyn Task>) -> Self {
        Self {
            task,
            touched: false,
            released: None,
        }
    }
}

/// Partition and outcome of an effect.
pub(crate) type Settled = (i32, Completion);

/// The open transaction's size and age.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) records: usize,
    pub(crate) opened_at: Option<Instant>,
    pub(crate) closed_at: Option<Instant>,
    processed: u64,
    rejected: u64,
    skipped: u64,
}

pub(crate) struct StreamThread {
    pub(crate) shared: Arc<Shared>,
    pub(crate) spec: StageSpec,
    /// Static member and transactional id.
    pub(crate) id: String,
    pub(crate) group: String,
    pub(crate) changelog: Changelog,
    pub(crate) source_topics: Vec<String>,
    pub(crate) sink_topics: Vec<String>,
    pub(crate) dead_letter_topics: Vec<String>,
    pub(crate) consumer: Arc<BaseConsumer<RebalanceContext>>,
    pub(crate) producer: Option<TransactionalProducer>,
    pub(crate) metadata: Option<ConsumerGroupMetadata>,
    pub(crate) machine: Transaction,
    pub(crate) slots: BTreeMap<i32, Slot>,
    pub(crate) parked: BTreeMap<i32, Slot>,
    /// Tasks to be restored before they work again; they hold outcomes of effects.
    pub(crate) reborn: BTreeMap<i32, Box<dyn Task>>,
    pub(crate) lease: Arc<Lease>,
    pub(crate) settled: (Sender<Settled>, Receiver<Settled>),
    pub(crate) in_flight: BTreeSet<(i32, EffectId, u32)>,
    pub(crate) batch: Batch,
    pub(crate) commit_begun: i64,
    pub(crate) rebuild_wanted: bool,
    pub(crate) paused: bool,
    /// Since when too many effects are open.
    pub(crate) full_since: Option<Instant>,
    pub(crate) handing_over: bool,
    /// A record came while partitions were being taken up: it must be read again.
    pub(crate) leaked: bool,
    pub(crate) releases: u64,
}

impl StreamThread {
    pub(crate) fn is_transactional(&self) -> bool {
        self.shared.config.guarantee == Guarantee::ExactlyOnce
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.shared.stop.load(Ordering::SeqCst)
    }

    /// Works until the process stops or something cannot be mended.
    pub(crate) fn run(&mut self) -> Result<(), RuntimeError> {
        if self.shared.config.assignment == Assignment::All {
            self.take_all()?;
        }
        while !self.is_stopping() {
            self.follow_group()?;
            if self.slots.is_empty() {
                let _ = self.consumer.poll(Duration::from_millis(50));
                self.check_fatal()?;
                self.take_completions();
                continue;
            }
            self.turn();
            if self.rebuild_wanted {
                self.rebuild()?;
            }
        }
        self.finish();
        Ok(())
    }

    /// One round: what is known, what settled, what is due, what came; then a commit if it is time.
    pub(crate) fn turn(&mut self) {
        self.feed_broadcast();
        self.take_completions();
        if !self.rebuild_wanted {
            self.tick();
        }
        // After a failure the tasks are ahead of what was committed: nothing more is done with them.
        if self.rebuild_wanted {
            return;
        }
        let polls = self.balance_load();
        let wait = if self.machine.is_open() {
            Duration::ZERO
        } else {
            self.wait()
        };
        let drained = if polls {
            self.take_records(wait)
        } else {
            self.take_completion(wait);
            true
        };
        // Right after the group was heard: a transaction may take long, and membership may end meanwhile.
        self.keep_lease();
        if self.machine.is_open() && (drained || self.batch_is_full()) {
            self.machine.close();
        }
        self.run_machine();
    }

    pub(crate) fn open(&mut self) {
        if self.machine.is_idle() {
            self.batch = Batch {
                opened_at: Some(Instant::now()),
                ..Batch::default()
            };
            self.machine.open();
            self.run_machine();
        }
    }

    fn batch_is_full(&self) -> bool {
        let limit = Duration::from_millis(self.shared.config.commit_interval_ms);
        self.batch.records >= self.shared.config.commit_records
            || self.batch.opened_at.is_some_and(|at| at.elapsed() >= limit)
    }

    /// How long to wait for input: until something else is due, and not long while effects are under way.
    fn wait(&self) -> Duration {
        if !self.in_flight.is_empty() {
            return Duration::from_millis(1);
        }
        let now = wall_millis();
        let due = self
            .slots
            .values()
            .filter_map(|slot| slot.task.next_due())
            .min();
        due.map_or(IDLE, |due| {
            let left = u64::try_from(due.saturating_sub(now)).unwrap_or(0);
            IDLE.min(Duration::from_millis(left))
        })
    }

    /// Takes records until none is there, one has to wait, or the turn is over; true if what came is to be
    /// committed now.
    fn take_records(&mut self, first_wait: Duration) -> bool {
        let consumer = Arc::clone(&self.consumer);
        let mut wait = first_wait;
        for _ in 0..TURN {
            let polled = consumer.poll(wait);
            wait = Duration::ZERO;
            match polled {
                Some(Ok(message)) => {
                    if !self.take(&message) {
                        return true;
                    }
                }
                Some(Err(error)) => self.note_consumer_error(&error),
                None => return true,
            }
            if consumer.context().has_event() || self.rebuild_wanted {
                return false;
            }
        }
        false
    }

    fn note_consumer_error(&self, error: &rdkafka::error::KafkaError) {
        if matches!(
            error,
            rdkafka::error::KafkaError::MessageConsumptionFatal(_)
        ) {
            self.consumer.context().set_fatal();
        }
        tracing::debug!(stage = self.spec.app, %error, "consumer error");
    }

    /// False if the record has to wait.
    fn take(&mut self, message: &BorrowedMessage<'_>) -> bool {
        let topic = message.topic();
        let Some(source) = self
            .source_topics
            .iter()
            .position(|candidate| candidate == topic)
        else {
            return true;
        };
        if !self.slots.contains_key(&message.partition()) {
            return true;
        }
        let mut changed = None;
        if let (Some(wire), Some(value)) = (&self.shared.framing, message.payload()) {
            let mut out = Vec::new();
            match wire.inbound(self.spec.sources[source].topic, value, &mut out) {
                Inbound::AsItIs => {}
                Inbound::Changed => changed = Some(out),
                Inbound::NotNow(reason) => {
                    self.postpone(topic, message.partition(), message.offset(), &reason);
                    return false;
                }
            }
        }
        let headers: Vec<Header<'_>> = message.headers().map_or_else(Vec::new, |headers| {
            headers
                .iter()
                .map(|header| Header {
                    name: header.key,
                    value: header.value.unwrap_or_default(),
                })
                .collect()
        });
        let record = Record {
            source,
            partition: message.partition(),
            offset: message.offset(),
            timestamp: message.timestamp().to_millis().unwrap_or_else(wall_millis),
            key: message.key(),
            value: changed.as_deref().or(message.payload()),
            headers: &headers,
        };
        let original = changed.as_ref().and(message.payload());
        self.process(message.partition(), &record, original);
        true
    }

    /// `original` is the value as it came, if the record holds another.
    fn process(&mut self, partition: i32, record: &Record<'_>, original: Option<&[u8]>) {
        self.open();
        if !self.machine.is_open() {
            return;
        }
        let (Some(slot), Some(producer)) = (self.slots.get_mut(&partition), &self.producer) else {
            return;
        };
        slot.touched = true;
        self.batch.records += 1;
        match slot.task.record(wall_millis(), record) {
            Accepted::Processed => self.batch.processed += 1,
            Accepted::Skipped => self.batch.skipped += 1,
            Accepted::Rejected(rejection) => {
                self.batch.rejected += 1;
                tracing::warn!(
                    stage = self.spec.app,
                    topic = self.source_topics[record.source],
                    partition,
                    offset = record.offset,
                    class = %rejection.class,
                    detail = %rejection.detail,
                    "record sent to the dead-letter queue"
                );
            }
        }
        let outlets = Outlets {
            sinks: self.spec.sinks,
            sink_topics: &self.sink_topics,
            dead_letter_topics: &self.dead_letter_topics,
            framing: &self.shared.framing,
        };
        if let Err(error) = drain(producer, slot, &outlets, original) {
            tracing::warn!(stage = self.spec.app, %error, "a record could not be produced");
            self.machine.fail();
            self.run_machine();
        }
    }

    /// Gives every task the broadcast records it has not seen, all of them: they come before keyed input.
    fn feed_broadcast(&mut self) {
        let partitions: Vec<i32> = self.slots.keys().copied().collect();
        let broadcast = self.shared.broadcast.clone();
        for partition in partitions {
            for (index, source) in self.spec.sources.iter().enumerate() {
                if source.kind != SourceKind::Broadcast {
                    continue;
                }
                let position = self
                    .slots
                    .get(&partition)
                    .map_or(0, |slot| slot.task.position(index));
                if !broadcast.has(source.topic, position) {
                    continue;
                }
                let mut fed_to = position;
                for record in broadcast.read(source.topic, position, usize::MAX) {
                    // An abort goes back: what follows a record that was undone waits for it.
                    let reached = self
                        .slots
                        .get(&partition)
                        .map(|slot| slot.task.position(index));
                    if reached.is_none_or(|reached| reached < fed_to) || self.rebuild_wanted {
                        return;
                    }
                    fed_to = record.offset + 1;
                    let original = record.original.as_deref();
                    with_broadcast(index, &record, &mut |record| {
                        self.process(partition, record, original)
                    });
                }
            }
        }
    }

    pub(crate) fn take_completions(&mut self) {
        while let Ok(settled) = self.settled.1.try_recv() {
            self.settle(settled);
        }
    }

    fn take_completion(&mut self, wait: Duration) {
        if let Ok(settled) = self.settled.1.recv_timeout(wait) {
            self.settle(settled);
        }
    }

    fn settle(&mut self, (partition, completion): Settled) {
        self.in_flight
            .remove(&(partition, completion.id, completion.attempt));
        let slot = self
            .slots
            .get_mut(&partition)
            .or_else(|| self.parked.get_mut(&partition));
        match (slot, self.reborn.get_mut(&partition)) {
            (Some(slot), _) => slot.task.settle(completion),
            (None, Some(task)) => task.settle(completion),
            (None, None) => {}
        }
    }

    fn tick(&mut self) {
        let now = wall_millis();
        let due: Vec<i32> = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.task.next_due().is_some_and(|due| due <= now))
            .map(|(partition, _)| *partition)
            .collect();
        for partition in due {
            self.open();
            if !self.machine.is_open() {
                return;
            }
            if let Some(slot) = self.slots.get_mut(&partition) {
                slot.touched = true;
                slot.task.tick(now);
            }
        }
    }

    /// While effects are open and nothing else commits, membership is confirmed by plain commits.
    fn keep_lease(&self) {
        if !self.rebuild_wanted
            && !self.in_flight.is_empty()
            && self.machine.is_idle()
            && self.shared.config.assignment == Assignment::Group
            && self.lease.is_short()
        {
            self.membership();
        }
        if self.shared.config.assignment == Assignment::All {
            self.lease.renew(crate::clock::boot_millis());
        }
    }

    /// Processes timers and outcomes, but no new input: the process is stopping.
    pub(crate) fn settle_turn(&mut self) {
        self.tick();
        self.machine.close();
        self.run_machine();
        self.keep_lease();
    }

    pub(crate) fn learn_again(&mut self) {
        for slot in self
            .slots
            .values_mut()
            .filter(|slot| slot.released.is_none())
        {
            learn_task(slot.task.as_mut(), &self.shared.broadcast);
        }
        for slot in self.slots.values_mut() {
            slot.released = None;
        }
    }

    pub(crate) fn end_transaction(&mut self, outcome: &'static str) {
        let stage = self.spec.app;
        let metrics = &self.shared.metrics;
        metrics.transaction(stage, outcome);
        if outcome == "committed" {
            metrics.record(stage, "processed", self.batch.processed);
            metrics.record(stage, "rejected", self.batch.rejected);
            metrics.record(stage, "skipped", self.batch.skipped);
            if let Some(at) = self.batch.closed_at {
                metrics
                    .commit_seconds
                    .get_or_create(&StageLabel { stage })
                    .observe(at.elapsed().as_secs_f64());
            }
        }
        let open: usize = self
            .slots
            .values()
            .map(|slot| slot.task.open_effects())
            .sum();
        metrics
            .open_effects
            .get_or_create(&StageLabel { stage })
            .set(i64::try_from(open).unwrap_or(i64::MAX));
    }
}

/// Presents a broadcast record as a record of the source of that index.
pub(crate) fn with_broadcast(
    source: usize,
    record: &BroadcastRecord,
    to: &mut dyn FnMut(&Record<'_>),
) {
    let headers: Vec<Header<'_>> = record
        .headers
        .iter()
        .map(|(name, value)| Header { name, value })
        .collect();
    to(&Record {
        source,
        partition: 0,
        offset: record.offset,
        timestamp: record.timestamp,
        key: record.key.as_deref(),
        value: record.value.as_deref(),
        headers: &headers,
    });
}
