//! A stage that does as its records say, and a bench that drives one task of it without any broker.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use prunella_stream::{
    Accepted, Cell, Clock, Completion, Context, Digest, EffectId, EffectRequest, FromRecord,
    Header, Millis, OpenEffect, Processor, Record, Rejection, Sink, StageTask, Task, TreeStore, io,
    state,
};

/// One order: a verb, a key and a number.
pub struct Order<'a> {
    pub verb: &'a str,
    pub key: &'a str,
    pub number: i64,
    time: Millis,
}

impl<'a> FromRecord<'a> for Order<'a> {
    fn from_record(record: &Record<'a>) -> Result<Self, Rejection> {
        let text = std::str::from_utf8(record.value.unwrap_or_default());
        let mut words = text.unwrap_or_default().split(' ');
        let mut next = || {
            words
                .next()
                .ok_or_else(|| Rejection::new("malformed", "too short"))
        };
        let (verb, key, number) = (next()?, next()?, next()?);
        if verb == "decoder-panics" {
            std::panic::resume_unwind(Box::new("decoder"));
        }
        Ok(Self {
            verb,
            key,
            number: number
                .parse()
                .map_err(|_| Rejection::new("malformed", "no number"))?,
            time: record.timestamp,
        })
    }
}

/// What the stage said, with what it knew when it said it.
pub struct Said(pub String);

