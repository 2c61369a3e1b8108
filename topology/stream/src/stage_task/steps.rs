//! One step of a stage at a time, under a savepoint: a record, a timer, an outcome, a doubt. What fails leaves
//! nothing behind but a dead letter.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::StageTask;
use crate::codec::Codec;
use crate::context::Context;
use crate::io::{Io, SourceKind};
use crate::output::{OutputMark, TRACE_HEADER};
use crate::processor::Processor;
use crate::record::{Millis, Record, Rejection};
use crate::store::{State, Store};
use crate::timers::Clock;

/// How often a step may panic before what caused it is sent to the dead-letter queue.
const PANICS: usize = 3;

/// Where everything stood before a step.
struct Savepoint {
    outputs: OutputMark,
    effects: (usize, usize),
    timers: usize,
    /// Where the marks of the stage's stores begin on the task's stack.
    stores: usize,
}

type Step<'s, P> = &'s mut dyn FnMut(
    &P,
    &mut <P as Processor>::State,
    &mut Context<'_, P>,
) -> Result<(), Rejection>;

impl<P: Processor> StageTask<P> {
    /// Processes one record. Rejected, it leaves neither stream time nor the timers it fired.
    pub(super) fn process(&mut self, record: &Record<'_>) -> Result<(), Rejection> {
        let broadcast = P::Io::SOURCES[record.source].kind == SourceKind::Broadcast;
        if broadcast {
            self.learn_record(record)?;
        }
        let event_time = caught(|| {
            let input = <P::Io as Io>::decode(record)?;
            Ok((self.processor.event_time(&input), input))
        });
        let (event_time, input) = event_time?;
        let before = self.stream_time;
        let savepoint = event_time.and_then(|event_time| self.advance_stream_time(event_time));
        let trace = record.header(TRACE_HEADER);
        let mut input = Some(input);
        let outcome = self.guarded(trace, &mut |processor, state, context| {
            // The first attempt takes the decoded input; one after a panic decodes again.
            let input = match input.take() {
                Some(input) => input,
                None => <P::Io as Io>::decode(record)?,
            };
            processor.on_record(state, context, input)
        });
        if outcome.is_err() {
            self.stream_time = before;
        }
        if let Some(savepoint) = savepoint {
            if outcome.is_err() {
                self.roll_back(&savepoint);
            }
            self.release(&savepoint);
        }
        outcome
    }

    /// Folds a broadcast record into the stage's view. It is a step of its own, so that a view is the same
    /// whether the record is new or was read before a restart, even if processing it was refused.
    pub(super) fn learn_record(&mut self, record: &Record<'_>) -> Result<(), Rejection> {
        let input = caught(|| <P::Io as Io>::decode(record))?;
        self.guarded(None, &mut |processor, state, _context| {
            processor.learn(state, &input)
        })
    }

    /// Processes one completion or one effect in doubt. False if there is none.
    pub(super) fn settle_one(&mut self) -> bool {
        if let Some((open, completion)) = self.effects.next_completion() {
            let outcome = self.guarded(None, &mut |processor, state, context| {
                context.close_effect(&open.id);
                processor.on_settled(state, context, open.clone(), &completion.outcome);
                Ok(())
            });
            if let Err(rejection) = outcome {
                self.effects.close(&open.id);
                self.refuse_step(&completion.outcome, &rejection);
            }
            return true;
        }
        if let Some(open) = self.effects.next_doubtful() {
            let outcome = self.guarded(None, &mut |processor, state, context| {
                processor.on_doubt(state, context, open.clone());
                Ok(())
            });
            if let Err(rejection) = outcome {
                self.refuse_step(&open.payload, &rejection);
            }
            return true;
        }
        false
    }

    /// Processes a timer that was taken out.
    pub(super) fn fire(&mut self, timer: P::Timer) {
        let outcome = self.guarded(None, &mut |processor, state, context| {
            processor.on_timer(state, context, timer.clone());
            Ok(())
        });
        if let Err(rejection) = outcome {
            let mut bytes = Vec::new();
            timer.encode(&mut bytes);
            self.refuse_step(&bytes, &rejection);
        }
    }

    /// Moves stream time on and fires what is due by then: also what was set in the past. Returns where
    /// everything stood before, if a timer fired.
    fn advance_stream_time(&mut self, event_time: Millis) -> Option<Savepoint> {
        self.stream_time = self.stream_time.max(event_time);
        let due = self.timers.next(Clock::Stream)?;
        if due > self.stream_time {
            return None;
        }
        let savepoint = self.savepoint();
        while let Some(timer) = self.timers.pop(Clock::Stream, self.stream_time) {
            self.fire(timer);
        }
        Some(savepoint)
    }

    /// A timer or an outcome that cannot be processed has no record of its own; one is made for it.
    fn refuse_step(&mut self, bytes: &[u8], rejection: &Rejection) {
        let record = Record {
            source: 0,
            partition: self.partition,
            offset: -1,
            timestamp: self.now,
            key: None,
            value: Some(bytes),
            headers: &[],
        };
        self.outputs
            .dead_letter(&record, P::APP, rejection, self.now);
    }

    /// Runs one step of the processor under a savepoint, again if it panics, and undoes it if it fails.
    fn guarded(&mut self, trace: Option<&[u8]>, step: Step<'_, P>) -> Result<(), Rejection> {
        let savepoint = self.savepoint();
        let mut outcome = Ok(());
        for _ in 0..PANICS {
            let attempt = catch_unwind(AssertUnwindSafe(|| {
                let mut context = Context {
                    now: self.now,
                    stream_time: self.stream_time,
                    partition: self.partition,
                    trace,
                    outputs: &mut self.outputs,
                    timers: &mut self.timers,
                    effects: &mut self.effects,
                };
                step(&self.processor, &mut self.state, &mut context)
            }));
            let panicked = attempt.is_err();
            outcome = attempt.unwrap_or_else(|panic| Err(panic_rejection(panic.as_ref())));
            if outcome.is_err() {
                self.roll_back(&savepoint);
            }
            if !panicked {
                break;
            }
        }
        self.release(&savepoint);
        outcome
    }

    fn savepoint(&mut self) -> Savepoint {
        let stores = self.marks.len();
        let marks = &mut self.marks;
        self.state
            .visit(&mut |_, store| marks.push(store.savepoint()));
        Savepoint {
            outputs: self.outputs.mark(),
            effects: self.effects.marks(),
            timers: self.timers.savepoint(),
            stores,
        }
    }

    fn roll_back(&mut self, savepoint: &Savepoint) {
        let mut marks = self.marks[savepoint.stores..].iter();
        self.state
            .visit(&mut |_, store| store.rollback(marks.next().copied().unwrap_or_default()));
        self.outputs.cut(savepoint.outputs);
        self.effects.roll_back(savepoint.effects);
        self.timers.rollback(savepoint.timers);
    }

    /// Takes the savepoint's marks off the stack.
    fn release(&mut self, savepoint: &Savepoint) {
        self.marks.truncate(savepoint.stores);
    }
}

/// Runs what changes nothing; a panic is a rejection like any other.
fn caught<R>(read: impl FnOnce() -> Result<R, Rejection>) -> Result<R, Rejection> {
    catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|panic| Err(panic_rejection(panic.as_ref())))
}

fn panic_rejection(panic: &(dyn std::any::Any + Send)) -> Rejection {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let cause = text
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned());
    Rejection::new(
        "panicked",
        format!("the stage panicked every time it was given this: {cause}; please report it"),
    )
}
