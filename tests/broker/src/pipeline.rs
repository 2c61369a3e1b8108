//! The whole pipeline on a real broker: `prunella run` for each service, in processes of their own.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use prunella_stream::transaction::Guarantee;
use prunella_test_servers::{Proc, ReservedPort};
use prunella_topology::{Installation, Prefix, topic_specs};
use tempfile::TempDir;

/// Longest wait for a service: a takeover waits for the dead one's session.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Every stage, in the order of the flow.
pub const STAGES: [&str; 4] = ["normalizer", "decider", "orchestrator", "executor"];

/// How a pipeline is set up.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Begins the installation's prefix; the rest makes it unique.
    pub name: &'static str,
    /// Partitions of its topics.
    pub partitions: i32,
    /// Replicas; of three, two must be in sync.
    pub replication: i32,
    /// What is promised.
    pub guarantee: Guarantee,
    /// Longest a transaction stays open, in milliseconds.
    pub commit_interval_ms: u64,
    /// Where the playbook's calls go.
    pub target: String,
    /// Calls that may be under way at a time in one process.
    pub max_in_flight: usize,
    /// The schema registry's URL, if there is one.
    pub schema_registry: Option<String>,
}

impl Setup {
    /// Exactly once on one broker, with calls to that target.
    #[must_use]
    pub fn new(name: &'static str, target: &str) -> Self {
        Self {
            name,
            partitions: 4,
            replication: 1,
            guarantee: Guarantee::ExactlyOnce,
            commit_interval_ms: 100,
            target: target.to_owned(),
            max_in_flight: 256,
            schema_registry: None,
        }
    }
}

/// An installation of the pipeline.
pub struct Pipeline {
    /// `host:port,...`
    pub bootstrap: String,
    /// Put before every name.
    pub prefix: String,
    /// How it is set up.
    pub setup: Setup,
    program: PathBuf,
    gateway: ReservedPort,
    dir: TempDir,
    /// Where the processes log: `PRUNELLA_TEST_LOGS`, where they stay, or else the temporary directory.
    logs: PathBuf,
}

/// One process of the pipeline.
pub struct Service {
    /// The service: a stage, or `gateway`.
    pub app: &'static str,
    /// Its instance name.
    pub instance: String,
    /// The process.
    pub process: Proc,
    /// Where its own part of the log begins: those of one name share a file.
    log_from: u64,
}

impl Service {
    /// Waits until it says that it is ready.
    ///
    /// # Errors
    /// If it ends, or takes too long.
    pub fn wait_ready(&mut self) -> Result<()> {
        self.wait_for("\nready\n")
    }

    /// Waits until its log holds this text.
    ///
    /// # Errors
    /// If it ends, or takes too long.
    pub fn wait_for(&mut self, text: &str) -> Result<()> {
        Ok(self.process.wait_for_log(text, self.log_from, PATIENCE)?)
    }

    /// What this process logged.
    #[must_use]
    pub fn log(&self) -> String {
        let from = usize::try_from(self.log_from).unwrap_or(0);
        self.process
            .log_text()
            .get(from..)
            .unwrap_or_default()
            .to_owned()
    }
}

