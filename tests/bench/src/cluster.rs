//! The one broker of a run: topics made and removed, records put in, ends looked at.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use prunella_runtime::{KafkaConfig, LogContext, client_config};
use prunella_topology::{Installation, Prefix, TopicSpec, topic_specs};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::metadata::MetadataTopic;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

const ANSWER: Duration = Duration::from_secs(30);

/// Topics of one measurement, under a prefix of their own.
#[derive(Clone, Debug)]
pub struct Scene {
    /// `host:port`
    pub bootstrap: String,
    /// Put before every name.
    pub prefix: String,
    /// Partitions of keyed topics.
    pub partitions: i32,
}

impl Scene {
    /// A scene of the pipeline's own topics and of further ones.
    ///
    /// # Errors
    /// If the broker does not make them.
    pub fn new(bootstrap: &str, name: &str, partitions: i32, further: &[&str]) -> Result<Self> {
        let scene = Self {
            bootstrap: bootstrap.to_owned(),
            prefix: format!("{name}-{}.", std::process::id()),
            partitions,
        };
        let prefix = Prefix::new(&scene.prefix).map_err(|error| anyhow!("{error}"))?;
        let installation = Installation::on_one_broker(prefix, partitions);
        let mut specs: Vec<(String, i32, BTreeMap<String, String>)> = topic_specs(&installation)
            .into_iter()
            .map(
                |TopicSpec {
                     name,
                     partitions,
                     config,
                     ..
                 }| (name, partitions, config),
            )
            .collect();
        for topic in further {
            specs.push((scene.name(topic), partitions, settings_of(topic)));
        }
        let topics: Vec<NewTopic<'_>> = specs
            .iter()
            .map(|(name, partitions, config)| {
                let topic = NewTopic::new(name, *partitions, TopicReplication::Fixed(1));
                config
                    .iter()
                    .fold(topic, |topic, (key, value)| topic.set(key, value))
            })
            .collect();
        let admin = scene.admin()?;
        let created = block_on(admin.create_topics(&topics, &AdminOptions::new()))??;
        for outcome in created {
            outcome.map_err(|(topic, code)| anyhow!("topic {topic}: {code}"))?;
        }
        wait_until_there(&admin, topics.iter().map(|topic| topic.name))?;
        Ok(scene)
    }

    /// A name with the prefix.
    #[must_use]
    pub fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Settings that the stages' own clients share.
    #[must_use]
    pub fn client(&self) -> ClientConfig {
        client_config(&KafkaConfig {
            bootstrap_servers: self.bootstrap.clone(),
            ..KafkaConfig::default()
        })
    }

    fn admin(&self) -> Result<AdminClient<LogContext>> {
        Ok(self.client().create_with_context(LogContext)?)
    }

    /// Removes every topic of the scene. A broker full of old measurements would slow the next ones.
    ///
    /// # Errors
    /// If the broker does not say which there are.
    pub fn remove(&self) -> Result<()> {
        let admin = self.admin()?;
        let metadata = admin.inner().fetch_metadata(None, ANSWER)?;
        let names: Vec<&str> = metadata
            .topics()
            .iter()
            .map(MetadataTopic::name)
            .filter(|name| name.starts_with(&self.prefix))
            .collect();
        block_on(admin.delete_topics(&names, &AdminOptions::new()))??;
        Ok(())
    }

    /// A producer that is not measured.
    ///
    /// # Errors
    /// If librdkafka refuses a setting.
    pub fn producer(&self) -> Result<Feeder> {
        let producer = self
            .client()
            .set("enable.idempotence", "true")
            .set("linger.ms", "0")
            .set("queue.buffering.max.messages", "2000000")
            .set("queue.buffering.max.kbytes", "1048576")
            .set("delivery.report.only.error", "true")
            .create_with_context(LogContext)?;
        Ok(Feeder { producer })
    }

