//! Vendors' payloads become [`NormalizedAlert`]s: one small module a vendor behind one trait.
//!
//! Pure: the same bytes at the same place, received at the same time, give the same alerts. A payload is
//! refused whole, with a [`Rejection`] that says what to do, or gives one record for every alert in it. What a
//! source says in a way that no table maps is kept, not refused: a person may still need to see it.

mod alertmanager;
mod draft;
mod field_map;
mod format;
mod generic;
mod json;
mod labels;
mod object;
mod payload;
mod source;
mod stage;
mod time;
mod vendors;
mod words;
mod zabbix;

use prunella_schemas::{BorrowedAlert, CowStr, NormalizedAlert};
use prunella_stream::{Millis, Rejection};

pub use field_map::FieldMapError;
pub use format::{FORMATS, Format, TABLE};
pub use payload::{MAX_ALERTS, MAX_DEPTH, MAX_LABELS, MAX_PAYLOAD_BYTES};
pub use source::{Sources, SourcesError};
pub use stage::{Normalizer, NormalizerInput, NormalizerIo, NormalizerState, RawAlert};

/// Header of a raw record: the source's name as the gateway authenticated it.
pub const SOURCE_HEADER: &str = "prunella.source";
/// Header of a raw record: the payload's media type.
pub const CONTENT_TYPE_HEADER: &str = "content-type";
/// Header of a raw record: when it was received, in decimal milliseconds since the Unix epoch.
pub const RECEIVED_AT_HEADER: &str = "prunella.received-at";

/// Where a payload lies and when it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta<'a> {
    /// Topic, without the installation's prefix.
    pub topic: &'a str,
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// When it was received.
    pub received_at: Millis,
}

/// Normalizes one payload: every alert in it, in its order.
///
/// `source` is the source's name; [`Sources`] says which format that means. `content_type` is the payload's
/// media type where one is known; a format that is JSON refuses one that says it is something else.
///
/// # Errors
/// A [`Rejection`] for the payload as a whole; nothing of it was taken.
pub fn normalize(
    source: &str,
    content_type: Option<&str>,
    payload: &[u8],
    meta: &Meta<'_>,
    sources: &Sources,
) -> Result<Vec<NormalizedAlert>, Rejection> {
    let alerts = normalize_borrowed(source, content_type, payload, meta, sources)?;
    let owned = alerts.into_iter();
    Ok(owned.map(|alert| alert.map(CowStr::into_string)).collect())
}

/// As [`normalize`], the alerts' texts left in the payload.
///
/// # Errors
/// As [`normalize`].
pub fn normalize_borrowed<'a>(
    source: &'a str,
    content_type: Option<&str>,
    payload: &'a [u8],
    meta: &'a Meta<'a>,
    sources: &Sources,
) -> Result<Vec<BorrowedAlert<'a>>, Rejection> {
    let format = sources.format(source);
    let takes = |content_type: &str| format.takes(content_type);
    let text = payload::text_of(content_type, &takes, payload)?;
    let mut batch = draft::Batch::new(source, meta);
    format.normalize(text, &mut batch)?;
    Ok(batch.into_alerts())
}

/// The part of a raw record's key that keeps what belongs together in order: payloads about the same group of
/// alerts have the same one. `None` if the payload names none: its source's alerts then share one partition.
///
/// # Errors
/// A [`Rejection`] if the payload is not even text of the source's format; [`normalize`] would refuse it too.
pub fn ordering_key(
    source: &str,
    content_type: Option<&str>,
    payload: &[u8],
    sources: &Sources,
) -> Result<Option<String>, Rejection> {
    let format = sources.format(source);
    let takes = |content_type: &str| format.takes(content_type);
    let text = payload::text_of(content_type, &takes, payload)?;
    format.ordering_key(text)
}
