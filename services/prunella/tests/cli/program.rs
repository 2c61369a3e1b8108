//! Runs the real program.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Nothing that is tested here takes this long; what does hangs.
const HANGS: Duration = Duration::from_secs(90);

/// An invocation, to be run.
pub struct Prunella {
    command: Command,
    input: Vec<u8>,
}

/// What it said and how it ended.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// An invocation with these arguments, in an environment without settings of ours.
pub fn prunella<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Prunella {
    let mut command = Command::new(env!("CARGO_BIN_EXE_prunella"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PRUNELLA") {
            command.env_remove(name);
        }
    }
    command.args(arguments).env_remove("RUST_BACKTRACE");
    Prunella {
        command,
        input: Vec::new(),
    }
}

impl Prunella {
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub fn args(mut self, arguments: &[&str]) -> Self {
        self.command.args(arguments);
        self
    }

    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = bytes.into();
        self
    }

    /// Starts it with its outputs piped and nothing to read.
    pub fn start(mut self) -> Child {
        self.command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts")
    }

    /// Runs it to its end.
    pub fn run(mut self) -> Said {
        let mut child = self
            .command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut stdin = child.stdin.take().expect("its input");
        let input = self.input;
        // It may end without reading all of it.
        let writing = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let out = drain(child.stdout.take().expect("its output"));
        let err = drain(child.stderr.take().expect("its errors"));
        let status = ended(&mut child);
        writing.join().expect("the input");
        Said {
            code: status.code().expect("it ended by itself"),
            out: out.join().expect("the output"),
            err: err.join().expect("the errors"),
        }
    }
}

impl Said {
    /// Ends the test unless it ended so; shows what it said.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    /// Ends the test unless it failed so, said this on standard error, and nothing on standard output.
    #[track_caller]
    pub fn refused(self, code: i32, because: &str) -> Self {
        let said = self.expect(code);
        assert!(said.err.contains(because), "{because}: {said:#?}");
        assert_eq!(said.out, "", "{said:#?}");
        assert!(!said.err.contains("panicked"), "{said:#?}");
        said
    }

    /// Its output, one JSON value a line.
    #[track_caller]
    pub fn lines(&self) -> Vec<Value> {
        let line = |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        self.out.lines().map(line).collect()
    }
}

/// How a child ended, which it does.
#[track_caller]
pub fn ended(child: &mut Child) -> ExitStatus {
    let give_up = Instant::now() + HANGS;
    loop {
        if let Some(status) = child.try_wait().expect("a child") {
            return status;
        }
        if Instant::now() > give_up {
            child.kill().expect("a child");
            panic!("it hangs");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Reads everything, so that nobody waits for room in the pipe.
pub fn drain(mut from: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).expect("a pipe");
        String::from_utf8(bytes).expect("UTF-8")
    })
}

/// A file or directory of the checkout.
pub fn checkout(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path)
}

/// A directory with these files.
pub fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    for (path, text) in files {
        let path = directory.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        std::fs::write(path, text).expect("a file");
    }
    directory
}

/// A path as an argument.
pub fn text(path: &Path) -> String {
    path.to_str().expect("a path of text").to_owned()
}

/// A port of this machine on which nobody listens.
pub fn dead_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address").port()
}