impl Pipeline {
    /// Makes the topics of a new installation, and what its processes are started with.
    ///
    /// # Errors
    /// If the `prunella` binary is not there, or the cluster refuses.
    pub fn install(bootstrap: &str, setup: Setup) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let prefix = format!("{}-{}.", setup.name, std::process::id());
        let logs = match std::env::var_os("PRUNELLA_TEST_LOGS") {
            Some(logs) => PathBuf::from(logs).join(&prefix),
            None => dir.path().join("logs"),
        };
        std::fs::create_dir_all(&logs)?;
        let pipeline = Self {
            bootstrap: bootstrap.to_owned(),
            prefix,
            program: program()?,
            gateway: ReservedPort::new()?,
            dir,
            logs,
            setup,
        };
        std::fs::write(pipeline.dir.path().join("prunella.toml"), pipeline.config())?;
        pipeline.write_knowledge()?;
        pipeline.command(["topology", "topics", "--apply"])?;
        Ok(pipeline)
    }

    /// A topic's name in the cluster.
    #[must_use]
    pub fn topic(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// How many partitions a topic of it has.
    #[must_use]
    pub fn partitions(&self, name: &str) -> i32 {
        let installation = Installation::on_one_broker(Prefix::default(), self.setup.partitions);
        let specs = topic_specs(&installation);
        let spec = specs.iter().find(|spec| spec.name == name);
        spec.map_or(self.setup.partitions, |spec| spec.partitions)
    }

    /// `host:port` of the gateway, which keeps it over restarts.
    #[must_use]
    pub fn gateway(&self) -> String {
        self.gateway.address()
    }

    /// Starts the gateway, publishes the knowledge, and only then starts the stages, each in a process named
    /// after it: so the first alert is decided by the rules.
    ///
    /// # Errors
    /// If one of them does not become ready.
    pub fn start_all(&self) -> Result<Vec<Service>> {
        let mut services = vec![self.start("gateway", "gateway-a")?];
        services[0].wait_ready()?;
        self.apply_knowledge()?;
        for app in STAGES {
            services.push(self.start(app, &format!("{app}-a"))?);
        }
        for service in &mut services {
            service.wait_ready()?;
        }
        Ok(services)
    }

    /// Starts a service under a name.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(&self, app: &'static str, instance: &str) -> Result<Service> {
        let log = self.logs.join(format!("{instance}.log"));
        let log_from = std::fs::metadata(&log).map_or(0, |metadata| metadata.len());
        let mut command = Command::new(&self.program);
        command
            .args(["run", app, "--config"])
            .arg(self.dir.path().join("prunella.toml"))
            .env("PRUNELLA__RUNTIME__INSTANCE", instance);
        let process = Proc::start(instance, command, &log)?;
        Ok(Service {
            app,
            instance: instance.to_owned(),
            process,
            log_from,
        })
    }

    /// Publishes the knowledge through the gateway.
    ///
    /// # Errors
    /// If the gateway refuses it.
    pub fn apply_knowledge(&self) -> Result<()> {
        let gateway = format!("http://{}", self.gateway());
        let directory = self.dir.path().join("knowledge");
        self.command([
            OsStr::new("knowledge"),
            "apply".as_ref(),
            directory.as_ref(),
            "--gateway".as_ref(),
            gateway.as_ref(),
        ])?;
        Ok(())
    }

    /// Runs a command of the binary to its end.
    ///
    /// # Errors
    /// If it fails; with all that it said.
    pub fn command<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<String> {
        let config = self.dir.path().join("prunella.toml");
        let output = Command::new(&self.program)
            .arg("--config")
            .arg(config)
            .args(arguments)
            .output()?;
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        if !output.status.success() {
            bail!("prunella ended with {}: {said}", output.status);
        }
        Ok(said)
    }

    fn config(&self) -> String {
        let Setup {
            partitions,
            replication,
            commit_interval_ms,
            target,
            max_in_flight,
            ..
        } = &self.setup;
        let min_insync = (replication + 1) / 2;
        let guarantee = match self.setup.guarantee {
            Guarantee::ExactlyOnce => "exactly_once",
            Guarantee::AtLeastOnce => "at_least_once",
        };
        let registry = self.setup.schema_registry.as_deref().unwrap_or_default();
        let (bootstrap, prefix, gateway) = (&self.bootstrap, &self.prefix, self.gateway());
        format!(
            r#"
[kafka]
bootstrap_servers = "{bootstrap}"
prefix = "{prefix}"
[runtime]
guarantee = "{guarantee}"
session_timeout_ms = 6000
commit_interval_ms = {commit_interval_ms}
[schema_registry]
url = "{registry}"
[http]
listen = "127.0.0.1:0"
[gateway]
listen = "{gateway}"
[effects]
base_url = "{target}"
max_in_flight = {max_in_flight}
[topology]
partitions = {partitions}
replication = {replication}
min_insync = {min_insync}
"#
        )
    }

    fn write_knowledge(&self) -> Result<()> {
        let directory = self.dir.path().join("knowledge");
        std::fs::create_dir(&directory)?;
        std::fs::write(directory.join("settings.yaml"), SETTINGS)?;
        std::fs::write(directory.join("rules.yaml"), RULES)?;
        std::fs::write(directory.join("playbook.yaml"), PLAYBOOK)?;
        Ok(())
    }
}

/// The binary under test. A test that cannot run it fails and says how to build it.
fn program() -> Result<PathBuf> {
    let program = match std::env::var_os("PRUNELLA_BIN") {
        Some(program) => PathBuf::from(program),
        // The test itself lies in target/debug/deps.
        None => std::env::current_exe()?
            .ancestors()
            .nth(2)
            .context("the test has no directory")?
            .join("prunella"),
    };
    if !program.is_file() {
        bail!(
            "{} is not there; build it with `cargo build -p prunella`",
            program.display()
        );
    }
    Ok(program)
}

/// Nothing but the services themselves sets a limit.
const SETTINGS: &str = "
cooldown: 1ms
cooldown_max: 1ms
budget_actions: 1000000
act_within: 24h
rearm_after: 24h
";

const RULES: &str = "
rules:
  - id: ACT
    alert_name: Act
    playbook: PB-Act
    description: one call that changes its target
";

const PLAYBOOK: &str = r#"
playbook_id: PB-Act
name: act once
autonomy: automatic
tasks:
  - id: act
    name: change the target
    type: API_Call
    action: POST /act
    target: "{{ service_name }}"
    parameters:
      probe:
        action: GET /done/{{ idempotency_key }}
        done_if: "status == 200"
        absent_if: "status == 404"
    timeout: 2s
    on_failure: escalate
"#;
