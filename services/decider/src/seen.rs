//! What was decided of an occurrence: so that re-notifications of it start nothing again until it re-arms.

use prunella_knowledge::Rule;
use prunella_schemas::BorrowedAlert;
use prunella_schemas::state::Seen;
use prunella_stream::{Digest, Millis, WindowStore};

/// What follows from an occurrence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Follows {
    /// Its playbook runs, or people are notified: the same for every rule that names the playbook.
    Act,
    /// Its staleness is told.
    TellStale,
    /// That its rule's condition cannot be evaluated is told.
    TellError,
}

/// Whether something may follow from an occurrence now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arming {
    /// It may, for the first time.
    Fresh,
    /// It may again: so long ago it last did, in milliseconds.
    Rearmed(Millis),
    /// It did before, so long ago.
    Repeated(Millis),
    /// It was received before the alert resolved, which is known already.
    Over,
}

/// The key of an occurrence and of what follows from it.
pub(crate) fn key(alert: &BorrowedAlert<'_>, rule: &Rule, follows: Follows) -> Digest {
    let (kind, name): (&[u8], &str) = match (follows, &rule.playbook) {
        (Follows::Act, Some(playbook)) => (b"playbook", playbook),
        (Follows::Act, None) => (b"rule", &rule.id),
        (Follows::TellStale, _) => (b"stale", &rule.id),
        (Follows::TellError, _) => (b"error", &rule.id),
    };
    Digest::of(&[
        alert.domain.as_bytes(),
        alert.fingerprint.as_bytes(),
        &alert.starts_at.to_be_bytes(),
        kind,
        name.as_bytes(),
    ])
}

/// Whether something may follow, by what is known of the occurrence.
pub(crate) fn arming(
    seen: Option<&Seen>,
    alert: &BorrowedAlert<'_>,
    now: Millis,
    rearm_after: Millis,
) -> Arming {
    let Some(seen) = seen else {
        return Arming::Fresh;
    };
    let ago = now.saturating_sub(seen.decided_at);
    if seen.resolved_at > 0 {
        // One that arrives after the resolution fires anew; one that was overtaken by it does not.
        return if alert.received_at < seen.resolved_at {
            Arming::Over
        } else {
            Arming::Rearmed(ago)
        };
    }
    if ago >= rearm_after {
        Arming::Rearmed(ago)
    } else {
        Arming::Repeated(ago)
    }
}

/// Notes that something follows now.
pub(crate) fn note(
    seen: &mut WindowStore<Digest, Seen>,
    key: Digest,
    now: Millis,
    rearm_after: Millis,
) {
    let entry = Seen {
        decided_at: now,
        resolved_at: 0,
    };
    seen.put(key, entry, now.saturating_add(rearm_after));
}

/// Notes that the occurrence resolved, for everything that the rule may have made follow from it.
pub(crate) fn resolve(
    seen: &mut WindowStore<Digest, Seen>,
    alert: &BorrowedAlert<'_>,
    rule: &Rule,
    now: Millis,
) {
    // Zero means that it has not: a time before the epoch is none that a source gives.
    let resolved_at = alert.received_at.max(1);
    for follows in [Follows::Act, Follows::TellStale, Follows::TellError] {
        let key = key(alert, rule, follows);
        if let Some(entry) = seen.get(&key).copied() {
            seen.put(
                key,
                Seen {
                    resolved_at,
                    ..entry
                },
                now,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use prunella_schemas::{CowStr, NormalizedAlert};

    use super::*;

    const HOUR: Millis = 3_600_000;

    fn check(seen: Option<(Millis, Millis)>, received_at: Millis, now: Millis, expected: Arming) {
        let seen = seen.map(|(decided_at, resolved_at)| Seen {
            decided_at,
            resolved_at,
        });
        let alert = NormalizedAlert {
            received_at,
            ..NormalizedAlert::default()
        };
        let alert = alert.map(CowStr::from);
        assert_eq!(
            arming(seen.as_ref(), &alert, now, HOUR),
            expected,
            "{seen:?}"
        );
    }

    #[test]
    fn an_occurrence_acts_once_until_it_rearms() {
        check(None, 0, 0, Arming::Fresh);
        check(Some((100, 0)), 200, 200, Arming::Repeated(100));
        check(Some((100, 0)), HOUR, 99 + HOUR, Arming::Repeated(HOUR - 1));
        check(Some((100, 0)), HOUR, 100 + HOUR, Arming::Rearmed(HOUR));
    }

    #[test]
    fn what_resolved_fires_anew_unless_it_was_overtaken() {
        check(Some((100, 500)), 501, 600, Arming::Rearmed(500));
        check(Some((100, 500)), 499, 600, Arming::Over);
    }

    #[test]
    fn rules_that_name_one_playbook_share_what_was_decided() {
        let alert = NormalizedAlert::default().map(CowStr::from);
        let rule = |id: &str, playbook: Option<&str>| Rule {
            id: id.to_owned(),
            playbook: playbook.map(str::to_owned),
            ..Rule::default()
        };
        let act = |rule: &Rule| key(&alert, rule, Follows::Act);
        assert_eq!(act(&rule("A", Some("P"))), act(&rule("B", Some("P"))));
        assert_ne!(act(&rule("A", Some("P"))), act(&rule("A", Some("Q"))));
        assert_ne!(act(&rule("A", None)), act(&rule("B", None)));
        assert_ne!(act(&rule("A", None)), act(&rule("B", Some("A"))));
        let a = rule("A", None);
        assert_ne!(act(&a), key(&alert, &a, Follows::TellStale));
    }
}
