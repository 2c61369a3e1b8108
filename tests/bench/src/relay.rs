//! Stages that do nothing of their own: what they cost is the runtime's.

use prunella_stream::{
    Context, FromRecord, HashStore, Processor, Record, Rejection, io as stage_io,
    state as stage_state,
};

/// A record as it came.
pub struct Passed<'a> {
    key: &'a [u8],
    value: &'a [u8],
}

impl<'a> FromRecord<'a> for Passed<'a> {
    fn from_record(record: &Record<'a>) -> Result<Self, Rejection> {
        Ok(Self {
            key: record.key.unwrap_or_default(),
            value: record.value.unwrap_or_default(),
        })
    }
}

/// Declares a stage that passes every record on.
macro_rules! relay {
    ($(#[$doc:meta])* $stage:ident, $io:ident, $input:ident, $app:literal: $from:literal => $to:literal) => {
        stage_io! {
            /// One topic in, one out.
            pub struct $io;
            /// A record.
            pub enum $input<'a> {
                /// It.
                Record(Passed<'a>) = Keyed $from,
            }
            outputs {
                Passed<'_> => $to,
                    key |passed, out| out.extend_from_slice(passed.key),
                    value |passed, out| out.extend_from_slice(passed.value);
            }
        }

        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default)]
        pub struct $stage;

        impl Processor for $stage {
            type Io = $io;
            type State = ();
            type Timer = ();
            const APP: &'static str = $app;

            fn on_record(
                &self,
                (): &mut (),
                context: &mut Context<'_, Self>,
                input: $input<'_>,
            ) -> Result<(), Rejection> {
                let $input::Record(passed) = input;
                context.forward(&passed);
                Ok(())
            }
        }
    };
}

relay!(
    /// The raw alerts, passed on.
    Relay, RelayIo, RelayInput, "relay": "raw-alerts" => "relayed"
);
relay!(
    /// The same under a name of its own, to be measured at least once: a group has one guarantee.
    PlainRelay, PlainRelayIo, PlainRelayInput, "plain-relay": "raw-alerts" => "relayed"
);
relay!(
    /// The first of four in a chain.
    Hop1, Hop1Io, Hop1Input, "hop-1": "hop-0" => "hop-1"
);
relay!(
    /// The second.
    Hop2, Hop2Io, Hop2Input, "hop-2": "hop-1" => "hop-2"
);
relay!(
    /// The third.
    Hop3, Hop3Io, Hop3Input, "hop-3": "hop-2" => "hop-3"
);
relay!(
    /// The last.
    Hop4, Hop4Io, Hop4Input, "hop-4": "hop-3" => "hop-4"
);

/// Topics of the relays besides the pipeline's.
pub const RELAY_TOPICS: &[&str] = &["relayed", "relay-changelog", "plain-relay-changelog"];
/// Topics of the chain.
pub const CHAIN_TOPICS: &[&str] = &[
    "hop-0",
    "hop-1",
    "hop-2",
    "hop-3",
    "hop-4",
    "hop-0.dlq",
    "hop-1.dlq",
    "hop-2.dlq",
    "hop-3.dlq",
    "hop-1-changelog",
    "hop-2-changelog",
    "hop-3-changelog",
    "hop-4-changelog",
];
/// Topics of the tally.
pub const TALLY_TOPICS: &[&str] = &["tally-in", "tally-in.dlq", "tally-out", "tally-changelog"];

/// The number of records under a key so far.
pub struct Tallied<'a> {
    key: &'a [u8],
    number: i64,
}

stage_io! {
    /// Keys in, numbers out.
    pub struct TallyIo;
    /// A record.
    pub enum TallyInput<'a> {
        /// It.
        Record(Passed<'a>) = Keyed "tally-in",
    }
    outputs {
        Tallied<'_> => "tally-out",
            key |tallied, out| out.extend_from_slice(tallied.key),
            value |tallied, out| out.extend_from_slice(tallied.number.to_string().as_bytes());
    }
}

stage_state! {
    /// What was counted.
    pub struct TallyState {
        /// Records by key.
        1 => counts: HashStore<Vec<u8>, i64>,
    }
}

/// Counts the records of every key: a state as large as one likes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally;

impl Processor for Tally {
    type Io = TallyIo;
    type State = TallyState;
    type Timer = ();
    const APP: &'static str = "tally";

    fn on_record(
        &self,
        state: &mut TallyState,
        context: &mut Context<'_, Self>,
        input: TallyInput<'_>,
    ) -> Result<(), Rejection> {
        let TallyInput::Record(passed) = input;
        let key = passed.key.to_vec();
        let number = state.counts.get(&key).copied().unwrap_or(0) + 1;
        state.counts.put(key, number);
        context.forward(&Tallied {
            key: passed.key,
            number,
        });
        Ok(())
    }
}
