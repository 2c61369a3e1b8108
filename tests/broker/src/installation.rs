//! An installation of its own for each test: a prefix, topics, records in, and processes.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use prunella_test_servers::{Metadata, Proc, committed_summary, read_committed};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tempfile::TempDir;

/// Longest wait for the output: the machine may be busy, a takeover waits for a session.
const PATIENCE: Duration = Duration::from_secs(120);

/// Topics of one stage under a prefix of their own.
pub struct Installation {
    /// `host:port,...`
    pub bootstrap: String,
    /// Put before every name.
    pub prefix: String,
    /// The stage.
    app: &'static str,
    dir: TempDir,
}

/// What a ledger process is started with.
#[derive(Clone, Debug, Default)]
pub struct LedgerOptions {
    /// Further arguments.
    pub arguments: Vec<String>,
}

impl Installation {
    /// Makes the ledger's topics.
    ///
    /// # Errors
    /// If the broker does not make them.
    pub fn new(bootstrap: &str, name: &str, partitions: i32) -> Result<Self> {
        Self::of("ledger", bootstrap, name, partitions)
    }

    /// Makes the topics of a stage, which are named after it.
    ///
    /// # Errors
    /// If the broker does not make them.
    pub fn of(app: &'static str, bootstrap: &str, name: &str, partitions: i32) -> Result<Self> {
        let installation = Self {
            bootstrap: bootstrap.to_owned(),
            prefix: format!("{name}-{}.", std::process::id()),
            app,
            dir: tempfile::tempdir()?,
        };
        let names: Vec<String> = ["in", "out", "in.dlq", "changelog"]
            .iter()
            .map(|topic| installation.name(&format!("{app}-{topic}")))
            .collect();
        let topics: Vec<NewTopic<'_>> = names
            .iter()
            .map(|name| {
                let topic =
                    |partitions| NewTopic::new(name, partitions, TopicReplication::Fixed(1));
                if name.ends_with("changelog") {
                    // Shared by tasks, as the pipeline's are.
                    topic((partitions + 3) / 4).set("cleanup.policy", "compact")
                } else {
                    topic(partitions)
                }
            })
            .collect();
        let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
            .set("bootstrap.servers", bootstrap)
            .create()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let outcomes = runtime.block_on(admin.create_topics(&topics, &AdminOptions::new()))?;
        for outcome in outcomes {
            outcome.map_err(|(topic, code)| anyhow::anyhow!("topic {topic}: {code}"))?;
        }
        installation.wait_for_topics(&names)?;
        Ok(installation)
    }

