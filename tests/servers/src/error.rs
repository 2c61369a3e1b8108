//! What can go wrong with a real server, said so that the reader knows what to do.

use std::{io, path::PathBuf, process::ExitStatus, time::Duration};

pub type Result<T, E = ServerError> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error("{doing}: {source}")]
    Io { doing: String, source: io::Error },

    #[error("{program} is missing; install it with: {install}")]
    MissingTool {
        program: &'static str,
        install: &'static str,
    },

    #[error(
        "the jars of tests/servers/pom.xml could not be fetched ({status}); tests/servers/fetch said:\n{said}"
    )]
    Fetch { status: ExitStatus, said: String },

    #[error("{name} ended with {status}; the end of its log {}:\n{tail}", log.display())]
    Ended {
        name: String,
        status: ExitStatus,
        log: PathBuf,
        tail: String,
    },

    #[error("{name}: not {what} after {waited:?}; the end of its log {}:\n{tail}", log.display())]
    TooSlow {
        name: String,
        what: String,
        waited: Duration,
        log: PathBuf,
        tail: String,
    },

    #[error("the cluster is not {what} after {waited:?} ({seen}); look into the logs in {}", dir.display())]
    ClusterTooSlow {
        what: &'static str,
        waited: Duration,
        seen: String,
        dir: PathBuf,
    },

    #[error("node {node} does not exist: nodes are numbered from 1 to {nodes}")]
    NoSuchNode { node: usize, nodes: usize },

    #[error("node {node} does not run; start it with restart({node})")]
    NotRunning { node: usize },

    #[error("{nodes} nodes make no cluster; ask for 1 or 3")]
    BadSize { nodes: usize },

    #[error(
        "no free port between {from} and {to} on 127.0.0.1; something holds them all: see `ss -ltn`"
    )]
    NoFreePort { from: u16, to: u16 },

    #[error("{address} answered, but not as Apache Kafka does: {what}")]
    Protocol { address: String, what: String },

    #[error("a read_committed consumer could not say `{question}`: {reason}")]
    NotRead { question: String, reason: String },

    #[error("{tool} printed a line that is not the JSON it promises ({source}): {line}")]
    BadOutput {
        tool: String,
        line: String,
        source: serde_json::Error,
    },
}

/// Gives an I/O error the sentence it lacks.
pub(crate) trait Doing<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| ServerError::Io {
            doing: what(),
            source,
        })
    }
}
