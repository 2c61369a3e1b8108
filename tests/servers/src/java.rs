//! Java programs run with the fetched jars.

use std::{
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::{
    error::{Doing, Result, ServerError},
    jars::jars,
    process::Proc,
};

/// One Java program and its arguments.
///
/// ```no_run
/// # use prunella_test_servers::{JavaTool, KafkaCluster};
/// let kafka = KafkaCluster::shared()?;
/// let topics = JavaTool::class("org.apache.kafka.tools.TopicCommand")
///     .args(["--bootstrap-server", kafka, "--list"])
///     .run()?;
/// # Ok::<(), prunella_test_servers::ServerError>(())
/// ```
#[derive(Debug, Clone)]
pub struct JavaTool {
    name: String,
    main: OsString,
    args: Vec<OsString>,
    options: Vec<OsString>,
    timeout: Duration,
}

impl JavaTool {
    /// A main class in the jars.
    pub fn class(name: &str) -> JavaTool {
        JavaTool::new(name, name.into())
    }

    /// A single-file program, compiled as it starts (about a second). A relative path lies in
    /// `tests/servers/java/`.
    pub fn source(file: impl AsRef<Path>) -> JavaTool {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("java")
            .join(file);
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        JavaTool::new(&name, path.into_os_string())
    }

    fn new(name: &str, main: OsString) -> JavaTool {
        JavaTool {
            name: name.into(),
            main,
            args: Vec::new(),
            options: Vec::new(),
            timeout: Duration::from_secs(120),
        }
    }

    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> JavaTool {
        self.args.push(arg.as_ref().into());
        self
    }

    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> JavaTool {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().into()));
        self
    }

    /// An option of the JVM itself, such as `-Xmx2g`.
    pub fn jvm_option(mut self, option: &str) -> JavaTool {
        self.options.push(option.into());
        self
    }

    /// How long [`JavaTool::run`] waits; 2 minutes unless said otherwise.
    pub fn timeout(mut self, timeout: Duration) -> JavaTool {
        self.timeout = timeout;
        self
    }

    /// Runs it to its end and gives its standard output. Any status but 0 is an error that carries what it said
    /// on standard error.
    pub fn run(&self) -> Result<String> {
        let dir = tempfile::tempdir().doing(|| "create a temporary directory".into())?;
        let (output, log) = (dir.path().join("output"), dir.path().join("log"));
        let mut proc = Proc::start_with_output(&self.name, self.command()?, &output, &log)?;
        let status = proc.wait(self.timeout)?;
        let text =
            fs::read_to_string(&output).doing(|| format!("read what {} printed", self.name))?;
        if status.success() {
            return Ok(text);
        }
        // Kafka's own tools say on standard output why they fail.
        let _ = fs::write(&log, format!("{}{text}", proc.log_text()));
        Err(proc.ended(status))
    }

    /// Starts it in the background, both of its streams appended to `log`.
    pub fn start(&self, log: &Path) -> Result<Proc> {
        Proc::start(&self.name, self.command()?, log)
    }

    fn command(&self) -> Result<Command> {
        let mut command = java()?;
        command
            .args([
                "-XX:TieredStopAtLevel=1",
                "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            ])
            .args(&self.options)
            .arg(&self.main)
            .args(&self.args);
        Ok(command)
    }
}

/// `java` with the jars as its class path; options and the main class are for the caller to add.
pub(crate) fn java() -> Result<Command> {
    let java = find_in_path("java").ok_or(ServerError::MissingTool {
        program: "java",
        install: "apt-get install openjdk-17-jdk-headless",
    })?;
    let mut command = Command::new(java);
    // The JVM itself, not a shell, expands the star.
    command.arg("-cp").arg(jars()?.join("*"));
    Ok(command)
}

fn find_in_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
}
