//! The executor as one task, driven by hand.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod claims;
mod doubt;
mod schedules;
mod world;
