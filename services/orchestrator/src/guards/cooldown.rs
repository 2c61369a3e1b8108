//! A target that was changed is left alone for a while, longer each time.

use prunella_knowledge::Settings;
use prunella_schemas::GuardVerdict;
use prunella_schemas::state::Cooldown;

use super::{span, verdict};

/// Name of the guard.
pub const NAME: &str = "cooldown";

/// A cooldown of at most this many milliseconds is none: nothing is remembered.
pub const LIFTED_MS: i64 = 1;

/// Lets an action pass if the target has rested, or if it is this very run that changed it last: the tasks of
/// one run belong together.
#[must_use]
pub fn look(now: i64, last: Option<&Cooldown>, run_id: &str, settings: &Settings) -> GuardVerdict {
    if settings.cooldown_ms <= LIFTED_MS {
        return verdict(NAME, true, "lifted by cooldown_ms");
    }
    let Some(last) = last else {
        return verdict(NAME, true, "the target was not changed lately");
    };
    if last.run_id == run_id {
        return verdict(NAME, true, "the target was changed last by this run");
    }
    let rest = rest(last.streak, settings);
    let ago = now.saturating_sub(last.last_at);
    let saw = format!(
        "changed {} ago by run {}, rests for {}",
        span(ago),
        last.run_id,
        span(rest)
    );
    verdict(NAME, ago >= rest, saw)
}

/// What is remembered of the target once an action of this run went out; nothing if the cooldown is lifted.
/// A target that stayed unchanged for the longest cooldown after its own had ended starts anew.
#[must_use]
pub fn after(
    now: i64,
    last: Option<&Cooldown>,
    run_id: &str,
    settings: &Settings,
) -> Option<Cooldown> {
    if settings.cooldown_ms <= LIFTED_MS {
        return None;
    }
    let streak = match last {
        Some(last) if last.run_id == run_id => last.streak,
        Some(last) if now <= remembered_until(last, settings) => last.streak.saturating_add(1),
        _ => 1,
    };
    Some(Cooldown {
        run_id: run_id.to_owned(),
        last_at: now,
        streak,
    })
}

/// Until when a change to a target matters.
#[must_use]
pub fn remembered_until(last: &Cooldown, settings: &Settings) -> i64 {
    last.last_at
        .saturating_add(rest(last.streak, settings))
        .saturating_add(settings.cooldown_max_ms.max(0))
}

/// How long a target rests after the run of that number in a row.
fn rest(streak: i32, settings: &Settings) -> i64 {
    let doublings = u32::try_from(streak.saturating_sub(1)).unwrap_or(0).min(40);
    settings
        .cooldown_ms
        .saturating_mul(1_i64 << doublings)
        .min(settings.cooldown_max_ms.max(settings.cooldown_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    fn changed(run_id: &str, streak: i32) -> Cooldown {
        Cooldown {
            run_id: run_id.to_owned(),
            last_at: 0,
            streak,
        }
    }

    fn check(streak: i32, minutes: i64, allowed: bool) {
        let last = changed("other", streak);
        let verdict = look(minutes * MINUTE, Some(&last), "this", &Settings::default());
        assert_eq!(
            verdict.allowed, allowed,
            "{streak} {minutes}: {}",
            verdict.saw
        );
    }

    #[test]
    fn a_target_that_was_just_changed_is_refused() {
        check(1, 4, false);
        check(1, 5, true);
    }

    #[test]
    fn the_rest_doubles_up_to_its_longest() {
        check(2, 9, false);
        check(2, 10, true);
        check(9, 59, false);
        check(9, 60, true);
        check(i32::MAX, 60, true);
    }

    #[test]
    fn an_untouched_target_passes() {
        assert!(look(0, None, "this", &Settings::default()).allowed);
    }

    #[test]
    fn tasks_of_one_run_do_not_hinder_each_other() {
        let last = changed("this", 1);
        assert!(look(1, Some(&last), "this", &Settings::default()).allowed);
        let next = after(1, Some(&last), "this", &Settings::default());
        assert_eq!(next.map(|next| next.streak), Some(1));
    }

    #[test]
    fn the_next_run_counts_up_and_a_long_rest_starts_anew() {
        let settings = Settings::default();
        let last = changed("other", 2);
        let soon = after(10 * MINUTE, Some(&last), "this", &settings);
        assert_eq!(soon.map(|next| next.streak), Some(3));
        let late = after(71 * MINUTE, Some(&last), "this", &settings);
        assert_eq!(late.map(|next| next.streak), Some(1));
    }

    #[test]
    fn a_lifted_cooldown_lets_pass_and_remembers_nothing() {
        let settings = Settings {
            cooldown_ms: LIFTED_MS,
            ..Settings::default()
        };
        assert!(look(0, Some(&changed("other", 1)), "this", &settings).allowed);
        assert_eq!(after(0, None, "this", &settings), None);
    }
}
