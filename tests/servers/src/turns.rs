//! Which tests run side by side: most of them mostly wait, for sessions to expire and for processes to start, but
//! some keep every core busy. Too many of those at once make everything slow, though not wrong.

use std::num::NonZeroUsize;
use std::sync::{Condvar, Mutex, PoisonError};

/// How much of the machine a test takes, in hundredths of a core: about one and a half times what it takes on
/// average, since processes that start take all they get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// It waits nearly all the time.
    Waits = 10,
    /// One small stage.
    Light = 30,
    /// The whole pipeline, or a broker that starts.
    Middle = 60,
    /// As many records as go, or a cluster that starts.
    Heavy = 100,
}

/// Leave to run, until it is dropped.
pub struct Turn(usize);

static TAKEN: Mutex<usize> = Mutex::new(0);
static CHANGED: Condvar = Condvar::new();

impl Turn {
    /// Waits until the machine has room for this load beside what runs already. A test that is alone always runs.
    #[must_use]
    pub fn take(load: Load) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let (room, load) = (100 * cores, load as usize);
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        while *taken > 0 && *taken + load > room {
            taken = CHANGED.wait(taken).unwrap_or_else(PoisonError::into_inner);
        }
        *taken += load;
        Self(load)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) -= self.0;
        CHANGED.notify_all();
    }
}
