//! PagerDuty: webhook subscriptions (version 3), and the webhooks before them (version 2).
//!
//! From the PagerDuty developer documentation, "Webhooks v3: overview" (list of event types) and "Webhooks V2".

use prunella_schemas::{AlertStatus, Severity};
use prunella_stream::Rejection;

use super::{Vendor, not_an_alert, unexpected};
use crate::draft::{Batch, Draft, Times};
use crate::format::Format;
use crate::object::Object;

pub(crate) static FORMAT: Format = Format {
    name: "pagerduty",
    about: "PagerDuty incidents, by webhook subscriptions",
    documentation: "PagerDuty developer documentation: Webhooks v3",
    recognised_by: "`event.event_type` that begins with `incident.`; version 2: `messages`",
    required: &[
        "event.data.title",
        "event.event_type",
        "messages.*.incident.title",
    ],
    severities: &[
        ("P1", Severity::Critical),
        ("P2", Severity::Error),
        ("P3", Severity::Warning),
        ("P4", Severity::Info),
        ("P5", Severity::Info),
        // Urgency, where an incident has no priority.
        ("high", Severity::Error),
        ("low", Severity::Warning),
    ],
    statuses: &[
        ("triggered", AlertStatus::Firing),
        ("acknowledged", AlertStatus::Firing),
        ("resolved", AlertStatus::Resolved),
    ],
    source: Some(&VENDOR),
};
static VENDOR: Vendor = Vendor {
    name: "pagerduty",
    order: &["event.data.id", "messages.0.incident.id"],
    read,
};

fn read<'a>(mut root: Object<'a>, batch: &mut Batch<'a>) -> Result<(), Rejection> {
    if let Some(messages) = root.list("messages") {
        for message in messages {
            let mut message = Object::of(message)
                .ok_or_else(|| unexpected("pagerduty", "has a message that is no object"))?;
            let incident = message.object("incident");
            message.adopt(root.clone());
            incident_of(incident, message, batch)?;
        }
        return Ok(());
    }
    let mut event = root.object("event");
    let kind = event.said("event_type").unwrap_or_default().into_owned();
    let data = event.object("data");
    // A note or a status update has a type of its own: `incident_note`, ...
    let beside = data
        .said("type")
        .is_some_and(|kind| kind.starts_with("incident_"));
    if beside || (!kind.is_empty() && !kind.starts_with("incident.")) {
        return Err(not_an_alert(
            &format!(
                "an event of PagerDuty of type `{}`",
                crate::payload::shorten(&kind)
            ),
            "subscribe to incident.triggered, acknowledged, reopened, escalated and resolved only",
        ));
    }
    event.adopt(root);
    incident_of(data, event, batch)
}

fn incident_of<'a>(
    mut data: Object<'a>,
    mut rest: Object<'a>,
    batch: &mut Batch<'a>,
) -> Result<(), Rejection> {
    let name = data.first(&["title", "summary", "description"]);
    let name = name.ok_or_else(|| unexpected("pagerduty", "is about no incident with a title"))?;
    let kind = rest.said("event_type").or_else(|| rest.said("event"));
    // What has happened wins over the incident's state, which may be ahead of it.
    let kind = kind.and_then(|kind| match kind.strip_prefix("incident.")? {
        "resolved" | "resolve" => Some(AlertStatus::Resolved),
        "triggered" | "trigger" | "reopened" => Some(AlertStatus::Firing),
        _ => None,
    });
    let status = data.said("status").and_then(|word| FORMAT.status(&word));
    let priority = data
        .said("priority.summary")
        .or_else(|| data.said("priority.name"));
    let severity = priority
        .map(|word| FORMAT.severity(&word))
        .filter(|severity| *severity != Severity::Unknown)
        .or_else(|| Some(FORMAT.severity(&data.said("urgency")?)));
    let status = kind.or(status).unwrap_or_default();
    let at = rest.time("occurred_at").or_else(|| rest.time("created_on"));
    let service = data
        .said("service.summary")
        .or_else(|| data.said("service.name"));
    let mut draft = Draft {
        fingerprint: batch.series(&[&data.said("id").unwrap_or_default()]),
        severity,
        status,
        service: service.map(|word| word.into_owned().into()),
        times: Times {
            at: at.filter(|_| status == AlertStatus::Resolved),
            starts: data
                .time("created_at")
                .or(at.filter(|_| status == AlertStatus::Firing)),
            ends: at.filter(|_| status == AlertStatus::Resolved),
        },
        name,
        ..Draft::default()
    };
    if draft.fingerprint.is_none() {
        let key = data.said("incident_key").unwrap_or_default().into_owned();
        draft.fingerprint = batch.series(&[&key]);
    }
    draft.label("urgency", data.word("urgency"));
    draft.label(
        "incident_number",
        data.first(&["number", "incident_number"]),
    );
    data.keep(&mut draft);
    rest.keep_as("event", &mut draft);
    batch.push(draft)
}
