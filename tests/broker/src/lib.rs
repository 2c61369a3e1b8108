//! Tests against a real Apache Kafka: what they run there, and how they look at what came of it.
//!
//! Two things are run, in processes of their own that can be killed:
//! - the *ledger*, a small stage that forwards the running number of records under the same key. So a lost
//!   record, a doubled one and a state that is ahead of or behind the offsets all show in the output: each key
//!   must count 1, 2, 3, ... without a gap or a repetition;
//! - the *pipeline*, `prunella run` for every service, with a target that writes down every request.

pub mod chaos;
pub mod facts;
pub mod feed;
pub mod http;
pub mod installation;
pub mod ledger;
pub mod pipeline;
pub mod registry;
pub mod tally;
pub mod target;
pub mod transactions;
