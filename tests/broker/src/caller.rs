//! A stage that asks for one effect for each record, and effects that end when the test says so.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use prunella_runtime::{Done, EffectRunner, Gate};
use prunella_stream::{
    Context, Digest, EffectRequest, FromRecord, HashStore, OpenEffect, Processor, Record,
    Rejection, io as stage_io, state as stage_state,
};

/// What an effect that was carried out says.
pub const DONE: &str = "done";
/// What is forwarded for an effect whose outcome nobody knows.
pub const IN_DOUBT: &str = "in doubt";

/// How long an effect may take, in milliseconds: longer than any test.
const ACT_WITHIN: i64 = 3_600_000;

/// Asks for an effect; the record's key names it.
pub struct Ask(String);

impl<'a> FromRecord<'a> for Ask {
    fn from_record(record: &Record<'a>) -> Result<Self, Rejection> {
        let key = String::from_utf8_lossy(record.key.unwrap_or_default());
        Ok(Self(key.into_owned()))
    }
}

/// What came of an effect.
pub struct Came {
    key: String,
    outcome: String,
}

stage_io! {
    /// Questions in, outcomes out.
    pub struct CallerIo;
    /// A record of any source.
    pub enum CallerInput<'a> {
        /// A question.
        Ask(Ask) = Keyed "caller-in",
    }
    outputs {
        Came => "caller-out",
            key |came, out| out.extend_from_slice(came.key.as_bytes()),
            value |came, out| out.extend_from_slice(came.outcome.as_bytes());
    }
}

stage_state! {
    /// What has been asked for.
    pub struct CallerState {
        /// How often, by key.
        1 => asked: HashStore<String, i64>,
    }
}

/// The stage.
#[derive(Clone, Copy, Debug, Default)]
pub struct Caller;

impl Processor for Caller {
    type Io = CallerIo;
    type State = CallerState;
    type Timer = i64;
    const APP: &'static str = "caller";

    fn on_record(
        &self,
        state: &mut CallerState,
        context: &mut Context<'_, Self>,
        input: CallerInput<'_>,
    ) -> Result<(), Rejection> {
        let CallerInput::Ask(Ask(key)) = input;
        let asked = state.asked.get(&key).copied().unwrap_or(0);
        state.asked.put(key.clone(), asked + 1);
        context.ask(EffectRequest {
            id: Digest::of(&[key.as_bytes()]),
            attempt: 1,
            deadline: context.now() + ACT_WITHIN,
            payload: key.into_bytes(),
        });
        Ok(())
    }

    fn on_settled(
        &self,
        _state: &mut CallerState,
        context: &mut Context<'_, Self>,
        effect: OpenEffect,
        outcome: &[u8],
    ) {
        context.forward(&Came {
            key: key_of(effect.payload),
            outcome: String::from_utf8_lossy(outcome).into_owned(),
        });
    }

    fn on_doubt(
        &self,
        _state: &mut CallerState,
        context: &mut Context<'_, Self>,
        effect: OpenEffect,
    ) {
        context.close_effect(&effect.id);
        context.forward(&Came {
            key: key_of(effect.payload),
            outcome: IN_DOUBT.to_owned(),
        });
    }
}

fn key_of(payload: Vec<u8>) -> String {
    String::from_utf8_lossy(&payload).into_owned()
}

/// Writes down every effect that is begun, and dedups nothing.
#[derive(Default)]
pub struct Calls(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    begun: BTreeMap<String, usize>,
    held: bool,
    open: Vec<Done>,
}

impl Calls {
    /// Effects that do not end before they are let go.
    #[must_use]
    pub fn held() -> Self {
        let calls = Self::default();
        calls.lock().held = true;
        calls
    }

    /// How often each effect was begun.
    #[must_use]
    pub fn begun(&self) -> BTreeMap<String, usize> {
        self.lock().begun.clone()
    }

    /// Ends all effects that are open, and from now on each at once.
    pub fn let_go(&self) {
        let mut inner = self.lock();
        inner.held = false;
        for done in std::mem::take(&mut inner.open) {
            done.settle(DONE.into());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EffectRunner for Calls {
    fn begin(
        &self,
        _app: &'static str,
        _partition: i32,
        request: EffectRequest,
        gate: Gate,
        done: Done,
    ) {
        if let Err(closed) = gate.check() {
            done.settle(closed.to_string().into_bytes());
            return;
        }
        let mut inner = self.lock();
        *inner.begun.entry(key_of(request.payload)).or_default() += 1;
        if inner.held {
            inner.open.push(done);
        } else {
            done.settle(DONE.into());
        }
    }
}
