//! Real Apache Kafka clusters on loopback.

mod properties;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use self::properties::{ClusterId, server_properties};
use crate::{
    afterwards::{Afterwards, temporary_dir},
    error::{Doing, Result, ServerError},
    java::java,
    metadata::Metadata,
    ports::ReservedPort,
    process::{PAUSE, Proc},
};

/// A broker on a loaded machine of two cores has been seen to need 10 s; nobody waits this long for a good one.
const START_TIMEOUT: Duration = Duration::from_secs(90);
/// A node whose peers are gone waits for them; then it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
const ASK_TIMEOUT: Duration = Duration::from_secs(5);

/// One or three real Apache Kafka processes in KRaft mode, each broker and controller at once. Nodes are numbered
/// from 1. Dropped, it kills its processes and deletes its data, unless the directory was given.
///
/// With three nodes the default replication factor and that of the internal topics is 3, and 2 replicas must be
/// in sync; with one node both are 1. Topics are not created by being used.
///
/// Every method takes `&self`, so that one thread of a test can kill brokers while others work.
#[derive(Debug)]
pub struct KafkaCluster {
    nodes: Vec<Node>,
    bootstrap: String,
    options: ClusterOptions,
    dir: PathBuf,
    // Dropped in this order, after the nodes: the directory goes, then the watch that would have deleted it.
    _temporary: Option<(TempDir, Afterwards)>,
}

/// What a cluster is started with.
#[derive(Debug, Clone, Default)]
pub struct ClusterOptions {
    /// 1 or 3.
    pub nodes: usize,
    /// Where data and logs go, kept when the cluster ends; a cluster that was there before is continued.
    /// `None`: a temporary directory.
    pub dir: Option<PathBuf>,
    /// Lines for each node's server.properties; they win over the built-in ones.
    pub properties: Vec<(String, String)>,
    pub jit: Jit,
}

/// How the JVM compiles.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Jit {
    /// The first tier only: a node starts in two thirds of the time. For tests.
    #[default]
    Quick,
    /// Both tiers, as brokers run in production. For benchmarks.
    Full,
}

#[derive(Debug)]
struct Node {
    client_port: ReservedPort,
    controller_port: ReservedPort,
    dir: PathBuf,
    process: Mutex<Option<Proc>>,
}

impl KafkaCluster {
    /// Starts a cluster of 1 or 3 nodes and waits until it serves.
    pub fn start(nodes: usize) -> Result<KafkaCluster> {
        KafkaCluster::start_with(ClusterOptions {
            nodes,
            ..ClusterOptions::default()
        })
    }

    pub fn start_with(options: ClusterOptions) -> Result<KafkaCluster> {
        if !matches!(options.nodes, 1 | 3) {
            return Err(ServerError::BadSize {
                nodes: options.nodes,
            });
        }
        let (dir, temporary) = match &options.dir {
            Some(dir) => (dir.clone(), None),
            None => {
                let (dir, deleted) = temporary_dir("prunella-kafka-")?;
                (dir.path().to_path_buf(), Some((dir, deleted)))
            }
        };
        let nodes = (1..=options.nodes)
            .map(|node| Node::new(&dir, node))
            .collect::<Result<Vec<_>>>()?;
        let bootstrap = nodes
            .iter()
            .map(|node| node.client_port.address())
            .collect::<Vec<_>>()
            .join(",");
        let cluster = KafkaCluster {
            nodes,
            bootstrap,
            options,
            dir,
            _temporary: temporary,
        };
        cluster.write_properties()?;
        cluster.format()?;
        for node in 1..=cluster.nodes.len() {
            cluster.spawn(node)?;
        }
        cluster.wait_ready()?;
        Ok(cluster)
    }

