//! The audit trail.

use serde::{Deserialize, Serialize};

use crate::schema::avro_record;

/// One entry of an audit trail; each writing task has a hash chain of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// The writing task: application and partition, for example `orchestrator-0`.
    pub writer: String,
    /// Number of the entry in the writer's chain, from 0.
    pub seq: i64,
    /// When.
    pub at: i64,
    /// The domain; this record's key.
    pub domain: String,
    /// What it is about: `run`, `action`, `switch`, `control`, `knowledge`.
    pub subject: String,
    /// Id of what it is about.
    pub subject_id: String,
    /// What happened, in words.
    #[serde(default)]
    pub summary: String,
    /// Who or what did it: a person, or the writing task.
    #[serde(default)]
    pub actor: String,
    /// Hash of the entry before it; empty for the first.
    #[serde(default)]
    pub prev_hash: String,
    /// Hash of this entry: every field above, `prev_hash` included.
    pub hash: String,
}
avro_record!(AuditEntry, "audit-entry", history: [1]);
