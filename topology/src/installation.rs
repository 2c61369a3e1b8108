//! The topics of one installation, as they are to be in its cluster.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::declaration::{
    Cleanup, Kind, TOPICS, Topic, dead_lettered, keyed_sources, with_changelog,
};
use crate::prefix::Prefix;
use crate::service::Service;
use crate::topics;

/// What differs from one installation to the next: the `[topology]` section of the configuration, and the
/// prefix, which is configured with the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Installation {
    /// What all its names begin with.
    #[serde(skip)]
    pub prefix: Prefix,
    /// Partitions of keyed topics.
    pub partitions: i32,
    /// Partitions of keyed topics that differ: by topic, or by co-partition group (`domain`), without the
    /// prefix.
    pub partitions_of: BTreeMap<String, i32>,
    /// Replicas of every partition.
    pub replication: i32,
    /// Replicas that must have a record before it counts as written.
    pub min_insync: i32,
    /// Kafka's topic settings that differ, by topic without the prefix.
    pub settings_of: BTreeMap<String, BTreeMap<String, String>>,
}

/// How many tasks share a partition of their stage's changelog. Each partition costs every transaction that
/// touches it a request, a check and a marker; each further task in it is read past when one of the others is
/// restored.
const TASKS_A_PARTITION: i32 = 4;

impl Default for Installation {
    /// Eight partitions on three brokers, of which one may be away.
    fn default() -> Self {
        Self {
            prefix: Prefix::default(),
            partitions: 8,
            partitions_of: BTreeMap::new(),
            replication: 3,
            min_insync: 2,
            settings_of: BTreeMap::new(),
        }
    }
}

impl Installation {
    /// An installation on a single broker, which loses what its disk loses.
    #[must_use]
    pub fn on_one_broker(prefix: Prefix, partitions: i32) -> Self {
        Self {
            prefix,
            partitions,
            replication: 1,
            min_insync: 1,
            ..Self::default()
        }
    }

    /// Partitions of a topic: its own setting, else its group's, else the default of its kind.
    #[must_use]
    pub fn partitions_of(&self, topic: &Topic) -> i32 {
        let set = |name: &str| self.partitions_of.get(name).copied();
        let default = match topic.kind {
            Kind::Keyed => self.partitions,
            Kind::Broadcast | Kind::Journal => 1,
        };
        set(topic.name)
            .or_else(|| topic.co_partition_group.and_then(set))
            .unwrap_or(default)
    }

    /// Tasks of a stage: one for each partition of its keyed sources; the most, should they differ.
    #[must_use]
    pub fn tasks(&self, topics: &[Topic], service: Service) -> i32 {
        keyed_sources(topics, service)
            .map(|topic| self.partitions_of(topic))
            .max()
            .unwrap_or(0)
    }

    /// Partitions of a stage's changelog: one for every four tasks, which keep their state in it.
    #[must_use]
    pub fn changelog_partitions(&self, topics: &[Topic], service: Service) -> i32 {
        (self.tasks(topics, service) + TASKS_A_PARTITION - 1) / TASKS_A_PARTITION
    }
}

/// What a topic is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Declared, and shared out by key.
    Keyed,
    /// Declared, and read whole by every task.
    Broadcast,
    /// What could not be processed: one partition, in the order in which it failed.
    DeadLetters,
    /// The state of a stage.
    Changelog,
}

/// One topic as it is to be in the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    /// Name, with the installation's prefix.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// Number of partitions.
    pub partitions: i32,
    /// Replicas of each.
    pub replication: i32,
    /// Kafka's topic settings.
    pub config: BTreeMap<String, String>,
}

const DAY: i64 = 86_400_000;
/// A record in a dead-letter queue is the original one and headers that say why it is there.
const HEADERS_BYTES: u32 = 1 << 20;
/// The state of one run, outputs included, is one record; were it refused, its task could never commit again.
const STATE_BYTES: u32 = 8 << 20;

/// Every topic of an installation: the declared ones, then dead-letter queues, then changelogs.
#[must_use]
pub fn topic_specs(installation: &Installation) -> Vec<TopicSpec> {
    let declared = TOPICS.iter().map(|topic| declared(installation, topic));
    let dead_letters = dead_lettered(TOPICS).map(|topic| dead_letters(installation, topic));
    let changelogs = with_changelog(TOPICS).map(|service| changelog(installation, service));
    declared.chain(dead_letters).chain(changelogs).collect()
}

fn declared(installation: &Installation, topic: &Topic) -> TopicSpec {
    let mut config = match topic.cleanup {
        Cleanup::Delete { retention_ms } => kept_by_time(retention_ms),
        Cleanup::Compact => BTreeMap::from([("cleanup.policy", "compact".to_owned())]),
    };
    config.insert("max.message.bytes", topic.max_bytes.to_string());
    let role = match topic.kind {
        Kind::Keyed | Kind::Journal => Role::Keyed,
        Kind::Broadcast => Role::Broadcast,
    };
    let partitions = installation.partitions_of(topic);
    spec(installation, topic.name, role, partitions, config)
}

fn dead_letters(installation: &Installation, topic: &Topic) -> TopicSpec {
    let mut config = kept_by_time(30 * DAY);
    // Were it smaller than the topic it serves, the largest record could never be put aside.
    config.insert(
        "max.message.bytes",
        (topic.max_bytes + HEADERS_BYTES).to_string(),
    );
    let name = topics::dead_letters(topic.name);
    spec(installation, &name, Role::DeadLetters, 1, config)
}

