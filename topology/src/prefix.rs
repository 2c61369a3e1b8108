//! Names of one installation, so that several share a cluster.

use std::fmt;

use crate::topics;

/// Longest topic name that Kafka takes.
const LONGEST_NAME: usize = 249;
/// Longest name that is appended to a prefix (a topic, its suffix) with room to spare.
const LONGEST_OWN: usize = 64;

/// What every topic, group and transactional id of an installation begins with, separator included: `p1.`.
/// Empty where an installation has the cluster to itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix(String);

/// Why a prefix is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// Kafka would refuse the topics' names.
    #[error(
        "the prefix {0:?} holds {1:?}, which no topic name may; use letters, digits, '.', '_' and '-'"
    )]
    Character(String, char),
    /// Access rules for one installation would cover another's ids.
    #[error(
        "the prefix {0:?} does not end in a separator, so that it also begins the names of {0}2; write \"{0}.\""
    )]
    Open(String),
    /// Kafka would refuse the topics' names.
    #[error(
        "the prefix is {0} characters long, and topic names end at {LONGEST_NAME}; use at most {max}",
        max = LONGEST_NAME - LONGEST_OWN
    )]
    Long(usize),
    /// Kafka keeps such names to itself.
    #[error(
        "the prefix {0:?} begins with two underscores, as Kafka's own topics do; choose another"
    )]
    Reserved(String),
}

impl Prefix {
    /// A prefix that ends in `.`, `-` or `_`, or is empty.
    ///
    /// # Errors
    /// [`PrefixError`] if Kafka would refuse the names, or if access rules could not tell installations apart.
    pub fn new(text: &str) -> Result<Self, PrefixError> {
        let allowed =
            |character: &char| character.is_ascii_alphanumeric() || "._-".contains(*character);
        if let Some(wrong) = text.chars().find(|character| !allowed(character)) {
            return Err(PrefixError::Character(text.to_owned(), wrong));
        }
        if text.len() > LONGEST_NAME - LONGEST_OWN {
            return Err(PrefixError::Long(text.len()));
        }
        if text.starts_with("__") {
            return Err(PrefixError::Reserved(text.to_owned()));
        }
        if !text.is_empty() && !text.ends_with(['.', '-', '_']) {
            return Err(PrefixError::Open(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }

    /// The prefix as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True if there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The name of a topic in the cluster.
    #[must_use]
    pub fn topic(&self, name: &str) -> String {
        format!("{}{name}", self.0)
    }

    /// The name of a topic in the cluster without the prefix; nothing if it is not this installation's.
    #[must_use]
    pub fn strip<'a>(&self, topic: &'a str) -> Option<&'a str> {
        topic.strip_prefix(self.0.as_str())
    }

    /// The dead-letter queue of a topic in the cluster.
    #[must_use]
    pub fn dead_letters(&self, topic: &str) -> String {
        self.topic(&topics::dead_letters(topic))
    }

    /// The changelog of a stage in the cluster.
    #[must_use]
    pub fn changelog(&self, app: &str) -> String {
        self.topic(&topics::changelog(app))
    }

    /// The application id of a stage in the cluster: its consumer group.
    #[must_use]
    pub fn app(&self, app: &str) -> String {
        format!("{}{app}", self.0)
    }

    /// The transactional id, and the static member's name, of one thread of one instance of a stage.
    #[must_use]
    pub fn transactional_id(&self, app: &str, instance: &str, thread: usize) -> String {
        format!("{}{instance}.{thread}", self.transactional_ids(app))
    }

    /// What every transactional id of a stage begins with. Closed by a separator: the ids of `decider` are no
    /// beginning of those of `decider2`.
    #[must_use]
    pub fn transactional_ids(&self, app: &str) -> String {
        format!("{}{app}.", self.0)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, error: Option<&str>) {
        let found = Prefix::new(text).err().map(|error| error.to_string());
        match error {
            None => assert_eq!(found, None, "{text}"),
            Some(part) => assert!(
                found.as_ref().is_some_and(|found| found.contains(part)),
                "{text}: {found:?}"
            ),
        }
    }

    #[test]
    fn a_prefix_is_empty_or_closed_by_a_separator() {
        check("", None);
        check("p1.", None);
        check("team-a_", None);
        check("p1", Some("write \"p1.\""));
        check("p 1.", Some("' '"));
        check("__p.", Some("two underscores"));
        check(&"p".repeat(200), Some("at most 185"));
    }

    #[test]
    fn names_carry_the_prefix_and_lose_it_again() {
        let prefix = Prefix::new("p1.").unwrap();
        assert_eq!(prefix.topic("decisions"), "p1.decisions");
        assert_eq!(prefix.strip("p1.decisions"), Some("decisions"));
        assert_eq!(prefix.strip("p2.decisions"), None);
        assert_eq!(prefix.app("decider"), "p1.decider");
        assert_eq!(prefix.changelog("decider"), "p1.decider-changelog");
        assert_eq!(prefix.dead_letters("raw-alerts"), "p1.raw-alerts.dlq");
        assert_eq!(
            prefix.transactional_id("decider", "host-0", 2),
            "p1.decider.host-0.2"
        );
    }

    #[test]
    fn without_a_prefix_names_are_as_declared() {
        let prefix = Prefix::default();
        assert_eq!(prefix.topic("decisions"), "decisions");
        assert_eq!(prefix.strip("decisions"), Some("decisions"));
    }
}