    /// A consumer of every partition of a topic from its beginning, of committed records only.
    ///
    /// # Errors
    /// If librdkafka refuses a setting.
    pub fn reader(&self, topic: &str) -> Result<BaseConsumer<LogContext>> {
        let consumer: BaseConsumer<LogContext> = self
            .client()
            .set("group.id", self.name("bench-reader"))
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("isolation.level", "read_committed")
            .set("fetch.queue.backoff.ms", "2")
            .set("enable.partition.eof", "true")
            .create_with_context(LogContext)?;
        let topic = self.name(topic);
        let mut assignment = TopicPartitionList::new();
        for partition in 0..self.partitions {
            assignment.add_partition_offset(&topic, partition, Offset::Beginning)?;
        }
        consumer.assign(&assignment)?;
        Ok(consumer)
    }

    /// Looks at the ends of topics.
    ///
    /// # Errors
    /// If librdkafka refuses a setting.
    pub fn ends(&self, isolation: &str) -> Result<Ends> {
        let consumer = self
            .client()
            .set("group.id", self.name("bench-ends"))
            .set("isolation.level", isolation)
            .create_with_context(LogContext)?;
        Ok(Ends { consumer })
    }
}

/// A topic that was made may not be known to the broker that made it for some moments.
fn wait_until_there<'a>(
    admin: &AdminClient<LogContext>,
    names: impl Iterator<Item = &'a str>,
) -> Result<()> {
    let mut missing: Vec<&str> = names.collect();
    let begun = Instant::now();
    while !missing.is_empty() {
        ensure!(
            begun.elapsed() < ANSWER,
            "topics {missing:?} were made and are not there"
        );
        let metadata = admin.inner().fetch_metadata(None, ANSWER)?;
        let led = |topic: &MetadataTopic| {
            !topic.partitions().is_empty()
                && topic.partitions().iter().all(|found| found.leader() >= 0)
        };
        missing.retain(|name| {
            !metadata
                .topics()
                .iter()
                .any(|topic| topic.name() == *name && led(topic))
        });
    }
    Ok(())
}

/// The changelog of a stage of the benchmark is what the pipeline's changelogs are.
fn settings_of(topic: &str) -> BTreeMap<String, String> {
    let compacted = [
        ("cleanup.policy", "compact"),
        ("min.cleanable.dirty.ratio", "0.3"),
        ("segment.bytes", "33554432"),
    ];
    let settings = if topic.ends_with("-changelog") {
        &compacted[..]
    } else {
        &[]
    };
    settings
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

/// Puts records in.
pub struct Feeder {
    producer: BaseProducer<LogContext>,
}

impl Feeder {
    /// Queues a record.
    ///
    /// # Errors
    /// If it cannot be queued.
    pub fn send(
        &self,
        topic: &str,
        key: &[u8],
        value: &[u8],
        headers: &[(&str, &str)],
    ) -> Result<()> {
        let mut record = BaseRecord::<[u8], [u8]>::to(topic).key(key).payload(value);
        if !headers.is_empty() {
            let mut owned = rdkafka::message::OwnedHeaders::new_with_capacity(headers.len());
            for (key, value) in headers {
                owned = owned.insert(rdkafka::message::Header {
                    key,
                    value: Some(*value),
                });
            }
            record = record.headers(owned);
        }
        self.producer
            .send(record)
            .map_err(|(error, _)| error.into())
    }

    /// Serves the client without waiting.
    pub fn poll(&self) {
        self.producer.poll(Duration::ZERO);
    }

    /// Waits until everything is acknowledged.
    ///
    /// # Errors
    /// If that takes more than a minute.
    pub fn flush(&self) -> Result<()> {
        self.producer
            .flush(Duration::from_secs(60))
            .context("the broker did not take the input in time")
    }
}

/// Looks at the ends of topics.
pub struct Ends {
    consumer: BaseConsumer<LogContext>,
}

impl Ends {
    /// End of each partition: of what is committed or of everything, as the isolation says.
    ///
    /// # Errors
    /// If the broker does not answer.
    pub fn of(&self, topic: &str, partitions: i32) -> Result<Vec<i64>> {
        (0..partitions)
            .map(|partition| Ok(self.consumer.fetch_watermarks(topic, partition, ANSWER)?.1))
            .collect()
    }
}

fn block_on<F: Future>(future: F) -> Result<F::Output> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    Ok(runtime.block_on(future))
}
