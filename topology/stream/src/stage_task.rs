//! A stage on one partition: keeps what a transaction needs, and folds or undoes it.

mod steps;

use crate::codec::CodecFailure;
use crate::effect::{Completion, EffectId, EffectRequest, Effects};
use crate::io::{Io, Source, SourceKind};
use crate::output::{Output, Outputs};
use crate::processor::Processor;
use crate::record::{Millis, Record};
use crate::store::{DeltaSink, Deltas, HashStore, State, Store};
use crate::task::{Accepted, Task};
use crate::timers::{Clock, Timers};

/// Store numbers of the core's own state.
const META: u8 = 240;
const TIMERS: u8 = 241;
const EFFECTS: u8 = 242;

/// Keys of the core's own values: the clocks, and the positions of broadcast sources by topic.
const NOW: &str = "now";
const STREAM_TIME: &str = "stream-time";
const POSITION: &str = "position/";

/// How many timers, completions and doubts one tick works off at most.
const TICK_LIMIT: usize = 256;
/// A [`Processor`] on one partition.
pub struct StageTask<P: Processor> {
    processor: P,
    partition: i32,
    state: P::State,
    timers: Timers<P::Timer>,
    effects: Effects,
    meta: HashStore<String, i64>,
    outputs: Outputs,
    deltas: Deltas,
    positions: Vec<i64>,
    committed: Vec<i64>,
    now: Millis,
    stream_time: Millis,
    ready: bool,
    /// Marks of the stage's stores, a stack: a savepoint knows where its own begin.
    marks: Vec<usize>,
}

impl<P: Processor> StageTask<P> {
    /// A task with nothing restored yet.
    #[must_use]
    pub fn new(processor: P, partition: i32) -> Self {
        let sources = <P::Io as Io>::SOURCES.len();
        Self {
            processor,
            partition,
            state: P::State::default(),
            timers: Timers::default(),
            effects: Effects::default(),
            meta: HashStore::default(),
            outputs: Outputs::default(),
            deltas: Deltas::default(),
            positions: vec![0; sources],
            committed: vec![0; sources],
            now: Millis::MIN,
            stream_time: Millis::MIN,
            ready: false,
            marks: Vec::new(),
        }
    }

    /// The stage's state, to look at.
    #[must_use]
    pub fn state(&self) -> &P::State {
        &self.state
    }

    fn note_positions(&mut self) {
        for (index, source) in P::Io::SOURCES.iter().enumerate() {
            if source.kind == SourceKind::Broadcast
                && self.positions[index] != self.committed[index]
            {
                self.meta.put(position_key(source), self.positions[index]);
            }
        }
        self.meta.put(NOW.to_owned(), self.now);
        if self.meta.get(&STREAM_TIME.to_owned()) != Some(&self.stream_time) {
            self.meta.put(STREAM_TIME.to_owned(), self.stream_time);
        }
    }
}

