//! Effects, permits and switches as the tests need them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use prunella_effects::{EffectsConfig, HttpEffects, LocalSwitch, Permit, SwitchState, Switches};
use prunella_executor::{EffectOutcome, EffectSpec, NotStarted, Step};
use serde_json::{Value, json};

use crate::server::Server;

/// Leave that is given so many times and then no more.
pub struct Leave {
    checks: AtomicUsize,
    given: usize,
    remaining: Duration,
}

impl Leave {
    pub fn always() -> Arc<Self> {
        Self::times(usize::MAX)
    }

    pub fn times(given: usize) -> Arc<Self> {
        Arc::new(Self {
            checks: AtomicUsize::new(0),
            given,
            remaining: Duration::from_secs(60),
        })
    }

    pub fn for_ms(remaining: u64) -> Arc<Self> {
        Arc::new(Self {
            checks: AtomicUsize::new(0),
            given: usize::MAX,
            remaining: Duration::from_millis(remaining),
        })
    }

    /// How often it was asked for.
    pub fn asked(&self) -> usize {
        self.checks.load(Ordering::SeqCst)
    }
}

impl Permit for Leave {
    fn check(&self) -> Result<(), NotStarted> {
        if self.checks.fetch_add(1, Ordering::SeqCst) < self.given {
            Ok(())
        } else {
            Err(NotStarted::LeaseExpired)
        }
    }

    fn remaining(&self) -> Duration {
        self.remaining
    }
}

pub struct Fixed(pub SwitchState);

impl Switches for Fixed {
    fn state(&self, domain: &str) -> SwitchState {
        assert_eq!(domain, "prod");
        self.0.clone()
    }
}

pub fn base(server: &Server) -> EffectsConfig {
    config(&format!("base_url = \"{}\"", server.url("")))
}

pub fn config(text: &str) -> EffectsConfig {
    toml::from_str(text).unwrap()
}

pub fn effects(config: &EffectsConfig) -> HttpEffects {
    effects_under(config, SwitchState::Clear)
}

pub fn effects_under(config: &EffectsConfig, state: SwitchState) -> HttpEffects {
    let local = LocalSwitch {
        file: config.kill_file.clone(),
        variable: false,
    };
    HttpEffects::with_local_switch(config, local, Arc::new(Fixed(state))).unwrap()
}

/// A call of a path; what the spec says besides is given as JSON.
pub fn call(method: &str, path: &str, more: &Value) -> EffectSpec {
    let mut spec = json!({"method": method, "path": path, "timeout_ms": 5_000});
    let more = more.as_object().unwrap().clone();
    spec.as_object_mut().unwrap().extend(more);
    EffectSpec {
        step: Step::Act,
        action_id: "action-1".to_owned(),
        idempotency_key: "key-1".to_owned(),
        attempt: 1,
        run_id: "run-1".to_owned(),
        task_id: "task-1".to_owned(),
        domain: "prod".to_owned(),
        target: "pool".to_owned(),
        kind: "API_Call".to_owned(),
        mutating: method != "GET",
        timeout_ms: 5_000,
        spec: spec.to_string(),
        trace: None,
    }
}

pub fn get(path: &str) -> EffectSpec {
    call("GET", path, &json!({}))
}

pub fn post(path: &str) -> EffectSpec {
    call("POST", path, &json!({}))
}

pub async fn perform(config: &EffectsConfig, effect: EffectSpec) -> EffectOutcome {
    effects(config).perform(effect, Leave::always()).await
}
