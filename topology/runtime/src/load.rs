//! Back-pressure: how a stage that waits for effects stops reading.

use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;

use crate::stream_thread::StreamThread;

/// Longest the group is left unheard while too many effects are open; then the partitions are paused and polling
/// goes on.
const UNHEARD: Duration = Duration::from_millis(500);

impl StreamThread {
    /// Reads no further input while too many effects are open, and again when half of them are done: true if this
    /// turn polls. It usually takes milliseconds, so the consumer is left alone first; pausing at once would throw
    /// away what was fetched, thousands of times a minute under load (seen: a stage that never caught up again).
    pub(crate) fn balance_load(&mut self) -> bool {
        let open: usize = self
            .slots
            .values()
            .map(|slot| slot.task.open_effects())
            .sum();
        let limit = self.shared.config.max_open_effects;
        let full = match self.full_since {
            Some(_) => open > limit / 2,
            None => open > limit,
        };
        if !full {
            self.full_since = None;
            if self.paused {
                self.pause(false);
            }
            return true;
        }
        let since = *self.full_since.get_or_insert_with(Instant::now);
        // Polls even where pausing failed: a group that is not heard at all takes the partitions away.
        let polls = since.elapsed() > UNHEARD;
        if polls && !self.paused {
            self.pause(true);
        }
        polls
    }

    fn pause(&mut self, wanted: bool) {
        let outcome = self.consumer.assignment().and_then(|assignment| {
            if wanted {
                self.consumer.pause(&assignment)
            } else {
                self.consumer.resume(&assignment)
            }
        });
        match outcome {
            Ok(()) => self.paused = wanted,
            Err(error) => tracing::debug!(%error, "pausing or resuming failed"),
        }
    }
}
