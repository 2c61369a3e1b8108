//! Records on their way out, in one reused arena.

use std::ops::Range;

use crate::record::{Header, Millis, Record, Rejection};

/// Where a record goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sink {
    /// The stage's sink of that index.
    Topic(usize),
    /// The dead-letter queue of the stage's source of that index.
    DeadLetter(usize),
}

/// One record on its way out.
#[derive(Clone, Copy, Debug)]
pub struct Output<'a> {
    /// Where it goes.
    pub sink: Sink,
    /// Key bytes.
    pub key: Option<&'a [u8]>,
    /// Value bytes; absent in a tombstone.
    pub value: Option<&'a [u8]>,
    /// Headers.
    pub headers: &'a [Header<'a>],
    /// Its timestamp.
    pub timestamp: Millis,
}

/// Header that carries a trace from hop to hop (W3C Trace Context).
pub const TRACE_HEADER: &str = "traceparent";

#[derive(Debug)]
struct Entry {
    sink: Sink,
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
    headers: Range<usize>,
    timestamp: Millis,
}

#[derive(Debug)]
struct HeaderEntry {
    name: Range<usize>,
    value: Range<usize>,
}

/// The records that a task has forwarded and the edge has not yet taken.
#[derive(Debug, Default)]
pub struct Outputs {
    bytes: Vec<u8>,
    headers: Vec<HeaderEntry>,
    entries: Vec<Entry>,
}

/// What to cut back to when a record is rejected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OutputMark {
    bytes: usize,
    headers: usize,
    entries: usize,
}

impl Outputs {
    pub(crate) fn mark(&self) -> OutputMark {
        OutputMark {
            bytes: self.bytes.len(),
            headers: self.headers.len(),
            entries: self.entries.len(),
        }
    }

    pub(crate) fn cut(&mut self, mark: OutputMark) {
        self.bytes.truncate(mark.bytes);
        self.headers.truncate(mark.headers);
        self.entries.truncate(mark.entries);
    }

    pub(crate) fn push(
        &mut self,
        sink: Sink,
        timestamp: Millis,
        key: impl FnOnce(&mut Vec<u8>),
        value: impl FnOnce(&mut Vec<u8>),
        trace: Option<&[u8]>,
    ) {
        let start = self.bytes.len();
        key(&mut self.bytes);
        let middle = self.bytes.len();
        value(&mut self.bytes);
        let end = self.bytes.len();
        let first = self.headers.len();
        if let Some(trace) = trace {
            self.header(TRACE_HEADER, trace);
        }
        self.entries.push(Entry {
            sink,
            key: Some(start..middle),
            value: Some(middle..end),
            headers: first..self.headers.len(),
            timestamp,
        });
    }

    /// Puts a record on its dead-letter queue: as it came, with headers that say where it lay and why.
    pub(crate) fn dead_letter(
        &mut self,
        record: &Record<'_>,
        stage: &str,
        rejection: &Rejection,
        now: Millis,
    ) {
        let key = record.key.map(|key| self.append(key));
        let value = record.value.map(|value| self.append(value));
        let first = self.headers.len();
        for header in record.headers {
            self.header(header.name, header.value);
        }
        self.header("prunella.error.stage", stage.as_bytes());
        self.header("prunella.error.class", rejection.class.as_bytes());
        self.header("prunella.error.detail", rejection.detail.as_bytes());
        self.header(
            "prunella.error.partition",
            record.partition.to_string().as_bytes(),
        );
        self.header(
            "prunella.error.offset",
            record.offset.to_string().as_bytes(),
        );
        self.entries.push(Entry {
            sink: Sink::DeadLetter(record.source),
            key,
            value,
            headers: first..self.headers.len(),
            timestamp: now,
        });
    }

    /// Hands every record over, in order, and forgets them.
    pub fn drain(&mut self, sink: &mut dyn FnMut(Output<'_>)) {
        let mut headers: Vec<Header<'_>> = Vec::new();
        for entry in &self.entries {
            headers.clear();
            headers.extend(
                self.headers[entry.headers.clone()]
                    .iter()
                    .map(|header| Header {
                        name: std::str::from_utf8(&self.bytes[header.name.clone()])
                            .unwrap_or_default(),
                        value: &self.bytes[header.value.clone()],
                    }),
            );
            sink(Output {
                sink: entry.sink,
                key: entry.key.clone().map(|key| &self.bytes[key]),
                value: entry.value.clone().map(|value| &self.bytes[value]),
                headers: &headers,
                timestamp: entry.timestamp,
            });
        }
        self.clear();
    }

    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.headers.clear();
        self.entries.clear();
    }

    fn append(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len()
    }

    fn header(&mut self, name: &str, value: &[u8]) {
        let name = self.append(name.as_bytes());
        let value = self.append(value);
        self.headers.push(HeaderEntry { name, value });
    }
}