    /// Waits until the broker serves these topics: its controller answers a little earlier.
    fn wait_for_topics(&self, names: &[String]) -> Result<()> {
        let broker = self.bootstrap.split(',').next().unwrap_or_default();
        let give_up = Instant::now() + PATIENCE;
        loop {
            let seen = Metadata::ask(broker, PATIENCE)?;
            let served = |name: &String| {
                let of_topic = seen.partitions.iter().filter(|it| it.topic == *name);
                let mut of_topic = of_topic.peekable();
                of_topic.peek().is_some() && of_topic.all(|it| it.leader.is_some())
            };
            match names.iter().find(|name| !served(name)) {
                None => return Ok(()),
                Some(name) if Instant::now() > give_up => bail!("topic {name} is not served"),
                Some(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// A name with the prefix.
    #[must_use]
    pub fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The stage's consumer group.
    #[must_use]
    pub fn group(&self) -> String {
        self.name(self.app)
    }

    /// The topic with what came out.
    #[must_use]
    pub fn output(&self) -> String {
        self.name(&format!("{}-out", self.app))
    }

    /// Produces records to the input: `keys` keys, `each` times.
    ///
    /// # Errors
    /// If the broker does not take them.
    pub fn produce(&self, keys: usize, each: usize) -> Result<()> {
        let records =
            (0..each).flat_map(|_| (0..keys).map(|key| (format!("k{key}"), "count".to_owned())));
        self.produce_records(records)
    }

    /// Produces these keys and values.
    ///
    /// # Errors
    /// If the broker does not take them.
    pub fn produce_records(&self, records: impl Iterator<Item = (String, String)>) -> Result<()> {
        let topic = self.name(&format!("{}-in", self.app));
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .set("partitioner", "murmur2_random")
            .set("enable.idempotence", "true")
            .set("queue.buffering.max.messages", "2000000")
            .create()?;
        for (key, value) in records {
            let sent = producer.send(BaseRecord::to(&topic).key(&key).payload(&value));
            sent.map_err(|(error, _)| error)?;
        }
        producer
            .flush(Duration::from_secs(60))
            .context("flushing the input")
    }

    /// Waits until the output holds so many committed records and no open transaction.
    ///
    /// # Errors
    /// If they do not come.
    pub fn wait_for_output(&self, records: u64) -> Result<()> {
        let topic = self.output();
        let give_up = Instant::now() + PATIENCE;
        loop {
            let seen = committed_summary(&self.bootstrap, &topic, PATIENCE)?;
            if seen.records >= records && !seen.has_open_transaction() {
                return Ok(());
            }
            if Instant::now() > give_up {
                bail!("{} of {records} records came out", seen.records);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Committed records of the output, in the order of the log.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn came_out(&self) -> Result<BTreeMap<String, Vec<String>>> {
        let text = |bytes: Option<Vec<u8>>| String::from_utf8(bytes.unwrap_or_default());
        let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for record in read_committed(&self.bootstrap, &self.output(), PATIENCE)? {
            let (key, value) = (text(record.key)?, text(record.value)?);
            values.entry(key).or_default().push(value);
        }
        Ok(values)
    }

    /// What is wrong with a ledger's output, if anything: every key must count from 1 without gap or repetition.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn fault(&self, keys: usize, each: usize) -> Result<Option<String>> {
        let came_out = self.came_out()?;
        let wanted: Vec<String> = (1..=each).map(|number| number.to_string()).collect();
        if came_out.len() != keys {
            return Ok(Some(format!("{} of {keys} keys came out", came_out.len())));
        }
        let wrong = came_out.into_iter().find(|(_, numbers)| *numbers != wanted);
        Ok(wrong.map(|(key, numbers)| format!("{key} counts {numbers:?}")))
    }

    /// Starts a ledger process.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn ledger(&self, program: &str, instance: &str, options: &LedgerOptions) -> Result<Proc> {
        let mut command = Command::new(program);
        command
            .args([
                "--bootstrap",
                &self.bootstrap,
                "--prefix",
                &self.prefix,
                "--instance",
                instance,
            ])
            .args(&options.arguments)
            .env("RUST_LOG", "info,librdkafka=warn");
        let log = self.dir.path().join(format!("{instance}.log"));
        Ok(Proc::start(instance, command, &log)?)
    }

    /// Deletes the stage's consumer group, as its expiry would.
    ///
    /// # Errors
    /// If the broker does not delete it.
    pub fn delete_group(&self) -> Result<()> {
        let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .create()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let group = self.group();
        let outcomes = runtime.block_on(admin.delete_groups(&[&group], &AdminOptions::new()))?;
        for outcome in outcomes {
            outcome.map_err(|(group, code)| anyhow::anyhow!("group {group}: {code}"))?;
        }
        Ok(())
    }

    /// Gives the stage's changelog more partitions, as an administrator might.
    ///
    /// # Errors
    /// If the broker refuses.
    pub fn grow_changelog(&self, partitions: usize) -> Result<()> {
        let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .create()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let topic = self.name(&format!("{}-changelog", self.app));
        let wanted = [NewPartitions::new(&topic, partitions)];
        let outcomes = runtime.block_on(admin.create_partitions(&wanted, &AdminOptions::new()))?;
        for outcome in outcomes {
            outcome.map_err(|(topic, code)| anyhow::anyhow!("topic {topic}: {code}"))?;
        }
        Ok(())
    }
}
