//! Azure Monitor: the common alert schema (metric, log, activity log, service health, resource health), and the
//! schemas from before it.
//!
//! From the Azure Monitor documentation, "Common alert schema", "Alert payload samples", "Non-common alert schema
//! definitions" and "Webhooks for Azure activity log alerts".
//!
//! Alerts on the activity log are never resolved by Azure Monitor; those on the health of a service or a resource
//! say in their properties how it goes.

use prunella_schemas::{AlertStatus, CowStr, Severity};
use prunella_stream::Rejection;

use super::{Vendor, unexpected};
use crate::draft::{Batch, Draft, Times};
use crate::format::Format;
use crate::json::Json;
use crate::object::Object;
use crate::{time, words};

pub(crate) static FORMAT: Format = Format {
    name: "azure",
    about: "Azure Monitor: common alert schema, and legacy metric, log and activity log alerts",
    documentation: "Azure Monitor documentation: Common alert schema; Non-common alert schema definitions",
    recognised_by: "`data.essentials`; legacy: `context` or `data.context` or `data.AlertRuleName`",
    required: &[
        "data.essentials.alertRule",
        "data.essentials.alertId",
        "context.name",
        "data.context.name",
        "data.AlertRuleName",
        "data.context.activityLog.operationName",
    ],
    severities: &[
        ("Sev0", Severity::Critical),
        ("Sev1", Severity::Error),
        ("Sev2", Severity::Warning),
        ("Sev3", Severity::Info),
        ("Sev4", Severity::Info),
        ("0", Severity::Critical),
        ("1", Severity::Error),
        ("2", Severity::Warning),
        ("3", Severity::Info),
        ("4", Severity::Info),
    ],
    statuses: &[
        ("Fired", AlertStatus::Firing),
        ("Activated", AlertStatus::Firing),
        ("Active", AlertStatus::Firing),
        ("Degraded", AlertStatus::Firing),
        ("Unavailable", AlertStatus::Firing),
        ("Unknown", AlertStatus::Firing),
        ("Resolved", AlertStatus::Resolved),
        ("Deactivated", AlertStatus::Resolved),
        ("Available", AlertStatus::Resolved),
        ("Complete", AlertStatus::Resolved),
        ("Canceled", AlertStatus::Resolved),
        ("RCA", AlertStatus::Resolved),
    ],
    source: Some(&VENDOR),
};
static VENDOR: Vendor = Vendor {
    name: "azure",
    order: &[
        "data.essentials.originAlertId",
        "data.essentials.alertRule",
        "data.context.id",
        "context.id",
        "data.AlertRuleName",
    ],
    read,
};

fn read<'a>(mut root: Object<'a>, batch: &mut Batch<'a>) -> Result<(), Rejection> {
    let mut data = root.object("data");
    if data.nests("essentials") {
        return common(root, data, batch);
    }
    // The classic metric alert has no `data`; the others do.
    data.adopt(root);
    if data.nests("context") {
        return legacy(data, batch);
    }
    log(data, batch)
}

fn common<'a>(
    root: Object<'a>,
    mut data: Object<'a>,
    batch: &mut Batch<'a>,
) -> Result<(), Rejection> {
    let mut essentials = data.object("essentials");
    let mut context = data.object("alertContext");
    let name = essentials.first(&["alertRule", "alertId"]);
    let name = name.ok_or_else(|| unexpected("azure", "names no `alertRule`"))?;
    let targets = essentials.list("alertTargetIDs").unwrap_or_default();
    let targets: Vec<String> = targets.iter().filter_map(Json::word).collect();
    let status = context
        .said("properties.stage")
        .or_else(|| context.said("properties.currentHealthStatus"))
        .or_else(|| essentials.said("monitorCondition"));
    // Alerts on the activity log are all Sev4; the event says how bad it is, in a word or as a number.
    let level = context.said("level").map(|word| match word.as_ref() {
        "1" => Severity::Critical,
        "2" => Severity::Error,
        "3" => Severity::Warning,
        "4" => Severity::Info,
        word => Severity::parse(word),
    });
    let level = level.filter(|level| *level != Severity::Unknown);
    let severity = essentials
        .said("severity")
        .map(|word| FORMAT.severity(&word));
    let mut draft = Draft {
        severity: level.or(severity),
        status: status
            .and_then(|word| FORMAT.status(&word))
            .unwrap_or_default(),
        service: context
            .said("properties.service")
            .map(|word| word.into_owned().into()),
        times: Times {
            at: None,
            starts: essentials.time("firedDateTime"),
            ends: essentials.time("resolvedDateTime"),
        },
        description: essentials.word("description"),
        ..Draft::default()
    };
    if draft.status == AlertStatus::Resolved && draft.times.ends.is_none() {
        // Only its health says that it is over; it fired when this message was made.
        draft.times.ends = draft.times.starts.take();
    }
    let tracked = context
        .said("properties.trackingId")
        .unwrap_or_default()
        .into_owned();
    conditions(context.object("condition"), &mut draft);
    place(targets.first().map(String::as_str), &mut draft);
    draft.label("signal_type", essentials.word("signalType"));
    draft.label("monitoring_service", essentials.word("monitoringService"));
    let dimensions: String = dimensions_of(&draft);
    draft.fingerprint = batch.series(&[&name, &targets.join(","), &dimensions, &tracked]);
    draft.name = name;
    draft.keep("alertTargetIDs", targets.join(","));
    essentials.keep(&mut draft);
    context.keep_as("alertContext", &mut draft);
    for (name, value) in data.labels("customProperties") {
        draft.label(name, Some(value));
    }
    data.keep(&mut draft);
    root.keep(&mut draft);
    batch.push(draft)
}

