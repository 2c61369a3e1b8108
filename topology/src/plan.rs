//! What has to change in a cluster so that it holds an installation's topics. Nothing is ever deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::declaration::TOPICS;
use crate::installation::{Role, TopicSpec};
use crate::prefix::Prefix;
use crate::service::Service;
use crate::topics;

/// A topic as the cluster has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExistingTopic {
    /// Name.
    pub name: String,
    /// Number of partitions.
    pub partitions: i32,
    /// Replicas of the partition that has fewest.
    pub replication: i32,
    /// The settings that are set on the topic itself; what it has from the brokers' defaults is left out.
    pub config: BTreeMap<String, String>,
}

/// One setting that changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingChange {
    /// Its name.
    pub key: String,
    /// What is set; absent: the brokers' default holds.
    pub from: Option<String>,
    /// What is to be set.
    pub to: String,
}

/// One thing to do, or one thing that nobody does by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Create the topic.
    Create(TopicSpec),
    /// Change settings.
    AlterConfig {
        /// The topic.
        name: String,
        /// What changes.
        changes: Vec<SettingChange>,
        /// Every setting that the topic is to have of its own, people's included: some clients' call replaces
        /// them all.
        whole: BTreeMap<String, String>,
    },
    /// The partition count differs, and is not changed.
    RefusePartitionCount {
        /// The topic.
        name: String,
        /// Partitions it has.
        from: i32,
        /// Partitions it is to have.
        to: i32,
        /// Why not, and what to do.
        reason: String,
    },
    /// There are fewer replicas than wanted, and moving them is the operator's work.
    RefuseReplication {
        /// The topic.
        name: String,
        /// Replicas it has.
        from: i32,
        /// Replicas it is to have.
        to: i32,
    },
    /// A topic of this installation's that nothing declares. It is only reported.
    Unknown {
        /// The topic.
        name: String,
    },
}

impl Change {
    /// True if somebody has to act before the pipeline may run on these topics.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::RefusePartitionCount { .. })
    }

    /// True if `--apply` does it.
    #[must_use]
    pub const fn is_to_do(&self) -> bool {
        matches!(self, Self::Create(_) | Self::AlterConfig { .. })
    }
}

impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create(spec) => write!(
                formatter,
                "create {}: {} partitions, {} replicas",
                spec.name, spec.partitions, spec.replication
            ),
            Self::AlterConfig { name, changes, .. } => {
                write!(formatter, "alter {name}:")?;
                for SettingChange { key, from, to } in changes {
                    let from = from.as_deref().unwrap_or("the default");
                    write!(formatter, " {key} from {from} to {to};")?;
                }
                Ok(())
            }
            Self::RefusePartitionCount {
                name,
                from,
                to,
                reason,
            } => write!(
                formatter,
                "refuse {name}: it has {from} partitions, {to} are wanted. {reason}"
            ),
            Self::RefuseReplication { name, from, to } => write!(
                formatter,
                "refuse {name}: it has {from} replicas, {to} are wanted; move them with \
                 kafka-reassign-partitions"
            ),
            Self::Unknown { name } => write!(
                formatter,
                "unknown {name}: nothing declares it; if nobody needs it any more, delete it yourself"
            ),
        }
    }
}

/// What brings a cluster's topics to those wanted, in the order of the wanted ones; leftovers last.
#[must_use]
pub fn plan(prefix: &Prefix, existing: &[ExistingTopic], wanted: &[TopicSpec]) -> Vec<Change> {
    let found: BTreeMap<&str, &ExistingTopic> = existing
        .iter()
        .map(|topic| (topic.name.as_str(), topic))
        .collect();
    let mut changes = Vec::new();
    for spec in wanted {
        match found.get(spec.name.as_str()) {
            None => changes.push(Change::Create(spec.clone())),
            Some(topic) => reconcile(topic, spec, &mut changes),
        }
    }
    let names: BTreeSet<&str> = wanted.iter().map(|spec| spec.name.as_str()).collect();
    let leftovers = found
        .keys()
        .filter(|name| !names.contains(*name) && is_ours(prefix, name));
    changes.extend(leftovers.map(|name| Change::Unknown {
        name: (*name).to_owned(),
    }));
    changes
}

