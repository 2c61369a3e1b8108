//! A stage that forwards far more than it reads, and once a record that no client takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use prunella_stream::{
    Context, FromRecord, HashStore, Processor, Record, Rejection, io as stage_io,
    state as stage_state,
};

/// Records forwarded for each record read.
pub const LINES: usize = 50;
/// Bytes of each.
const LINE: usize = 1024;
/// Above what the producer's client takes.
const TOO_LONG: usize = 11 << 20;
/// The value of a record for which, once, a line is forwarded that is too long.
pub const SPOILT: &str = "spoilt";

/// A record to be forwarded as many lines.
pub struct Page {
    key: String,
    spoilt: bool,
}

impl<'a> FromRecord<'a> for Page {
    fn from_record(record: &Record<'a>) -> Result<Self, Rejection> {
        let key = String::from_utf8_lossy(record.key.unwrap_or_default());
        Ok(Self {
            key: key.into_owned(),
            spoilt: record.value == Some(SPOILT.as_bytes()),
        })
    }
}

/// One line of a page.
pub struct Line {
    key: String,
    length: usize,
}

stage_io! {
    /// Pages in, lines out.
    pub struct BurstIo;
    /// A record of any source.
    pub enum BurstInput<'a> {
        /// A page.
        Page(Page) = Keyed "burst-in",
    }
    outputs {
        Line => "burst-out",
            key |line, out| out.extend_from_slice(line.key.as_bytes()),
            value |line, out| out.extend(std::iter::repeat_n(b'.', line.length));
    }
}

stage_state! {
    /// What has been read.
    pub struct BurstState {
        /// Pages, by key.
        1 => pages: HashStore<String, i64>,
    }
}

/// The stage.
#[derive(Clone, Debug, Default)]
pub struct Burst {
    /// Set when the line that is too long has been forwarded.
    pub spoilt: Arc<AtomicBool>,
}

impl Processor for Burst {
    type Io = BurstIo;
    type State = BurstState;
    type Timer = i64;
    const APP: &'static str = "burst";

    fn on_record(
        &self,
        state: &mut BurstState,
        context: &mut Context<'_, Self>,
        input: BurstInput<'_>,
    ) -> Result<(), Rejection> {
        let BurstInput::Page(Page { key, spoilt }) = input;
        let pages = state.pages.get(&key).copied().unwrap_or(0) + 1;
        state.pages.put(key.clone(), pages);
        for number in 0..LINES {
            // A page that was counted twice shows in its keys.
            let key = format!("{key}/{pages}/{number}");
            context.forward(&Line { key, length: LINE });
        }
        // A stage proper keeps nothing outside its state; this one is to fail once and not again.
        if spoilt && !self.spoilt.swap(true, Ordering::SeqCst) {
            context.forward(&Line {
                key,
                length: TOO_LONG,
            });
        }
        Ok(())
    }
}
