//! What the group tells this thread, as events: callbacks only note them.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;

use crate::kafka::log_line;

/// What happened to this member.
pub(crate) enum Membership {
    /// It was given these partitions of one generation.
    Assigned {
        /// Topic and partition.
        partitions: Vec<(String, i32)>,
        /// Captured now: metadata taken at commit time would let a zombie commit under its new generation.
        metadata: Option<ConsumerGroupMetadata>,
    },
    /// What it had was taken back.
    Revoked,
}

/// Notes rebalances. The default of the client library assigns inside the callback; here the thread does, after
/// it has fenced, restored and looked offsets up.
#[derive(Default)]
pub(crate) struct RebalanceContext {
    events: Mutex<VecDeque<Membership>>,
    closing: AtomicBool,
    fatal: AtomicBool,
    cut_off: AtomicBool,
}

/// What librdkafka logs when it gives its membership up by itself: the coordinator was silent for a whole
/// session, or the thread did not poll for too long.
const CUT_OFF: [&str; 2] = ["SESSTMOUT", "MAXPOLL"];

impl RebalanceContext {
    pub(crate) fn next(&self) -> Option<Membership> {
        self.lock().pop_front()
    }

    /// True if the group said something that the thread has not yet followed.
    pub(crate) fn has_event(&self) -> bool {
        !self.lock().is_empty()
    }

    /// From now on revocations are answered in the callback: dropping a consumer waits for its last one.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }

    /// True once the client cannot go on, for example because its name is in use elsewhere.
    pub(crate) fn is_fatal(&self) -> bool {
        self.fatal.load(Ordering::SeqCst)
    }

    pub(crate) fn set_fatal(&self) {
        self.fatal.store(true, Ordering::SeqCst);
    }

    /// True if this client gave its membership up by itself and was given nothing since. It has forgotten its
    /// member id; a coordinator that still knows it takes whatever comes from this client now for another
    /// process's under the same name, and fences it.
    pub(crate) fn is_cut_off(&self) -> bool {
        self.cut_off.load(Ordering::SeqCst)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Membership>> {
        self.events
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl ClientContext for RebalanceContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if CUT_OFF.contains(&facility) {
            self.cut_off.store(true, Ordering::SeqCst);
        }
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, reason, "consumer error");
        // It is told once, to whichever poll comes first.
        if reason.starts_with("Fatal error")
            || error.rdkafka_error_code() == Some(RDKafkaErrorCode::FencedInstanceId)
        {
            self.set_fatal();
        }
    }
}

impl ConsumerContext for RebalanceContext {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        error: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        if self.closing.load(Ordering::SeqCst) {
            if let Err(error) = consumer.unassign() {
                tracing::debug!(%error, "unassigning while closing failed");
            }
            return;
        }
        let event = if error == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            self.cut_off.store(false, Ordering::SeqCst);
            Membership::Assigned {
                partitions: partitions
                    .elements()
                    .iter()
                    .map(|element| (element.topic().to_owned(), element.partition()))
                    .collect(),
                metadata: consumer.group_metadata(),
            }
        } else {
            Membership::Revoked
        };
        self.lock().push_back(event);
    }
}
