//! What the decider keeps: what it has decided of an occurrence, and what its windowed rules have counted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::schema::avro_value;

/// What was decided of one occurrence of an alert, for one playbook or rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// When something last followed from it.
    pub decided_at: i64,
    /// When it resolved; 0 while it has not.
    pub resolved_at: i64,
}
avro_value!(Seen, "state/seen", history: [1]);

/// That an occurrence of an alert was counted by a windowed rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Event time of the occurrence.
    pub at: i64,
}
avro_value!(Counted, "state/counted", history: [1]);

/// The occurrences that a windowed rule has counted and not yet acted on, for one domain and service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Event times by source, each list in order.
    pub times: BTreeMap<String, Vec<i64>>,
}
avro_value!(Window, "state/window", history: [1]);

/// How far the event time of one source has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watermark {
    /// The latest event time seen of it.
    pub at: i64,
}
avro_value!(Watermark, "state/watermark", history: [1]);
