//! What is checked right before an effect.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use prunella_executor::NotStarted;

use crate::port::{Permit, SwitchState, Switches};

/// Environment variable that throws a kill switch for this process; it needs no Kafka.
pub const KILL_SWITCH_VARIABLE: &str = "PRUNELLA_KILL_SWITCH";

/// For so long the last confirmed state of the kill switches holds, in milliseconds.
const CONFIRMED_FOR_MS: u64 = 5_000;

/// What must be left of the deadline when the request's own timeout has run out.
const SETTLE: Duration = Duration::from_millis(500);

/// The kill switch of this process: a file that exists, or an environment variable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalSwitch {
    /// Thrown while this file exists, or while nobody can say whether it does.
    pub file: Option<PathBuf>,
    /// Thrown for the life of the process.
    pub variable: bool,
}

impl LocalSwitch {
    /// The switch as the configuration and the process's environment have it. Any value of the variable but an
    /// empty one, `0`, `false`, `off` and `no` throws it.
    #[must_use]
    pub fn from_environment(file: Option<PathBuf>) -> Self {
        let value = std::env::var_os(KILL_SWITCH_VARIABLE).unwrap_or_default();
        Self {
            file,
            variable: means_on(&value.to_string_lossy()),
        }
    }

    fn check(&self) -> Result<(), Hindrance> {
        let thrown = |by: String| Hindrance::new(NotStarted::KillSwitch, by);
        if self.variable {
            let by = format!(
                "the environment variable {KILL_SWITCH_VARIABLE} throws the kill switch of this process"
            );
            return Err(thrown(by));
        }
        let Some(file) = &self.file else {
            return Ok(());
        };
        match file.try_exists() {
            Ok(false) => Ok(()),
            Ok(true) => Err(thrown(format!("the kill file {} exists", file.display()))),
            Err(error) => Err(thrown(format!(
                "the kill file {} cannot be looked for: {error}",
                file.display()
            ))),
        }
    }
}

fn means_on(value: &str) -> bool {
    let value = value.trim().to_ascii_lowercase();
    !matches!(value.as_str(), "" | "0" | "false" | "off" | "no")
}

/// Why an effect was not begun, with what was seen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{saw}")]
pub(crate) struct Hindrance {
    pub(crate) reason: NotStarted,
    pub(crate) saw: String,
}

impl Hindrance {
    pub(crate) fn new(reason: NotStarted, saw: String) -> Self {
        Self { reason, saw }
    }
}

impl From<NotStarted> for Hindrance {
    fn from(reason: NotStarted) -> Self {
        Self::new(reason, reason.words().to_owned())
    }
}

/// Everything that is checked right before one effect.
pub(crate) struct Guard {
    pub(crate) permit: Arc<dyn Permit>,
    pub(crate) switches: Arc<dyn Switches>,
    pub(crate) local: Arc<LocalSwitch>,
    pub(crate) domain: String,
    /// Whether the kill switches hold: not for reads, probes and notifications.
    pub(crate) mutating: bool,
    /// Longest the request may take.
    pub(crate) timeout: Duration,
}

impl Guard {
    /// How long the effect may wait before it is begun.
    pub(crate) fn slack(&self) -> Duration {
        let needed = self.timeout + SETTLE;
        self.permit.remaining().saturating_sub(needed)
    }

    /// Whether the request may be handed to the client: its timeout must end before the claim's deadline, else a
    /// probe could come before what it asks about.
    pub(crate) fn check_before(&self) -> Result<(), Hindrance> {
        if self.slack().is_zero() {
            return Err(NotStarted::DeadlinePassed.into());
        }
        self.check()
    }

