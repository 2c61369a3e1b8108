//! The topics: what they hold, how long, who writes them and who reads them.

use crate::service::Service;
use crate::topics;

/// How a topic is read, which fixes its partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Records of one key lie in one partition, in their order; its partitions are shared out among tasks.
    Keyed,
    /// Every task reads all of it: one partition.
    Broadcast,
    /// Nobody is given a share of it: views, people and teams' own consumers read it whole. One partition unless
    /// an installation sets more: each further one is one more that every transaction of the writing stage has to
    /// open, write to and close.
    Journal,
}

/// What Kafka does with old records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cleanup {
    /// Dropped by age.
    Delete {
        /// Milliseconds that a record is kept; -1: for ever.
        retention_ms: i64,
    },
    /// The last record of each key is kept.
    Compact,
}

/// A topic that the pipeline declares. Dead-letter queues and changelogs follow from these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Name, without the installation's prefix.
    pub name: &'static str,
    /// What the key is, in words.
    pub key: &'static str,
    /// Name of the value's schema in prunella-schemas, or [`Topic::BYTES`].
    pub value: &'static str,
    /// How it is read.
    pub kind: Kind,
    /// How long it is kept.
    pub cleanup: Cleanup,
    /// Largest record batch, in bytes after compression (`max.message.bytes`).
    pub max_bytes: u32,
    /// Who writes it.
    pub writers: &'static [Service],
    /// Who reads it.
    pub readers: &'static [Service],
    /// Why several services may write it; absent: one at most.
    pub many_writers: Option<&'static str>,
    /// Who reads it besides the services, in words. Where no service reads a topic, this is why it is no
    /// orphan.
    pub outside_readers: Option<&'static str>,
    /// Topics of one group have equal partition counts and one meaning of the key, so that a stage can join
    /// them; absent: its count is its own.
    pub co_partition_group: Option<&'static str>,
}

impl Topic {
    /// The value is bytes that no schema of ours describes.
    pub const BYTES: &'static str = "bytes";
}

const DAY: i64 = 86_400_000;
/// What Kafka allows where nobody says otherwise.
const USUAL_BYTES: u32 = 1_048_588;
/// Rules, playbooks and patterns of an installation travel as one record.
const KNOWLEDGE_BYTES: u32 = 8 << 20;

/// Topics keyed by domain that the decider or the orchestrator joins.
const BY_DOMAIN: Option<&str> = Some("domain");

use Service::{Decider, Effects, Executor, Gateway, Normalizer, Orchestrator};

/// A topic with what most have in common.
const fn keyed(name: &'static str, key: &'static str, value: &'static str) -> Topic {
    Topic {
        name,
        key,
        value,
        kind: Kind::Keyed,
        cleanup: Cleanup::Delete {
            retention_ms: 30 * DAY,
        },
        max_bytes: USUAL_BYTES,
        writers: &[],
        readers: &[],
        many_writers: None,
        outside_readers: None,
        co_partition_group: None,
    }
}

