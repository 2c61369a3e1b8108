//! The transactional producer of a stream thread, and what its errors mean.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use prunella_stream::transaction::{Guarantee, Reply};
use prunella_stream::{Header as StreamHeader, Millis};
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::{TopicPartitionList, util::Timeout};

use crate::kafka::log_line;

/// Longest one call of a transaction may take. Repeated as often as the machine repeats it, this stays below
/// `max.poll.interval.ms`: a consumer that is not polled for longer is no member any more.
const CALL: Duration = Duration::from_secs(6);

/// Counts records that could not be delivered.
#[derive(Clone, Default)]
pub(crate) struct DeliveryContext {
    failed: Arc<AtomicU64>,
    /// How many had failed when the transaction began.
    told: Arc<AtomicU64>,
}

impl ClientContext for DeliveryContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, reason, "producer error");
    }
}

impl ProducerContext for DeliveryContext {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _opaque: ()) {
        if let Err((error, _)) = result {
            // The first of a transaction tells the reason; there may be thousands.
            if self.failed.load(Ordering::Relaxed) == self.told.load(Ordering::Relaxed) {
                tracing::warn!(%error, "a record was not delivered");
            }
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// One record to produce.
pub(crate) struct Outgoing<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: Option<i32>,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) timestamp: Millis,
    pub(crate) headers: &'a [StreamHeader<'a>],
}

/// The transactional ids that one thread uses in turn. A commit is answered when it can no longer fail, but the
/// broker still has to write a marker into every partition, and until then it refuses that id's next transaction
/// (CONCURRENT_TRANSACTIONS; the client library waits 20 ms whatever its settings say). Another id need not wait:
/// readers still get the first transaction's records first, since they lie before the second's.
pub(crate) fn transactional_ids(id: &str) -> [String; 2] {
    [id.to_owned(), format!("{id}.alternate")]
}

/// A producer that follows the commands of a transaction.
pub(crate) struct TransactionalProducer {
    /// Used in turn, one transaction each; without transactions there is one.
    clients: Vec<Client>,
    /// Which of them has the present transaction.
    turn: usize,
    guarantee: Guarantee,
}

/// One transactional id.
struct Client {
    producer: BaseProducer<DeliveryContext>,
    context: DeliveryContext,
    /// How many records had failed when its transaction began; without transactions, when it was flushed last.
    failed_before: Cell<u64>,
    /// Aborts since its last commit. Counted here: the other client's commits say nothing about this one.
    aborts: Cell<u32>,
}

/// How many transactions of one client may abort in a row before the client itself is suspected.
const ABORTS: u32 = 3;

impl Client {
    fn create(
        base: &ClientConfig,
        id: &str,
        guarantee: Guarantee,
        transaction_timeout_ms: u32,
    ) -> KafkaResult<Self> {
        let mut config = base.clone();
        config
            .set("client.id", id)
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "0")
            .set("batch.size", "262144")
            .set("compression.type", "none")
            // Above what any topic takes: the broker, not the client, refuses what is too large.
            .set("message.max.bytes", "10485760")
            .set("queue.buffering.max.messages", "2000000")
            .set("queue.buffering.max.kbytes", "1048576")
            .set("delivery.report.only.error", "true")
            .set("retry.backoff.ms", "5")
            .set("retry.backoff.max.ms", "20")
            // While a group's coordinator moves, the client library gives up asking for it after two tries and goes
            // on only when the state of some connection changes, whatever the call's time limit says: seen to wait
            // for minutes after a broker's restart. An idle connection that is closed is such a change.
            .set("connections.max.idle.ms", "8000");
        if guarantee == Guarantee::ExactlyOnce {
            config
                .set("transactional.id", id)
                .set("transaction.timeout.ms", transaction_timeout_ms.to_string());
        }
        let context = DeliveryContext::default();
        let producer: BaseProducer<DeliveryContext> =
            config.create_with_context(context.clone())?;
        if guarantee == Guarantee::ExactlyOnce {
            init_transactions(&producer)?;
        }
        Ok(Self {
            producer,
            context,
            failed_before: Cell::new(0),
            aborts: Cell::new(0),
        })
    }
}

impl Client {
    fn failures(&self) -> u64 {
        self.context.failed.load(Ordering::Relaxed)
    }
}

