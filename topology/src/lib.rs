//! Topics, keys, partitions, writers and readers: declared once, checked and rendered.
//!
//! [`TOPICS`] is the declaration. Everything else follows from it: [`check`] holds the stages against it,
//! [`topic_specs`] turns it into the topics of one [`Installation`], [`plan`] compares those with a cluster,
//! [`acls`] lists who may do what, [`mermaid`] and [`dot`] draw it. Nothing here talks to Kafka.

mod access;
mod check;
mod declaration;
mod installation;
mod plan;
mod prefix;
mod render;
mod service;
pub mod topics;

pub use access::{Acl, Operation, Pattern, Resource, acl_commands, acls, acls_json};
pub use check::{Finding, Rule, StageIo, check, check_topics, declared_stages};
pub use declaration::{Cleanup, Kind, TOPICS, Topic, dead_lettered, topic};
pub use installation::{Installation, Role, TopicSpec, topic_specs};
pub use plan::{Change, ExistingTopic, SettingChange, plan};
pub use prefix::{Prefix, PrefixError};
pub use render::{dot, mermaid};
pub use service::Service;
