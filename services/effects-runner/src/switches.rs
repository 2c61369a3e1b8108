//! The kill switches, from the switches topic.

use std::sync::{Mutex, PoisonError};

use prunella_effects::{SwitchState, Switches};
use prunella_knowledge::SwitchView;
use prunella_runtime::{Broadcast, wall_millis};
use prunella_schemas::{Switch, decode};
use prunella_topology::topics::SWITCHES;

/// The kill switches as this process has read them from the switches topic.
pub struct SwitchesOf {
    broadcast: Broadcast,
    /// The next offset to read, and what the records before it say.
    seen: Mutex<(i64, SwitchView)>,
}

impl SwitchesOf {
    /// Reads from this log.
    #[must_use]
    pub fn new(broadcast: Broadcast) -> Self {
        Self {
            broadcast,
            seen: Mutex::default(),
        }
    }

    fn thrown(&self, domain: &str) -> Option<Switch> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (position, switches) = &mut *seen;
        for record in self.broadcast.read(SWITCHES, *position, usize::MAX) {
            *position = record.offset + 1;
            let name = String::from_utf8_lossy(record.key.as_deref().unwrap_or_default());
            match record.value.as_deref().map(decode::<Switch>) {
                Some(Ok(switch)) => switches.learn(&switch),
                None => switches.forget(&name),
                // What cannot be read may be a thrown switch: the one before it stays.
                Some(Err(error)) => tracing::warn!(%name, %error, "a switch cannot be read"),
            }
        }
        switches.kill_switch(domain, wall_millis()).cloned()
    }
}

impl Switches for SwitchesOf {
    /// Never clear, only confirmed so long ago: for how long that holds is for the effects to say.
    fn state(&self, domain: &str) -> SwitchState {
        if let Some(switch) = self.thrown(domain) {
            return SwitchState::Thrown {
                name: switch.name,
                author: switch.author,
            };
        }
        let age = self.broadcast.age_ms(SWITCHES);
        SwitchState::Unconfirmed {
            age_ms: age
                .and_then(|age| u64::try_from(age).ok())
                .unwrap_or(u64::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_that_were_never_read_are_not_taken_for_clear() {
        let switches = SwitchesOf::new(Broadcast::new(&[SWITCHES]));
        let never = SwitchState::Unconfirmed { age_ms: u64::MAX };
        assert_eq!(switches.state("prod"), never);
    }
}
