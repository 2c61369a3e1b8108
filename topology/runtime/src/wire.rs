//! How values lie on the wire where that is not how stages read and write them.

use std::sync::Arc;
use std::time::Duration;

use prunella_stream::transaction::Reply;

use crate::stream_thread::StreamThread;

/// What became of a value on its way in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inbound {
    /// The stage reads the bytes as they came.
    AsItIs,
    /// The stage reads what was appended to the output.
    Changed,
    /// Nobody can say yet how to read it: the record waits. The reason says what to do.
    NotNow(String),
}

/// Between topics and stages. Topics are named without the installation's prefix; changelogs and dead-letter
/// queues never come this way.
pub trait Wire: Send + Sync {
    /// Turns a value of a topic into what stages read. May wait for a server, but no longer than some seconds:
    /// the thread that asks does nothing else meanwhile.
    fn inbound(&self, topic: &str, value: &[u8], out: &mut Vec<u8>) -> Inbound;

    /// Appends a stage's value as it is to lie on the topic; false if it lies there as it is. Never waits.
    fn outbound(&self, topic: &str, value: &[u8], out: &mut Vec<u8>) -> bool;
}

/// How a runtime's values lie on the wire: as stages read and write them, unless something is in between.
pub type Framing = Option<Arc<dyn Wire>>;

/// How long a thread waits before it tries again to read a value that has to wait.
pub(crate) const PAUSE: Duration = Duration::from_millis(500);

/// Where a stage's outputs go.
pub(crate) struct Outlets<'a> {
    /// Names of the topics, without prefix, in the order of the stage's sinks.
    pub(crate) sinks: &'a [&'static str],
    pub(crate) sink_topics: &'a [String],
    pub(crate) dead_letter_topics: &'a [String],
    pub(crate) framing: &'a Framing,
}

/// The value of an output as it is to lie on its topic.
pub(crate) fn framed<'a>(
    framing: &Framing,
    topic: &str,
    value: Option<&'a [u8]>,
    scratch: &'a mut Vec<u8>,
) -> Option<&'a [u8]> {
    let (Some(wire), Some(plain)) = (framing, value) else {
        return value;
    };
    scratch.clear();
    if wire.outbound(topic, plain, scratch) {
        Some(scratch)
    } else {
        value
    }
}

impl StreamThread {
    /// Leaves a record where it lies until it can be read. What was done before it is committed, so that other
    /// partitions go on; then everything not yet processed is read again, this record too.
    pub(crate) fn postpone(&mut self, topic: &str, partition: i32, offset: i64, reason: &str) {
        tracing::warn!(
            stage = self.spec.app,
            topic,
            partition,
            offset,
            reason,
            "a record waits until it can be read; nothing of its partition is processed before"
        );
        self.machine.close();
        self.run_machine();
        if !self.rebuild_wanted && self.rewind() != Reply::Done {
            self.rebuild_wanted = true;
        }
        std::thread::sleep(PAUSE);
    }
}
