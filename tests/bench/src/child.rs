//! Processes of this program that are measured.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use prunella_test_servers::Proc;

use crate::cluster::Scene;
use crate::worker::Measured;

/// What a worker's last line begins with.
pub const MEASURED: &str = "measured ";

/// Longest that one measurement may take.
const PATIENCE: Duration = Duration::from_mins(4);

/// One such process.
pub struct Child {
    process: Proc,
    /// When it was started.
    pub started: Instant,
}

impl Child {
    /// Starts this program with other arguments.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(dir: &Path, name: &str, args: &[String]) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(args).env(
            "RUST_LOG",
            std::env::var("RUST_LOG").unwrap_or_else(|_| "warn".to_owned()),
        );
        // Each has a log of its own: one that is started again is ready when it says so again.
        static STARTED: AtomicU64 = AtomicU64::new(0);
        let log = dir.join(format!(
            "{}-{name}.log",
            STARTED.fetch_add(1, Ordering::Relaxed)
        ));
        let started = Instant::now();
        Ok(Self {
            process: Proc::start(name, command, &log)?,
            started,
        })
    }

    /// Starts a process of stages.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn stages(
        dir: &Path,
        scene: &Scene,
        stages: &[&str],
        instance: &str,
        further: &[&str],
    ) -> Result<Self> {
        let mut args: Vec<String> = [
            "stages",
            "--bootstrap",
            &scene.bootstrap,
            "--prefix",
            &scene.prefix,
            "--instance",
            instance,
        ]
        .iter()
        .map(|arg| (*arg).to_owned())
        .collect();
        args.extend(further.iter().map(|arg| (*arg).to_owned()));
        // To try a setting of the client library without a change: `NAME=VALUE`, separated by spaces.
        if let Ok(properties) = std::env::var("PRUNELLA_BENCH_PROPERTIES") {
            let each = properties.split_whitespace();
            args.extend(each.map(|property| format!("--property={property}")));
        }
        args.push(stages.join(","));
        Self::start(
            dir,
            &format!("{}{}-{instance}", scene.prefix, stages.join("+")),
            &args,
        )
    }

    /// Waits until it has its partitions.
    ///
    /// # Errors
    /// If it ends before, or does not become ready.
    pub fn wait_ready(&mut self) -> Result<()> {
        Ok(self.process.wait_for_log("ready", 0, PATIENCE)?)
    }

    /// Waits until it ends by itself, and takes what it measured.
    ///
    /// # Errors
    /// If it fails.
    pub fn measured(mut self) -> Result<Measured> {
        let status = self.process.wait(PATIENCE)?;
        if !status.success() {
            bail!(self.process.ended(status));
        }
        let log = self.process.log_text();
        let line = log
            .lines()
            .rev()
            .find_map(|line| line.strip_prefix(MEASURED));
        let line = line.with_context(|| format!("{} has measured nothing", self.process.name()))?;
        Ok(serde_json::from_str(line)?)
    }

    /// Asks it to end, and takes what it measured.
    ///
    /// # Errors
    /// If it fails.
    pub fn stop(mut self) -> Result<Measured> {
        self.process.sigterm()?;
        self.measured()
    }

    /// Kills it with -9.
    ///
    /// # Errors
    /// If it cannot be killed.
    pub fn kill(mut self) -> Result<()> {
        Ok(self.process.kill9()?)
    }
}
