//! One process: its stages, their threads, and how they end.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use prunella_stream::transaction::{Guarantee, Transaction};
use prunella_stream::{Source, SourceKind, Task};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;

use crate::broadcast::Broadcast;
use crate::changelog::Changelog;
use crate::clock::{boot_millis, wall_millis};
use crate::config::{Assignment, ConfigError, KafkaConfig, Prefixed, RuntimeConfig};
use crate::effects::{EffectRunner, Lease};
use crate::kafka::client_config;
use crate::metrics::Metrics;
use crate::rebalance::RebalanceContext;
use crate::stream_thread::{Batch, StreamThread};
use crate::watchdog::{self, Watchdog};
use crate::wire::Framing;

/// Makes a stage's task for a partition.
pub type MakeTask = Arc<dyn Fn(i32) -> Box<dyn Task> + Send + Sync>;

/// A stage to run.
#[derive(Clone)]
pub struct StageSpec {
    /// Application id.
    pub app: &'static str,
    /// What it reads.
    pub sources: &'static [Source],
    /// What it writes.
    pub sinks: &'static [&'static str],
    /// Makes its tasks.
    pub make: MakeTask,
}

/// Why a process cannot go on.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RuntimeError {
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Two processes have one name.
    #[error(
        "another process runs as `{0}`: give each process a `runtime.instance` of its own; this one ends so that the two do not fence each other for ever"
    )]
    NameInUse(String),
    /// A member gave its membership up and was fenced for what it still sent. Its thread begins anew.
    #[error(
        "`{0}` heard nothing from the group for a whole session and is no member any more; it joins again"
    )]
    CutOff(String),
    /// State was restored, but not the offsets that belong to it.
    #[error(
        "group {group} has no offset of ours for {topic} partition {partition}, but its changelog holds state: the offsets expired or were reset, and going on would process alerts twice. If that is wanted, set `runtime.accept_lost_offsets = true` for one start; else delete the changelog's records too"
    )]
    LostOffsets {
        /// Consumer group.
        group: String,
        /// Input topic.
        topic: String,
        /// Its partition.
        partition: i32,
    },
    /// A changelog cannot be read.
    #[error("{0}")]
    Changelog(String),
    /// A topic is not there.
    #[error("topic {0} is not there: run `prunella topology topics --apply`")]
    MissingTopic(String),
    /// Kafka says no.
    #[error("kafka: {0}; `prunella doctor` finds out more")]
    Kafka(#[from] KafkaError),
    /// A call of the client library does not come back.
    #[error(
        "a call of the Kafka client in `{0}` has not come back for 30 s although its limit is 6 s; this process ends, and whoever started it should start it again: it goes on where its last commit was"
    )]
    Stuck(String),
    /// A thread died.
    #[error("a stream thread panicked: {0}; please report it")]
    Panicked(String),
}

/// What the process tells its supervisor.
#[derive(Debug, Default)]
pub struct Health {
    threads: Mutex<BTreeMap<String, bool>>,
    failed: Mutex<Option<RuntimeError>>,
}

impl Health {
    pub(crate) fn set_ready(&self, thread: &str, ready: bool) {
        lock(&self.threads).insert(thread.to_owned(), ready);
    }

