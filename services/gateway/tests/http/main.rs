//! The gateway as its clients see it: over real connections, in front of librdkafka's in-process broker.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test's own steps may fail loudly"
)]

mod commands;
mod harness;
mod ingest;
mod limits;
mod watch;
