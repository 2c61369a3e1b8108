//! Elastic: Kibana's alerting rules through the webhook connector, and Elasticsearch Watcher.
//!
//! From the Elastic documentation, "Webhook connector and action", "Rule action variables" (with summaries of
//! alerts), "Alerts as data" for the fields `kibana.alert.*`, and "Watcher: webhook action" with the "Watch
//! execution context". The payload is the user's own; these carry all that matters:
//!
//! ```json
//! {"rule": {"id": "{{rule.id}}", "name": "{{rule.name}}"}, "date": "{{date}}",
//!  "alert": {"id": "{{alert.id}}", "actionGroup": "{{alert.actionGroup}}"},
//!  "context": {"reason": "{{context.reason}}", "value": "{{context.value}}"}}
//! {"rule": {"id": "{{rule.id}}", "name": "{{rule.name}}"}, "date": "{{date}}",
//!  "alerts": {"new": {"data": {{{alerts.new.data}}}}, "ongoing": {"data": {{{alerts.ongoing.data}}}},
//!             "recovered": {"data": {{{alerts.recovered.data}}}}}}
//! {{#toJson}}ctx{{/toJson}}
//! ```
//! The first for each alert and again, with its own action, when it recovered; the second for summaries; the third
//! for Watcher, which never says that all is well again.

use std::borrow::Cow;

use prunella_schemas::{AlertStatus, Severity};
use prunella_stream::Rejection;

use super::{Vendor, unexpected};
use crate::draft::{Batch, Draft, Times};
use crate::format::Format;
use crate::json::Json;
use crate::object::Object;
use crate::{time, words};

pub(crate) static FORMAT: Format = Format {
    name: "elastic",
    about: "Kibana alerting rules by the webhook connector, alone or in summaries; Elasticsearch Watcher",
    documentation: "Elastic documentation: Rule action variables; Watcher, watch execution context",
    recognised_by: "`rule.name` or `kibana.alert.rule.name`; summaries: `alerts`; Watcher: `watch_id`",
    required: &[
        "rule.name",
        "rule.id",
        "kibana.alert.rule.name",
        "watch_id",
        "ctx.watch_id",
        "alerts.new.data.*",
        "alerts.ongoing.data.*",
        "alerts.recovered.data.*",
    ],
    severities: &[("critical", Severity::Critical), ("high", Severity::Error)],
    statuses: &[
        ("active", AlertStatus::Firing),
        ("new", AlertStatus::Firing),
        ("ongoing", AlertStatus::Firing),
        ("recovered", AlertStatus::Resolved),
        ("untracked", AlertStatus::Resolved),
    ],
    source: Some(&VENDOR),
};
static VENDOR: Vendor = Vendor {
    name: "elastic",
    order: &[
        "rule.id",
        "kibana.alert.rule.uuid",
        "watch_id",
        "ctx.watch_id",
    ],
    read,
};

fn read<'a>(mut root: Object<'a>, batch: &mut Batch<'a>) -> Result<(), Rejection> {
    if root.nests("ctx") {
        let mut ctx = root.object("ctx");
        ctx.adopt(root);
        return watch(ctx, batch);
    }
    if root.has("watch_id") {
        return watch(root, batch);
    }
    if !root.nests("alerts") {
        return one(root, None, batch);
    }
    let mut alerts = root.object("alerts");
    let before = batch.alerts().len();
    let groups = ["new", "ongoing", "recovered"].map(|state| {
        let mut group = alerts.object(state);
        let listed = group.list("data").or_else(|| alerts.list(state));
        root.adopt(group.within(&format!("alerts.{state}")));
        (state, listed.unwrap_or_default())
    });
    root.adopt(alerts.within("alerts"));
    for (state, listed) in groups {
        for alert in listed {
            let alert = Object::of(alert);
            let mut alert =
                alert.ok_or_else(|| unexpected("elastic", "has an alert that is no object"))?;
            alert.adopt(root.clone());
            one(alert, FORMAT.status(state), batch)?;
        }
    }
    if batch.alerts().len() == before {
        return Err(unexpected(
            "elastic",
            "is a summary without any alert's data",
        ));
    }
    Ok(())
}

/// The first of these that has a word.
fn any<'o>(object: &'o Object<'_>, paths: &[&str]) -> Option<Cow<'o, str>> {
    paths.iter().find_map(|path| object.said(path))
}