impl<P: Processor> Task for StageTask<P> {
    fn app(&self) -> &'static str {
        P::APP
    }

    fn partition(&self) -> i32 {
        self.partition
    }

    fn sources(&self) -> &'static [Source] {
        P::Io::SOURCES
    }

    fn sinks(&self) -> &'static [&'static str] {
        P::Io::SINKS
    }

    fn clear(&mut self) {
        self.state.visit(&mut |_, store| store.clear());
        self.timers.clear();
        self.meta.clear();
        self.effects.clear();
        self.outputs.clear();
        self.deltas.clear();
        self.positions.fill(0);
        self.committed.fill(0);
        self.stream_time = Millis::MIN;
        self.ready = false;
    }

    fn restore(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), CodecFailure> {
        let (number, key) = key
            .split_first()
            .ok_or_else(|| CodecFailure::new("a changelog record without a key"))?;
        match *number {
            META => self.meta.restore(key, value),
            TIMERS => self.timers.restore(key, value),
            EFFECTS => self.effects.restore(key, value),
            number => {
                let mut outcome = Err(CodecFailure::new(format!(
                    "store {number} is unknown: the changelog was written by a newer version"
                )));
                self.state.visit(&mut |candidate, store| {
                    if candidate == number {
                        outcome = store.restore(key, value);
                    }
                });
                outcome
            }
        }
    }

    fn restored(&mut self, under_way: &dyn Fn(&EffectId, u32) -> bool) {
        if let Some(now) = self.meta.get(&NOW.to_owned()) {
            self.now = self.now.max(*now);
        }
        if let Some(stream_time) = self.meta.get(&STREAM_TIME.to_owned()) {
            self.stream_time = *stream_time;
        }
        for (index, source) in P::Io::SOURCES.iter().enumerate() {
            if source.kind == SourceKind::Broadcast {
                self.positions[index] = self.meta.get(&position_key(source)).copied().unwrap_or(0);
            }
        }
        self.committed.clone_from(&self.positions);
        self.effects.doubt(under_way);
        self.processor.rebuild(&mut self.state);
        self.state.visit(&mut |_, store| store.commit());
        self.ready = true;
    }

    fn learn(&mut self, record: &Record<'_>) {
        // A record that was rejected when it was new is rejected again, to no effect.
        let _ = self.learn_record(record);
        // What was learnt before the first transaction is not undone by an abort.
        self.state.visit(&mut |_, store| store.commit());
    }

    fn position(&self, source: usize) -> i64 {
        self.positions[source]
    }

    fn set_position(&mut self, source: usize, offset: i64) {
        self.positions[source] = offset;
        self.committed[source] = offset;
    }

    fn record(&mut self, now: Millis, record: &Record<'_>) -> Accepted {
        if record.offset < self.positions[record.source] {
            return Accepted::Skipped;
        }
        self.now = self.now.max(now);
        self.positions[record.source] = record.offset + 1;
        match self.process(record) {
            Ok(()) => Accepted::Processed,
            Err(rejection) => {
                // Every task reads a broadcast record; one of them reports it.
                let broadcast = P::Io::SOURCES[record.source].kind == SourceKind::Broadcast;
                if !broadcast || self.partition == 0 {
                    self.outputs
                        .dead_letter(record, P::APP, &rejection, self.now);
                }
                Accepted::Rejected(rejection)
            }
        }
    }

    fn tick(&mut self, now: Millis) -> bool {
        if !self.ready {
            return false;
        }
        self.now = self.now.max(now);
        for _ in 0..TICK_LIMIT {
            if self.settle_one() {
                continue;
            }
            match self.timers.pop(Clock::Processing, self.now) {
                Some(timer) => self.fire(timer),
                None => return false,
            }
        }
        true
    }

    fn settle(&mut self, completion: Completion) {
        self.effects.arrive(completion);
    }

    fn next_due(&self) -> Option<Millis> {
        if !self.ready {
            return None;
        }
        if self.effects.has_work() {
            return Some(Millis::MIN);
        }
        self.timers.next(Clock::Processing)
    }

    fn changed(&mut self) -> bool {
        let mut changed =
            self.positions != self.committed || self.timers.changed() || self.effects.changed();
        self.state.visit(&mut |_, store| changed |= store.changed());
        changed
    }

    fn drain(&mut self, sink: &mut dyn FnMut(Output<'_>)) {
        self.outputs.drain(sink);
    }

    fn prepare(&mut self, sink: DeltaSink<'_>) {
        self.note_positions();
        self.deltas.clear();
        let deltas = &mut self.deltas;
        self.state
            .visit(&mut |number, store| store.deltas(number, deltas));
        self.meta.deltas(META, deltas);
        self.timers.deltas(TIMERS, deltas);
        self.effects.deltas(EFFECTS, deltas);
        deltas.each(sink);
    }

    fn committed(&mut self, begin: &mut dyn FnMut(EffectRequest)) {
        self.state.visit(&mut |_, store| store.commit());
        self.meta.commit();
        self.timers.commit();
        self.effects.commit();
        self.committed.clone_from(&self.positions);
        self.effects.fold(begin);
    }

    fn abort(&mut self) {
        self.state.visit(&mut |_, store| store.rollback(0));
        self.meta.rollback(0);
        self.timers.rollback(0);
        self.effects.roll_back((0, 0));
        self.effects.give_back();
        self.outputs.clear();
        self.positions.clone_from(&self.committed);
        let stream_time = self.meta.get(&STREAM_TIME.to_owned());
        self.stream_time = stream_time.copied().unwrap_or(Millis::MIN);
    }

    fn open_effects(&self) -> usize {
        self.effects.len()
    }
}

fn position_key(source: &Source) -> String {
    format!("{POSITION}{}", source.topic)
}
