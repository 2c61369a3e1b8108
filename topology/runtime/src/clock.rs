//! The two clocks of the edge.

use prunella_stream::Millis;
use rustix::time::{ClockId, clock_gettime};

fn read(clock: ClockId) -> Millis {
    let time = clock_gettime(clock);
    time.tv_sec * 1_000 + time.tv_nsec / 1_000_000
}

/// The time of day in milliseconds since the Unix epoch.
#[must_use]
pub fn wall_millis() -> Millis {
    read(ClockId::Realtime)
}

/// Milliseconds since boot, suspension included: leases and deadlines are checked against it, since a process
/// that was stopped must notice that it was.
#[must_use]
pub fn boot_millis() -> Millis {
    read(ClockId::Boottime)
}