/// The first condition: the metric, its value and its dimensions; they become labels.
fn conditions<'a>(mut condition: Object<'a>, draft: &mut Draft<'a>) {
    let mut all = condition.list("allOf").unwrap_or_default();
    if !all.is_empty()
        && let Some(mut first) = Object::of(all.remove(0))
    {
        draft.value = first.number("metricValue").or(draft.value);
        for (name, value) in first.labels("dimensions") {
            draft.label(format!("dimension.{name}"), Some(value));
        }
        draft.label("metric_name", first.word("metricName"));
        first.keep_as("condition", draft);
    }
    if !all.is_empty() {
        draft.keep("condition.others", Json::List(all).into_text());
    }
    condition.keep_as("condition", draft);
}

fn dimensions_of(draft: &Draft<'_>) -> String {
    let dimensions = draft
        .labels
        .iter()
        .filter(|(name, _)| name.starts_with("dimension."));
    dimensions
        .map(|(name, value)| format!("{name}={value}\0"))
        .collect()
}

/// Labels, and the service, from a resource's path:
/// `/subscriptions/S/resourceGroups/G/providers/Microsoft.Compute/virtualMachines/NAME`.
fn place(target: Option<&str>, draft: &mut Draft<'_>) {
    let steps: Vec<&str> = target
        .unwrap_or_default()
        .trim_matches('/')
        .split('/')
        .collect();
    let after = |name: &str| {
        let at = steps
            .iter()
            .position(|step| step.eq_ignore_ascii_case(name))?;
        steps
            .get(at + 1)
            .map(|step| CowStr::from((*step).to_owned()))
    };
    draft.label("subscription", after("subscriptions"));
    draft.label("resource_group", after("resourceGroups"));
    if steps.len() < 2 || after("providers").is_none() {
        return;
    }
    let name = steps.last().map(|name| CowStr::from((*name).to_owned()));
    let kind = steps.get(steps.len() - 2).copied().unwrap_or_default();
    draft.label("resource_type", Some(kind.to_owned()));
    draft.label("resource", name.clone());
    draft.host = name
        .clone()
        .filter(|_| kind.eq_ignore_ascii_case("virtualMachines"));
    draft.service = draft.service.take().or(name);
}

/// Metric alerts (`AzureMonitorMetricAlert`, and classic ones without a schema) and activity log alerts.
fn legacy<'a>(mut data: Object<'a>, batch: &mut Batch<'a>) -> Result<(), Rejection> {
    let mut context = data.object("context");
    let mut activity = context.object("activityLog");
    let name = context
        .word("name")
        .or_else(|| activity.word("operationName"))
        .ok_or_else(|| unexpected("azure", "has a `context` without a name"))?;
    let status = data.said("status").or_else(|| context.said("status"));
    let status = status
        .and_then(|word| FORMAT.status(&word))
        .unwrap_or_default();
    let severity = context.said("severity").or_else(|| activity.said("level"));
    let severity = severity.map(|word| FORMAT.severity(&word));
    let at = context
        .time("timestamp")
        .or_else(|| activity.time("eventTimestamp"));
    let resource = context
        .word("resourceId")
        .or_else(|| activity.word("resourceId"));
    let mut draft = Draft {
        severity,
        status,
        times: Times {
            at,
            ..Times::default()
        },
        description: context
            .first(&["description"])
            .or_else(|| activity.word("description")),
        ..Draft::default()
    };
    let mut condition = context.object("condition");
    draft.value = condition.number("metricValue");
    draft.label("metric_name", condition.word("metricName"));
    conditions(condition, &mut draft);
    place(resource.as_deref(), &mut draft);
    let service = context.word("resourceName");
    draft.service = draft.service.take().or(service);
    let dimensions = dimensions_of(&draft);
    let resource = resource.unwrap_or_default();
    draft.fingerprint = batch.series(&[&name, &resource, &dimensions]);
    draft.name = name;
    draft.keep("resourceId", resource);
    context.keep(&mut draft);
    activity.keep_as("activityLog", &mut draft);
    data.keep(&mut draft);
    batch.push(draft)
}

/// Log alerts (`Microsoft.Insights/LogAlert`).
fn log<'a>(mut data: Object<'a>, batch: &mut Batch<'a>) -> Result<(), Rejection> {
    let name = data.word("AlertRuleName");
    let name = name.ok_or_else(|| {
        unexpected(
            "azure",
            "has neither `data.essentials` nor a `context` nor an `AlertRuleName`",
        )
    })?;
    let ends = data
        .said("SearchIntervalEndtimeUtc")
        .or_else(|| data.said("SearchIntervalEndTimeUtc"));
    let mut draft = Draft {
        fingerprint: batch.series(&[&name, &data.said("WorkspaceId").unwrap_or_default()]),
        severity: data.said("Severity").map(|word| FORMAT.severity(&word)),
        value: data
            .said("ResultCount")
            .and_then(|text| words::number(&text)),
        times: Times {
            at: ends.and_then(|text| time::parse(&text)),
            ..Times::default()
        },
        description: data.word("Description"),
        name,
        ..Draft::default()
    };
    draft.label("subscription", data.word("SubscriptionId"));
    let columns = data.labels("Dimensions");
    for (name, value) in columns {
        draft.label(format!("dimension.{name}"), Some(value));
    }
    data.keep(&mut draft);
    batch.push(draft)
}
