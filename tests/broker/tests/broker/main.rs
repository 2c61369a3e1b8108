//! Against a real Apache Kafka. One program, so that the tests, most of which mostly wait, run side by side; each
//! takes its turn, so that those that do not wait are not too many at once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod back_pressure;
mod bad_input;
mod chaos;
mod exactly_once;
mod forgotten_id;
mod lost_messages;
mod lost_offsets;
mod outage;
mod outcomes;
mod pipeline;
mod recovery;
mod registry;
mod zombie;
