//! Nothing is changed while a kill switch is thrown, the global one or the domain's.

use prunella_schemas::{GuardVerdict, Switch};

use super::verdict;

/// Name of the guard.
pub const NAME: &str = "kill_switch";

/// Lets an action pass unless a switch is thrown. The executor looks again right before the effect.
#[must_use]
pub fn look(thrown: Option<&Switch>) -> GuardVerdict {
    match thrown {
        None => verdict(NAME, true, "not thrown"),
        Some(switch) => {
            let mut saw = format!("{} thrown by {}", switch.name, switch.author);
            if !switch.comment.is_empty() {
                saw.push_str(": ");
                saw.push_str(&switch.comment);
            }
            verdict(NAME, false, saw)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thrown_switch_refuses_and_says_who_threw_it() {
        let switch = Switch {
            name: "kill-switch/prod".to_owned(),
            author: "eva".to_owned(),
            comment: "freeze".to_owned(),
            ..Switch::default()
        };
        let verdict = look(Some(&switch));
        assert!(!verdict.allowed);
        assert_eq!(verdict.saw, "kill-switch/prod thrown by eva: freeze");
    }

    #[test]
    fn no_switch_lets_pass() {
        assert!(look(None).allowed);
    }
}
