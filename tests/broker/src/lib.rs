//! Tests against a real Apache Kafka: what they run there, and how they look at what came of it.
//!
//! These are run:
//! - the *ledger*, a small stage that forwards the running number of records under the same key. So a lost
//!   record, a doubled one and a state that is ahead of or behind the offsets all show in the output: each key
//!   must count 1, 2, 3, ... without a gap or a repetition;
//!   It runs in processes that can be killed, or in the test itself;
//! - the *caller* and the *burst*, stages that ask for effects and that forward more than they read, in the test
//!   itself, whose clients reach the broker through a *proxy* that holds and loses messages;
//! - the *pipeline*, `prunella run` for every service in a process of its own, with a target that writes down every
//!   request.

pub mod burst;
pub mod caller;
pub mod chaos;
pub mod facts;
pub mod feed;
pub mod hosted;
pub mod http;
pub mod installation;
pub mod ledger;
pub mod pipeline;
pub mod proxy;
pub mod registry;
pub mod tally;
pub mod target;
pub mod transactions;
