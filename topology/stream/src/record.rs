//! What a task is given: one record, borrowed from the message it came in.

use std::borrow::Cow;

/// Milliseconds since the Unix epoch, UTC.
pub type Millis = i64;

/// One header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// Name.
    pub name: &'a str,
    /// Value, as bytes.
    pub value: &'a [u8],
}

/// One record of one of the stage's sources.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Index into the stage's list of sources.
    pub source: usize,
    /// Partition it was read from.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its timestamp: set by its producer or by the broker.
    pub timestamp: Millis,
    /// Key bytes.
    pub key: Option<&'a [u8]>,
    /// Value bytes; absent in a tombstone.
    pub value: Option<&'a [u8]>,
    /// Headers, in their order.
    pub headers: &'a [Header<'a>],
}

impl<'a> Record<'a> {
    /// The last header of that name, as Kafka's clients have it.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.headers
            .iter()
            .rev()
            .find(|header| header.name == name)
            .map(|header| header.value)
    }
}

/// Why a record cannot be processed, now or ever. It goes to the dead-letter queue in the same transaction,
/// and whatever the stage had half done for it is undone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{class}: {detail}")]
pub struct Rejection {
    /// The rule that was broken, in a few fixed words: a metric label.
    pub class: Cow<'static, str>,
    /// What was seen, and what to do about it.
    pub detail: String,
}

impl Rejection {
    /// A rejection of that class.
    pub fn new(class: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self {
            class: class.into(),
            detail: detail.into(),
        }
    }
}