fn one<'a>(
    root: Object<'a>,
    listed: Option<AlertStatus>,
    batch: &mut Batch<'a>,
) -> Result<(), Rejection> {
    let said = |paths: &[&str]| any(&root, paths).map(Cow::into_owned);
    let rule = said(&["kibana.alert.rule.uuid", "rule.id", "rule_id"]).unwrap_or_default();
    let name = said(&["kibana.alert.rule.name", "rule.name", "rule_name"]);
    let name = name.or_else(|| Some(rule.clone()).filter(|id| !id.is_empty()));
    let name = name.ok_or_else(|| unexpected("elastic", "names no rule (`rule.name`)"))?;
    let alert = said(&["kibana.alert.instance.id", "alert.id", "alert_id"]).unwrap_or_default();
    let status = said(&[
        "kibana.alert.status",
        "alert.actionGroup",
        "alert.actionGroupName",
        "status",
    ]);
    let status = listed.or_else(|| FORMAT.status(&status?));
    let severity = said(&["kibana.alert.severity", "severity", "context.severity"]);
    let severity = severity.map(|word| FORMAT.severity(&word));
    let number = |paths: &[&str]| any(&root, paths).and_then(|text| words::number(&text));
    let moment = |paths: &[&str]| any(&root, paths).and_then(|text| time::parse(&text));
    let mut draft = Draft {
        fingerprint: batch.series(&[&rule, &name, &alert]),
        severity,
        status: status.unwrap_or_default(),
        service: said(&[
            "service.name",
            "context.serviceName",
            "context.service.name",
        ])
        .map(Into::into),
        host: said(&["host.name", "host.hostname", "context.host.name"]).map(Into::into),
        value: number(&["kibana.alert.evaluation.value", "context.value", "value"]),
        times: Times {
            at: moment(&["@timestamp", "date", "context.timestamp", "context.date"]),
            starts: moment(&["kibana.alert.start"]),
            ends: moment(&["kibana.alert.end"]),
        },
        domain: said(&["orchestrator.cluster.name", "service.environment"]).map(Into::into),
        description: said(&[
            "kibana.alert.reason",
            "context.reason",
            "context.message",
            "message",
        ])
        .map(Into::into),
        name: name.into(),
        ..Draft::default()
    };
    if draft.status == AlertStatus::Resolved && draft.times.ends.is_none() {
        draft.times.ends = draft.times.at;
    }
    for (label, paths) in [
        (
            "rule_type",
            &["kibana.alert.rule.rule_type_id", "rule.type"][..],
        ),
        ("space", &["rule.spaceId", "kibana.space_ids.0"][..]),
        ("alert", &["kibana.alert.instance.id", "alert.id"][..]),
    ] {
        draft.label(label, said(paths));
    }
    root.keep(&mut draft);
    batch.push(draft)
}

/// The execution context of a watch.
fn watch<'a>(mut ctx: Object<'a>, batch: &mut Batch<'a>) -> Result<(), Rejection> {
    let id = ctx.said("watch_id").map(Cow::into_owned);
    let name = any(&ctx, &["metadata.name", "watch_id"]).map(Cow::into_owned);
    let name = name.ok_or_else(|| unexpected("elastic", "names no watch (`watch_id`)"))?;
    let status = any(&ctx, &["metadata.status", "status"]).and_then(|word| FORMAT.status(&word));
    let severity = any(&ctx, &["metadata.severity", "metadata.priority"]);
    let severity = severity.map(|word| FORMAT.severity(&word));
    let value = any(&ctx, &["payload.hits.total.value", "payload.hits.total"]);
    let at = any(&ctx, &["trigger.triggered_time", "execution_time"]);
    let mut draft = Draft {
        fingerprint: batch.series(&[&id.unwrap_or_else(|| name.clone())]),
        severity,
        status: status.unwrap_or_default(),
        value: value.and_then(|text| words::number(&text)),
        times: Times {
            at: at.and_then(|text| time::parse(&text)),
            ..Times::default()
        },
        description: any(&ctx, &["metadata.description", "message"])
            .map(|text| text.into_owned().into()),
        name: name.into(),
        ..Draft::default()
    };
    for (name, value) in ctx.labels("metadata") {
        draft.label(name, Some(value));
    }
    match ctx.get("payload") {
        Some(Json::Null) | None => {}
        Some(_) => draft.keep("payload", ctx.take_text("payload")),
    }
    ctx.keep(&mut draft);
    batch.push(draft)
}
