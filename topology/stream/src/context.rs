//! What a stage may do besides changing its state.

use crate::effect::{EffectId, EffectRequest, Effects, OpenEffect};
use crate::io::Emit;
use crate::output::{Outputs, Sink};
use crate::processor::Processor;
use crate::record::Millis;
use crate::timers::{Clock, Timers};

/// Forwards records, sets timers, asks for effects, and tells the time.
pub struct Context<'a, P: Processor + ?Sized> {
    pub(crate) now: Millis,
    pub(crate) stream_time: Millis,
    pub(crate) partition: i32,
    pub(crate) trace: Option<&'a [u8]>,
    pub(crate) outputs: &'a mut Outputs,
    pub(crate) timers: &'a mut Timers<P::Timer>,
    pub(crate) effects: &'a mut Effects,
}

impl<P: Processor> Context<'_, P> {
    /// The time of day. It never goes backwards, not even when another instance takes over.
    #[must_use]
    pub fn now(&self) -> Millis {
        self.now
    }

    /// The latest event time seen by this task; `i64::MIN` before the first.
    #[must_use]
    pub fn stream_time(&self) -> Millis {
        self.stream_time
    }

    /// The partition this task owns.
    #[must_use]
    pub fn partition(&self) -> i32 {
        self.partition
    }

    /// The trace of the record being processed, if it has one.
    #[must_use]
    pub fn trace(&self) -> Option<&[u8]> {
        self.trace
    }

    /// Forwards a record to the topic that the stage declared for it.
    pub fn forward<R: Emit<P::Io>>(&mut self, record: &R) {
        self.outputs.push(
            Sink::Topic(R::SINK),
            self.now,
            |out| record.key(out),
            |out| record.value(out),
            self.trace,
        );
    }

    /// Forwards a record under a trace of its own: what follows from a timer or an effect goes on with the
    /// trace of what set it.
    pub fn forward_traced<R: Emit<P::Io>>(&mut self, record: &R, trace: Option<&[u8]>) {
        self.outputs.push(
            Sink::Topic(R::SINK),
            self.now,
            |out| record.key(out),
            |out| record.value(out),
            trace,
        );
    }

    /// Sets the timer of this name, replacing the one it had. One set in the past fires at once: by the time of
    /// day with the next tick, in stream time before the next record that has an event time. A timer that sets
    /// itself again must do so for a later time, or it fires for ever.
    pub fn set_timer(&mut self, clock: Clock, timer: P::Timer, due: Millis) {
        self.timers.set(clock, timer, due);
    }

    /// Removes the timer of this name, if it is set.
    pub fn cancel_timer(&mut self, clock: Clock, timer: &P::Timer) {
        self.timers.cancel(clock, timer);
    }

    /// Asks for an effect. It begins after this transaction has committed. Asking again under the same id
    /// replaces the claim: give it the next attempt.
    pub fn ask(&mut self, request: EffectRequest) {
        self.effects.ask(request);
    }

    /// The open effect of this id.
    #[must_use]
    pub fn open_effect(&self, id: &EffectId) -> Option<OpenEffect> {
        self.effects.get(id)
    }

    /// Closes an effect without an outcome; a completion that still comes is ignored.
    pub fn close_effect(&mut self, id: &EffectId) {
        self.effects.close(id);
    }
}
