//! A domain sees only so many mutating actions in a while.

use prunella_knowledge::Settings;
use prunella_schemas::GuardVerdict;
use prunella_schemas::state::Budget;

use super::{span, verdict};

/// Name of the guard.
pub const NAME: &str = "budget";

/// A budget of this many actions or more is no budget: nothing is counted.
pub const LIFTED: u32 = 1_000_000;

/// Lets an action pass if the domain has seen fewer than the budget within its window. A further attempt was
/// counted with the first and passes.
#[must_use]
pub fn look(now: i64, spent: Option<&Budget>, attempt: i32, settings: &Settings) -> GuardVerdict {
    if settings.budget_actions >= LIFTED {
        return verdict(NAME, true, "lifted by budget_actions");
    }
    let within = spent.map_or(0, |spent| recent(now, spent, settings).count());
    let saw = format!(
        "{within} of {} mutating actions within {}",
        settings.budget_actions,
        span(settings.budget_within_ms)
    );
    if attempt > 1 {
        return verdict(
            NAME,
            true,
            format!("{saw}; this attempt was counted before"),
        );
    }
    let limit = usize::try_from(settings.budget_actions).unwrap_or(usize::MAX);
    verdict(NAME, within < limit, saw)
}

/// What is remembered of the domain once an action went out; nothing if it need not be.
#[must_use]
pub fn after(
    now: i64,
    spent: Option<&Budget>,
    attempt: i32,
    settings: &Settings,
) -> Option<Budget> {
    if attempt > 1 || settings.budget_actions >= LIFTED {
        return None;
    }
    let mut sent_at: Vec<i64> =
        spent.map_or_else(Vec::new, |spent| recent(now, spent, settings).collect());
    sent_at.push(now);
    Some(Budget { sent_at })
}

fn recent<'a>(
    now: i64,
    spent: &'a Budget,
    settings: &'a Settings,
) -> impl Iterator<Item = i64> + 'a {
    let since = now.saturating_sub(settings.budget_within_ms);
    spent.sent_at.iter().copied().filter(move |at| *at > since)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    fn check(sent_at: &[i64], attempt: i32, allowed: bool) {
        let spent = Budget {
            sent_at: sent_at.to_vec(),
        };
        let verdict = look(10 * MINUTE, Some(&spent), attempt, &Settings::default());
        assert_eq!(verdict.allowed, allowed, "{sent_at:?}: {}", verdict.saw);
    }

    #[test]
    fn the_fourth_action_within_five_minutes_is_refused() {
        check(&[6 * MINUTE, 7 * MINUTE, 8 * MINUTE], 1, false);
    }

    #[test]
    fn three_within_five_minutes_pass() {
        check(&[], 1, true);
        check(&[6 * MINUTE, 7 * MINUTE], 1, true);
        check(&[5 * MINUTE, 6 * MINUTE, 7 * MINUTE], 1, true);
    }

    #[test]
    fn a_further_attempt_was_counted_before() {
        let full = [6 * MINUTE, 7 * MINUTE, 8 * MINUTE];
        check(&full, 2, true);
        let spent = Budget {
            sent_at: full.to_vec(),
        };
        assert_eq!(
            after(10 * MINUTE, Some(&spent), 2, &Settings::default()),
            None
        );
    }

    #[test]
    fn what_left_the_window_is_forgotten() {
        let spent = Budget {
            sent_at: vec![0, 7 * MINUTE],
        };
        let next = after(10 * MINUTE, Some(&spent), 1, &Settings::default());
        assert_eq!(
            next.map(|next| next.sent_at),
            Some(vec![7 * MINUTE, 10 * MINUTE])
        );
    }

    #[test]
    fn a_lifted_budget_counts_nothing() {
        let settings = Settings {
            budget_actions: LIFTED,
            ..Settings::default()
        };
        let spent = Budget {
            sent_at: vec![1; 50],
        };
        assert!(look(2, Some(&spent), 1, &settings).allowed);
        assert_eq!(after(2, Some(&spent), 1, &settings), None);
    }
}
