//! Prometheus Alertmanager's webhook, version 4, and what is compatible with it (Grafana's contact points).
//!
//! <https://prometheus.io/docs/alerting/latest/configuration/#webhook_config>
//!
//! Fields are read leniently: a type that drifts is taken as text, an unknown field of an alert is kept as an
//! annotation, one of the payload as an annotation of its alerts. `groupLabels`, `commonLabels` and `commonAnnotations` repeat what every alert says itself.

use std::borrow::Cow;

use prunella_schemas::{AlertStatus, CowStr, Severity};
use prunella_stream::{Digest, Rejection};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::draft::{Batch, Draft, Times};
use crate::json::{Alerts, Json, Text};
use crate::labels::{Annotations, LabelMap, Labels, first};
use crate::object::Object;
use crate::payload;
use crate::source::Source;
use crate::{time, words};

/// The format.
#[derive(Debug)]
pub(crate) struct Alertmanager;

/// Name of the alert that stands for those that Alertmanager cut off (`max_alerts`): they must not be missed.
pub(crate) const TRUNCATED: &str = "AlertmanagerTruncatedAlerts";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Webhook<'a> {
    #[serde(borrow, default)]
    receiver: Text<'a>,
    #[serde(borrow, default)]
    status: Text<'a>,
    #[serde(borrow)]
    alerts: Option<Alerts<Alert<'a>>>,
    #[serde(borrow, default)]
    group_key: Text<'a>,
    #[serde(borrow, default, rename = "externalURL")]
    external_url: Text<'a>,
    #[serde(borrow, default)]
    truncated_alerts: Text<'a>,
    #[serde(default, rename = "version")]
    _version: IgnoredAny,
    // These repeat what every alert says itself.
    #[serde(default, rename = "groupLabels")]
    _group_labels: IgnoredAny,
    #[serde(default, rename = "commonLabels")]
    _common_labels: IgnoredAny,
    #[serde(default, rename = "commonAnnotations")]
    _common_annotations: IgnoredAny,
    #[serde(borrow, flatten)]
    unknown: Json<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Alert<'a> {
    #[serde(borrow, default)]
    status: Text<'a>,
    #[serde(borrow, default)]
    labels: Labels<'a>,
    #[serde(borrow, default)]
    annotations: Annotations<'a>,
    #[serde(borrow, default)]
    starts_at: Text<'a>,
    #[serde(borrow, default)]
    ends_at: Text<'a>,
    #[serde(borrow, default, rename = "generatorURL")]
    generator_url: Text<'a>,
    #[serde(borrow, default)]
    fingerprint: Text<'a>,
    #[serde(borrow, flatten)]
    unknown: Json<'a>,
}

/// What orders a payload.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Order<'a> {
    #[serde(borrow, default)]
    group_key: Text<'a>,
}

impl Source for Alertmanager {
    fn name(&self) -> &'static str {
        "alertmanager"
    }

    fn ordering_key(&self, text: &str) -> Result<Option<String>, Rejection> {
        let order: Order<'_> =
            serde_json::from_str(text).map_err(|error| payload::refuse(&error))?;
        Ok(order.group_key.filled().map(Cow::into_owned))
    }

    fn normalize<'a>(&self, text: &'a str, batch: &mut Batch<'a>) -> Result<(), Rejection> {
        let webhook: Webhook<'_> =
            serde_json::from_str(text).map_err(|error| payload::refuse(&error))?;
        let unknown = Object::of(webhook.unknown).unwrap_or_default();
        let group = Group {
            receiver: webhook.receiver.0.into(),
            group_key: webhook.group_key.0.into(),
            external_url: webhook.external_url.0.into(),
            status: words::status(&webhook.status.0),
            truncated: webhook.truncated_alerts.0.parse().unwrap_or_default(),
        };
        for alert in webhook.alerts.map(|alerts| alerts.0).unwrap_or_default() {
            let mut draft = group.draft(alert);
            unknown.share(&mut draft, batch.alerts().is_empty());
            batch.push(draft)?;
        }
        if group.truncated > 0 {
            let draft = group.truncated(batch);
            batch.push(draft)?;
        }
        if batch.alerts().is_empty() {
            return Err(Rejection::new(
                "no_alerts",
                "the payload holds no `alerts`; an Alertmanager webhook always does: check the source's name",
            ));
        }
        Ok(())
    }
}

