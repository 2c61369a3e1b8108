//! Sentry: webhooks of its integration platform (issue alerts, metric alerts, issues), and of the older plugin.
//!
//! From the Sentry documentation, "Integration platform: webhooks" (issue alerts, metric alerts, issues), and
//! "Webhooks" among the legacy integrations.
//!
//! An issue alert tells of an event, and no event is ever over: its issue is, when somebody resolves it.

use prunella_schemas::{AlertStatus, Severity};
use prunella_stream::Rejection;

use super::{Vendor, not_an_alert, unexpected};
use crate::draft::{Batch, DEFAULT_DOMAIN, Draft, Times};
use crate::format::Format;
use crate::object::Object;

pub(crate) static FORMAT: Format = Format {
    name: "sentry",
    about: "Sentry issue alerts, metric alerts and issues",
    documentation: "Sentry documentation: Integration platform, webhooks",
    recognised_by: "`data.event`, `data.metric_alert` or `data.issue`; legacy: `project` and `event`",
    required: &[
        "data.event.title",
        "data.metric_alert.title",
        "data.metric_alert.alert_rule.name",
        "data.description_title",
        "data.issue.title",
        "message",
        "event.title",
    ],
    severities: &[
        ("fatal", Severity::Critical),
        ("error", Severity::Error),
        ("warning", Severity::Warning),
        ("info", Severity::Info),
        ("debug", Severity::Info),
        ("sample", Severity::Info),
        ("critical", Severity::Critical),
    ],
    statuses: &[
        ("critical", AlertStatus::Firing),
        ("warning", AlertStatus::Firing),
        ("triggered", AlertStatus::Firing),
        ("created", AlertStatus::Firing),
        ("unresolved", AlertStatus::Firing),
        ("assigned", AlertStatus::Firing),
        ("resolved", AlertStatus::Resolved),
        ("archived", AlertStatus::Resolved),
        ("ignored", AlertStatus::Resolved),
    ],
    source: Some(&VENDOR),
};
static VENDOR: Vendor = Vendor {
    name: "sentry",
    order: &[
        "data.metric_alert.alert_rule.id",
        "data.event.issue_id",
        "data.issue.id",
        "id",
    ],
    read,
};

fn read<'a>(mut root: Object<'a>, batch: &mut Batch<'a>) -> Result<(), Rejection> {
    let mut data = root.object("data");
    let action = root.said("action");
    let status = action.and_then(|word| FORMAT.status(&word));
    root.forget(&["installation"]);
    if data.nests("metric_alert") {
        metric_alert(root, data, status, batch)
    } else if data.nests("event") {
        let event = data.object("event");
        data.adopt(root);
        event_of(event, data, status, batch)
    } else if data.nests("issue") {
        let issue = data.object("issue");
        data.adopt(root);
        event_of(issue, data, status, batch)
    } else if root.nests("event") || root.has("project") || root.has("culprit") {
        let mut event = root.object("event");
        event.adopt(root);
        event_of(event, Object::default(), None, batch)
    } else if data.is_empty() {
        Err(unexpected("sentry", "has no `data`"))
    } else {
        Err(not_an_alert(
            "a webhook of Sentry about something else (an installation, a comment, ...)",
            "let the integration subscribe to issues and alert rules only",
        ))
    }
}

fn metric_alert<'a>(
    root: Object<'a>,
    mut data: Object<'a>,
    status: Option<AlertStatus>,
    batch: &mut Batch<'a>,
) -> Result<(), Rejection> {
    let mut alert = data.object("metric_alert");
    let mut rule = alert.object("alert_rule");
    let name = rule.word("name").or_else(|| alert.word("title"));
    let name = name.or_else(|| data.word("description_title"));
    let name = name.ok_or_else(|| unexpected("sentry", "names no alert rule"))?;
    let word = root.said("action").unwrap_or_default();
    let status = status.unwrap_or_default();
    let place = [alert.said("organization_id"), rule.said("id")];
    let place = place.map(|part| part.unwrap_or_default());
    let project = alert.said("projects.0").or_else(|| rule.said("projects.0"));
    let mut draft = Draft {
        fingerprint: batch.series(&["metric", &place[0], &place[1], &name]),
        // Of a resolved one the word says nothing of how bad it was.
        severity: Some(FORMAT.severity(&word)).filter(|_| status == AlertStatus::Firing),
        status,
        service: project.map(|word| word.into_owned().into()),
        ..Draft::default()
    };
    let started = alert.time("date_started");
    draft.times = Times {
        at: None,
        starts: started.or_else(|| alert.time("date_detected")),
        ends: alert.time("date_closed"),
    };
    draft.description = data.word("description_text");
    draft.label("environment", rule.word("environment"));
    draft.label("aggregate", rule.word("aggregate"));
    draft.name = name;
    rule.keep_as("alert_rule", &mut draft);
    alert.keep_as("metric_alert", &mut draft);
    data.keep(&mut draft);
    root.keep(&mut draft);
    batch.push(draft)
}

/// An event, or the issue it belongs to: both carry the issue's identity.
fn event_of<'a>(
    mut event: Object<'a>,
    rest: Object<'a>,
    status: Option<AlertStatus>,
    batch: &mut Batch<'a>,
) -> Result<(), Rejection> {
    let title = event.word("title").or_else(|| event.word("message"));
    let name = rest
        .said("triggered_rule")
        .map(|word| word.into_owned().into());
    let name = name.or_else(|| title.clone());
    let name = name.ok_or_else(|| unexpected("sentry", "has an event or issue without a title"))?;
    let id = event
        .said("issue_id")
        .or_else(|| event.said("id"))
        .unwrap_or_default()
        .into_owned();
    let group = event.said("groupID").or_else(|| event.said("group_id"));
    let id = group.map_or(id, |group| group.into_owned());
    let service = event
        .said("project.slug")
        .or_else(|| event.said("project_slug"))
        .or_else(|| event.said("project_name"))
        .or_else(|| event.said("project"));
    let level = event.said("level").map(|word| FORMAT.severity(&word));
    let service = service.map(|word| word.into_owned().into());
    let mut draft = Draft {
        fingerprint: batch.series(&["issue", &id]),
        name,
        severity: level,
        status: status.unwrap_or_default(),
        service,
        labels: event.labels("tags"),
        description: title,
        ..Draft::default()
    };
    // An issue does not say in which environments it occurs: its alerts could not be resolved there.
    draft.domain = Some(DEFAULT_DOMAIN.into());
    let seen = event.time("datetime").or_else(|| event.time("lastSeen"));
    let first = event.time("firstSeen");
    draft.times = Times {
        at: seen.or_else(|| event.time("timestamp")),
        starts: first,
        ends: event.time("resolvedAt"),
    };
    draft.label("environment", event.word("environment"));
    draft.label("release", event.word("release"));
    event.keep(&mut draft);
    rest.keep(&mut draft);
    batch.push(draft)
}
