//! The ledger stage.

use prunella_stream::{
    Context, FromRecord, HashStore, Processor, Record, Rejection, io as stage_io,
    state as stage_state,
};

/// Input topic.
pub const INPUT: &str = "ledger-in";
/// Output topic.
pub const OUTPUT: &str = "ledger-out";

/// An entry to count: the record's key, and its value for those that are special.
pub struct Entry {
    key: String,
    value: Vec<u8>,
}

impl<'a> FromRecord<'a> for Entry {
    fn from_record(record: &Record<'a>) -> Result<Self, Rejection> {
        let key = record
            .key
            .and_then(|key| std::str::from_utf8(key).ok())
            .ok_or_else(|| Rejection::new("no_key", "an entry needs a key in UTF-8"))?;
        Ok(Self {
            key: key.to_owned(),
            value: record.value.unwrap_or_default().to_vec(),
        })
    }
}

/// The running number of a key.
pub struct Numbered {
    key: String,
    number: i64,
}

stage_io! {
    /// Entries in, numbers out.
    pub struct LedgerIo;
    /// A record of any source.
    pub enum LedgerInput<'a> {
        /// An entry.
        Entry(Entry) = Keyed INPUT,
    }
    outputs {
        Numbered => OUTPUT,
            key |numbered, out| out.extend_from_slice(numbered.key.as_bytes()),
            value |numbered, out| out.extend_from_slice(numbered.number.to_string().as_bytes());
    }
}

stage_state! {
    /// What has been counted.
    pub struct LedgerState {
        /// Records seen, by key.
        1 => counts: HashStore<String, i64>,
    }
}

/// The stage.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ledger;

impl Processor for Ledger {
    type Io = LedgerIo;
    type State = LedgerState;
    type Timer = i64;
    const APP: &'static str = "ledger";

    fn on_record(
        &self,
        state: &mut LedgerState,
        context: &mut Context<'_, Self>,
        input: LedgerInput<'_>,
    ) -> Result<(), Rejection> {
        let LedgerInput::Entry(entry) = input;
        let number = state.counts.get(&entry.key).copied().unwrap_or(0) + 1;
        state.counts.put(entry.key.clone(), number);
        // Half done on purpose: a rejection must undo the count.
        if entry.value == b"reject" {
            return Err(Rejection::new("asked_for", "the entry asks to be rejected"));
        }
        context.forward(&Numbered {
            key: entry.key,
            number,
        });
        Ok(())
    }
}
