//! Joins the pure executor's requests, the runtime's gates and the HTTP edge.

use std::sync::{Arc, Mutex};

use prunella_effects::{HttpEffects, Permit, SwitchState, Switches};
use prunella_executor::{EffectOutcome, EffectSpec, Ended, NotStarted};
use prunella_knowledge::SwitchView;
use prunella_runtime::{Broadcast, Done, EffectRunner, Gate, GateClosed, wall_millis};
use prunella_schemas::{Switch, decode};
use prunella_stream::EffectRequest;
use prunella_topology::topics::SWITCHES;

/// Runs effects on a tokio runtime.
pub struct HttpRunner {
    effects: Arc<HttpEffects>,
    handle: tokio::runtime::Handle,
}

impl HttpRunner {
    /// A runner of these effects.
    #[must_use]
    pub fn new(effects: HttpEffects, handle: tokio::runtime::Handle) -> Self {
        Self {
            effects: Arc::new(effects),
            handle,
        }
    }
}

impl EffectRunner for HttpRunner {
    fn begin(
        &self,
        _app: &'static str,
        _partition: i32,
        request: EffectRequest,
        gate: Gate,
        done: Done,
    ) {
        let effects = Arc::clone(&self.effects);
        self.handle.spawn(async move {
            let outcome = match EffectSpec::decode(&request.payload) {
                Ok(spec) => effects.perform(spec, Arc::new(GatePermit(gate))).await,
                Err(error) => EffectOutcome::new(
                    Ended::Failed,
                    format!("this process cannot read the claim ({error}): it was written by a newer version"),
                ),
            };
            done.settle(outcome.encode());
        });
    }
}

struct GatePermit(Gate);

impl Permit for GatePermit {
    fn check(&self) -> Result<(), NotStarted> {
        self.0.check().map_err(|closed| match closed {
            GateClosed::DeadlinePassed => NotStarted::DeadlinePassed,
            GateClosed::LeaseExpired => NotStarted::LeaseExpired,
            GateClosed::Draining => NotStarted::Draining,
        })
    }

    fn remaining(&self) -> std::time::Duration {
        self.0.remaining()
    }
}

/// The kill switches as this process has read them from the switches topic.
pub struct SwitchesOf {
    broadcast: Broadcast,
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
        let mut seen = self
            .seen
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
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

/// An effect goes on for this long after its process last knew that it had read every switch; see the guard.
impl Switches for SwitchesOf {
    fn state(&self, domain: &str) -> SwitchState {
        if let Some(switch) = self.thrown(domain) {
            return SwitchState::Thrown {
                name: switch.name,
                author: switch.author,
            };
        }
        match self.broadcast.age_ms(SWITCHES) {
            Some(age) if age < FRESH_MS => SwitchState::Clear,
            Some(age) => SwitchState::Unconfirmed {
                age_ms: u64::try_from(age).unwrap_or(0),
            },
            None => SwitchState::Unconfirmed { age_ms: u64::MAX },
        }
    }
}

/// Kill switches count as read while they were confirmed within this many milliseconds.
const FRESH_MS: i64 = 5_000;