    /// The bootstrap servers of the one broker that all tests of this process have in common: the one named by
    /// `PRUNELLA_TEST_KAFKA` (`host:port`), else one that is started now and ends with the process.
    ///
    /// Who uses it names topics, groups and transactional ids of its own, and does not kill it.
    pub fn shared() -> Result<&'static str> {
        static SHARED: Mutex<Option<&'static str>> = Mutex::new(None);
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bootstrap) = *shared {
            return Ok(bootstrap);
        }
        let bootstrap: &'static str = match std::env::var("PRUNELLA_TEST_KAFKA") {
            Ok(bootstrap) if !bootstrap.is_empty() => {
                let first = bootstrap.split(',').next().unwrap_or_default();
                Metadata::ask(first, ASK_TIMEOUT)?;
                Box::leak(bootstrap.into_boxed_str())
            }
            // Never dropped; `Afterwards` ends it.
            _ => Box::leak(Box::new(KafkaCluster::start(1)?)).bootstrap(),
        };
        *shared = Some(bootstrap);
        Ok(bootstrap)
    }

    /// `127.0.0.1:PORT` of every node, separated by commas.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// `127.0.0.1:PORT` of one node.
    pub fn address(&self, node: usize) -> Result<String> {
        Ok(self.node(node)?.client_port.address())
    }

    /// How many nodes it was started with.
    pub fn size(&self) -> usize {
        self.nodes.len()
    }

    /// Where each node's server.properties, data and log are, in `node-N/`.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The file that a node logs into.
    pub fn log(&self, node: usize) -> Result<PathBuf> {
        Ok(self.node(node)?.log())
    }

    /// The process id of a node, if it runs.
    pub fn pid(&self, node: usize) -> Result<Option<u32>> {
        Ok(self.node(node)?.process().as_ref().map(Proc::pid))
    }

    /// Kills a node with -9. Its partitions get new leaders, and it can be let in again, when its session has
    /// expired, after 4 s (`broker.session.timeout.ms`).
    pub fn kill(&self, node: usize) -> Result<()> {
        let running = self.node(node)?.process().take();
        running.ok_or(ServerError::NotRunning { node })?.kill9()
    }

    /// Stops a node in good order: it hands its partitions over first. One that has not ended after 30 s, because
    /// the rest of the cluster is gone, is killed.
    pub fn stop(&self, node: usize) -> Result<()> {
        let running = self.node(node)?.process().take();
        let mut process = running.ok_or(ServerError::NotRunning { node })?;
        process.sigterm()?;
        match process.wait(STOP_TIMEOUT) {
            Err(ServerError::TooSlow { .. }) => process.kill9(),
            ended => ended.map(|_| ()),
        }
    }

    /// Stops every running node, in good order where that is possible, all at once.
    pub fn stop_all(&self) -> Result<()> {
        let mut processes: Vec<Proc> = self
            .nodes
            .iter()
            .filter_map(|node| node.process().take())
            .collect();
        for process in &mut processes {
            process.sigterm()?;
        }
        // The last controllers have no quorum to leave in order; they are killed when these are dropped.
        for process in &mut processes {
            let _ = process.wait(Duration::from_secs(5));
        }
        Ok(())
    }

    /// Starts a node again, stopping it first if it runs, and waits until it serves. Its replicas may still be
    /// behind: see [`KafkaCluster::wait_in_sync`].
    pub fn restart(&self, node: usize) -> Result<()> {
        if self.node(node)?.process().is_some() {
            self.stop(node)?;
        }
        self.spawn(node)?;
        self.wait_ready()
    }

    /// Waits until each running node knows all running nodes. A node that ends meanwhile is an error with the end
    /// of its log.
    pub fn wait_ready(&self) -> Result<()> {
        self.wait("ready", |running, seen| {
            let missing = running.iter().find(|node| {
                !seen
                    .brokers
                    .iter()
                    .any(|broker| broker.node == **node as i32)
            });
            missing.map(|node| format!("node {node} is not in yet"))
        })
    }

    /// Waits until every partition, internal ones too, has a leader and all its replicas in sync. Before that,
    /// killing one more node may leave fewer than `min.insync.replicas`.
    pub fn wait_in_sync(&self) -> Result<()> {
        self.wait("in sync", |_, seen| {
            seen.not_in_sync()
                .next()
                .map(|partition| format!("{partition:?}"))
        })
    }

    /// What a running node knows about the cluster.
    pub fn metadata(&self, node: usize) -> Result<Metadata> {
        Metadata::ask(&self.address(node)?, ASK_TIMEOUT)
    }

    /// Asks each running node until none has anything to object.
    fn wait(
        &self,
        what: &'static str,
        objection: impl Fn(&[usize], &Metadata) -> Option<String>,
    ) -> Result<()> {
        let start = Instant::now();
        loop {
            let running = self.running()?;
            let seen = running.iter().find_map(|node| match self.metadata(*node) {
                Ok(metadata) => objection(&running, &metadata)
                    .map(|objection| format!("node {node}: {objection}")),
                Err(error) => Some(error.to_string()),
            });
            let Some(seen) = seen else { return Ok(()) };
            let waited = start.elapsed();
            if waited >= START_TIMEOUT {
                return Err(ServerError::ClusterTooSlow {
                    what,
                    waited,
                    seen,
                    dir: self.dir.clone(),
                });
            }
            thread::sleep(PAUSE);
        }
    }

    /// The numbers of the nodes that run; a node that ended without being asked to is an error.
    fn running(&self) -> Result<Vec<usize>> {
        let mut running = Vec::new();
        for (index, node) in self.nodes.iter().enumerate() {
            if let Some(process) = node.process().as_mut() {
                if let Some(status) = process.status()? {
                    return Err(process.ended(status));
                }
                running.push(index + 1);
            }
        }
        Ok(running)
    }

    fn node(&self, node: usize) -> Result<&Node> {
        let missing = ServerError::NoSuchNode {
            node,
            nodes: self.nodes.len(),
        };
        node.checked_sub(1)
            .and_then(|index| self.nodes.get(index))
            .ok_or(missing)
    }

    fn write_properties(&self) -> Result<()> {
        for (index, node) in self.nodes.iter().enumerate() {
            let path = node.properties();
            let text = server_properties(&self.nodes, index, &self.options.properties);
            fs::write(&path, text).doing(|| format!("write {}", path.display()))?;
        }
        Ok(())
    }

    /// Gives each data directory its identity, unless it has one. The nodes' tools run side by side.
    fn format(&self) -> Result<()> {
        let id = ClusterId::new();
        let mut tools = Vec::new();
        for (node, number) in self
            .nodes
            .iter()
            .zip(1..)
            .filter(|(node, _)| !node.is_formatted())
        {
            let mut java = java()?;
            java.args([
                "-XX:TieredStopAtLevel=1",
                "kafka.tools.StorageTool",
                "format",
                "-t",
                id.as_str(),
                "-c",
            ]);
            java.arg(node.properties());
            tools.push(Proc::start(
                &format!("the format of node {number}"),
                java,
                &node.log(),
            )?);
        }
        for tool in &mut tools {
            let status = tool.wait(START_TIMEOUT)?;
            if !status.success() {
                return Err(tool.ended(status));
            }
        }
        Ok(())
    }

    fn spawn(&self, number: usize) -> Result<()> {
        let node = self.node(number)?;
        let mut java = java()?;
        java.args(["-Xmx512m", "-Dorg.slf4j.simpleLogger.showDateTime=true"]);
        java.arg("-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX");
        if self.options.jit == Jit::Quick {
            java.arg("-XX:TieredStopAtLevel=1");
        }
        java.arg("kafka.Kafka").arg(node.properties());
        *node.process() = Some(Proc::start(
            &format!("Kafka node {number}"),
            java,
            &node.log(),
        )?);
        Ok(())
    }
}

impl Node {
    fn new(cluster: &Path, number: usize) -> Result<Node> {
        let dir = cluster.join(format!("node-{number}"));
        fs::create_dir_all(&dir).doing(|| format!("create {}", dir.display()))?;
        let (client_port, controller_port) = (ReservedPort::new()?, ReservedPort::new()?);
        Ok(Node {
            client_port,
            controller_port,
            dir,
            process: Mutex::new(None),
        })
    }

    fn properties(&self) -> PathBuf {
        self.dir.join("server.properties")
    }

    fn log(&self) -> PathBuf {
        self.dir.join("kafka.log")
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    fn is_formatted(&self) -> bool {
        self.data().join("meta.properties").exists()
    }

    fn process(&self) -> MutexGuard<'_, Option<Proc>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
