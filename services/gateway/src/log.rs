//! Writing to Kafka: a record counts once every replica that is in sync has it.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use prunella_topology::Prefix;
use rdkafka::ClientConfig;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use tokio::sync::oneshot;

use crate::metrics::Metrics;
use crate::problem::{Kind, Problem};

/// A record to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    /// Topic, without the installation's prefix.
    pub(crate) topic: &'static str,
    pub(crate) key: &'a str,
    pub(crate) value: &'a [u8],
    pub(crate) headers: &'a [(&'a str, &'a str)],
}

/// Where a record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
}

/// Why a record is not written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AppendError {
    /// Kafka will never take it.
    #[error(
        "the topic takes no record of that size; send less at once, or raise the topic's max.message.bytes"
    )]
    TooLarge,
    /// Kafka did not take it now.
    #[error("{0}")]
    Unavailable(String),
}

impl From<AppendError> for Problem {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::TooLarge => Self::new(Kind::TooLarge, error.to_string()),
            AppendError::Unavailable(reason) => Self::new(
                Kind::Kafka,
                format!("nothing is lost if you send it again; Kafka says: {reason}"),
            )
            .retry_after(Duration::from_secs(5)),
        }
    }
}

/// The gateway's producer.
pub(crate) struct Log {
    config: ClientConfig,
    producer: RwLock<Arc<ThreadedProducer<Deliveries>>>,
    prefix: Prefix,
    metrics: Arc<Metrics>,
}

/// A record on its way.
struct Pending {
    topic: &'static str,
    bytes: usize,
    started: Instant,
    producer: Arc<ThreadedProducer<Deliveries>>,
    delivery: Result<oneshot::Receiver<Result<Position, KafkaError>>, KafkaError>,
}

/// Tells each request what became of its record.
struct Deliveries;

type Delivered = oneshot::Sender<Result<Position, KafkaError>>;

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        crate::report(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "the producer met an error");
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<Delivered>;

    fn delivery(&self, result: &DeliveryResult<'_>, delivered: Box<Delivered>) {
        let outcome = match result {
            Ok(message) => Ok(Position {
                partition: message.partition(),
                offset: message.offset(),
            }),
            Err((error, _)) => Err(error.clone()),
        };
        // Whoever asked may have gone away.
        let _ = delivered.send(outcome);
    }
}

impl Log {
    /// A producer that is idempotent and waits for every replica in sync. It writes with the partitioner of the
    /// Java clients, so that theirs and ours agree on where a key lies.
    pub(crate) fn new(
        kafka: &ClientConfig,
        prefix: Prefix,
        largest: usize,
        ack_timeout: Duration,
        metrics: Arc<Metrics>,
    ) -> Result<Self, KafkaError> {
        const ROOM: usize = 64 << 10;
        let mut config = kafka.clone();
        for (name, value) in [
            ("enable.idempotence", "true".to_owned()),
            ("acks", "all".to_owned()),
            ("partitioner", "murmur2_random".to_owned()),
            (
                "message.timeout.ms",
                ack_timeout.as_millis().max(1).to_string(),
            ),
            (
                "message.max.bytes",
                (largest + ROOM).max(1_000_000).to_string(),
            ),
        ] {
            config.set(name, value);
        }
        if config.get("linger.ms").is_none() {
            config.set("linger.ms", "1");
        }
        let producer = config.create_with_context(Deliveries)?;
        Ok(Self {
            config,
            producer: RwLock::new(Arc::new(producer)),
            prefix,
            metrics,
        })
    }

    /// Writes a record and waits until it counts.
    pub(crate) async fn append(&self, entry: Entry<'_>) -> Result<Position, AppendError> {
        let pending = self.send(entry);
        self.settle(pending).await
    }

