//! What every stage is held against: keys and values copied from one topic to another with nothing but librdkafka,
//! under the same settings as the stages' clients. Headers stay behind, as in the stages.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use prunella_runtime::{KafkaConfig, LogContext, client_config};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use crate::meter::{Reading, peak_memory_mib};
use crate::worker::Measured;

const CALL: Duration = Duration::from_secs(30);

/// Copies records, says what that cost, and ends.
#[derive(Args, Clone, Debug)]
pub struct CopyArgs {
    /// Broker.
    #[arg(long)]
    pub bootstrap: String,
    /// Topic to read.
    #[arg(long)]
    pub from: String,
    /// Topic to write.
    #[arg(long)]
    pub to: String,
    /// Partitions of the topic that is read.
    #[arg(long)]
    pub partitions: i32,
    /// How many records to copy.
    #[arg(long)]
    pub records: u64,
    /// Records a commit.
    #[arg(long, default_value_t = 10_000)]
    pub commit_records: u64,
    /// In transactions.
    #[arg(long)]
    pub transactional: bool,
    /// Linger of the producer, in milliseconds; default: as the stages have it.
    #[arg(long, default_value = "0")]
    pub linger_ms: String,
}

struct Copier {
    consumer: BaseConsumer<LogContext>,
    producer: BaseProducer<LogContext>,
    transactional: bool,
    next: TopicPartitionList,
}

/// Copies.
///
/// # Errors
/// If Kafka refuses something, or nothing comes for a long time.
pub fn copy(args: &CopyArgs) -> Result<Measured> {
    let mut copier = Copier::new(args)?;
    let mut assignment = TopicPartitionList::new();
    for partition in 0..args.partitions {
        assignment.add_partition_offset(&args.from, partition, Offset::Beginning)?;
        copier
            .next
            .add_partition_offset(&args.from, partition, Offset::Offset(0))?;
    }
    let before = Reading::now();
    copier.consumer.assign(&assignment)?;
    let mut copied = 0;
    let mut moved = Instant::now();
    while copied < args.records {
        copier.begin()?;
        let mut batch = 0;
        while batch < args.commit_records && copied + batch < args.records {
            let consumer = &copier.consumer;
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    copier.forward(&message, &args.to)?;
                    let mut next = copier
                        .next
                        .find_partition(&args.from, message.partition())
                        .context("partition")?;
                    next.set_offset(Offset::Offset(message.offset() + 1))?;
                    batch += 1;
                    moved = Instant::now();
                }
                Some(Err(error)) => return Err(error.into()),
                None if moved.elapsed() > CALL => {
                    bail!("nothing came after {} records", copied + batch)
                }
                None => {}
            }
        }
        copier.commit()?;
        copied += batch;
    }
    let after = Reading::now();
    Ok(Measured {
        cpu_us: u64::try_from((after.cpu - before.cpu).as_micros())?,
        wall_us: u64::try_from((after.at - before.at).as_micros())?,
        records: copied,
        peak_memory_mib: peak_memory_mib(),
        ..Measured::default()
    })
}

impl Copier {
    fn new(args: &CopyArgs) -> Result<Self> {
        let base = client_config(&KafkaConfig {
            bootstrap_servers: args.bootstrap.clone(),
            ..KafkaConfig::default()
        });
        let id = format!("copy-{}", args.to);
        let mut producer = base.clone();
        producer
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", &args.linger_ms)
            .set("batch.size", "262144")
            .set("compression.type", "none")
            .set("queue.buffering.max.messages", "2000000")
            .set("queue.buffering.max.kbytes", "1048576")
            .set("delivery.report.only.error", "true")
            .set("retry.backoff.ms", "5")
            .set("retry.backoff.max.ms", "20");
        if args.transactional {
            producer.set("transactional.id", &id);
        }
        let consumer = base
            .clone()
            .set("group.id", &id)
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("isolation.level", "read_committed")
            .set("fetch.queue.backoff.ms", "5")
            .set("queued.max.messages.kbytes", "65536")
            .create_with_context(LogContext)?;
        let copier = Self {
            consumer,
            producer: producer.create_with_context(LogContext)?,
            transactional: args.transactional,
            next: TopicPartitionList::new(),
        };
        if args.transactional {
            copier.producer.init_transactions(CALL)?;
        }
        Ok(copier)
    }

    fn begin(&self) -> Result<()> {
        if self.transactional {
            self.producer.begin_transaction()?;
        }
        Ok(())
    }

    fn forward(&self, message: &BorrowedMessage<'_>, to: &str) -> Result<()> {
        let mut record = BaseRecord::<[u8], [u8]>::to(to);
        if let Some(key) = message.key() {
            record = record.key(key);
        }
        if let Some(value) = message.payload() {
            record = record.payload(value);
        }
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    self.producer.poll(Duration::from_millis(1));
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
    }

    /// Without transactions as at-least-once has it: what was written is acknowledged before offsets move.
    fn commit(&self) -> Result<()> {
        if self.transactional {
            let metadata = self.consumer.group_metadata().context("no group")?;
            self.producer
                .send_offsets_to_transaction(&self.next, &metadata, CALL)?;
            self.producer.commit_transaction(CALL)?;
        } else {
            self.producer.flush(CALL)?;
            self.consumer.commit(&self.next, CommitMode::Sync)?;
        }
        Ok(())
    }
}