fn reconcile(topic: &ExistingTopic, spec: &TopicSpec, changes: &mut Vec<Change>) {
    if topic.partitions != spec.partitions {
        changes.push(Change::RefusePartitionCount {
            name: spec.name.clone(),
            from: topic.partitions,
            to: spec.partitions,
            reason: reason(topic, spec),
        });
    }
    if topic.replication < spec.replication {
        changes.push(Change::RefuseReplication {
            name: spec.name.clone(),
            from: topic.replication,
            to: spec.replication,
        });
    }
    let different: Vec<SettingChange> = spec
        .config
        .iter()
        .filter(|(key, value)| topic.config.get(*key) != Some(*value))
        .map(|(key, value)| SettingChange {
            key: key.clone(),
            from: topic.config.get(key).cloned(),
            to: value.clone(),
        })
        .collect();
    if !different.is_empty() {
        let mut whole = topic.config.clone();
        whole.extend(spec.config.clone());
        changes.push(Change::AlterConfig {
            name: spec.name.clone(),
            changes: different,
            whole,
        });
    }
}

fn reason(topic: &ExistingTopic, spec: &TopicSpec) -> String {
    let have = topic.partitions;
    match spec.role {
        Role::Keyed => format!(
            "Its keys would move to other partitions, away from their order and their state: set \
             {have} in the installation's partitions, or take a new prefix"
        ),
        Role::Changelog => format!(
            "State would be looked for in other partitions than it lies in: a changelog has one partition for \
             every four of its stage's topics and here has {have}; take a new prefix"
        ),
        Role::Broadcast => "Every task reads it in one order, which one partition has and several \
             have not: copy it to a topic of one partition under a new prefix"
            .to_owned(),
        Role::DeadLetters => {
            "Its one partition keeps the order in which records failed: empty it, and delete it \
             yourself"
                .to_owned()
        }
    }
}

