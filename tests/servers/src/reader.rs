//! The Java program that reads for us: started once, asked often.
//!
//! A JVM that compiles its program takes two seconds of a core before it has read anything; tests ask dozens of
//! times.

use std::{
    io::{BufRead, BufReader, Write},
    net::{Ipv4Addr, TcpStream},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::{
    afterwards::temporary_dir,
    error::{Doing, Result, ServerError},
    java::JavaTool,
    process::Proc,
};

pub(crate) const PROGRAM: &str = "CountReadCommitted.java";

/// Longest it may take to start; a loaded machine of two cores has been seen to need 10 s.
const START: Duration = Duration::from_secs(90);

/// It ends with the process.
struct Reader {
    process: Proc,
    port: u16,
}

/// Asks; gives the lines of the answer. Fails when a line does not come within `timeout`.
pub(crate) fn ask(words: &[&str], timeout: Duration) -> Result<Vec<String>> {
    let port = port()?;
    let doing = || format!("ask {PROGRAM} for {}", words.join(" "));
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).doing(doing)?;
    stream.set_read_timeout(Some(timeout)).doing(doing)?;
    stream
        .write_all(format!("{}\n", words.join("\t")).as_bytes())
        .doing(doing)?;
    let mut lines = Vec::new();
    for line in BufReader::new(stream).lines() {
        let line = line.doing(doing)?;
        if line == "done" {
            return Ok(lines);
        }
        if let Some(reason) = line.strip_prefix("failed: ") {
            return Err(refused(words, reason));
        }
        lines.push(line);
    }
    Err(refused(words, "the answer broke off"))
}

fn refused(words: &[&str], reason: &str) -> ServerError {
    ServerError::NotRead {
        question: words.join(" "),
        reason: reason.to_owned(),
    }
}

/// Where it listens; starts it if it does not run.
fn port() -> Result<u16> {
    static READER: Mutex<Option<Reader>> = Mutex::new(None);
    let mut reader = READER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(running) = reader.as_mut()
        && running.process.is_running()?
    {
        return Ok(running.port);
    }
    let (dir, deleted) = temporary_dir("prunella-reader-")?;
    let mut process = JavaTool::source(PROGRAM)
        .jvm_option("-XX:+UseSerialGC")
        .start(&dir.path().join("log"))?;
    process.wait_for_log("port ", 0, START)?;
    let port = loop {
        // The line may be half written.
        let log = process.log_text();
        let said = log.lines().find_map(|line| line.strip_prefix("port "));
        if let Some(port) = said
            .and_then(|port| port.parse().ok())
            .filter(|_| log.ends_with('\n'))
        {
            break port;
        }
        std::thread::sleep(crate::process::PAUSE);
    };
    // A static is never dropped: the directory goes when this process does.
    std::mem::forget((dir, deleted));
    *reader = Some(Reader { process, port });
    Ok(port)
}
