//! Whole-pipeline cases: raw alerts in, decisions, actions, results and runs out, with no broker. The tasks are
//! the real ones; the driver of prunella-stream simulates broker, processes and time, and breaks what the seed
//! says. Everything here is a test.

#![cfg(test)]

mod cases;
mod oracle;
mod pipeline;
mod schedules;
mod target;
