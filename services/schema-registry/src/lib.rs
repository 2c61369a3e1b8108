//! Confluent framing on the topics, with the schemas of a schema registry that speaks Confluent's REST API.
//!
//! Stages read and write Avro single-object encoding. With a registry configured, [`ConfluentFraming`] stands
//! between them and the topics: what they write leaves as a zero byte, the schema's id and the same body; what
//! comes in that framing reaches them in theirs, its schema looked up once for each id. Values in single-object
//! encoding, which lay on the topics before or come from the gateway, are read as they are. Topics of vendors' own
//! bytes (`raw-alerts`, `raw-logs`), changelogs and dead-letter queues are never touched.

mod client;
mod config;
mod framing;

pub use client::{Client, RegistryError};
pub use config::{ConfigError, SchemaRegistryConfig, Secret};
pub use framing::ConfluentFraming;
