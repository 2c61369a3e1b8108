//! Against a real Apache Kafka. One program, so that the tests, most of which mostly wait, run side by side.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod bad_input;
mod chaos;
mod exactly_once;
mod lost_offsets;
mod outage;
mod pipeline;
mod recovery;
mod registry;
mod zombie;
