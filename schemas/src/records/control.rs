//! People's commands and switches, with the identity that the gateway authenticated.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::words;
use crate::schema::avro_record;

/// A person's command to a run.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum ControlKind {
    /// Nothing; an older reader sees a newer kind as this.
    #[default]
    None,
    /// Let a waiting plan go on.
    Approve,
    /// Refuse a waiting plan.
    Reject,
    /// Go on after a pause.
    Resume,
    /// Stop a run.
    Cancel,
    /// Say that it is fixed.
    Confirm,
    /// Start a playbook by hand.
    Start,
}
words!(ControlKind {
    None,
    Approve,
    Reject,
    Resume,
    Cancel,
    Confirm,
    Start
});

/// A person's command, with the identity the gateway authenticated.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Control {
    /// Id given by the gateway: a repeated request with the same id counts once.
    pub control_id: String,
    /// The domain; this record's key.
    pub domain: String,
    /// What is wanted.
    pub kind: ControlKind,
    /// The run it concerns; empty for `Start`.
    pub run_id: String,
    /// The playbook to start; empty otherwise.
    pub playbook_id: String,
    /// Digest of the plan that is approved or rejected; empty otherwise.
    #[serde(default)]
    pub plan_hash: String,
    /// Parameters of a start by hand.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
    /// Who, as the gateway authenticated them.
    pub author: String,
    /// Why, in their words.
    #[serde(default)]
    pub comment: String,
    /// When the gateway took it.
    pub at: i64,
}
avro_record!(Control, "control", history: [1]);

/// Kind of a switch.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum SwitchKind {
    /// No mutating action while it is on.
    #[default]
    KillSwitch,
    /// Runs wait while it is on.
    Pause,
    /// Matching alerts start nothing.
    Silence,
    /// As a silence, by plan.
    Maintenance,
}
words!(SwitchKind {
    KillSwitch,
    Pause,
    Silence,
    Maintenance
});

/// A switch that people throw: sticky, compacted, read whole by every stage that acts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Switch {
    /// Name; this record's key. `kill-switch` and `kill-switch/DOMAIN` are the kill switches.
    pub name: String,
    /// Kind.
    pub kind: SwitchKind,
    /// Whether it is thrown.
    pub on: bool,
    /// The domain it holds for; absent: all.
    pub domain: Option<String>,
    /// Who threw it, as the gateway authenticated them.
    pub author: String,
    /// Why, in their words.
    #[serde(default)]
    pub comment: String,
    /// When.
    pub at: i64,
    /// When it ends by itself; absent: never.
    pub until: Option<i64>,
    /// Label matchers of a silence (equality); empty otherwise.
    #[serde(default)]
    pub matchers: BTreeMap<String, String>,
}
avro_record!(Switch, "switch", history: [1]);
