//! Deciding without a broker: the stage itself, driven in process.

use std::sync::Arc;

use prunella_knowledge::KnowledgeSet;
use prunella_schemas::{Decision, NormalizedAlert, decode};
use prunella_stream::{Accepted, Codec, Millis, Record, Rejection, StageTask, Task};

use crate::processor::Decider;

/// A decider that is handed one alert after the other. What it is told stays with it: deduplication and windows
/// work across alerts.
///
/// Its time of day is the latest receive time seen: an alert is decided as it would have been the moment it was
/// received, so that none is stale but one that was received long before another that came first.
pub struct Offline {
    task: StageTask<Decider>,
    offset: i64,
    now: Millis,
    bytes: Vec<u8>,
}

impl Offline {
    /// A decider that goes by this set.
    #[must_use]
    pub fn new(set: KnowledgeSet) -> Self {
        let mut task = StageTask::new(Decider::with_knowledge(&Arc::new(set)), 0);
        task.restored(&|_, _| false);
        Self {
            task,
            offset: 0,
            now: Millis::MIN,
            bytes: Vec::new(),
        }
    }

    /// The decision on an alert.
    ///
    /// # Errors
    /// A [`Rejection`] if the stage cannot process the alert; a broker would hold it in the dead-letter queue.
    pub fn decide(&mut self, alert: &NormalizedAlert) -> Result<Decision, Rejection> {
        self.now = self.now.max(alert.received_at);
        self.bytes.clear();
        Codec::encode(alert, &mut self.bytes);
        let record = Record {
            source: 0,
            partition: 0,
            offset: self.offset,
            timestamp: alert.received_at,
            key: Some(alert.domain.as_bytes()),
            value: Some(&self.bytes),
            headers: &[],
        };
        self.offset += 1;
        let accepted = self.task.record(self.now, &record);
        let mut decided = Err(Rejection::new(
            "undecided",
            "the stage made no decision; please report it",
        ));
        self.task.drain(&mut |output| {
            if let Some(value) = output.value {
                decided = decode(value).map_err(Rejection::from);
            }
        });
        self.task.committed(&mut |_| {});
        match accepted {
            Accepted::Rejected(rejection) => Err(rejection),
            Accepted::Processed | Accepted::Skipped => decided,
        }
    }
}

/// The decisions on some alerts, in their order, by this set: the lines of `prunella decide`.
pub fn decide_all<I>(
    set: KnowledgeSet,
    alerts: I,
) -> impl Iterator<Item = Result<Decision, Rejection>>
where
    I: IntoIterator<Item = NormalizedAlert>,
{
    let mut offline = Offline::new(set);
    alerts.into_iter().map(move |alert| offline.decide(&alert))
}
