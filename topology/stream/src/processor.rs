//! What a stage is.

use crate::codec::Codec;
use crate::context::Context;
use crate::effect::OpenEffect;
use crate::io::Io;
use crate::record::{Millis, Rejection};
use crate::store::State;

/// A stage: configuration in `self`, everything that changes in its state.
///
/// The same calls with the same arguments make the same changes, outputs, timers and effects. Nothing here
/// blocks, reads a clock or draws a random number.
pub trait Processor: Send + 'static {
    /// What it reads and writes.
    type Io: Io;
    /// What it keeps.
    type State: State;
    /// Names its timers.
    type Timer: Codec + Ord + Clone + Send;
    /// The application id: names its consumer group, changelog and transactional ids.
    const APP: &'static str;

    /// Event time of an input, if it has one: moves stream time on, before the record is processed.
    fn event_time(&self, input: &<Self::Io as Io>::Input<'_>) -> Option<Millis> {
        let _ = input;
        None
    }

    /// Folds a record of a broadcast topic into the state's view of it. Called before `on_record`, and alone
    /// for records whose consequences were committed before a restart; so that the view is the same both times,
    /// a rejection by `on_record` does not undo it.
    ///
    /// # Errors
    /// A [`Rejection`]; the view stays as it was.
    fn learn(
        &self,
        state: &mut Self::State,
        input: &<Self::Io as Io>::Input<'_>,
    ) -> Result<(), Rejection> {
        let _ = (state, input);
        Ok(())
    }

    /// Processes a record.
    ///
    /// # Errors
    /// A [`Rejection`] sends the record to the dead-letter queue; all that was done for it is undone, stream time
    /// and the timers it fired included.
    fn on_record(
        &self,
        state: &mut Self::State,
        context: &mut Context<'_, Self>,
        input: <Self::Io as Io>::Input<'_>,
    ) -> Result<(), Rejection>;

    /// Processes a timer that fired; it is no longer set.
    fn on_timer(
        &self,
        state: &mut Self::State,
        context: &mut Context<'_, Self>,
        timer: Self::Timer,
    ) {
        let _ = (state, context, timer);
    }

    /// Processes the outcome of an effect. The effect is closed unless this asks for it again.
    fn on_settled(
        &self,
        state: &mut Self::State,
        context: &mut Context<'_, Self>,
        effect: OpenEffect,
        outcome: &[u8],
    ) {
        let _ = (state, context, effect, outcome);
    }

    /// Processes an effect that was found open after a restart: it may have happened or not. It stays open
    /// until it settles or this closes it.
    fn on_doubt(
        &self,
        state: &mut Self::State,
        context: &mut Context<'_, Self>,
        effect: OpenEffect,
    ) {
        let _ = (state, context, effect);
    }

    /// Makes unlogged indexes anew after a restore.
    fn rebuild(&self, state: &mut Self::State) {
        let _ = state;
    }
}
