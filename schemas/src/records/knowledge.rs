//! What the knowledge topic holds.

use serde::{Deserialize, Serialize};

use crate::schema::avro_record;

/// One file of a knowledge set.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct KnowledgeFile {
    /// Path below the knowledge directory, with forward slashes.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// A record of the knowledge topic: content under its digest, or the manifest under `active`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnowledgeRecord {
    /// Digest of the content; in a manifest, the digest that is in force.
    pub digest: String,
    /// The files, sorted by path; empty in a manifest.
    #[serde(default)]
    pub files: Vec<KnowledgeFile>,
    /// Who published it.
    pub author: String,
    /// Why, in their words.
    #[serde(default)]
    pub comment: String,
    /// When.
    pub at: i64,
    /// Manifest only: playbooks that rules name and that are not there are notified instead of run.
    #[serde(default)]
    pub allow_missing: bool,
}
avro_record!(KnowledgeRecord, "knowledge-record", history: [1]);
