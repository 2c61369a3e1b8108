//! An installation's settings against the declaration.

use super::{Finding, Rule, named};
use crate::declaration::{Kind, Topic, dead_lettered, with_changelog};
use crate::installation::Installation;
use crate::service::Service;
use crate::topics as names;

pub(super) fn check(topics: &[Topic], installation: &Installation, findings: &mut Vec<Finding>) {
    numbers(installation, findings);
    broadcast_topics_have_one_partition(topics, installation, findings);
    partitions_name_topics(topics, installation, findings);
    settings_name_topics(topics, installation, findings);
}

fn numbers(installation: &Installation, findings: &mut Vec<Finding>) {
    let mut wrong = |subject: &str, message: String| {
        findings.push(Finding::new(Rule::Installation, subject, message));
    };
    let set = installation
        .partitions_of
        .iter()
        .map(|(name, partitions)| (name.as_str(), *partitions));
    for (name, partitions) in std::iter::once(("partitions", installation.partitions)).chain(set) {
        if partitions < 1 {
            wrong(
                name,
                format!("{partitions} partitions; a topic has at least 1"),
            );
        }
    }
    let (replication, min_insync) = (installation.replication, installation.min_insync);
    if replication < 1 {
        wrong(
            "replication",
            format!("{replication} replicas; a partition has at least 1"),
        );
    }
    if min_insync < 1 || min_insync > replication {
        wrong(
            "min_insync",
            format!(
                "{min_insync} replicas must have a record, of {replication}; choose from 1 to {replication}, \
                 and one less than all of them so that a broker may be away"
            ),
        );
    }
}

fn broadcast_topics_have_one_partition(
    topics: &[Topic],
    installation: &Installation,
    findings: &mut Vec<Finding>,
) {
    let broadcast = topics.iter().filter(|topic| topic.kind == Kind::Broadcast);
    for topic in broadcast {
        let partitions = installation.partitions_of(topic);
        if partitions != 1 {
            findings.push(Finding::new(
                Rule::BroadcastPartitions,
                topic.name,
                format!(
                    "{partitions} partitions, but every task reads all of it in one order; remove its entry \
                     from the installation's partitions"
                ),
            ));
        }
    }
}

fn partitions_name_topics(
    topics: &[Topic],
    installation: &Installation,
    findings: &mut Vec<Finding>,
) {
    for (name, partitions) in &installation.partitions_of {
        let group = |topic: &Topic| topic.co_partition_group == Some(name.as_str());
        if named(topics, name).is_some() || topics.iter().any(group) {
            continue;
        }
        if let Some(service) = changelog_of(topics, name) {
            let wanted = installation.changelog_partitions(topics, service);
            findings.push(Finding::new(
                Rule::Changelog,
                name,
                format!(
                    "set to {partitions} partitions; a changelog's follow from its stage's keyed topics, here \
                     {wanted}: remove the entry"
                ),
            ));
        } else if is_dead_letters(topics, name) {
            findings.push(Finding::new(
                Rule::Installation,
                name,
                "a dead-letter queue has one partition; remove the entry",
            ));
        } else {
            findings.push(unknown(topics, name));
        }
    }
}

fn settings_name_topics(
    topics: &[Topic],
    installation: &Installation,
    findings: &mut Vec<Finding>,
) {
    for (name, settings) in &installation.settings_of {
        let changelog = changelog_of(topics, name).is_some();
        if !changelog && named(topics, name).is_none() && !is_dead_letters(topics, name) {
            findings.push(unknown(topics, name));
        }
        if let Some(policy) = settings.get("cleanup.policy") {
            let rule = if changelog {
                Rule::Changelog
            } else {
                Rule::Installation
            };
            findings.push(Finding::new(
                rule,
                name,
                format!(
                    "cleanup.policy is set to {policy}; whether a topic is compacted is part of what it \
                     means: remove the setting"
                ),
            ));
        }
    }
}

fn unknown(topics: &[Topic], name: &str) -> Finding {
    let known: Vec<&str> = topics.iter().map(|topic| topic.name).collect();
    Finding::new(
        Rule::Installation,
        name,
        format!(
            "no topic has this name; write it without the prefix, as one of {}",
            known.join(", ")
        ),
    )
}

fn changelog_of(topics: &[Topic], name: &str) -> Option<Service> {
    with_changelog(topics).find(|service| names::changelog(service.name()) == name)
}

fn is_dead_letters(topics: &[Topic], name: &str) -> bool {
    dead_lettered(topics).any(|topic| names::dead_letters(topic.name) == name)
}
