//! An alert that waited too long is not acted upon.

use prunella_schemas::GuardVerdict;

use super::{span, verdict};

/// Name of the guard.
pub const NAME: &str = "freshness";

/// How old an alert is when it is about to be acted upon.
#[derive(Clone, Copy, Debug)]
pub struct Age {
    /// The time of day.
    pub now: i64,
    /// When the gateway received the alert.
    pub received_at: i64,
    /// How long after that it may be acted upon, in milliseconds.
    pub act_within_ms: i64,
    /// True if the run has begun to change things: what is half done may be finished.
    pub begun: bool,
}

/// Lets an action pass while the alert is fresh, and afterwards if its run has begun to change things.
#[must_use]
pub fn look(age: Age) -> GuardVerdict {
    let waited = age.now.saturating_sub(age.received_at);
    if waited <= age.act_within_ms {
        return verdict(NAME, true, format!("received {} ago", span(waited)));
    }
    let saw = format!(
        "received {} ago, acted upon within {}",
        span(waited),
        span(age.act_within_ms)
    );
    if age.begun {
        return verdict(
            NAME,
            true,
            format!("{saw}; the run has begun and may finish"),
        );
    }
    verdict(NAME, false, saw)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(waited: i64, begun: bool, allowed: bool) {
        let age = Age {
            now: 1_000_000 + waited,
            received_at: 1_000_000,
            act_within_ms: 900_000,
            begun,
        };
        assert_eq!(look(age).allowed, allowed, "{waited} {begun}");
    }

    #[test]
    fn an_old_alert_is_refused() {
        check(900_001, false, false);
    }

    #[test]
    fn a_fresh_alert_passes() {
        check(0, false, true);
        check(900_000, false, true);
        check(-5_000, false, true);
    }

    #[test]
    fn a_run_that_has_begun_may_finish() {
        check(900_001, true, true);
    }
}
