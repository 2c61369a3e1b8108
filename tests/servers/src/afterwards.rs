//! Something done after this process, however it ends.
//!
//! A destructor does not run when a test is killed, aborts, or holds its server in a static. A small shell that
//! waits for the end of its standard input notices all of these, because the kernel closes the pipe.

use std::{
    ffi::OsStr,
    io::Write,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use crate::error::{Doing, Result};

/// A temporary directory that is gone after this process, however it ends.
pub(crate) fn temporary_dir(prefix: &str) -> Result<(TempDir, Afterwards)> {
    let dir = tempfile::Builder::new().prefix(prefix).tempdir();
    let dir = dir.doing(|| "create a temporary directory".into())?;
    let deleted = Afterwards::delete(dir.path().as_os_str())?;
    Ok((dir, deleted))
}

/// A shell command that runs once this process is gone, unless it was called off.
#[derive(Debug)]
pub(crate) struct Afterwards {
    shell: Child,
}

impl Afterwards {
    /// Kills `pid` with -9.
    pub(crate) fn kill(pid: u32) -> Result<Afterwards> {
        Afterwards::run(r#"kill -9 "$1""#, OsStr::new(&pid.to_string()))
    }

    /// Deletes a directory, a moment later, when those who write into it have been killed too.
    pub(crate) fn delete(dir: &OsStr) -> Result<Afterwards> {
        Afterwards::run(r#"sleep 1; rm -rf -- "$1""#, dir)
    }

    fn run(action: &str, argument: &OsStr) -> Result<Afterwards> {
        // Ctrl-C reaches the whole foreground group; the shell has to outlive it. A line on its input calls it off.
        let script = format!("trap '' INT TERM HUP; if read -r off; then exit 0; fi; {action}");
        let shell = Command::new("sh")
            .args(["-c", &script, "afterwards"])
            .arg(argument)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .doing(|| "start sh".into())?;
        Ok(Afterwards { shell })
    }
}

impl Drop for Afterwards {
    /// Calls it off: the owner has done the work itself.
    fn drop(&mut self) {
        if let Some(mut input) = self.shell.stdin.take() {
            let _ = input.write_all(b"off\n");
        }
        let _ = self.shell.wait();
    }
}
