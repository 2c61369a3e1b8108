//! The stage: raw-alerts and knowledge in, normalized alerts out.

use std::sync::Arc;

use prunella_knowledge::KnowledgeView;
use prunella_schemas::{BorrowedAlert, Compacted, KnowledgeRecord};
use prunella_stream::{Cell, Context, FromRecord, Millis, Processor, Record, Rejection};
use prunella_topology::topics;

use crate::{
    CONTENT_TYPE_HEADER, Meta, RECEIVED_AT_HEADER, SOURCE_HEADER, Sources, normalize_borrowed,
};

/// The stage. It keeps nothing but its view of the knowledge.
#[derive(Clone, Copy, Debug, Default)]
pub struct Normalizer;

/// One raw record, as it lies on the topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawAlert<'a> {
    /// Name of its source.
    pub source: &'a str,
    /// Media type of the payload, if the record says so.
    pub content_type: Option<&'a str>,
    /// When the gateway received it; for a record that was produced straight to Kafka, the record's time.
    pub received_at: Millis,
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// The vendor's bytes.
    pub payload: &'a [u8],
}

/// A record without headers was produced straight to Kafka: its key says the source, before the first `/`.
impl<'a> FromRecord<'a> for RawAlert<'a> {
    fn from_record(record: &Record<'a>) -> Result<Self, Rejection> {
        let text = |bytes: &'a [u8]| std::str::from_utf8(bytes).ok();
        let key = record.key.and_then(text);
        let named = key.and_then(|key| key.split('/').next());
        let source = record.header(SOURCE_HEADER).and_then(text).or(named);
        let received_at = record.header(RECEIVED_AT_HEADER).and_then(text);
        let received_at = received_at.and_then(|text| text.parse().ok());
        Ok(Self {
            source: source.filter(|name| !name.is_empty()).unwrap_or("generic"),
            content_type: record.header(CONTENT_TYPE_HEADER).and_then(text),
            received_at: received_at.unwrap_or(record.timestamp),
            partition: record.partition,
            offset: record.offset,
            payload: record.value.unwrap_or_default(),
        })
    }
}

prunella_stream::io! {
    /// What the normalizer reads and writes.
    pub struct NormalizerIo;
    /// A record of any source.
    pub enum NormalizerInput<'a> {
        /// A payload.
        Raw(RawAlert<'a>) = Keyed topics::RAW_ALERTS,
        /// Knowledge: it describes sources.
        Knowledge(Compacted<KnowledgeRecord>) = Broadcast topics::KNOWLEDGE,
    }
    outputs {
        BorrowedAlert<'_> => topics::NORMALIZED_ALERTS,
            key |alert, out| out.extend_from_slice(alert.domain.as_bytes()),
            value |alert, out| alert.write(out);
    }
}

/// What the knowledge says of sources.
#[derive(Clone, Default)]
struct View {
    knowledge: KnowledgeView,
    sources: Arc<Sources>,
}

prunella_stream::state! {
    /// The view of the knowledge; it is read again after a restart and lies on no changelog.
    pub struct NormalizerState {
        /// The view.
        1 => view: Cell<View>,
    }
}

impl Processor for Normalizer {
    type Io = NormalizerIo;
    type State = NormalizerState;
    type Timer = ();
    const APP: &'static str = "normalizer";

    fn learn(
        &self,
        state: &mut NormalizerState,
        input: &NormalizerInput<'_>,
    ) -> Result<(), Rejection> {
        if let NormalizerInput::Knowledge(record) = input {
            let view = state.view.get().learnt(record)?;
            state.view.set(view);
        }
        Ok(())
    }

    fn on_record(
        &self,
        state: &mut NormalizerState,
        context: &mut Context<'_, Self>,
        input: NormalizerInput<'_>,
    ) -> Result<(), Rejection> {
        if let NormalizerInput::Raw(raw) = input {
            let meta = raw.meta(context.now());
            let sources = &state.view.get().sources;
            let alerts =
                normalize_borrowed(raw.source, raw.content_type, raw.payload, &meta, sources)?;
            for alert in alerts {
                context.forward(&alert);
            }
        }
        Ok(())
    }
}

impl RawAlert<'_> {
    /// Nothing was received later than now, or before the epoch: a producer that says so would make an alert
    /// that never grows stale.
    fn meta(&self, now: Millis) -> Meta<'static> {
        let known = self.received_at > 0 && self.received_at <= now;
        Meta {
            topic: topics::RAW_ALERTS,
            partition: self.partition,
            offset: self.offset,
            received_at: if known { self.received_at } else { now },
        }
    }
}

impl View {
    /// The view after this record. A set whose sources cannot be read replaces none.
    fn learnt(&self, record: &Compacted<KnowledgeRecord>) -> Result<Self, Rejection> {
        let bad = |reason: String| Rejection::new("bad_knowledge", reason);
        let mut view = self.clone();
        match &record.value {
            Some(record) => view.knowledge.learn(record).map_err(bad)?,
            None => view.knowledge.forget(&String::from_utf8_lossy(&record.key)),
        }
        let digest = |view: &Self| view.knowledge.active().map(|set| set.digest.clone());
        if digest(&view) != digest(self)
            && let Some(set) = view.knowledge.active()
        {
            let sources = Sources::parse(&set.sources);
            view.sources = Arc::new(sources.map_err(|error| bad(error.to_string()))?);
        }
        Ok(view)
    }
}
