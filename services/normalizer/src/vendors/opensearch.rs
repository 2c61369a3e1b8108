//! OpenSearch: monitors of its alerting plugin, through a custom webhook channel.
//!
//! From the OpenSearch documentation, "Alerting: monitor variables" (`ctx`, its monitor, trigger, results and, for
//! bucket-level monitors, new, deduplicated and completed alerts) and "Notifications: custom webhook". The message
//! is the user's own; these carry all that matters:
//!
//! ```json
//! {"ctx": {{#toJson}}ctx{{/toJson}}}
//! {"monitor": {"name": "{{ctx.monitor.name}}", "_id": "{{ctx.monitor._id}}"},
//!  "trigger": {"name": "{{ctx.trigger.name}}", "severity": "{{ctx.trigger.severity}}"},
//!  "periodStart": "{{ctx.periodStart}}", "periodEnd": "{{ctx.periodEnd}}"}
//! ```
//! The first where the version has `toJson`. Of a monitor of queries nothing says when all is well again.

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
    name: "opensearch",
    about: "OpenSearch alerting monitors, by a custom webhook",
    documentation: "OpenSearch documentation: Alerting, monitor variables",
    recognised_by: "`trigger.name` or `monitor.name`, alone or under `ctx`",
    required: &[
        "trigger.name",
        "monitor.name",
        "ctx.trigger.name",
        "ctx.monitor.name",
        "ctx.newAlerts.*",
        "ctx.dedupedAlerts.*",
        "ctx.completedAlerts.*",
    ],
    severities: &[
        ("1", Severity::Critical),
        ("2", Severity::Error),
        ("3", Severity::Warning),
        ("4", Severity::Info),
        ("5", Severity::Info),
    ],
    statuses: &[
        ("ACTIVE", AlertStatus::Firing),
        ("ACKNOWLEDGED", AlertStatus::Firing),
        ("ERROR", AlertStatus::Firing),
        ("COMPLETED", AlertStatus::Resolved),
        ("DELETED", AlertStatus::Resolved),
    ],
    source: Some(&VENDOR),
};
static VENDOR: Vendor = Vendor {
    name: "opensearch",
    order: &[
        "ctx.monitor._id",
        "ctx.monitor.name",
        "monitor._id",
        "monitor.name",
    ],
    read,
};

/// The lists of a bucket-level monitor, and what being in one means.
const LISTS: &[(&str, AlertStatus)] = &[
    ("newAlerts", AlertStatus::Firing),
    ("dedupedAlerts", AlertStatus::Firing),
    ("completedAlerts", AlertStatus::Resolved),
];

fn read<'a>(mut root: Object<'a>, batch: &mut Batch<'a>) -> Result<(), Rejection> {
    let mut ctx = root.object("ctx");
    ctx.adopt(root);
    let before = batch.alerts().len();
    let lists: Vec<(Vec<Json<'a>>, AlertStatus)> = LISTS
        .iter()
        .map(|(name, status)| (ctx.list(name).unwrap_or_default(), *status))
        .collect();
    for (alerts, status) in lists {
        for alert in alerts {
            let alert = Object::of(alert);
            let alert =
                alert.ok_or_else(|| unexpected("opensearch", "has an alert that is no object"))?;
            let first = batch.alerts().len() == before;
            let mut draft = draft(&ctx, &alert, Some(status), batch)?;
            alert.keep_as("alert", &mut draft);
            ctx.share(&mut draft, first);
            batch.push(draft)?;
        }
    }
    if batch.alerts().len() > before {
        return Ok(());
    }
    let alert = ctx.object("alert");
    let mut draft = draft(&ctx, &alert, None, batch)?;
    alert.keep_as("alert", &mut draft);
    ctx.keep(&mut draft);
    batch.push(draft)
}

fn draft<'a>(
    ctx: &Object<'a>,
    alert: &Object<'a>,
    listed: Option<AlertStatus>,
    batch: &Batch<'a>,
) -> Result<Draft<'a>, Rejection> {
    let said = |paths: &[&str]| {
        paths
            .iter()
            .find_map(|path| ctx.said(path))
            .map(Cow::into_owned)
    };
    let monitor = said(&["monitor.name", "monitor_name"]);
    let trigger = said(&["trigger.name", "trigger_name"]);
    let name = trigger.clone().or_else(|| monitor.clone());
    let name = name.ok_or_else(|| unexpected("opensearch", "names neither trigger nor monitor"))?;
    let id = said(&["monitor._id", "monitor.id"])
        .or_else(|| monitor.clone())
        .unwrap_or_default();
    let buckets = alert
        .get("agg_alert_content")
        .or_else(|| alert.get("bucket_keys"));
    // The keys that make up the bucket, not what was counted in it.
    let keys = alert
        .said("agg_alert_content.bucket_keys")
        .or_else(|| alert.said("bucket_keys"));
    let keys = keys
        .map(Cow::into_owned)
        .or_else(|| Some(buckets?.text()))
        .unwrap_or_default();
    let severity = alert
        .said("severity")
        .or_else(|| ctx.said("trigger.severity"));
    let state = alert.said("state").or_else(|| ctx.said("state"));
    let moment =
        |object: &Object<'_>, path: &str| object.said(path).and_then(|text| time::parse(&text));
    let status = listed.or_else(|| state.and_then(|word| FORMAT.status(&word)));
    let mut draft = Draft {
        fingerprint: batch.series(&[&id, &name, &keys]),
        severity: severity.map(|word| FORMAT.severity(&word)),
        status: status.unwrap_or_default(),
        value: ctx
            .said("results.0.hits.total.value")
            .and_then(|text| words::number(&text)),
        times: Times {
            at: moment(ctx, "periodEnd"),
            starts: moment(alert, "start_time"),
            ends: moment(alert, "end_time"),
        },
        description: said(&["message", "error"]).map(Into::into),
        name: name.into(),
        ..Draft::default()
    };
    draft.label("monitor", monitor);
    draft.label("trigger", trigger);
    draft.label("bucket", Some(keys));
    Ok(draft)
}
