//! Third stage: acts once for every count, by effects: claims with attempts, retries under the same key, and a
//! probe where it is not known whether an attempt acted.

use prunella_stream::driver::{Act, World};
use prunella_stream::{
    Clock, Context, Digest, EffectId, EffectRequest, FromRecord, HashStore, OpenEffect, Processor,
    Record, Rejection, io, state,
};

use super::{parts, text};

/// A count to act on: its key is series, window and part.
pub struct Counted {
    pub key: String,
}

impl<'a> FromRecord<'a> for Counted {
    fn from_record(record: &Record<'a>) -> Result<Self, Rejection> {
        let [series, start, part, _count, _sum] = parts(text(record)?)?;
        Ok(Self {
            key: format!("{series}|{start}|{part}"),
        })
    }
}

pub struct Acted {
    pub key: String,
}

io! {
    pub struct ActorIo;
    pub enum ActorInput<'a> {
        Counted(Counted) = Keyed "counts",
    }
    outputs {
        Acted => "results", key |a, out| out.extend_from_slice(a.key.as_bytes()), value |a, out| out.extend_from_slice(a.key.as_bytes());
    }
}

state! {
    /// Key and last attempt of everything that is not finished.
    pub struct Runs {
        1 => open: HashStore<EffectId, (String, i64)>,
    }
}

/// What a timer is for.
const RETRY: i64 = 0;
const PROBE: i64 = 1;

/// An attempt has ended, one way or another, by this long after it was asked for.
const TIMEOUT: i64 = 400;

pub struct Actor {
    /// The planted bug: every attempt acts under a key of its own.
    pub new_keys: bool,
}

impl Actor {
    /// Asks for the next attempt.
    fn ask(&self, state: &mut Runs, context: &mut Context<'_, Self>, id: EffectId, verb: &str) {
        let Some((key, attempt)) = state.open.get(&id).cloned() else {
            return;
        };
        let attempt = attempt + 1;
        state.open.put(id, (key.clone(), attempt));
        let key = match self.new_keys && attempt > 1 {
            true => format!("{key}#{attempt}"),
            false => key,
        };
        context.ask(EffectRequest {
            id,
            attempt: u32::try_from(attempt).expect("few attempts"),
            deadline: context.now() + TIMEOUT,
            payload: format!("{verb} {key}").into_bytes(),
        });
    }
}

impl Processor for Actor {
    type Io = ActorIo;
    type State = Runs;
    type Timer = (i64, EffectId);
    const APP: &'static str = "actor";

    fn on_record(
        &self,
        state: &mut Runs,
        context: &mut Context<'_, Self>,
        input: ActorInput<'_>,
    ) -> Result<(), Rejection> {
        let ActorInput::Counted(counted) = input;
        let id = Digest::of(&[counted.key.as_bytes()]);
        state.open.put(id, (counted.key, 0));
        self.ask(state, context, id, "do");
        Ok(())
    }

    fn on_timer(
        &self,
        state: &mut Runs,
        context: &mut Context<'_, Self>,
        (kind, id): (i64, EffectId),
    ) {
        self.ask(
            state,
            context,
            id,
            if kind == RETRY { "do" } else { "probe" },
        );
    }

    fn on_settled(
        &self,
        state: &mut Runs,
        context: &mut Context<'_, Self>,
        effect: OpenEffect,
        outcome: &[u8],
    ) {
        let id = effect.id;
        context.cancel_timer(Clock::Processing, &(PROBE, id));
        match outcome {
            b"done" => {
                if let Some((key, _)) = state.open.remove(&id) {
                    context.forward(&Acted { key });
                }
            }
            b"unknown" => self.ask(state, context, id, "probe"),
            // A probe that came too late says nothing about the attempt before it.
            b"refused" if effect.payload.starts_with(b"probe") => {
                self.ask(state, context, id, "probe");
            }
            // Not done, for certain.
            _ => context.set_timer(Clock::Processing, (RETRY, id), context.now() + 50),
        }
    }

    fn on_doubt(&self, _state: &mut Runs, context: &mut Context<'_, Self>, effect: OpenEffect) {
        // It may still act until its deadline; a probe before that would race it.
        let due = context.now().max(effect.deadline + 1);
        context.set_timer(Clock::Processing, (PROBE, effect.id), due);
    }
}

/// What is acted on. Its log dedups nothing.
#[derive(Default)]
pub struct Target {
    /// Keys in the order in which they were acted on.
    pub log: Vec<String>,
    /// Attempts that failed, or whose outcome was not known.
    pub failures: u64,
    /// Probes that were asked.
    pub probes: u64,
}

impl World for Target {
    fn act(&mut self, act: Act<'_>) -> Vec<u8> {
        let payload = String::from_utf8_lossy(&act.request.payload);
        let (verb, key) = payload.split_once(' ').expect("verb and key");
        let chance = act.dice % 8;
        if verb == "probe" {
            self.probes += 1;
            let done = self.log.iter().any(|acted| acted == key);
            return match (chance, done) {
                (0, _) => b"unknown".to_vec(),
                (_, true) => b"done".to_vec(),
                (_, false) => b"absent".to_vec(),
            };
        }
        if chance > 1 {
            self.log.push(key.to_owned());
        }
        self.failures += u64::from(chance < 3);
        match chance {
            0 => b"failed".to_vec(),
            1 | 2 => b"unknown".to_vec(),
            _ => b"done".to_vec(),
        }
    }

    fn refuse(&mut self, _act: Act<'_>) -> Vec<u8> {
        b"refused".to_vec()
    }
}