    /// Writes records, all on their way at once, and waits until all of them count.
    ///
    /// # Errors
    /// The first error; other records may count nevertheless.
    pub(crate) async fn append_all(&self, entries: &[Entry<'_>]) -> Result<(), AppendError> {
        let pending: Vec<Pending> = entries.iter().map(|entry| self.send(*entry)).collect();
        let mut outcome = Ok(());
        for pending in pending {
            let settled = self.settle(pending).await;
            outcome = outcome.and(settled.map(|_| ()));
        }
        outcome
    }

    async fn settle(&self, pending: Pending) -> Result<Position, AppendError> {
        let Pending {
            topic,
            bytes,
            started,
            producer,
            delivery,
        } = pending;
        let outcome = match delivery {
            Err(error) => Err(self.refused(&producer, &error)),
            Ok(delivery) => match delivery.await {
                Ok(Ok(position)) => Ok(position),
                Ok(Err(error)) => Err(self.refused(&producer, &error)),
                Err(_) => Err(AppendError::Unavailable(
                    "the producer was replaced".to_owned(),
                )),
            },
        };
        match &outcome {
            Ok(_) => self
                .metrics
                .written(topic, bytes, started.elapsed().as_secs_f64()),
            Err(error) => {
                self.metrics.failed(topic);
                tracing::warn!(topic, %error, "a record was not acknowledged");
            }
        }
        outcome
    }

    fn send(&self, entry: Entry<'_>) -> Pending {
        let producer = self.producer();
        let topic = self.prefix.topic(entry.topic);
        let (delivered, delivery) = oneshot::channel();
        let mut headers = OwnedHeaders::new_with_capacity(entry.headers.len());
        for (key, value) in entry.headers {
            headers = headers.insert(Header {
                key,
                value: Some(*value),
            });
        }
        let record = BaseRecord::with_opaque_to(&topic, Box::new(delivered))
            .key(entry.key)
            .payload(entry.value)
            .headers(headers);
        let sent = producer.send(record).map_err(|(error, _)| error);
        Pending {
            topic: entry.topic,
            bytes: entry.value.len(),
            started: Instant::now(),
            delivery: sent.map(|()| delivery),
            producer,
        }
    }

    fn producer(&self) -> Arc<ThreadedProducer<Deliveries>> {
        let producer = self.producer.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&producer)
    }

    /// What an error means. A producer with a fatal one takes no record ever again: it is replaced.
    fn refused(
        &self,
        failed: &Arc<ThreadedProducer<Deliveries>>,
        error: &KafkaError,
    ) -> AppendError {
        if let Some((code, reason)) = failed.client().fatal_error() {
            tracing::error!(?code, reason, "the producer is unusable and replaced");
            let mut producer = self
                .producer
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            if Arc::ptr_eq(&producer, failed)
                && let Ok(fresh) = self.config.create_with_context(Deliveries)
            {
                *producer = Arc::new(fresh);
            }
        }
        match error.rdkafka_error_code() {
            Some(
                RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::MessageBatchTooLarge,
            ) => AppendError::TooLarge,
            _ => AppendError::Unavailable(error.to_string()),
        }
    }

    /// Whether the topics that requests are written to can be reached.
    ///
    /// # Errors
    /// What is wrong and what to do.
    pub(crate) fn check(&self, topic: &'static str, time: Duration) -> Result<(), String> {
        let name = self.prefix.topic(topic);
        let producer = self.producer();
        let metadata = producer.client().fetch_metadata(Some(&name), time);
        let metadata = metadata.map_err(|error| {
            format!(
                "Kafka cannot be reached ({error}); check kafka.bootstrap.servers and the brokers"
            )
        })?;
        let found = metadata.topics().iter().find(|topic| topic.name() == name);
        match found {
            Some(topic) if topic.error().is_none() && !topic.partitions().is_empty() => Ok(()),
            _ => Err(format!(
                "topic {name} is not there; create it with `prunella topology topics --apply`"
            )),
        }
    }

    /// Waits for what is under way. Blocks.
    pub(crate) fn flush(&self, time: Duration) {
        if let Err(error) = self.producer().flush(time) {
            tracing::warn!(%error, "not everything was acknowledged before the stop; its senders were told to send again");
        }
    }
}