impl TransactionalProducer {
    /// Creates it and, for exactly once, fences whoever used this id before: their open transaction aborts.
    pub(crate) fn create(
        base: &ClientConfig,
        id: &str,
        guarantee: Guarantee,
        transaction_timeout_ms: u32,
    ) -> KafkaResult<Self> {
        let create = |id: &str| Client::create(base, id, guarantee, transaction_timeout_ms);
        let clients = match guarantee {
            Guarantee::AtLeastOnce => vec![create(id)?],
            Guarantee::ExactlyOnce => {
                let [first, second] = transactional_ids(id);
                // Side by side: each waits for the broker.
                let (one, other) = std::thread::scope(|scope| {
                    let other = scope.spawn(|| create(&second));
                    (create(&first), other.join())
                });
                match other {
                    Ok(other) => vec![one?, other?],
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
        };
        Ok(Self {
            clients,
            turn: 0,
            guarantee,
        })
    }

    fn client(&self) -> &Client {
        &self.clients[self.turn]
    }

    pub(crate) fn begin(&mut self) -> Reply {
        let next = (self.turn + 1) % self.clients.len();
        let client = &self.clients[next];
        let failures = client.failures();
        client.failed_before.set(failures);
        client.context.told.store(failures, Ordering::Relaxed);
        let reply = reply("begin", client.producer.begin_transaction());
        // Said again, it is said to the same client.
        if reply == Reply::Done {
            self.turn = next;
        }
        reply
    }

    /// Hands a record to the client's queue; waits while the queue is full.
    pub(crate) fn send(&self, outgoing: &Outgoing<'_>) -> KafkaResult<()> {
        let mut record = BaseRecord::<[u8], [u8]>::to(outgoing.topic).timestamp(outgoing.timestamp);
        if let Some(partition) = outgoing.partition {
            record = record.partition(partition);
        }
        if let Some(key) = outgoing.key {
            record = record.key(key);
        }
        if let Some(value) = outgoing.value {
            record = record.payload(value);
        }
        if !outgoing.headers.is_empty() {
            let mut headers = OwnedHeaders::new_with_capacity(outgoing.headers.len());
            for header in outgoing.headers {
                headers = headers.insert(Header {
                    key: header.name,
                    value: Some(header.value),
                });
            }
            record = record.headers(headers);
        }
        let give_up = Instant::now() + CALL;
        loop {
            match self.client().producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                    if Instant::now() < give_up =>
                {
                    record = back;
                    self.client().producer.poll(Duration::from_millis(1));
                }
                Err((error, _)) => return Err(error),
            }
        }
    }

    pub(crate) fn send_offsets(
        &self,
        offsets: &TopicPartitionList,
        metadata: &ConsumerGroupMetadata,
    ) -> Reply {
        reply(
            "send offsets",
            self.client()
                .producer
                .send_offsets_to_transaction(offsets, metadata, CALL),
        )
    }

    /// Waits until every record has been acknowledged. The client library's own flush waits in steps of 100 ms.
    pub(crate) fn flush(&self) -> Reply {
        let client = self.client();
        let give_up = Instant::now() + CALL;
        while client.producer.in_flight_count() > 0 {
            client.producer.poll(Duration::ZERO);
            if client.producer.in_flight_count() == 0 {
                break;
            }
            if Instant::now() > give_up {
                tracing::warn!("the broker did not acknowledge all records in time");
                return Reply::Fatal;
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        let failures = client.failures();
        client.context.told.store(failures, Ordering::Relaxed);
        let before = client.failed_before.get();
        if self.guarantee == Guarantee::AtLeastOnce {
            client.failed_before.set(failures);
        }
        if failures == before {
            Reply::Done
        } else {
            Reply::Abortable
        }
    }

    pub(crate) fn commit(&self) -> Reply {
        match self.flush() {
            Reply::Done => {}
            other => return other,
        }
        let client = self.client();
        let reply = reply("commit", client.producer.commit_transaction(CALL));
        if reply == Reply::Done {
            client.aborts.set(0);
        }
        reply
    }

    /// Takes back what is not sent yet, waits for what is, and aborts. Taking back is left to the client library:
    /// done by us beforehand, it leaves a gap in the sequence for which the broker refuses the client's next
    /// transaction. The library waits for the reports of what it takes back, and only we can take them.
    ///
    /// A client that aborts again and again is given up: an id that the brokers forgot fails every transaction so.
    pub(crate) fn abort(&self) -> Reply {
        let client = self.client();
        let producer = &client.producer;
        // What is taken back now is no news.
        client.context.told.store(u64::MAX, Ordering::Relaxed);
        let ended = AtomicBool::new(false);
        let outcome = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    producer.poll(Duration::from_millis(1));
                }
            });
            let outcome = producer.abort_transaction(CALL);
            ended.store(true, Ordering::Relaxed);
            outcome
        });
        let reply = reply("abort", outcome);
        if reply == Reply::Done {
            client.aborts.set(client.aborts.get() + 1);
        }
        if client.aborts.get() >= ABORTS {
            return Reply::Fatal;
        }
        reply
    }

    pub(crate) fn guarantee(&self) -> Guarantee {
        self.guarantee
    }
}

/// Fences whoever holds this transactional id: its open transaction aborts and its later commits fail.
pub(crate) fn fence(base: &ClientConfig, id: &str) -> KafkaResult<()> {
    let mut config = base.clone();
    config
        .set("transactional.id", id)
        .set("retry.backoff.ms", "5")
        .set("retry.backoff.max.ms", "20");
    let producer: BaseProducer<DeliveryContext> =
        config.create_with_context(DeliveryContext::default())?;
    init_transactions(&producer)
}

fn init_transactions(producer: &BaseProducer<DeliveryContext>) -> KafkaResult<()> {
    let give_up = Instant::now() + Duration::from_secs(20);
    loop {
        match producer.init_transactions(Timeout::After(CALL)) {
            Err(KafkaError::Transaction(error))
                if error.is_retriable() && Instant::now() < give_up =>
            {
                tracing::debug!(%error, "init_transactions again");
            }
            other => return other,
        }
    }
}

fn reply(call: &'static str, result: KafkaResult<()>) -> Reply {
    let error = match result {
        Ok(()) => return Reply::Done,
        Err(error) => error,
    };
    let KafkaError::Transaction(cause) = &error else {
        tracing::warn!(call, %error, "transaction call failed");
        return Reply::Fatal;
    };
    // An id that the brokers forgot after a week without use: it counts as abortable, and every next transaction
    // fails in the same way.
    let forgotten = cause.code() == RDKafkaErrorCode::InvalidProducerIdMapping;
    let reply = if cause.is_fatal() || forgotten {
        Reply::Fatal
    } else if cause.txn_requires_abort() {
        Reply::Abortable
    } else if cause.is_retriable() {
        Reply::Retriable
    } else {
        Reply::Fatal
    };
    tracing::warn!(call, code = %cause.name(), error = %cause, ?reply, "transaction call failed");
    reply
}
