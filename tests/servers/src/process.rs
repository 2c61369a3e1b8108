//! A child process with its log, to be stopped, continued and killed.

use std::{
    fs::{File, OpenOptions},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    afterwards::Afterwards,
    error::{Doing, Result, ServerError},
};

/// How often a wait looks again.
pub(crate) const PAUSE: Duration = Duration::from_millis(10);

/// A running child process. Dropped, it is killed with -9; it also dies when the process that started it does.
///
/// Signals go to the child alone, not to children of its own.
#[derive(Debug)]
pub struct Proc {
    name: String,
    child: Child,
    log: PathBuf,
    _with_us: Afterwards,
}

impl Proc {
    /// Starts `command` with no input; what it prints, on either stream, is appended to the file `log`.
    /// `name` is what error messages call it.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Result<Proc> {
        let file = append(log)?;
        let second = file
            .try_clone()
            .doing(|| format!("open {} twice", log.display()))?;
        command.stdout(file).stderr(second);
        Proc::spawn(name, command, log)
    }

    /// As [`Proc::start`], but standard output goes to `output`, which is emptied first.
    pub fn start_with_output(
        name: &str,
        mut command: Command,
        output: &Path,
        log: &Path,
    ) -> Result<Proc> {
        let file = File::create(output).doing(|| format!("create {}", output.display()))?;
        command.stdout(file).stderr(append(log)?);
        Proc::spawn(name, command, log)
    }

    fn spawn(name: &str, mut command: Command, log: &Path) -> Result<Proc> {
        let child = command
            .stdin(Stdio::null())
            .spawn()
            .doing(|| format!("start {name} ({})", command.get_program().display()))?;
        let with_us = Afterwards::kill(child.id())?;
        Ok(Proc {
            name: name.into(),
            child,
            log: log.into(),
            _with_us: with_us,
        })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.status()?.is_none())
    }

    /// How it ended, or `None` while it runs.
    pub fn status(&mut self) -> Result<Option<ExitStatus>> {
        let name = &self.name;
        self.child.try_wait().doing(|| format!("wait for {name}"))
    }

    /// Kills it with -9 and waits until it is gone.
    pub fn kill9(&mut self) -> Result<()> {
        self.signal(Signal::KILL)?;
        let name = &self.name;
        self.child.wait().doing(|| format!("wait for {name}"))?;
        Ok(())
    }

    /// Asks it to end; [`Proc::wait`] says whether it did.
    pub fn sigterm(&mut self) -> Result<()> {
        self.signal(Signal::TERM)
    }

    /// Stops it where it is, until [`Proc::sigcont`].
    pub fn sigstop(&mut self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    pub fn sigcont(&mut self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Waits until it has ended by itself or by an earlier signal.
    pub fn wait(&mut self, timeout: Duration) -> Result<ExitStatus> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.status()? {
                return Ok(status);
            }
            if start.elapsed() >= timeout {
                return Err(self.too_slow("at its end", timeout));
            }
            thread::sleep(PAUSE);
        }
    }

    /// Waits until `text` stands in the log, from byte `from` on; fails when the process ends first.
    pub fn wait_for_log(&mut self, text: &str, from: u64, timeout: Duration) -> Result<()> {
        let start = Instant::now();
        loop {
            let ended = self.status()?;
            let log = self.log_text();
            if log
                .get(from as usize..)
                .is_some_and(|new| new.contains(text))
            {
                return Ok(());
            }
            if let Some(status) = ended {
                return Err(self.ended(status));
            }
            if start.elapsed() >= timeout {
                return Err(self.too_slow(&format!("logging `{text}`"), timeout));
            }
            thread::sleep(PAUSE);
        }
    }

    pub fn log(&self) -> &Path {
        &self.log
    }

    /// All of the log, invalid UTF-8 replaced; empty if it cannot be read.
    pub fn log_text(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The error that says it ended, with the end of its log.
    pub fn ended(&self, status: ExitStatus) -> ServerError {
        ServerError::Ended {
            name: self.name.clone(),
            status,
            log: self.log.clone(),
            tail: self.log_tail(),
        }
    }

    fn too_slow(&self, what: &str, waited: Duration) -> ServerError {
        ServerError::TooSlow {
            name: self.name.clone(),
            what: what.into(),
            waited,
            log: self.log.clone(),
            tail: self.log_tail(),
        }
    }

    fn log_tail(&self) -> String {
        let text = self.log_text();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// A child that has ended keeps its id until it is waited for, so the signal cannot hit a stranger; one that
    /// was waited for gets none.
    fn signal(&mut self, signal: Signal) -> Result<()> {
        if self.status()?.is_some() {
            return Ok(());
        }
        kill_process(Pid::from_child(&self.child), signal)
            .map_err(Into::into)
            .doing(|| format!("signal {}", self.name))
    }
}

impl Drop for Proc {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn append(log: &Path) -> Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .doing(|| format!("open {}", log.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn shell(dir: &Path, script: &str) -> Proc {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Proc::start("a shell", command, &dir.join("log")).unwrap()
    }

    #[test]
    fn its_output_is_in_the_log_and_its_status_is_known() {
        let dir = tempfile::tempdir().unwrap();
        let mut proc = shell(dir.path(), "echo out; echo err >&2; exit 7");
        assert_eq!(proc.wait(LONG).unwrap().code(), Some(7));
        assert_eq!(proc.log_text(), "out\nerr\n");
        assert!(!proc.is_running().unwrap());
        proc.kill9().unwrap();
        proc.sigterm().unwrap();
    }

    #[test]
    fn a_wait_that_is_too_short_says_so_and_leaves_it_running() {
        let dir = tempfile::tempdir().unwrap();
        let mut proc = shell(dir.path(), "echo hello; exec sleep 600");
        proc.wait_for_log("hello", 0, LONG).unwrap();
        let error = proc
            .wait(Duration::from_millis(20))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("a shell: not at its end after 20ms") && error.contains("hello"),
            "{error}"
        );
        assert!(proc.is_running().unwrap());
        proc.kill9().unwrap();
        assert!(!proc.is_running().unwrap());
    }

    #[test]
    fn a_log_that_never_comes_is_an_error_with_the_status() {
        let dir = tempfile::tempdir().unwrap();
        let error = shell(dir.path(), "echo bye; exit 3")
            .wait_for_log("hello", 0, LONG)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("exit status: 3") && error.contains("bye"),
            "{error}"
        );
    }

    #[test]
    fn stopped_it_does_nothing_and_continued_it_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let mut proc = shell(
            dir.path(),
            "trap 'echo term; exit 0' TERM; echo up; while :; do sleep 0.01; done",
        );
        proc.wait_for_log("up", 0, LONG).unwrap();
        proc.sigstop().unwrap();
        proc.sigterm().unwrap();
        let state = || std::fs::read_to_string(format!("/proc/{}/stat", proc.pid())).unwrap();
        while !state().contains(") T ") {
            thread::sleep(PAUSE);
        }
        assert_eq!(proc.log_text(), "up\n");
        proc.sigcont().unwrap();
        assert!(proc.wait(LONG).unwrap().success());
        assert_eq!(proc.log_text(), "up\nterm\n");
    }

    #[test]
    fn a_missing_program_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = Proc::start(
            "it",
            Command::new("no-such-program"),
            &dir.path().join("log"),
        )
        .unwrap_err();
        assert!(error.to_string().contains("no-such-program"), "{error}");
    }
}
