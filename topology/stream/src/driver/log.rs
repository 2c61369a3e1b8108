//! One partition as a log, with what a reader of committed records may see of it.

use std::sync::Arc;

use crate::record::{Header, Millis, Record};

/// A record to put on a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Key bytes; they choose the partition.
    pub key: Option<Vec<u8>>,
    /// Value bytes; absent: a tombstone.
    pub value: Option<Vec<u8>>,
    /// Headers, in their order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Its timestamp; absent: the time at which it is put.
    pub timestamp: Option<Millis>,
}

impl Message {
    /// A message with a key and a value.
    pub fn new(key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        Self {
            key: Some(key.as_ref().to_vec()),
            value: Some(value.as_ref().to_vec()),
            ..Self::default()
        }
    }

    /// The message with one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers
            .push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// The message with that timestamp.
    #[must_use]
    pub fn at(mut self, timestamp: Millis) -> Self {
        self.timestamp = Some(timestamp);
        self
    }
}

/// A record as it lies on its topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Partition.
    pub partition: i32,
    /// Offset. Transaction markers have offsets too, so that they have gaps.
    pub offset: i64,
    /// Timestamp.
    pub timestamp: Millis,
    /// Key bytes.
    pub key: Option<Vec<u8>>,
    /// Value bytes; absent in a tombstone.
    pub value: Option<Vec<u8>>,
    /// Headers, in their order.
    pub headers: Vec<(String, Vec<u8>)>,
}

impl Stored {
    /// Key as text; empty if there is none or it is not UTF-8.
    #[must_use]
    pub fn key_text(&self) -> &str {
        text(self.key.as_deref())
    }

    /// Value as text; empty if there is none or it is not UTF-8.
    #[must_use]
    pub fn value_text(&self) -> &str {
        text(self.value.as_deref())
    }

    /// The last header of that name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let found = self.headers.iter().rev().find(|header| header.0 == name);
        found.map(|header| header.1.as_slice())
    }

    /// Gives the record as a task gets it: of the source of that index.
    pub(super) fn with_record<R>(&self, source: usize, give: impl FnOnce(&Record<'_>) -> R) -> R {
        let headers: Vec<Header<'_>> = self
            .headers
            .iter()
            .map(|(name, value)| Header { name, value })
            .collect();
        give(&Record {
            source,
            partition: self.partition,
            offset: self.offset,
            timestamp: self.timestamp,
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers: &headers,
        })
    }
}

fn text(bytes: Option<&[u8]>) -> &str {
    bytes
        .and_then(|bytes| std::str::from_utf8(bytes).ok())
        .unwrap_or_default()
}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Open,
    Committed,
    Aborted,
}

#[derive(Debug)]
enum Entry {
    Data(Arc<Stored>, Option<usize>),
    Marker,
}

/// One partition.
#[derive(Debug, Default)]
pub(super) struct Log {
    entries: Vec<Entry>,
}

impl Log {
    /// Appends a record, inside a transaction or outside any. Returns its offset.
    pub(super) fn append(
        &mut self,
        partition: i32,
        message: Message,
        now: Millis,
        transaction: Option<usize>,
    ) -> i64 {
        let offset = self.end();
        let stored = Stored {
            partition,
            offset,
            timestamp: message.timestamp.unwrap_or(now),
            key: message.key,
            value: message.value,
            headers: message.headers,
        };
        self.entries
            .push(Entry::Data(Arc::new(stored), transaction));
        offset
    }

    /// Appends the marker that ends a transaction.
    pub(super) fn mark(&mut self) {
        self.entries.push(Entry::Marker);
    }

    /// The offset after the last entry, open transactions included.
    pub(super) fn end(&self) -> i64 {
        i64::try_from(self.entries.len()).unwrap_or(i64::MAX)
    }

    /// The first committed record at or after the cursor. The cursor moves to it, past what is hidden, and
    /// stops before the first record of a transaction that is still open: the last stable offset.
    pub(super) fn fetch(&self, cursor: &mut i64, outcomes: &[Outcome]) -> Option<Arc<Stored>> {
        let mut index = usize::try_from(*cursor).ok()?;
        let mut found = None;
        while let Some(entry) = self.entries.get(index) {
            if let Entry::Data(record, transaction) = entry {
                match transaction.map_or(Outcome::Committed, |number| outcomes[number]) {
                    Outcome::Committed => {
                        found = Some(Arc::clone(record));
                        break;
                    }
                    Outcome::Open => break,
                    Outcome::Aborted => {}
                }
            }
            index += 1;
        }
        *cursor = i64::try_from(index).unwrap_or(*cursor);
        found
    }
}
