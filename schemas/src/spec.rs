//! What an action asks for: the JSON text in [`Action::spec`](crate::Action), whose shape depends on its kind.
//!
//! The orchestrator writes it, the executor reads it. Everything in it is rendered: no text in it is a template
//! any more, and what an alert or a task said in it is data.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Severity;

/// Kind of an action that calls an HTTP API; its spec is an [`ApiCallSpec`].
pub const API_CALL: &str = "API_Call";
/// Kind of an action that tells people; its spec is a [`NotificationSpec`].
pub const NOTIFICATION: &str = "Notification";

/// Spec of an `API_Call`: one HTTP request. Either `url` or `path` is there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ApiCallSpec {
    /// Method, in upper case.
    pub method: String,
    /// Absolute URL; its host must be on the allowlist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Path below the configured base, with its leading slash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Query parameters, not yet percent-encoded; they are added to those in `url` or `path`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, String>,
    /// Headers besides those that every call carries (Idempotency-Key, Content-Type of a body).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Body, sent as JSON; a text is sent as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    /// Longest the whole request may take, in milliseconds: the action's own `timeout_ms`.
    pub timeout_ms: i64,
    /// Status codes that count as success; empty: 200 to 299.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expect: Vec<u16>,
    /// How to find out whether the call took effect when its answer was lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<ProbeSpec>,
}

/// A request that changes nothing and tells whether an earlier one took effect. Either `url` or `path` is there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProbeSpec {
    /// Method, in upper case: `GET` or `HEAD`.
    pub method: String,
    /// Absolute URL; its host must be on the allowlist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Path below the configured base, with its leading slash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Query parameters, not yet percent-encoded.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, String>,
    /// Headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// CEL over `status` (number) and `body` (the answer's JSON): true means it took effect.
    pub done_if: String,
    /// CEL over the same: true means it certainly did not. Absent: what is not done is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absent_if: Option<String>,
}

/// Spec of a `Notification`: what people are told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotificationSpec {
    /// How bad it is.
    pub severity: Severity,
    /// One line.
    pub title: String,
    /// The text; lines are separated by newlines.
    pub message: String,
    /// Whom to tell; empty: whoever the installation tells by default.
    #[serde(default)]
    pub recipients: Vec<String>,
    /// The run it is about; empty if there is none.
    #[serde(default)]
    pub run_id: String,
    /// The service concerned, if one is named.
    pub service: Option<String>,
    /// The domain.
    pub domain: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_call_reads_back_and_leaves_out_what_is_not_there() {
        let call = ApiCallSpec {
            method: "POST".to_owned(),
            path: Some("/admin/pool/restart".to_owned()),
            body: Some(json!({"reason": "exhausted"})),
            timeout_ms: 5_000,
            probe: Some(ProbeSpec {
                method: "GET".to_owned(),
                path: Some("/admin/pool".to_owned()),
                done_if: "body.restarts > 0".to_owned(),
                ..ProbeSpec::default()
            }),
            ..ApiCallSpec::default()
        };
        let text = serde_json::to_value(&call).unwrap();
        assert_eq!(
            text,
            json!({
                "method": "POST", "path": "/admin/pool/restart", "body": {"reason": "exhausted"}, "timeout_ms": 5000,
                "probe": {"method": "GET", "path": "/admin/pool", "done_if": "body.restarts > 0"}
            })
        );
        assert_eq!(serde_json::from_value::<ApiCallSpec>(text).unwrap(), call);
    }

    #[test]
    fn a_notification_reads_back() {
        let notification = NotificationSpec {
            severity: Severity::Critical,
            title: "payment-gateway".to_owned(),
            service: Some("payment-gateway".to_owned()),
            ..NotificationSpec::default()
        };
        let text = serde_json::to_string(&notification).unwrap();
        assert_eq!(
            serde_json::from_str::<NotificationSpec>(&text).unwrap(),
            notification
        );
    }
}
