//! Grafana: the contact point "Webhook" of its alerting, and the webhook of its legacy alerting.
//!
//! From Grafana's documentation, "Configure the webhook notifier for Alerting" (webhook notification JSON
//! payload), and, for versions before 9, "Alert notifications: webhook".
//!
//! The first speaks Alertmanager's format with additions. The second tells of one rule at a time: the series
//! that matched are gone when it is well again, so that the rule, not the series, is the alert.

use prunella_schemas::{AlertStatus, Severity};
use prunella_stream::Rejection;

use super::{Vendor, unexpected};
use crate::draft::{Batch, Draft, Times};
use crate::format::Format;
use crate::json::Json;
use crate::labels::first;
use crate::object::Object;
use crate::words;

pub(crate) static FORMAT: Format = Format {
    name: "grafana",
    about: "Grafana alerting, and its legacy alerting before version 9",
    documentation: "Grafana documentation: Configure the webhook notifier for Alerting",
    recognised_by: "a list `alerts`; legacy: `ruleName` or `ruleId`",
    required: &["alerts.*", "ruleName", "title"],
    severities: &[],
    statuses: &[
        ("firing", AlertStatus::Firing),
        ("alerting", AlertStatus::Firing),
        ("no_data", AlertStatus::Firing),
        ("resolved", AlertStatus::Resolved),
        ("ok", AlertStatus::Resolved),
        ("paused", AlertStatus::Resolved),
    ],
    source: Some(&VENDOR),
};
static VENDOR: Vendor = Vendor {
    name: "grafana",
    order: &["groupKey", "ruleId", "ruleName"],
    read,
};

fn read<'a>(mut root: Object<'a>, batch: &mut Batch<'a>) -> Result<(), Rejection> {
    match root.list("alerts") {
        Some(alerts) => unified(root, alerts, batch),
        None => legacy(root, batch),
    }
}

fn unified<'a>(
    mut root: Object<'a>,
    alerts: Vec<Json<'a>>,
    batch: &mut Batch<'a>,
) -> Result<(), Rejection> {
    let status = root.said("status").and_then(|word| FORMAT.status(&word));
    let truncated = root.number("truncatedAlerts").filter(|count| *count > 0.0);
    // All of it repeats what the alerts say, in part as a text for people.
    root.forget(&["groupLabels", "commonLabels", "commonAnnotations"]);
    root.forget(&["status", "state", "title", "message", "version"]);
    for (index, alert) in alerts.into_iter().enumerate() {
        let alert = Object::of(alert);
        let alert = alert.ok_or_else(|| unexpected("grafana", "has an alert that is no object"))?;
        let mut draft = one(alert, status);
        root.share(&mut draft, index == 0);
        batch.push(draft)?;
    }
    match truncated {
        Some(count) => batch.push(cut_off(&root, count, status, batch)),
        None => Ok(()),
    }
}

fn one(mut alert: Object<'_>, group: Option<AlertStatus>) -> Draft<'_> {
    let said = alert.said("status").and_then(|word| FORMAT.status(&word));
    if said.is_some() {
        alert.forget(&["status"]);
    }
    let labels = alert.labels("labels");
    let mut draft = Draft {
        name: first(&labels, &["alertname"]).unwrap_or_else(|| "unnamed".into()),
        fingerprint: alert.word("fingerprint"),
        status: said.or(group).unwrap_or_default(),
        value: measured(&alert),
        times: Times {
            at: None,
            starts: alert.time("startsAt"),
            ends: alert.time("endsAt"),
        },
        labels,
        annotations: alert.labels("annotations"),
        ..Draft::default()
    };
    // Year 1 stands for "not yet".
    if draft.status == AlertStatus::Firing {
        alert.forget(&["endsAt"]);
    }
    alert.keep(&mut draft);
    draft
}

/// The number of the first expression, by its letter: the query or its reduction. The threshold, which only says
/// 0 or 1, comes after it.
fn measured(alert: &Object<'_>) -> Option<f64> {
    let values = Object::of(alert.get("values")?.clone())?;
    values
        .into_labels()
        .values()
        .find_map(|text| words::number(text))
}

/// The alert that stands for those that Grafana cut off, which must not be missed.
fn cut_off<'a>(
    root: &Object<'a>,
    count: f64,
    status: Option<AlertStatus>,
    batch: &Batch<'a>,
) -> Draft<'a> {
    let others = batch.alerts();
    let group = root.said("groupKey").unwrap_or_default();
    let mut draft = Draft {
        name: "GrafanaTruncatedAlerts".into(),
        fingerprint: batch.series(&["truncated", &group]),
        severity: Some(Severity::Warning),
        status: status.unwrap_or_default(),
        value: Some(count),
        times: Times {
            at: Some(batch.received_at()),
            starts: others.iter().map(|alert| alert.starts_at).min(),
            ends: None,
        },
        domain: others.first().map(|alert| alert.domain.clone()),
        description: Some(
            format!(
                "Grafana cut {count} alerts off this group (max alerts); they are not known here. Raise the \
                 contact point's limit, or group more finely."
            )
            .into(),
        ),
        ..Draft::default()
    };
    root.share(&mut draft, false);
    draft
}

fn legacy<'a>(mut root: Object<'a>, batch: &mut Batch<'a>) -> Result<(), Rejection> {
    let title = root.said("title").map(|title| title.into_owned());
    let untitled = title.map(|title| {
        // "[Alerting] Disk full": the state is no part of the name.
        let rest = title.split_once("] ").filter(|_| title.starts_with('['));
        rest.map_or(title.clone(), |(_, rest)| rest.to_owned())
    });
    if !root.has("ruleId") && !root.has("ruleName") && !root.has("evalMatches") {
        return Err(unexpected(
            "grafana",
            "has neither a list `alerts` nor a `ruleName`",
        ));
    }
    let name = root.word("ruleName").or(untitled.map(Into::into));
    let name = name.ok_or_else(|| unexpected("grafana", "has neither `ruleName` nor `title`"))?;
    let series = |path| root.said(path).unwrap_or_default();
    let mut draft = Draft {
        fingerprint: batch.series(&[&series("orgId"), &series("ruleId"), &name]),
        name,
        status: root
            .said("state")
            .and_then(|word| FORMAT.status(&word))
            .unwrap_or_default(),
        value: root
            .said("evalMatches.0.value")
            .and_then(|text| words::number(&text)),
        labels: root.labels("tags"),
        description: root.word("message"),
        ..Draft::default()
    };
    root.keep(&mut draft);
    batch.push(draft)
}