    /// Threads that are not ready: not assigned, or restoring.
    #[must_use]
    pub fn waiting(&self) -> Vec<String> {
        let threads = lock(&self.threads);
        threads
            .iter()
            .filter(|(_, ready)| !**ready)
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// The failure that ends the process, if there is one.
    #[must_use]
    pub fn failure(&self) -> Option<RuntimeError> {
        lock(&self.failed).clone()
    }

    fn fail(&self, error: RuntimeError) {
        let mut failed = lock(&self.failed);
        if failed.is_none() {
            *failed = Some(error);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// What the threads of a process share.
pub(crate) struct Shared {
    pub(crate) config: RuntimeConfig,
    pub(crate) base: ClientConfig,
    pub(crate) prefix: Prefixed,
    pub(crate) broadcast: Broadcast,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) runner: Arc<dyn EffectRunner>,
    pub(crate) health: Arc<Health>,
    pub(crate) framing: Framing,
    pub(crate) stop: AtomicBool,
    pub(crate) watchdog: Watchdog,
    /// When the process began: makes the tokens of its releases its own.
    pub(crate) started: i64,
}

/// The running stages of a process.
pub struct Runtime {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Runtime {
    /// Starts the stages. Returns at once; [`Health`] tells when they are ready.
    ///
    /// # Errors
    /// A wrong setting, a missing topic, or a broker that cannot be reached.
    pub fn start(
        kafka: &KafkaConfig,
        config: RuntimeConfig,
        stages: Vec<StageSpec>,
        broadcast: Broadcast,
        runner: Arc<dyn EffectRunner>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, RuntimeError> {
        Self::start_framed(None, kafka, config, stages, broadcast, runner, metrics)
    }

    /// As [`Runtime::start`], with something between topics and stages.
    ///
    /// # Errors
    /// As [`Runtime::start`].
    pub fn start_framed(
        framing: Framing,
        kafka: &KafkaConfig,
        config: RuntimeConfig,
        stages: Vec<StageSpec>,
        broadcast: Broadcast,
        runner: Arc<dyn EffectRunner>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, RuntimeError> {
        config.validate()?;
        let shared = Arc::new(Shared {
            base: client_config(kafka),
            prefix: Prefixed(kafka.prefix.clone()),
            broadcast,
            metrics,
            runner,
            health: Arc::default(),
            framing,
            stop: AtomicBool::new(false),
            watchdog: Watchdog::default(),
            started: wall_millis(),
            config,
        });
        let mut runtime = Self {
            shared,
            threads: Vec::new(),
        };
        runtime.start_broadcast()?;
        runtime.start_watchdog()?;
        for stage in stages {
            for thread in 0..runtime.shared.config.threads {
                if let Err(error) = runtime.start_thread(&stage, thread) {
                    runtime.stop();
                    return Err(error);
                }
            }
        }
        Ok(runtime)
    }

    /// State of the process.
    #[must_use]
    pub fn health(&self) -> Arc<Health> {
        Arc::clone(&self.shared.health)
    }

    /// Asks every thread to finish what it has begun.
    pub fn request_stop(&self) {
        self.shared.stop.store(true, Ordering::SeqCst);
    }

    /// Stops: commits, drains, releases, leaves. Returns when all threads have ended.
    pub fn stop(self) {
        self.request_stop();
        for thread in self.threads {
            // Whoever is stuck would be waited for in vain; the end of the process ends it.
            while !thread.is_finished() && !self.shared.watchdog.is_stuck() {
                std::thread::sleep(Duration::from_millis(5));
            }
            if thread.is_finished() && thread.join().is_err() {
                tracing::error!("a stream thread panicked");
            }
        }
        self.shared.watchdog.end_all();
        self.shared.broadcast.stop();
    }

    fn start_watchdog(&mut self) -> Result<(), RuntimeError> {
        let shared = Arc::clone(&self.shared);
        let spawned = std::thread::Builder::new()
            .name("watchdog".to_owned())
            .spawn(move || {
                while !shared.watchdog.is_over() {
                    std::thread::sleep(watchdog::LOOK);
                    if let Some(thread) = shared.watchdog.look() {
                        return shared.health.fail(RuntimeError::Stuck(thread));
                    }
                }
            });
        spawned
            .map(drop)
            .map_err(|error| RuntimeError::Panicked(error.to_string()))
    }

    fn start_broadcast(&mut self) -> Result<(), RuntimeError> {
        let shared = Arc::clone(&self.shared);
        let spawned = std::thread::Builder::new()
            .name("broadcast".to_owned())
            .spawn(move || {
                if let Err(error) =
                    shared
                        .broadcast
                        .run(&shared.base, &shared.prefix, &shared.framing)
                {
                    shared.health.fail(error.into());
                }
            });
        // It ends when the broadcast log is stopped, after the stream threads.
        spawned
            .map(drop)
            .map_err(|error| RuntimeError::Panicked(error.to_string()))
    }

    fn start_thread(&mut self, stage: &StageSpec, number: usize) -> Result<(), RuntimeError> {
        let mut thread = Self::stream_thread(&self.shared, stage, number)?;
        let name = format!("{}-{number}", stage.app);
        let shared = Arc::clone(&self.shared);
        let stage = stage.clone();
        shared.health.set_ready(&thread.id, false);
        let spawned = std::thread::Builder::new().name(name).spawn(move || {
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                loop {
                    match thread.work() {
                        Err(error @ RuntimeError::CutOff(_)) => {
                            thread.begin_anew(&error, &stage, number)
                        }
                        outcome => return outcome,
                    }
                }
            }));
            let error = match outcome {
                Ok(Ok(())) => return,
                Ok(Err(error)) => error,
                Err(_) => RuntimeError::Panicked(thread.id.clone()),
            };
            tracing::error!(stage = thread.spec.app, %error, "stream thread ended");
            thread.lease.close();
            thread.shared.health.fail(error);
            thread.consumer.context().close();
        });
        let handle = spawned.map_err(|error| RuntimeError::Panicked(error.to_string()))?;
        self.threads.push(handle);
        Ok(())
    }

    fn stream_thread(
        shared: &Arc<Shared>,
        stage: &StageSpec,
        number: usize,
    ) -> Result<StreamThread, RuntimeError> {
        let prefix = &shared.prefix;
        let id = prefix.name(&format!(
            "{}.{}.{number}",
            stage.app, shared.config.instance
        ));
        let group = prefix.name(stage.app);
        let consumer: BaseConsumer<RebalanceContext> =
            consumer_config(shared, &group, &id).create_with_context(RebalanceContext::default())?;
        let lease = Lease::new(shared.config.session_timeout_ms);
        let mut thread = StreamThread {
            source_topics: stage
                .sources
                .iter()
                .map(|source| prefix.name(source.topic))
                .collect(),
            sink_topics: stage.sinks.iter().map(|sink| prefix.name(sink)).collect(),
            dead_letter_topics: stage
                .sources
                .iter()
                .map(|source| prefix.name(&format!("{}.dlq", source.topic)))
                .collect(),
            changelog: Changelog {
                topic: prefix.name(&format!("{}-changelog", stage.app)),
                partitions: 1,
            },
            consumer: Arc::new(consumer),
            shared: Arc::clone(shared),
            spec: stage.clone(),
            id,
            group,
            producer: None,
            metadata: None,
            machine: Transaction::new(shared.config.guarantee),
            slots: BTreeMap::new(),
            parked: BTreeMap::new(),
            reborn: BTreeMap::new(),
            lease,
            settled: crossbeam_channel::unbounded(),
            in_flight: Default::default(),
            batch: Batch::default(),
            commit_begun: boot_millis(),
            rebuild_wanted: false,
            paused: false,
            full_since: None,
            handing_over: false,
            leaked: false,
            releases: 0,
        };
        if shared.config.assignment == Assignment::Group {
            thread.check_topics()?;
        }
        Ok(thread)
    }
}

impl StreamThread {
    fn work(&mut self) -> Result<(), RuntimeError> {
        self.renew_producer()?;
        self.join_group()?;
        self.run()
    }

    /// A fenced client is of no use any more: the thread goes on with new ones, as a process would that was
    /// started again. Effects under way are found open then, and their outcomes are asked for.
    fn begin_anew(&mut self, why: &RuntimeError, stage: &StageSpec, number: usize) {
        tracing::warn!(stage = stage.app, %why, "beginning anew");
        self.shared.health.set_ready(&self.id, false);
        self.lease.close();
        self.consumer.context().close();
        while !self.is_stopping() {
            match Runtime::stream_thread(&self.shared, stage, number) {
                Ok(thread) => {
                    *self = thread;
                    return;
                }
                Err(error) => {
                    tracing::warn!(stage = stage.app, %error, "not yet; trying again");
                    std::thread::sleep(Duration::from_millis(500));
                }
            }
        }
    }

    /// Every topic must be there before anything is processed: a missing one would stop a transaction midway.
    fn check_topics(&mut self) -> Result<(), RuntimeError> {
        let topics = self.source_topics.iter().chain(&self.sink_topics);
        for topic in topics.chain(&self.dead_letter_topics) {
            self.partitions_of(topic)?;
        }
        let partitions = self.partitions_of(&self.changelog.topic)?;
        self.changelog.partitions = i32::try_from(partitions).unwrap_or(i32::MAX);
        Ok(())
    }

    fn partitions_of(&self, topic: &str) -> Result<usize, RuntimeError> {
        let metadata = self
            .consumer
            .fetch_metadata(Some(topic), Duration::from_secs(15))?;
        let found = metadata
            .topics()
            .iter()
            .find(|found| found.error().is_none());
        match found.map_or(0, |found| found.partitions().len()) {
            0 => Err(RuntimeError::MissingTopic(topic.to_owned())),
            partitions => Ok(partitions),
        }
    }

    /// Joins after the producer's id was fenced and before any offset is read.
    fn join_group(&self) -> Result<(), RuntimeError> {
        if self.shared.config.assignment == Assignment::All {
            return Ok(());
        }
        let topics: Vec<&str> = self
            .spec
            .sources
            .iter()
            .zip(&self.source_topics)
            .filter(|(source, _)| source.kind == SourceKind::Keyed)
            .map(|(_, topic)| topic.as_str())
            .collect();
        self.consumer.subscribe(&topics).map_err(RuntimeError::from)
    }
}

fn consumer_config(shared: &Shared, group: &str, id: &str) -> ClientConfig {
    let session = shared.config.session_timeout_ms;
    let mut config = shared.base.clone();
    config
        .set("client.id", id)
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "earliest")
        .set("isolation.level", "read_committed")
        .set("partition.assignment.strategy", "range")
        .set("session.timeout.ms", session.to_string())
        .set(
            "heartbeat.interval.ms",
            (session / 5).clamp(200, 2_000).to_string(),
        )
        .set("max.poll.interval.ms", session.max(30_000).to_string())
        .set("fetch.queue.backoff.ms", "5")
        .set("fetch.error.backoff.ms", "50")
        .set("queued.max.messages.kbytes", "65536");
    if shared.config.assignment == Assignment::Group {
        config.set("group.instance.id", id);
    }
    if shared.config.guarantee == Guarantee::AtLeastOnce {
        config.set("isolation.level", "read_uncommitted");
    }
    config
}
