//! The seam between the pure stages and what drives them: Kafka, the test driver, a backtest.

use crate::codec::CodecFailure;
use crate::effect::{Completion, EffectId, EffectRequest};
use crate::io::Source;
use crate::output::Output;
use crate::record::{Millis, Record, Rejection};
use crate::store::DeltaSink;

/// What became of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// Processed.
    Processed,
    /// Its offset lies before the task's position: it was processed before.
    Skipped,
    /// It went to the dead-letter queue.
    Rejected(Rejection),
}

/// One stage's work on one partition, as bytes.
///
/// The order of calls: `restore` for every changelog record, `restored` once, `learn` for broadcast records
/// before [`Task::position`], then any of `record`, `tick` and `settle`, with `drain` in between; a transaction
/// ends with `prepare` and `committed`, or with `abort`.
pub trait Task: Send {
    /// Application id.
    fn app(&self) -> &'static str;
    /// Partition.
    fn partition(&self) -> i32;
    /// What it reads.
    fn sources(&self) -> &'static [Source];
    /// Topics it writes, besides dead letters and changelog.
    fn sinks(&self) -> &'static [&'static str];

    /// Forgets everything, as before a restore. Completions that no commit has covered stay, for the claims
    /// that the restore brings back: they are on no log.
    fn clear(&mut self);
    /// Takes one changelog record in.
    ///
    /// # Errors
    /// [`CodecFailure`] if the changelog holds bytes that this program cannot read: it must not start.
    fn restore(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), CodecFailure>;
    /// Ends the restore. Open effects are in doubt unless their completion is held here or `under_way` says that
    /// this process has begun that attempt and its completion has not arrived.
    fn restored(&mut self, under_way: &dyn Fn(&EffectId, u32) -> bool);
    /// Reads a broadcast record whose consequences were committed before the restart.
    fn learn(&mut self, record: &Record<'_>);

    /// Next offset wanted of a source; for a broadcast source it comes from the changelog.
    fn position(&self, source: usize) -> i64;
    /// Sets the next offset wanted, from the committed offsets.
    fn set_position(&mut self, source: usize, offset: i64);

    /// Processes a record.
    fn record(&mut self, now: Millis, record: &Record<'_>) -> Accepted;
    /// Fires what is due: timers, held completions, effects in doubt; at most a bounded number. True if more
    /// is due.
    fn tick(&mut self, now: Millis) -> bool;
    /// Takes the outcome of an effect; it is processed by the next `tick`, and again after an abort.
    fn settle(&mut self, completion: Completion);
    /// When `tick` has something to do; `i64::MIN` if at once.
    fn next_due(&self) -> Option<Millis>;

    /// True if there is anything that a commit would make permanent.
    fn changed(&mut self) -> bool;
    /// Hands over what was forwarded since the last call.
    fn drain(&mut self, sink: &mut dyn FnMut(Output<'_>));
    /// Hands over the changelog records of this transaction.
    fn prepare(&mut self, sink: DeltaSink<'_>);
    /// Folds the transaction after its commit; hands over the effects to begin now.
    fn committed(&mut self, begin: &mut dyn FnMut(EffectRequest));
    /// Undoes everything since the last commit. Records must be presented again; completions and doubts are
    /// held here and come again by themselves.
    fn abort(&mut self);
    /// Number of effects that are open.
    fn open_effects(&self) -> usize;
}