    /// Whether the request may be sent now, its timeout already running.
    pub(crate) fn check(&self) -> Result<(), Hindrance> {
        self.permit.check()?;
        if !self.mutating {
            return Ok(());
        }
        self.local.check()?;
        match self.switches.state(&self.domain) {
            SwitchState::Clear => Ok(()),
            SwitchState::Thrown { name, author } => Err(Hindrance::new(
                NotStarted::KillSwitch,
                format!("the kill switch `{name}` is on, thrown by {author}"),
            )),
            SwitchState::Unconfirmed { age_ms } if age_ms <= CONFIRMED_FOR_MS => Ok(()),
            SwitchState::Unconfirmed { age_ms } => Err(Hindrance::new(
                NotStarted::SwitchUnconfirmed,
                format!(
                    "the kill switches were last confirmed {age_ms} ms ago, and hold for {CONFIRMED_FOR_MS} ms"
                ),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(Result<(), NotStarted>, u64, SwitchState);

    impl Permit for Fixed {
        fn check(&self) -> Result<(), NotStarted> {
            self.0
        }

        fn remaining(&self) -> Duration {
            Duration::from_millis(self.1)
        }
    }

    impl Switches for Fixed {
        fn state(&self, _domain: &str) -> SwitchState {
            self.2.clone()
        }
    }

    fn check(mutating: bool, fixed: Fixed, local: LocalSwitch) -> Option<NotStarted> {
        let fixed = Arc::new(fixed);
        let guard = Guard {
            permit: fixed.clone(),
            switches: fixed,
            local: Arc::new(local),
            domain: "prod".to_owned(),
            mutating,
            timeout: Duration::from_secs(1),
        };
        guard.check_before().err().map(|hindrance| hindrance.reason)
    }

    fn none() -> LocalSwitch {
        LocalSwitch::default()
    }

    #[test]
    fn membership_and_deadline_hold_for_everything() {
        use NotStarted::{DeadlinePassed, LeaseExpired};
        for mutating in [true, false] {
            let clear = || SwitchState::Clear;
            let with = |checked, left| check(mutating, Fixed(checked, left, clear()), none());
            assert_eq!(with(Ok(()), 5_000), None);
            assert_eq!(with(Err(LeaseExpired), 5_000), Some(LeaseExpired));
            // The request's second and a margin no longer fit.
            assert_eq!(with(Ok(()), 1_400), Some(DeadlinePassed));
        }
    }

    #[test]
    fn kill_switches_hold_for_what_may_change_its_target_only() {
        let thrown = || SwitchState::Thrown {
            name: "kill-switch".to_owned(),
            author: "ada".to_owned(),
        };
        let stale = |age_ms| SwitchState::Unconfirmed { age_ms };
        for (state, expected) in [
            (SwitchState::Clear, None),
            (thrown(), Some(NotStarted::KillSwitch)),
            (stale(5_000), None),
            (stale(5_001), Some(NotStarted::SwitchUnconfirmed)),
        ] {
            let fixed = || Fixed(Ok(()), 9_000, state.clone());
            assert_eq!(check(true, fixed(), none()), expected, "{state:?}");
            assert_eq!(check(false, fixed(), none()), None, "{state:?}");
        }
    }

    #[test]
    fn the_local_switch_needs_no_topic() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("stop");
        let local = || LocalSwitch {
            file: Some(file.clone()),
            variable: false,
        };
        let clear = || Fixed(Ok(()), 9_000, SwitchState::Clear);
        assert_eq!(check(true, clear(), local()), None);
        std::fs::write(&file, "").unwrap();
        assert_eq!(check(true, clear(), local()), Some(NotStarted::KillSwitch));
        assert_eq!(check(false, clear(), local()), None);
        // A file below a file cannot be looked for: nobody can say that the switch is not thrown.
        let nowhere = LocalSwitch {
            file: Some(file.join("below")),
            variable: false,
        };
        assert_eq!(check(true, clear(), nowhere), Some(NotStarted::KillSwitch));
        let variable = LocalSwitch {
            file: None,
            variable: true,
        };
        assert_eq!(check(true, clear(), variable), Some(NotStarted::KillSwitch));
    }

    #[test]
    fn words_that_mean_off_throw_nothing() {
        for off in ["", "0", "False", "off", " no "] {
            assert!(!means_on(off), "{off:?}");
        }
        for on in ["1", "true", "ON", "yes", "whatever"] {
            assert!(means_on(on), "{on:?}");
        }
    }
}
