//! Second stage: counts and sums readings in windows of event time. A window closes when stream time has passed
//! it, or when nothing closed it for a while of the time of day; what comes later opens a further part of it.

use prunella_stream::{
    Clock, Context, FromRecord, HashStore, Processor, Record, Rejection, TreeStore, io, state,
};

use super::{WINDOW, number, parts, text};

pub struct CleanReading<'a> {
    pub series: &'a str,
    pub time: i64,
    pub amount: i64,
}

impl<'a> FromRecord<'a> for CleanReading<'a> {
    fn from_record(record: &Record<'a>) -> Result<Self, Rejection> {
        let [_id, series, time, amount, _ordinal, _version] = parts(text(record)?)?;
        Ok(Self {
            series,
            time: number(time)?,
            amount: number(amount)?,
        })
    }
}

/// Count and sum of one part of a window.
pub struct Count {
    pub series: String,
    pub text: String,
}

io! {
    pub struct CounterIo;
    pub enum CounterInput<'a> {
        Reading(CleanReading<'a>) = Keyed "clean",
    }
    outputs {
        Count => "counts", key |c, out| out.extend_from_slice(c.series.as_bytes()), value |c, out| out.extend_from_slice(c.text.as_bytes());
    }
}

/// Series and start of a window.
type Window = (String, i64);

state! {
    /// Open windows with count and sum, and how many parts each window has had.
    pub struct Windows {
        1 => open: TreeStore<Window, (i64, i64)>,
        2 => parts: HashStore<Window, i64>,
    }
}

pub struct Counter;

impl Processor for Counter {
    type Io = CounterIo;
    type State = Windows;
    type Timer = Window;
    const APP: &'static str = "counter";

    fn event_time(&self, input: &CounterInput<'_>) -> Option<i64> {
        match input {
            CounterInput::Reading(reading) => Some(reading.time),
            _ => None,
        }
    }

    fn on_record(
        &self,
        state: &mut Windows,
        context: &mut Context<'_, Self>,
        input: CounterInput<'_>,
    ) -> Result<(), Rejection> {
        let CounterInput::Reading(reading) = input;
        let start = reading.time - reading.time.rem_euclid(WINDOW);
        let window = (reading.series.to_owned(), start);
        let grown = state.open.update(&window, |(count, sum)| {
            *count += 1;
            *sum += reading.amount;
        });
        if grown.is_none() {
            state.open.put(window.clone(), (1, reading.amount));
            context.set_timer(Clock::Stream, window.clone(), start + WINDOW + 5_000);
            context.set_timer(Clock::Processing, window, context.now() + 1_500);
        }
        Ok(())
    }

    fn on_timer(&self, state: &mut Windows, context: &mut Context<'_, Self>, window: Window) {
        context.cancel_timer(Clock::Stream, &window);
        context.cancel_timer(Clock::Processing, &window);
        let (count, sum) = state.open.remove(&window).unwrap_or_default();
        let part = state.parts.get(&window).copied().unwrap_or(0) + 1;
        state.parts.put(window.clone(), part);
        let (series, start) = window;
        context.forward(&Count {
            text: format!("{series}|{start}|{part}|{count}|{sum}"),
            series,
        });
    }
}
