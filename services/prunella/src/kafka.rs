//! The commands' own look at a cluster: topics made, listed, read.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use prunella_runtime::{KafkaConfig, LogContext, client_config};
use prunella_topology::{Change, ExistingTopic, Installation, plan, topic_specs};
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigSource, NewTopic, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::reach::no_answer;

/// Longest wait for an answer of the cluster.
pub const ANSWER: Duration = Duration::from_secs(10);

fn options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(ANSWER))
        .operation_timeout(Some(ANSWER))
}

/// A consumer that joins no group.
///
/// # Errors
/// A setting that librdkafka refuses.
pub fn reader(kafka: &KafkaConfig) -> Result<BaseConsumer<LogContext>> {
    let mut config = client_config(kafka);
    config
        .set("group.id", format!("{}prunella-reader", kafka.prefix))
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true");
    config
        .create_with_context(LogContext)
        .context("kafka settings")
}

/// Partitions of a topic; none if it is not there.
///
/// # Errors
/// A cluster that does not answer.
pub fn partitions(
    kafka: &KafkaConfig,
    consumer: &BaseConsumer<LogContext>,
    topic: &str,
) -> Result<Vec<i32>> {
    let metadata = consumer
        .fetch_metadata(Some(topic), ANSWER)
        .map_err(|error| no_answer(kafka, &error))?;
    let found = metadata
        .topics()
        .iter()
        .filter(|found| found.error().is_none());
    Ok(found
        .flat_map(|topic| topic.partitions())
        .map(|partition| partition.id())
        .collect())
}

/// The cluster's topics that belong to the installation, with the settings of their own.
///
/// # Errors
/// A cluster that does not answer.
pub async fn existing(
    kafka: &KafkaConfig,
    installation: &Installation,
) -> Result<Vec<ExistingTopic>> {
    let admin: AdminClient<LogContext> = client_config(kafka).create_with_context(LogContext)?;
    let metadata = admin
        .inner()
        .fetch_metadata(None, ANSWER)
        .map_err(|error| no_answer(kafka, &error))?;
    let mut topics = Vec::new();
    for topic in metadata.topics() {
        if topic.error().is_some() || installation.prefix.strip(topic.name()).is_none() {
            continue;
        }
        let replicas = topic
            .partitions()
            .iter()
            .map(|partition| partition.replicas().len())
            .min();
        topics.push(ExistingTopic {
            name: topic.name().to_owned(),
            partitions: i32::try_from(topic.partitions().len())?,
            replication: i32::try_from(replicas.unwrap_or(0))?,
            config: BTreeMap::new(),
        });
    }
    let resources: Vec<ResourceSpecifier<'_>> = topics
        .iter()
        .map(|topic| ResourceSpecifier::Topic(&topic.name))
        .collect();
    if resources.is_empty() {
        return Ok(topics);
    }
    let described = admin
        .describe_configs(&resources, &options())
        .await
        .context("asking for the topics' settings, which an embedded broker does not tell")?;
    let configs: Vec<BTreeMap<String, String>> = described
        .into_iter()
        .map(|resource| {
            let resource = resource.map_err(|code| anyhow!("describing topics: {code}"))?;
            let own = resource
                .entries
                .into_iter()
                .filter(|entry| entry.source == ConfigSource::DynamicTopic);
            Ok(own
                .filter_map(|entry| Some((entry.name, entry.value?)))
                .collect())
        })
        .collect::<Result<_>>()?;
    for (topic, config) in topics.iter_mut().zip(configs) {
        topic.config = config;
    }
    Ok(topics)
}

/// What has to change in the cluster.
///
/// # Errors
/// A cluster that does not answer.
pub async fn changes(kafka: &KafkaConfig, installation: &Installation) -> Result<Vec<Change>> {
    let existing = existing(kafka, installation).await?;
    Ok(plan(
        &installation.prefix,
        &existing,
        &topic_specs(installation),
    ))
}

/// Makes the changes that are safe to make: creates topics and alters settings.
///
/// # Errors
/// What the cluster refuses.
pub async fn apply(kafka: &KafkaConfig, changes: &[Change]) -> Result<()> {
    let admin: AdminClient<LogContext> = client_config(kafka).create_with_context(LogContext)?;
    let options = options();
    let new: Vec<NewTopic<'_>> = changes.iter().filter_map(new_topic).collect();
    if !new.is_empty() {
        for outcome in admin.create_topics(&new, &options).await? {
            outcome.map_err(|(topic, code)| anyhow!("creating topic {topic}: {code}"))?;
        }
    }
    for change in changes {
        if let Change::AlterConfig { name, whole, .. } = change {
            let mut alter = AlterConfig::new(ResourceSpecifier::Topic(name));
            for (key, value) in whole {
                alter = alter.set(key, value);
            }
            for outcome in admin.alter_configs([&alter], &options).await? {
                outcome.map_err(|(_, code)| anyhow!("altering topic {name}: {code}"))?;
            }
        }
    }
    Ok(())
}

fn new_topic(change: &Change) -> Option<NewTopic<'_>> {
    let Change::Create(spec) = change else {
        return None;
    };
    let topic = NewTopic::new(
        &spec.name,
        spec.partitions,
        TopicReplication::Fixed(spec.replication),
    );
    Some(
        spec.config
            .iter()
            .fold(topic, |topic, (key, value)| topic.set(key, value)),
    )
}

/// Makes the small topic on which the broker's clock is read: its records are stamped by the broker.
///
/// # Errors
/// What the cluster refuses.
pub fn create_clock_topic(kafka: &KafkaConfig, topic: &str) -> Result<()> {
    let admin: AdminClient<LogContext> = client_config(kafka).create_with_context(LogContext)?;
    let new = NewTopic::new(topic, 1, TopicReplication::Fixed(-1))
        .set("message.timestamp.type", "LogAppendTime")
        .set("retention.ms", "60000");
    let options = options();
    let created = tokio::task::block_in_place(|| {
        tokio::runtime::Handle::current().block_on(admin.create_topics([&new], &options))
    })?;
    for outcome in created {
        outcome.map_err(|(topic, code)| anyhow!("creating topic {topic}: {code}"))?;
    }
    Ok(())
}
