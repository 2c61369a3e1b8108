//! The prunella command as its users meet it: arguments, files and variables in, output and exit code out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod config;
mod decide;
mod help;
mod kafka;
mod knowledge;
mod normalize;
mod program;
mod secrets;
mod topology;
mod up;