/// Every topic, in the order of the flow.
pub static TOPICS: &[Topic] = &[
    Topic {
        // Backtests replay it.
        cleanup: Cleanup::Delete {
            retention_ms: 90 * DAY,
        },
        writers: &[Gateway],
        readers: &[Normalizer],
        ..keyed(
            topics::RAW_ALERTS,
            "source, '/' and the source's ordering key",
            Topic::BYTES,
        )
    },
    Topic {
        cleanup: Cleanup::Delete {
            retention_ms: 3 * DAY,
        },
        writers: &[Gateway],
        outside_readers: Some("people with `prunella tail`, and teams' own consumers"),
        ..keyed(topics::RAW_LOGS, "service", Topic::BYTES)
    },
    Topic {
        writers: &[Normalizer],
        readers: &[Decider],
        co_partition_group: BY_DOMAIN,
        ..keyed(topics::NORMALIZED_ALERTS, "domain", "normalized-alert")
    },
    Topic {
        cleanup: Cleanup::Delete {
            retention_ms: 90 * DAY,
        },
        writers: &[Decider],
        readers: &[Orchestrator],
        outside_readers: Some("teams' own consumers"),
        co_partition_group: BY_DOMAIN,
        ..keyed(topics::DECISIONS, "domain", "decision")
    },
    Topic {
        writers: &[Orchestrator],
        readers: &[Executor],
        outside_readers: Some("teams' own consumers"),
        ..keyed(topics::ACTIONS, "target", "action")
    },
    Topic {
        writers: &[Executor],
        readers: &[Orchestrator],
        outside_readers: Some("teams' own consumers"),
        co_partition_group: BY_DOMAIN,
        ..keyed(topics::RESULTS, "domain", "action-result")
    },
    Topic {
        kind: Kind::Journal,
        cleanup: Cleanup::Compact,
        writers: &[Orchestrator],
        outside_readers: Some("people with `prunella tail`, and teams' own consumers"),
        ..keyed(topics::RUNS, "run id", "playbook-run")
    },
    Topic {
        writers: &[Gateway],
        readers: &[Orchestrator],
        co_partition_group: BY_DOMAIN,
        ..keyed(topics::CONTROL, "domain", "control")
    },
    Topic {
        kind: Kind::Broadcast,
        cleanup: Cleanup::Compact,
        max_bytes: KNOWLEDGE_BYTES,
        writers: &[Gateway],
        readers: &[Gateway, Normalizer, Decider, Orchestrator],
        ..keyed(
            topics::KNOWLEDGE,
            "the content's digest, or `active`",
            "knowledge-record",
        )
    },
    Topic {
        kind: Kind::Broadcast,
        cleanup: Cleanup::Compact,
        writers: &[Gateway],
        readers: &[Gateway, Decider, Orchestrator, Executor, Effects],
        ..keyed(topics::SWITCHES, "the switch's name", "switch")
    },
    Topic {
        kind: Kind::Journal,
        cleanup: Cleanup::Delete { retention_ms: -1 },
        writers: &[Orchestrator],
        many_writers: Some("each writing task keeps a hash chain of its own"),
        outside_readers: Some("people who ask later what was done and why"),
        ..keyed(topics::AUDIT, "domain", "audit-entry")
    },
];

/// The declared topic of that name, without the installation's prefix.
#[must_use]
pub fn topic(name: &str) -> Option<&'static Topic> {
    TOPICS.iter().find(|topic| topic.name == name)
}

/// The topics that a stage reads, and that therefore have a dead-letter queue.
pub fn dead_lettered(topics: &[Topic]) -> impl Iterator<Item = &Topic> {
    topics
        .iter()
        .filter(|topic| topic.readers.iter().any(|reader| reader.is_stage()))
}

/// The stages that keep a changelog: those that read keyed topics, which give it its partitions.
pub(crate) fn with_changelog(topics: &[Topic]) -> impl Iterator<Item = Service> {
    Service::ALL
        .iter()
        .copied()
        .filter(|service| service.is_stage() && keyed_sources(topics, *service).next().is_some())
}

/// The keyed topics that a service reads.
pub(crate) fn keyed_sources(topics: &[Topic], service: Service) -> impl Iterator<Item = &Topic> {
    topics
        .iter()
        .filter(move |topic| topic.kind == Kind::Keyed && topic.readers.contains(&service))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_found_by_its_name() {
        assert_eq!(topic("decisions").map(|topic| topic.key), Some("domain"));
        assert_eq!(topic("decisions.dlq"), None);
    }

    #[test]
    fn every_topic_that_a_stage_reads_has_a_dead_letter_queue_and_no_other_has() {
        let names: Vec<_> = dead_lettered(TOPICS).map(|topic| topic.name).collect();
        assert!(names.contains(&topics::SWITCHES), "{names:?}");
        assert!(!names.contains(&topics::RAW_LOGS), "{names:?}");
        assert!(!names.contains(&topics::AUDIT), "{names:?}");
    }

    #[test]
    fn no_stage_reads_a_journal() {
        for topic in TOPICS.iter().filter(|topic| topic.kind == Kind::Journal) {
            assert!(topic.readers.is_empty(), "{}", topic.name);
        }
    }

    #[test]
    fn only_the_gateway_writes_what_people_command() {
        for name in [topics::CONTROL, topics::SWITCHES, topics::KNOWLEDGE] {
            assert_eq!(topic(name).unwrap().writers, [Gateway], "{name}");
        }
    }
}
