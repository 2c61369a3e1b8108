//! A playbook that only observes changes nothing.

use prunella_knowledge::Autonomy;
use prunella_schemas::GuardVerdict;

use super::verdict;

/// Name of the guard.
pub const NAME: &str = "autonomy";

/// Lets an action pass if the playbook may act: as the run follows it, and as it is in force now if it still
/// is. So taking autonomy back holds for runs that are on their way, and granting it does not.
#[must_use]
pub fn look(followed: Autonomy, in_force: Option<Autonomy>) -> GuardVerdict {
    let least = in_force.map_or(followed, |in_force| in_force.min(followed));
    match least {
        Autonomy::Automatic => verdict(NAME, true, "automatic"),
        Autonomy::Observe => verdict(
            NAME,
            false,
            "the playbook only observes; it acts once it says `autonomy: automatic`",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(followed: Autonomy, in_force: Option<Autonomy>, allowed: bool) {
        assert_eq!(
            look(followed, in_force).allowed,
            allowed,
            "{followed:?} {in_force:?}"
        );
    }

    #[test]
    fn an_observing_playbook_is_refused() {
        check(Autonomy::Observe, None, false);
        check(Autonomy::Observe, Some(Autonomy::Automatic), false);
    }

    #[test]
    fn autonomy_that_was_taken_back_is_refused() {
        check(Autonomy::Automatic, Some(Autonomy::Observe), false);
    }

    #[test]
    fn an_automatic_playbook_passes() {
        check(Autonomy::Automatic, None, true);
        check(Autonomy::Automatic, Some(Autonomy::Automatic), true);
    }
}
