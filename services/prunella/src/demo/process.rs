//! The patient and the judge, each a process of its own.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::demo::{log_path, own_program};

/// Length of the judge's windows.
pub const WINDOW: Duration = Duration::from_millis(100);

/// The sick service.
pub struct Patient {
    /// Its base URL.
    pub url: String,
    log: PathBuf,
    _child: Child,
    _output: Lines<BufReader<ChildStdout>>,
}

impl Patient {
    /// Starts it on a free port.
    pub async fn start(directory: &Path) -> Result<Self> {
        let log = log_path(directory);
        let arguments = ["__patient", "--listen", "127.0.0.1:0", "--log"];
        let (child, mut output) = start(&arguments, &[&log.to_string_lossy()])?;
        let address = output
            .next_line()
            .await?
            .context("the patient ended before it listened")?;
        Ok(Self {
            url: format!("http://{}", address.trim()),
            log,
            _child: child,
            _output: output,
        })
    }

    /// How many restarts its own log of requests shows. The log is raw: every request received is a line.
    pub fn restarts(&self) -> Result<usize> {
        let log = std::fs::read_to_string(&self.log)?;
        Ok(log
            .lines()
            .filter(|line| line.contains("POST /admin/pool/restart"))
            .count())
    }
}

/// One window of the judge.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct Window {
    ok: u64,
    failed: u64,
}

/// The client that judges.
pub struct Judge {
    windows: Arc<Mutex<VecDeque<Window>>>,
    totals: Arc<Mutex<Window>>,
    _child: Child,
}

impl Judge {
    /// Starts it.
    pub async fn start(url: &str) -> Result<Self> {
        let (child, mut output) = start(&["__judge", "--target"], &[url])?;
        let judge = Self {
            windows: Arc::default(),
            totals: Arc::default(),
            _child: child,
        };
        let (windows, totals) = (Arc::clone(&judge.windows), Arc::clone(&judge.totals));
        tokio::spawn(async move {
            while let Ok(Some(line)) = output.next_line().await {
                if let Ok(window) = serde_json::from_str::<Window>(&line) {
                    note(&windows, &totals, window);
                }
            }
        });
        Ok(judge)
    }

    /// True if in the last three windows every answered request failed, and some were.
    pub fn failing(&self) -> bool {
        let windows = lock(&self.windows);
        let last: Vec<&Window> = windows.iter().rev().take(3).collect();
        last.len() == 3
            && last.iter().all(|window| window.ok == 0)
            && last.iter().any(|window| window.failed > 0)
    }

    /// True if for so long no request failed and some succeeded.
    pub fn well_for(&self, time: Duration) -> bool {
        let wanted = usize::try_from(time.as_millis() / WINDOW.as_millis()).unwrap_or(usize::MAX);
        let windows = lock(&self.windows);
        let last: Vec<&Window> = windows.iter().rev().take(wanted).collect();
        last.len() == wanted
            && last
                .iter()
                .all(|window| window.failed == 0 && window.ok > 0)
    }

    /// What it saw, in words.
    pub fn verdict(&self) -> String {
        let totals = *lock(&self.totals);
        let last: Window =
            lock(&self.windows)
                .iter()
                .rev()
                .take(5)
                .fold(Window::default(), |sum, window| Window {
                    ok: sum.ok + window.ok,
                    failed: sum.failed + window.failed,
                });
        format!(
            "{} requests succeeded and {} failed in all; in its last half second {} succeeded and {} failed",
            totals.ok, totals.failed, last.ok, last.failed
        )
    }
}

fn note(windows: &Mutex<VecDeque<Window>>, totals: &Mutex<Window>, window: Window) {
    let mut totals = lock(totals);
    totals.ok += window.ok;
    totals.failed += window.failed;
    let mut windows = lock(windows);
    windows.push_back(window);
    if windows.len() > 100 {
        windows.pop_front();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn start(fixed: &[&str], further: &[&str]) -> Result<(Child, Lines<BufReader<ChildStdout>>)> {
    let mut child = Command::new(own_program()?)
        .args(fixed)
        .args(further)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("starting {}", fixed.join(" ")))?;
    let Some(output) = child.stdout.take() else {
        bail!("{} has no output", fixed.join(" "));
    };
    Ok((child, BufReader::new(output).lines()))
}
