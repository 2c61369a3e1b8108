//! Notices when a call of the client library does not come back. Every call has a limit, which the library has been
//! seen not to keep: `send_offsets_to_transaction`, while the group's coordinator moved, waited for ever. Nothing can
//! interrupt it; a process that ends and is started again goes on where the last commit was.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How often it is looked.
pub(crate) const LOOK: Duration = Duration::from_secs(1);
/// After how many looks at one and the same call it counts as stuck: as long as a member may go unheard. Looks are
/// counted, not time: a process that was stopped and goes on has not been stuck.
const LOOKS: u32 = 30;

/// The calls under way, by thread: which one, and how often it was looked at.
#[derive(Debug, Default)]
pub(crate) struct Watchdog {
    calls: Mutex<BTreeMap<String, Call>>,
    stuck: AtomicBool,
    over: AtomicBool,
}

#[derive(Debug, Default)]
struct Call {
    under_way: bool,
    looks: u32,
}

impl Watchdog {
    /// A thread begins a call.
    pub(crate) fn begin(&self, thread: &str) {
        self.set(thread, true);
    }

    /// It came back.
    pub(crate) fn end(&self, thread: &str) {
        self.set(thread, false);
    }

    /// True once a call was found stuck.
    pub(crate) fn is_stuck(&self) -> bool {
        self.stuck.load(Ordering::SeqCst)
    }

    /// No thread is left that could be stuck.
    pub(crate) fn end_all(&self) {
        self.over.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    fn set(&self, thread: &str, under_way: bool) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let call = Call {
            under_way,
            looks: 0,
        };
        match calls.get_mut(thread) {
            Some(present) => *present = call,
            None => drop(calls.insert(thread.to_owned(), call)),
        }
    }

    /// Looks at every call; a thread whose call is stuck.
    pub(crate) fn look(&self) -> Option<String> {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stuck = None;
        for (thread, call) in calls.iter_mut().filter(|(_, call)| call.under_way) {
            call.looks += 1;
            if call.looks > LOOKS {
                stuck = Some(thread.clone());
                self.stuck.store(true, Ordering::SeqCst);
            }
        }
        stuck
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_does_not_come_back_is_stuck_and_many_that_do_are_not() {
        let watchdog = Watchdog::default();
        watchdog.begin("quick");
        watchdog.begin("slow");
        for _ in 0..LOOKS {
            watchdog.end("quick");
            watchdog.begin("quick");
            assert_eq!(watchdog.look(), None);
        }
        watchdog.end("quick");
        assert!(!watchdog.is_stuck());
        assert_eq!(watchdog.look().as_deref(), Some("slow"));
        assert!(watchdog.is_stuck());
        watchdog.end("slow");
        assert_eq!(watchdog.look(), None);
    }
}