/// True for a topic that only this installation can have made. Without a prefix that can be told of derived
/// topics alone: other names may be anybody's.
fn is_ours(prefix: &Prefix, name: &str) -> bool {
    if !prefix.is_empty() {
        return prefix
            .strip(name)
            .is_some_and(|name| name != topics::DOCTOR);
    }
    let of_topic = name.strip_suffix(topics::DEAD_LETTERS);
    let of_stage = name.strip_suffix(topics::CHANGELOG);
    of_topic.is_some_and(|topic| TOPICS.iter().any(|it| it.name == topic))
        || of_stage.is_some_and(|stage| Service::by_name(stage).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::installation::{Installation, topic_specs};

    fn prefix() -> Prefix {
        Prefix::new("p1.").unwrap()
    }

    fn wanted() -> Vec<TopicSpec> {
        topic_specs(&Installation::on_one_broker(prefix(), 4))
    }

    fn in_place(specs: &[TopicSpec]) -> Vec<ExistingTopic> {
        specs
            .iter()
            .map(|spec| ExistingTopic {
                name: spec.name.clone(),
                partitions: spec.partitions,
                replication: spec.replication,
                config: spec.config.clone(),
            })
            .collect()
    }

    /// Changes one existing topic, and expects what the plan says of it.
    #[track_caller]
    fn check(name: &str, change: impl FnOnce(&mut ExistingTopic), expected: &[&str]) {
        let wanted = wanted();
        let mut existing = in_place(&wanted);
        change(existing.iter_mut().find(|it| it.name == name).unwrap());
        let plan = plan(&prefix(), &existing, &wanted);
        let texts: Vec<String> = plan.iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), expected.len(), "{texts:#?}");
        for (text, part) in texts.iter().zip(expected) {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn an_empty_cluster_gets_every_topic() {
        let wanted = wanted();
        let plan = plan(&prefix(), &[], &wanted);
        let created: Vec<_> = wanted.into_iter().map(Change::Create).collect();
        assert_eq!(plan, created);
        assert!(plan.iter().all(Change::is_to_do));
    }

    #[test]
    fn what_is_in_place_stays_as_it_is() {
        check("p1.decisions", |_| {}, &[]);
        // Settings of people's own are none of ours, and neither are replicas beyond those asked for.
        check(
            "p1.decisions",
            |topic| {
                topic.replication = 3;
                topic
                    .config
                    .insert("compression.type".to_owned(), "zstd".to_owned());
            },
            &[],
        );
    }

    #[test]
    fn a_setting_that_differs_is_altered_and_peoples_own_are_kept() {
        let wanted = wanted();
        let mut existing = in_place(&wanted);
        let topic = existing
            .iter_mut()
            .find(|it| it.name == "p1.raw-alerts")
            .unwrap();
        let own = ("compression.type".to_owned(), "zstd".to_owned());
        topic.config.extend([own.clone()]);
        topic
            .config
            .insert("retention.ms".to_owned(), "1".to_owned());
        topic.config.remove("min.insync.replicas");
        let plan = plan(&prefix(), &existing, &wanted);
        let [
            Change::AlterConfig {
                name,
                changes,
                whole,
            },
        ] = plan.as_slice()
        else {
            panic!("{plan:#?}");
        };
        let spec = wanted.iter().find(|spec| spec.name == *name).unwrap();
        let mut expected = spec.config.clone();
        expected.extend([own]);
        assert_eq!(*whole, expected);
        assert_eq!(
            plan[0].to_string(),
            "alter p1.raw-alerts: min.insync.replicas from the default to 1; \
             retention.ms from 1 to 7776000000;"
        );
        assert_eq!(changes.len(), 2);
    }

    #[test]
    fn no_partition_count_is_ever_changed() {
        for (name, part) in [
            ("p1.decisions", "keys would move"),
            ("p1.decider-changelog", "State would be looked for"),
            ("p1.switches", "one partition"),
            ("p1.decisions.dlq", "order in which records failed"),
        ] {
            check(name, |topic| topic.partitions = 9, &[part]);
        }
        let refusal = Change::RefusePartitionCount {
            name: "decisions".to_owned(),
            from: 4,
            to: 8,
            reason: String::new(),
        };
        assert!(refusal.is_refusal() && !refusal.is_to_do());
    }

    #[test]
    fn missing_replicas_are_reported() {
        check(
            "p1.decisions",
            |topic| topic.replication = 0,
            &["it has 0 replicas, 1 are wanted"],
        );
    }

    #[test]
    fn leftovers_are_reported_and_other_installations_are_not() {
        let leftovers = |prefix: &Prefix, names: &[&str]| -> Vec<String> {
            let existing: Vec<_> = names
                .iter()
                .map(|name| ExistingTopic {
                    name: (*name).to_owned(),
                    partitions: 1,
                    replication: 1,
                    config: BTreeMap::new(),
                })
                .collect();
            plan(prefix, &existing, &[])
                .into_iter()
                .map(|change| match change {
                    Change::Unknown { name } => name,
                    other => panic!("{other}"),
                })
                .collect()
        };
        let names = [
            "p1.old",
            "p1.prunella-doctor",
            "p2.old",
            "orders",
            "raw-logs.dlq",
            "effects-changelog",
            "orders-changelog",
            "__consumer_offsets",
        ];
        assert_eq!(leftovers(&prefix(), &names), ["p1.old"]);
        assert_eq!(
            leftovers(&Prefix::default(), &names),
            ["effects-changelog", "raw-logs.dlq"]
        );
    }
}
