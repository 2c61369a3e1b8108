//! Whether the declaration, an installation and the stages fit together.

mod installation;
mod stages;
mod topics;

use std::fmt;

use prunella_stream::{Io, Processor, Source, SourceKind, Task};

use crate::declaration::{Kind, TOPICS, Topic};
use crate::installation::Installation;
use crate::service::Service;

/// What a stage reads and writes, as its code says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageIo {
    /// Application id.
    pub app: String,
    /// What it reads.
    pub sources: Vec<Source>,
    /// Topics it writes, besides dead letters and changelog.
    pub sinks: Vec<&'static str>,
}

impl StageIo {
    /// Of a processor.
    #[must_use]
    pub fn of<P: Processor>() -> Self {
        Self {
            app: P::APP.to_owned(),
            sources: P::Io::SOURCES.to_vec(),
            sinks: P::Io::SINKS.to_vec(),
        }
    }

    /// Of a task.
    #[must_use]
    pub fn of_task(task: &dyn Task) -> Self {
        Self {
            app: task.app().to_owned(),
            sources: task.sources().to_vec(),
            sinks: task.sinks().to_vec(),
        }
    }
}

/// A rule that the topology keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// Keyed topics that one stage reads have equal partition counts and one meaning of the key.
    CoPartitioned,
    /// One service writes a topic, save where the declaration says why not.
    SingleWriter,
    /// Somebody writes every topic, and somebody reads it.
    NoOrphan,
    /// A stage reads and writes what is declared of it, and nothing else.
    Agreement,
    /// A broadcast topic has one partition.
    BroadcastPartitions,
    /// A changelog's partitions follow from its stage's keyed topics, and it is compacted.
    Changelog,
    /// Names and schemas exist, once.
    Declaration,
    /// An installation's settings make sense.
    Installation,
}

impl Rule {
    /// Every rule.
    pub const ALL: &'static [Self] = &[
        Self::CoPartitioned,
        Self::SingleWriter,
        Self::NoOrphan,
        Self::Agreement,
        Self::BroadcastPartitions,
        Self::Changelog,
        Self::Declaration,
        Self::Installation,
    ];

    /// Its name, for scripts.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CoPartitioned => "co-partitioned",
            Self::SingleWriter => "single-writer",
            Self::NoOrphan => "no-orphan",
            Self::Agreement => "agreement",
            Self::BroadcastPartitions => "broadcast-partitions",
            Self::Changelog => "changelog",
            Self::Declaration => "declaration",
            Self::Installation => "installation",
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule that is broken.
    pub rule: Rule,
    /// The topic or stage it is about.
    pub subject: String,
    /// What is wrong, and what to do about it.
    pub message: String,
}

impl Finding {
    fn new(rule: Rule, subject: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            rule,
            subject: subject.into(),
            message: message.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} ({}): {}",
            self.subject,
            self.rule.name(),
            self.message
        )
    }
}

/// Everything that is wrong with the declared topics in an installation, given every stage there is. Nothing
/// is wrong if the list is empty.
#[must_use]
pub fn check(installation: &Installation, stages: &[StageIo]) -> Vec<Finding> {
    check_topics(TOPICS, installation, stages)
}

/// As [`check`], for topics that are not the declared ones.
#[must_use]
pub fn check_topics(
    topics: &[Topic],
    installation: &Installation,
    stages: &[StageIo],
) -> Vec<Finding> {
    let mut findings = Vec::new();
    topics::check(topics, &mut findings);
    installation::check(topics, installation, &mut findings);
    stages::check(topics, installation, stages, &mut findings);
    findings
}

/// The stages exactly as the topics declare them.
#[must_use]
pub fn declared_stages(topics: &[Topic]) -> Vec<StageIo> {
    let stages = Service::ALL.iter().copied().filter(|it| it.is_stage());
    stages
        .map(|service| StageIo {
            app: service.name().to_owned(),
            sources: topics
                .iter()
                .filter(|topic| topic.readers.contains(&service))
                .map(source)
                .collect(),
            sinks: topics
                .iter()
                .filter(|topic| topic.writers.contains(&service))
                .map(|topic| topic.name)
                .collect(),
        })
        .collect()
}

fn source(topic: &Topic) -> Source {
    Source {
        topic: topic.name,
        kind: match topic.kind {
            Kind::Keyed | Kind::Journal => SourceKind::Keyed,
            Kind::Broadcast => SourceKind::Broadcast,
        },
    }
}

fn named<'a>(topics: &'a [Topic], name: &str) -> Option<&'a Topic> {
    topics.iter().find(|topic| topic.name == name)
}

fn list(services: &[Service]) -> String {
    let names: Vec<&str> = services.iter().map(|service| service.name()).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests;