/// A changelog is read from its beginning after a crash: small segments, compacted early, keep that short.
/// The segment in use is never compacted, hence its age limit.
fn changelog(installation: &Installation, service: Service) -> TopicSpec {
    let config = BTreeMap::from([
        ("cleanup.policy", "compact".to_owned()),
        ("max.message.bytes", STATE_BYTES.to_string()),
        ("min.cleanable.dirty.ratio", "0.3".to_owned()),
        ("segment.bytes", (32 << 20).to_string()),
        ("segment.ms", (DAY / 4).to_string()),
    ]);
    let partitions = installation.changelog_partitions(TOPICS, service);
    let name = topics::changelog(service.name());
    spec(installation, &name, Role::Changelog, partitions, config)
}

fn kept_by_time(retention_ms: i64) -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("cleanup.policy", "delete".to_owned()),
        ("retention.ms", retention_ms.to_string()),
    ])
}

fn spec(
    installation: &Installation,
    name: &str,
    role: Role,
    partitions: i32,
    config: BTreeMap<&'static str, String>,
) -> TopicSpec {
    let mut config: BTreeMap<String, String> = config
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
    config.insert(
        "min.insync.replicas".to_owned(),
        installation.min_insync.to_string(),
    );
    // A replica that lags and becomes leader forgets commits: whatever the cluster's default, not here.
    config.insert(
        "unclean.leader.election.enable".to_owned(),
        "false".to_owned(),
    );
    if let Some(settings) = installation.settings_of.get(name) {
        config.extend(settings.clone());
    }
    TopicSpec {
        name: installation.prefix.topic(name),
        role,
        partitions,
        replication: installation.replication,
        config,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find<'a>(specs: &'a [TopicSpec], name: &str) -> &'a TopicSpec {
        specs
            .iter()
            .find(|spec| spec.name == name)
            .unwrap_or_else(|| panic!("{name} is missing"))
    }

    fn installation() -> Installation {
        Installation {
            partitions_of: BTreeMap::from([("domain".to_owned(), 4), ("runs".to_owned(), 2)]),
            ..Installation::on_one_broker(Prefix::new("p1.").unwrap(), 8)
        }
    }

    #[test]
    fn partitions_come_from_the_topic_then_its_group_then_the_installation() {
        let specs = topic_specs(&installation());
        for (name, partitions) in [
            ("p1.raw-alerts", 8),
            ("p1.normalized-alerts", 4),
            ("p1.results", 4),
            ("p1.runs", 2),
            ("p1.audit", 1),
            ("p1.knowledge", 1),
            ("p1.raw-alerts.dlq", 1),
            ("p1.normalizer-changelog", 2),
            ("p1.decider-changelog", 1),
            ("p1.orchestrator-changelog", 1),
            ("p1.executor-changelog", 2),
        ] {
            assert_eq!(find(&specs, name).partitions, partitions, "{name}");
        }
    }

    #[test]
    fn no_edge_has_a_changelog_and_no_unread_topic_a_dead_letter_queue() {
        let specs = topic_specs(&installation());
        for name in [
            "p1.gateway-changelog",
            "p1.effects-changelog",
            "p1.raw-logs.dlq",
        ] {
            assert!(specs.iter().all(|spec| spec.name != name), "{name}");
        }
    }

    #[test]
    fn retention_and_compaction_follow_the_declaration() {
        let specs = topic_specs(&installation());
        for (name, key, value) in [
            ("p1.raw-alerts", "retention.ms", "7776000000"),
            ("p1.audit", "retention.ms", "-1"),
            ("p1.switches", "cleanup.policy", "compact"),
            ("p1.decider-changelog", "cleanup.policy", "compact"),
            ("p1.decider-changelog", "segment.bytes", "33554432"),
            ("p1.decisions", "min.insync.replicas", "1"),
        ] {
            assert_eq!(find(&specs, name).config[key], value, "{name} {key}");
        }
    }

    #[test]
    fn a_dead_letter_queue_takes_the_largest_record_of_its_topic() {
        let specs = topic_specs(&installation());
        let largest = |name: &str| -> u32 {
            find(&specs, name).config["max.message.bytes"]
                .parse()
                .unwrap()
        };
        for topic in dead_lettered(TOPICS) {
            let name = format!("p1.{}", topic.name);
            assert!(largest(&format!("{name}.dlq")) > largest(&name), "{name}");
        }
    }

    #[test]
    fn an_installation_is_read_from_a_configuration_and_refuses_what_it_does_not_know() {
        let text = "partitions = 4\nreplication = 1\nmin_insync = 1\n[partitions_of]\nruns = 2";
        let read: Installation = toml::from_str(text).unwrap();
        let expected = Installation {
            partitions_of: BTreeMap::from([("runs".to_owned(), 2)]),
            ..Installation::on_one_broker(Prefix::default(), 4)
        };
        assert_eq!(read, expected);
        assert!(toml::from_str::<Installation>("partition = 4").is_err());
    }

    #[test]
    fn an_installation_may_set_what_it_likes_of_a_topic() {
        let mut installation = installation();
        let settings = BTreeMap::from([("retention.ms".to_owned(), "1000".to_owned())]);
        installation
            .settings_of
            .insert("raw-alerts".to_owned(), settings);
        let specs = topic_specs(&installation);
        assert_eq!(find(&specs, "p1.raw-alerts").config["retention.ms"], "1000");
        assert_eq!(
            find(&specs, "p1.decisions").config["retention.ms"],
            "7776000000"
        );
    }
}
