//! Real servers for tests, benchmarks and a developer's own trials.
//!
//! - [`KafkaCluster`]: one or three real Apache Kafka processes (KRaft) on loopback, to be killed and restarted
//!   at will; [`KafkaCluster::shared`] is the one broker that ordinary broker tests have in common.
//! - [`JavaTool`]: a Java program run with the fetched jars: Kafka's own tools, or a single source file of
//!   `java/`; [`read_committed`] counts with a client library that is not ours.
//! - [`Turn`]: which tests run side by side on this machine.
//! - [`Proc`]: a child process with its log, to be stopped, continued and killed.
//!
//! Whatever a process starts through this crate dies with it, also when it is killed with -9.
//! The jars come from `fetch` beside this crate, or from the directory named by `PRUNELLA_JARS`.

mod afterwards;
mod committed;
mod error;
mod jars;
mod java;
mod kafka;
mod metadata;
mod ports;
mod process;
mod reader;
mod turns;

pub use committed::{
    CommittedRecord, CommittedSummary, Headers, PartitionRange, committed_summary, partition_ends,
    read_committed,
};
pub use error::{Result, ServerError};
pub use jars::jars;
pub use java::JavaTool;
pub use kafka::{ClusterOptions, Jit, KafkaCluster};
pub use metadata::{BrokerAddress, Metadata, PartitionState};
pub use ports::ReservedPort;
pub use process::Proc;
pub use turns::{Load, Turn};
