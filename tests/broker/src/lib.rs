//! Tests against a real Apache Kafka, and the small stage that they run in processes of their own.
//!
//! The stage keeps a ledger: for every record it forwards the running number of records under the same key. So
//! a lost record, a doubled one and a state that is ahead of or behind the offsets all show in the output: each
//! key must count 1, 2, 3, ... without a gap or a repetition.

pub mod installation;
pub mod ledger;