/// What a payload says of all its alerts.
struct Group<'a> {
    receiver: CowStr<'a>,
    group_key: CowStr<'a>,
    external_url: CowStr<'a>,
    status: Option<AlertStatus>,
    truncated: u64,
}

impl<'a> Group<'a> {
    fn draft(&self, alert: Alert<'a>) -> Draft<'a> {
        let status = words::status(&alert.status.0);
        let mut draft = Draft {
            name: name(&alert.labels.0),
            fingerprint: alert.fingerprint.filled().map(CowStr::from),
            status: status.or(self.status).unwrap_or_default(),
            times: Times {
                at: None,
                starts: time::parse(&alert.starts_at.0),
                ends: time::parse(&alert.ends_at.0),
            },
            labels: alert.labels.0,
            annotations: alert.annotations.0,
            ..Draft::default()
        };
        if status.is_none() {
            draft.keep("status", alert.status.0);
        }
        if draft.times.starts.is_none() {
            draft.keep("startsAt", alert.starts_at.0);
        }
        draft.keep("generatorURL", alert.generator_url.0);
        draft.keep("externalURL", self.external_url.clone());
        draft.keep("groupKey", self.group_key.clone());
        draft.keep("receiver", self.receiver.clone());
        if let Json::Object(unknown) = alert.unknown {
            for (name, value) in unknown {
                draft.keep(name, value.into_text());
            }
        }
        draft
    }

    /// The alert that stands for those that were cut off. It is of the domain of the others, since a group is
    /// of one domain wherever grouping is by it; it began when the first of the others did, so that it is the
    /// same occurrence each time that Alertmanager repeats the group.
    fn truncated(&self, batch: &Batch<'a>) -> Draft<'a> {
        let others = batch.alerts();
        let labels = [
            ("alertname", TRUNCATED.into()),
            ("groupKey", self.group_key.clone()),
            ("receiver", self.receiver.clone()),
        ];
        let parts: [&[u8]; 4] = [
            TRUNCATED.as_bytes(),
            batch.source().as_bytes(),
            self.group_key.as_bytes(),
            self.receiver.as_bytes(),
        ];
        Draft {
            name: TRUNCATED.into(),
            fingerprint: Some(Digest::of(&parts).hex().into()),
            severity: Some(Severity::Warning),
            status: self.status.unwrap_or_default(),
            value: Some(self.truncated as f64),
            times: Times {
                at: Some(batch.received_at()),
                starts: others.iter().map(|alert| alert.starts_at).min(),
                ends: None,
            },
            domain: others.first().map(|alert| alert.domain.clone()),
            labels: labels.map(|(name, value)| (name.into(), value)).into(),
            description: Some(CowStr::from(format!(
                "Alertmanager cut {} alerts off this group (max_alerts); they are not known here. Raise \
                 max_alerts of receiver {}, or group more finely.",
                self.truncated, self.receiver
            ))),
            ..Draft::default()
        }
    }
}

/// Alertmanager requires at least one label, but no name among them.
fn name<'a>(labels: &LabelMap<'a>) -> CowStr<'a> {
    first(labels, &["alertname"]).unwrap_or_else(|| "unnamed".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_of_one_group_share_their_ordering_key() {
        let key = |text: &str| Alertmanager.ordering_key(text);
        let group = "{}:{alertname=\"Hot\"}";
        let payload = serde_json::json!({"alerts": [{"labels": {"a": "b"}}], "groupKey": group});
        assert_eq!(key(&payload.to_string()), Ok(Some(group.to_owned())));
        assert_eq!(key(r#"{"alerts": []}"#), Ok(None));
        assert_eq!(key("{").unwrap_err().class, "truncated_json");
    }
}