io! {
    pub struct DeskIo;
    pub enum DeskInput<'a> {
        Order(Order<'a>) = Keyed "orders",
        View(Order<'a>) = Broadcast "views",
    }
    outputs {
        Said => "said", key |s, out| out.extend_from_slice(s.0.as_bytes()), value |s, out| out.extend_from_slice(s.0.as_bytes());
    }
}

state! {
    /// Totals by key, and the view.
    pub struct DeskState {
        1 => totals: TreeStore<String, i64>,
        2 => view: Cell<i64>,
    }
}

/// The stage; panics as often as it is told to.
#[derive(Clone, Default)]
pub struct Desk {
    pub panics: Arc<AtomicUsize>,
}

impl Desk {
    /// Does everything that a record can lead to.
    fn work(&self, state: &mut DeskState, context: &mut Context<'_, Self>, order: &Order<'_>) {
        let total = state
            .totals
            .get(&order.key.to_owned())
            .copied()
            .unwrap_or(0)
            + order.number;
        state.totals.put(order.key.to_owned(), total);
        let view = *state.view.get();
        Self::say(context, &format!("{} {total} view {view}", order.key));
    }

    fn say(context: &mut Context<'_, Self>, text: &str) {
        let said = format!("{text} at {}/{}", context.now(), context.stream_time());
        context.forward(&Said(said));
    }

    fn everything(
        &self,
        state: &mut DeskState,
        context: &mut Context<'_, Self>,
        order: &Order<'_>,
    ) {
        self.work(state, context, order);
        context.set_timer(Clock::Stream, order.key.to_owned(), order.number);
        context.set_timer(Clock::Processing, order.key.to_owned(), order.number);
        context.ask(request(order.key, 1));
    }
}

/// Identity of the effect of a key.
pub fn effect_id(key: &str) -> EffectId {
    Digest::of(&[key.as_bytes()])
}

/// The effect of a key.
pub fn request(key: &str, attempt: u32) -> EffectRequest {
    EffectRequest {
        id: effect_id(key),
        attempt,
        deadline: 1_000,
        payload: key.as_bytes().to_vec(),
    }
}

impl Processor for Desk {
    type Io = DeskIo;
    type State = DeskState;
    type Timer = String;
    const APP: &'static str = "desk";

    fn event_time(&self, input: &DeskInput<'_>) -> Option<Millis> {
        match input {
            DeskInput::Order(order) => Some(order.time),
            _ => None,
        }
    }

    fn learn(&self, state: &mut DeskState, input: &DeskInput<'_>) -> Result<(), Rejection> {
        match input {
            DeskInput::View(order) if order.verb == "unlearnable" => {
                Err(Rejection::new("unlearnable", "not learnt"))
            }
            DeskInput::View(order) => {
                state.view.set(order.number);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn on_record(
        &self,
        state: &mut DeskState,
        context: &mut Context<'_, Self>,
        input: DeskInput<'_>,
    ) -> Result<(), Rejection> {
        let order = match input {
            DeskInput::Order(order) => order,
            DeskInput::View(order) if order.verb == "refuse" => {
                return Err(Rejection::new("refused", "learnt, and refused"));
            }
            DeskInput::View(_) => return Ok(()),
        };
        match order.verb {
            "add" => self.work(state, context, &order),
            "stream" => context.set_timer(Clock::Stream, order.key.to_owned(), order.number),
            "clock" => context.set_timer(Clock::Processing, order.key.to_owned(), order.number),
            "ask" => context.ask(request(order.key, u32::try_from(order.number).unwrap_or(1))),
            "close" => context.close_effect(&effect_id(order.key)),
            "panic" => {
                self.everything(state, context, &order);
                let left = self.panics.load(Ordering::Relaxed);
                if left > 0 {
                    self.panics.store(left - 1, Ordering::Relaxed);
                    // Unlike `panic!`, this prints nothing.
                    std::panic::resume_unwind(Box::new("told to"));
                }
            }
            _ => {
                self.everything(state, context, &order);
                context.close_effect(&effect_id("a"));
                context.ask(request("b", 2));
                return Err(Rejection::new("refused", "with everything done"));
            }
        }
        Ok(())
    }

    fn on_timer(&self, _: &mut DeskState, context: &mut Context<'_, Self>, timer: String) {
        Self::say(context, &format!("timer {timer}"));
    }

    fn on_settled(
        &self,
        _: &mut DeskState,
        context: &mut Context<'_, Self>,
        effect: OpenEffect,
        outcome: &[u8],
    ) {
        let key = String::from_utf8_lossy(&effect.payload).into_owned();
        let outcome = String::from_utf8_lossy(outcome);
        Self::say(
            context,
            &format!("settled {key} {} {outcome}", effect.attempt),
        );
    }

    fn on_doubt(&self, _: &mut DeskState, context: &mut Context<'_, Self>, effect: OpenEffect) {
        let key = String::from_utf8_lossy(&effect.payload).into_owned();
        Self::say(context, &format!("doubt {key} {}", effect.attempt));
    }
}

/// A changelog as it would be compacted.
pub type Changelog = BTreeMap<Vec<u8>, Vec<u8>>;

/// One task, its changelog, and what it has said.
pub struct Bench {
    pub task: StageTask<Desk>,
    pub desk: Desk,
    pub changelog: Changelog,
    /// Said in transactions that committed.
    pub said: Vec<String>,
    /// Said in the open one.
    pub unsaid: Vec<String>,
    /// Classes of the dead letters of the open one.
    pub dead: Vec<String>,
    /// The broadcast topic.
    pub views: Vec<String>,
    /// Next offset of an order.
    pub offset: i64,
}

impl Bench {
    /// A task that has been restored from nothing.
    pub fn new() -> Self {
        let desk = Desk::default();
        let mut bench = Self {
            task: StageTask::new(desk.clone(), 0),
            desk,
            changelog: Changelog::new(),
            said: Vec::new(),
            unsaid: Vec::new(),
            dead: Vec::new(),
            views: Vec::new(),
            offset: 0,
        };
        bench.task.restored(&|_, _| false);
        bench
    }

    /// Gives the task the next order.
    pub fn order(&mut self, now: Millis, time: Millis, text: &str) -> Accepted {
        let offset = self.offset;
        self.offset += 1;
        self.give(0, offset, now, time, text)
    }

    /// Puts a view on the broadcast topic and gives it to the task.
    pub fn view(&mut self, text: &str) -> Accepted {
        self.views.push(text.to_owned());
        let offset = self.views.len() as i64 - 1;
        self.give(1, offset, 0, 0, text)
    }

    /// Gives the task a record.
    pub fn give(
        &mut self,
        source: usize,
        offset: i64,
        now: Millis,
        time: Millis,
        text: &str,
    ) -> Accepted {
        let accepted = self
            .task
            .record(now, &record(source, offset, time, text, &[]));
        self.drain();
        accepted
    }

    /// Works off what is due.
    pub fn tick(&mut self, now: Millis) {
        while self.task.tick(now) {}
        self.drain();
    }

    /// Commits, and returns what is begun then.
    pub fn commit(&mut self) -> Vec<EffectRequest> {
        let changelog = &mut self.changelog;
        self.task.prepare(&mut |key, value| {
            match value {
                Some(value) => drop(changelog.insert(key.to_vec(), value.to_vec())),
                None => drop(changelog.remove(key)),
            };
        });
        self.said.append(&mut self.unsaid);
        self.dead.clear();
        let mut begun = Vec::new();
        self.task.committed(&mut |request| begun.push(request));
        begun
    }

    /// Aborts in place; records must be given again.
    pub fn abort(&mut self) {
        self.task.abort();
        self.unsaid.clear();
        self.dead.clear();
        self.offset = self.task.position(0);
    }

    /// Aborts when everything had been produced.
    pub fn abort_prepared(&mut self) {
        self.task.prepare(&mut |_, _| {});
        self.abort();
    }

    /// Settles an attempt.
    pub fn settle(&mut self, key: &str, attempt: u32, outcome: &str) {
        self.task.settle(Completion {
            id: effect_id(key),
            attempt,
            outcome: outcome.as_bytes().to_vec(),
        });
    }

    /// A new process takes the task up from its changelog.
    pub fn restart(&mut self, under_way: &dyn Fn(&EffectId, u32) -> bool) {
        self.task = StageTask::new(self.desk.clone(), 0);
        self.restore(under_way);
    }

    /// The same process throws the task's memory away and restores it.
    pub fn rebuild(&mut self, under_way: &dyn Fn(&EffectId, u32) -> bool) {
        self.task.clear();
        self.restore(under_way);
    }

    fn restore(&mut self, under_way: &dyn Fn(&EffectId, u32) -> bool) {
        self.unsaid.clear();
        self.dead.clear();
        let position = self.offset;
        for (key, value) in &self.changelog {
            self.task.restore(key, Some(value)).expect("own bytes");
        }
        self.task.restored(under_way);
        self.task.set_position(0, position);
        let learnt = self.task.position(1);
        for (offset, text) in (0..learnt).zip(&self.views) {
            self.task.learn(&record(1, offset, 0, text, &[]));
        }
    }

    fn drain(&mut self) {
        let (unsaid, dead) = (&mut self.unsaid, &mut self.dead);
        self.task.drain(&mut |output| {
            let value = String::from_utf8_lossy(output.value.unwrap_or_default()).into_owned();
            match output.sink {
                Sink::Topic(_) => unsaid.push(value),
                Sink::DeadLetter(_) => {
                    let class = output.headers.iter().find(|h| h.name.ends_with("class"));
                    let class = class.map_or(&b""[..], |header| header.value);
                    dead.push(String::from_utf8_lossy(class).into_owned());
                }
            }
        });
    }
}

/// A record of a source.
pub fn record<'a>(
    source: usize,
    offset: i64,
    timestamp: Millis,
    text: &'a str,
    headers: &'a [Header<'a>],
) -> Record<'a> {
    Record {
        source,
        partition: 0,
        offset,
        timestamp,
        key: Some(b"key"),
        value: Some(text.as_bytes()),
        headers,
    }
}
