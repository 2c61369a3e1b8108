//! The safety envelope: small functions over what the domain's task remembers. Each says whether a mutating
//! action may go out and what it saw. Notifications and reads are never asked about.

pub mod autonomy;
pub mod budget;
pub mod cooldown;
pub mod freshness;
pub mod kill_switch;

use prunella_schemas::GuardVerdict;

/// What the guards that refuse say, in one sentence; nothing if all let the action pass.
#[must_use]
pub fn refusal(verdicts: &[GuardVerdict]) -> Option<String> {
    let refused: Vec<String> = verdicts
        .iter()
        .filter(|verdict| !verdict.allowed)
        .map(|verdict| format!("{}: {}", verdict.guard, verdict.saw))
        .collect();
    (!refused.is_empty()).then(|| format!("refused by {}", refused.join("; ")))
}

fn verdict(guard: &str, allowed: bool, saw: impl Into<String>) -> GuardVerdict {
    GuardVerdict {
        guard: guard.to_owned(),
        allowed,
        saw: saw.into(),
    }
}

/// A length of time for people: the largest unit that divides it.
pub(crate) fn span(ms: i64) -> String {
    match ms {
        ms if ms >= 3_600_000 && ms % 3_600_000 == 0 => format!("{} h", ms / 3_600_000),
        ms if ms >= 60_000 && ms % 60_000 == 0 => format!("{} min", ms / 60_000),
        ms if ms.abs() >= 1_000 => format!("{} s", ms / 1_000),
        ms => format!("{ms} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_every_guard_that_refuses() {
        let verdicts = [
            verdict("a", false, "one"),
            verdict("b", true, "two"),
            verdict("c", false, "three"),
        ];
        assert_eq!(
            refusal(&verdicts).as_deref(),
            Some("refused by a: one; c: three")
        );
    }

    #[test]
    fn nothing_is_refused_when_every_guard_allows() {
        assert_eq!(refusal(&[verdict("a", true, "fine")]), None);
        assert_eq!(refusal(&[]), None);
    }

    #[test]
    fn spans_are_in_the_largest_unit_that_fits() {
        assert_eq!(span(300_000), "5 min");
        assert_eq!(span(7_200_000), "2 h");
        assert_eq!(span(61_500), "61 s");
        assert_eq!(span(20), "20 ms");
    }
}
