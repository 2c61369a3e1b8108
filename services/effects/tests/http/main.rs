//! Effects against a real HTTP server on this machine that answers well, badly and not at all.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod calls;
mod config;
mod guards;
mod last_check;
mod notifications;
mod server;
mod world;
