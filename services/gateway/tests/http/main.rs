//! The gateway as its clients see it: over real connections, in front of librdkafka's in-process broker.

mod commands;
mod harness;
mod ingest;
mod limits;
mod watch;
