//! Bugs, each planted from outside: a task or a store that does one thing wrong.

use prunella_stream::{
    Accepted, Cell, CodecFailure, Completion, DeltaSink, Deltas, Digest, EffectId, EffectRequest,
    HashStore, Millis, Output, Record, Source, Store, Task, WindowStore, state,
};

use super::normaliser::Memory;

/// A store that undoes whole transactions but not to a savepoint.
#[derive(Default)]
pub struct IgnoresSavepoints<S>(pub S);

impl<S: Store> Store for IgnoresSavepoints<S> {
    fn savepoint(&self) -> usize {
        self.0.savepoint()
    }

    fn rollback(&mut self, savepoint: usize) {
        if savepoint == 0 {
            self.0.rollback(0);
        }
    }

    fn commit(&mut self) {
        self.0.commit();
    }

    fn deltas(&self, store: u8, deltas: &mut Deltas) {
        self.0.deltas(store, deltas);
    }

    fn restore(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), CodecFailure> {
        self.0.restore(key, value)
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}

state! {
    /// The normaliser's state, with one such store in it.
    pub struct Stuck {
        1 => seen: WindowStore<Digest, i64>,
        2 => ordinals: IgnoresSavepoints<HashStore<String, i64>>,
        3 => version: Cell<i64>,
    }
}

impl Memory for Stuck {
    fn seen(&mut self) -> &mut WindowStore<Digest, i64> {
        &mut self.seen
    }

    fn ordinals(&mut self) -> &mut HashStore<String, i64> {
        &mut self.ordinals.0
    }

    fn version(&mut self) -> &mut Cell<i64> {
        &mut self.version
    }
}

/// The calls that a broken task passes on as they are.
macro_rules! pass_on {
    () => {
        fn app(&self) -> &'static str {
            self.task.app()
        }

        fn partition(&self) -> i32 {
            self.task.partition()
        }

        fn sources(&self) -> &'static [Source] {
            self.task.sources()
        }

        fn sinks(&self) -> &'static [&'static str] {
            self.task.sinks()
        }

        fn restore(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), CodecFailure> {
            self.task.restore(key, value)
        }

        fn learn(&mut self, record: &Record<'_>) {
            self.task.learn(record);
        }

        fn position(&self, source: usize) -> i64 {
            self.task.position(source)
        }

        fn set_position(&mut self, source: usize, offset: i64) {
            self.task.set_position(source, offset);
        }

        fn record(&mut self, now: Millis, record: &Record<'_>) -> Accepted {
            self.task.record(now, record)
        }

        fn settle(&mut self, completion: Completion) {
            self.task.settle(completion);
        }

        fn next_due(&self) -> Option<Millis> {
            self.task.next_due()
        }

        fn changed(&mut self) -> bool {
            self.task.changed()
        }

        fn drain(&mut self, sink: &mut dyn FnMut(Output<'_>)) {
            self.task.drain(sink);
        }

        fn abort(&mut self) {
            self.task.abort();
        }

        fn open_effects(&self) -> usize {
            self.task.open_effects()
        }
    };
}

/// Folds its state when it has handed over its changes, before the commit.
pub struct FoldsEarly {
    task: Box<dyn Task>,
    begun: Vec<EffectRequest>,
}

impl FoldsEarly {
    pub fn new(task: Box<dyn Task>) -> Self {
        let begun = Vec::new();
        Self { task, begun }
    }
}

impl Task for FoldsEarly {
    pass_on!();

    fn clear(&mut self) {
        self.task.clear();
    }

    fn restored(&mut self, under_way: &dyn Fn(&EffectId, u32) -> bool) {
        self.task.restored(under_way);
    }

    fn tick(&mut self, now: Millis) -> bool {
        self.task.tick(now)
    }

    fn prepare(&mut self, sink: DeltaSink<'_>) {
        self.task.prepare(sink);
        let begun = &mut self.begun;
        self.task.committed(&mut |request| begun.push(request));
    }

    fn committed(&mut self, begin: &mut dyn FnMut(EffectRequest)) {
        self.begun.drain(..).for_each(&mut *begin);
        self.task.committed(begin);
    }
}

/// Fires what is due as soon as it is told the time, restored or not.
pub struct Hasty {
    task: Box<dyn Task>,
    restored: bool,
}

impl Hasty {
    pub fn new(task: Box<dyn Task>) -> Self {
        let restored = false;
        Self { task, restored }
    }
}

impl Task for Hasty {
    pass_on!();

    fn clear(&mut self) {
        self.restored = false;
        self.task.clear();
    }

    fn restored(&mut self, under_way: &dyn Fn(&EffectId, u32) -> bool) {
        self.restored = true;
        self.task.restored(under_way);
    }

    fn tick(&mut self, now: Millis) -> bool {
        if !self.restored {
            self.task.restored(&|_, _| true);
        }
        self.task.tick(now)
    }

    fn prepare(&mut self, sink: DeltaSink<'_>) {
        self.task.prepare(sink);
    }

    fn committed(&mut self, begin: &mut dyn FnMut(EffectRequest)) {
        self.task.committed(begin);
    }
}
