//! First stage: drops what it has seen, numbers the readings of each series, and marks them with the limit in
//! force.

use std::marker::PhantomData;

use prunella_stream::{
    Cell, Clock, Context, Digest, FromRecord, HashStore, Processor, Record, Rejection, State,
    WindowStore, io, state,
};

use super::{number, parts, text};

/// A raw reading.
pub struct Reading<'a> {
    pub id: &'a str,
    pub series: &'a str,
    pub time: i64,
    pub amount: i64,
    pub good: bool,
}

impl<'a> FromRecord<'a> for Reading<'a> {
    fn from_record(record: &Record<'a>) -> Result<Self, Rejection> {
        let [id, series, time, amount, flag] = parts(text(record)?)?;
        Ok(Self {
            id,
            series,
            time: number(time)?,
            amount: number(amount)?,
            good: flag == "good",
        })
    }
}

/// A record of the broadcast topic: a version and whether the stage refuses it after learning it.
pub struct Limit {
    pub version: i64,
    pub refused: bool,
}

impl<'a> FromRecord<'a> for Limit {
    fn from_record(record: &Record<'a>) -> Result<Self, Rejection> {
        let [version, verdict] = parts(text(record)?)?;
        Ok(Self {
            version: number(version)?,
            refused: verdict == "refused",
        })
    }
}

pub struct Clean {
    pub series: String,
    pub text: String,
}

io! {
    pub struct NormaliserIo;
    pub enum NormaliserInput<'a> {
        Reading(Reading<'a>) = Keyed "raw",
        Limit(Limit) = Broadcast "limits",
    }
    outputs {
        Clean => "clean", key |c, out| out.extend_from_slice(c.series.as_bytes()), value |c, out| out.extend_from_slice(c.text.as_bytes());
    }
}

state! {
    /// What the stage keeps.
    pub struct Remembered {
        1 => seen: WindowStore<Digest, i64>,
        2 => ordinals: HashStore<String, i64>,
        3 => version: Cell<i64>,
    }
}

/// Access to what the stage keeps, whatever kind of store numbers the readings.
pub trait Memory: State + 'static {
    fn seen(&mut self) -> &mut WindowStore<Digest, i64>;
    fn ordinals(&mut self) -> &mut HashStore<String, i64>;
    fn version(&mut self) -> &mut Cell<i64>;
}

impl Memory for Remembered {
    fn seen(&mut self) -> &mut WindowStore<Digest, i64> {
        &mut self.seen
    }

    fn ordinals(&mut self) -> &mut HashStore<String, i64> {
        &mut self.ordinals
    }

    fn version(&mut self) -> &mut Cell<i64> {
        &mut self.version
    }
}

pub struct Normaliser<M>(PhantomData<fn() -> M>);

impl<M> Default for Normaliser<M> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<M: Memory> Processor for Normaliser<M> {
    type Io = NormaliserIo;
    type State = M;
    type Timer = i64;
    const APP: &'static str = "normaliser";

    fn learn(&self, state: &mut M, input: &NormaliserInput<'_>) -> Result<(), Rejection> {
        if let NormaliserInput::Limit(limit) = input {
            state.version().set(limit.version);
        }
        Ok(())
    }

    fn on_record(
        &self,
        state: &mut M,
        context: &mut Context<'_, Self>,
        input: NormaliserInput<'_>,
    ) -> Result<(), Rejection> {
        match input {
            NormaliserInput::Limit(limit) if limit.refused => {
                Err(Rejection::new("refused", "learnt, and refused"))
            }
            NormaliserInput::Limit(_) => Ok(()),
            NormaliserInput::Reading(reading) => self.take(state, context, &reading),
        }
    }
}

impl<M: Memory> Normaliser<M> {
    fn take(
        &self,
        state: &mut M,
        context: &mut Context<'_, Self>,
        reading: &Reading<'_>,
    ) -> Result<(), Rejection> {
        let now = context.now();
        state.seen().expire(now, 2);
        let id = Digest::of(&[reading.id.as_bytes()]);
        if state.seen().get(&id).is_some() {
            return Ok(());
        }
        state.seen().put(id, now, now + 3_600_000);
        let series = reading.series.to_owned();
        let ordinal = state.ordinals().get(&series).copied().unwrap_or(0) + 1;
        state.ordinals().put(series.clone(), ordinal);
        let version = *state.version().get();
        context.set_timer(Clock::Processing, reading.time, now + 5);
        context.forward(&Clean {
            text: format!(
                "{}|{series}|{}|{}|{ordinal}|{version}",
                reading.id, reading.time, reading.amount
            ),
            series,
        });
        if reading.good {
            Ok(())
        } else {
            Err(Rejection::new("flagged", "refused with the work half done"))
        }
    }
}
