//! The marks that owners leave in the metadata of committed offsets, and fencing by them.

use std::collections::BTreeSet;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaResult;

use crate::producer::{fence, transactional_ids};

const OWNER: &str = "prunella owner ";
const RELEASED: &str = "prunella released ";

/// What stands between an owner, or a release, and the partitions of the changelog.
const CHANGELOG: &str = "; changelog ";

/// What the metadata of a committed offset says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Nothing: no commit yet, or one by a tool.
    None,
    /// The owner's transactional id: it may have a transaction open.
    Owner(String),
    /// Handed over cleanly: no transaction is open. The token names the release.
    Released(String),
    /// Written by something else.
    Foreign,
}

impl Mark {
    /// The mark, and how many partitions the changelog had when it was made.
    pub(crate) fn read(metadata: &str) -> (Self, Option<i32>) {
        match metadata.rsplit_once(CHANGELOG) {
            Some((mark, partitions)) => (Self::of(mark), partitions.parse().ok()),
            None => (Self::of(metadata), None),
        }
    }

    fn of(metadata: &str) -> Self {
        if let Some(id) = metadata.strip_prefix(OWNER) {
            Mark::Owner(id.to_owned())
        } else if let Some(token) = metadata.strip_prefix(RELEASED) {
            Mark::Released(token.to_owned())
        } else if metadata.is_empty() {
            Mark::None
        } else {
            Mark::Foreign
        }
    }

    pub(crate) fn owner(id: &str, changelog: i32) -> String {
        format!("{OWNER}{id}{CHANGELOG}{changelog}")
    }

    pub(crate) fn released(token: &str, changelog: i32) -> String {
        format!("{RELEASED}{token}{CHANGELOG}{changelog}")
    }
}

/// Fences dead owners, all their ids side by side: each call waits for the broker.
pub(crate) fn fence_all(base: &ClientConfig, owners: &BTreeSet<String>) -> KafkaResult<()> {
    std::thread::scope(|scope| {
        let calls: Vec<_> = owners
            .iter()
            .flat_map(|owner| transactional_ids(owner))
            .map(|id| scope.spawn(move || fence(base, &id)))
            .collect();
        for call in calls {
            match call.join() {
                Ok(outcome) => outcome?,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_read_back() {
        assert_eq!(
            Mark::read(&Mark::owner("a.b.0", 2)),
            (Mark::Owner("a.b.0".into()), Some(2))
        );
        assert_eq!(
            Mark::read(&Mark::released("t", 1)),
            (Mark::Released("t".into()), Some(1))
        );
        assert_eq!(Mark::read(""), (Mark::None, None));
        assert_eq!(Mark::read("someone else"), (Mark::Foreign, None));
    }
}
