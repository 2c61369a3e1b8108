//! Opsgenie: its outgoing webhook integration.
//!
//! From the Opsgenie documentation, "Integrate Opsgenie with outgoing webhook" and "Webhook integration" (payload
//! of each action).

use prunella_schemas::{AlertStatus, CowStr, Severity};
use prunella_stream::Rejection;

use super::{Vendor, not_an_alert, unexpected};
use crate::draft::{Batch, Draft, Times};
use crate::format::Format;
use crate::json::Json;
use crate::object::Object;

pub(crate) static FORMAT: Format = Format {
    name: "opsgenie",
    about: "Opsgenie alerts, by the outgoing webhook integration",
    documentation: "Opsgenie documentation: Integrate Opsgenie with outgoing webhook",
    recognised_by: "an object `alert`",
    required: &["alert.message", "action"],
    severities: &[
        ("P1", Severity::Critical),
        ("P2", Severity::Error),
        ("P3", Severity::Warning),
        ("P4", Severity::Info),
        ("P5", Severity::Info),
    ],
    statuses: &[
        ("Create", AlertStatus::Firing),
        ("Acknowledge", AlertStatus::Firing),
        ("UnAcknowledge", AlertStatus::Firing),
        ("Escalate", AlertStatus::Firing),
        ("UpdatePriority", AlertStatus::Firing),
        ("Close", AlertStatus::Resolved),
        ("Delete", AlertStatus::Resolved),
    ],
    source: Some(&VENDOR),
};
static VENDOR: Vendor = Vendor {
    name: "opsgenie",
    order: &["alert.alertId", "alert.alias"],
    read,
};

/// Actions that change nothing of an alert but what people wrote beside it.
const TALK: &[&str] = &["AddNote", "ExecuteCustomAction", "TestAction"];

fn read<'a>(mut root: Object<'a>, batch: &mut Batch<'a>) -> Result<(), Rejection> {
    let action = root.said("action").unwrap_or_default().into_owned();
    if TALK.iter().any(|talk| talk.eq_ignore_ascii_case(&action)) {
        return Err(not_an_alert(
            &format!(
                "Opsgenie telling of the action {}",
                crate::payload::shorten(&action)
            ),
            "leave the action out of the integration's alert actions",
        ));
    }
    let mut alert = root.object("alert");
    let name = alert.first(&["message", "alias"]);
    let name = name.ok_or_else(|| unexpected("opsgenie", "has no `alert` with a message"))?;
    let id = alert.said("alertId").unwrap_or_default().into_owned();
    let mut draft = Draft {
        fingerprint: batch.series(&[&id]),
        severity: alert.said("priority").map(|word| FORMAT.severity(&word)),
        status: FORMAT.status(&action).unwrap_or_default(),
        service: alert.word("entity"),
        labels: alert.labels("details"),
        description: alert.word("description"),
        name,
        ..Draft::default()
    };
    let updated = alert.time("updatedAt");
    draft.times = Times {
        at: None,
        starts: alert.time("createdAt"),
        ends: updated.filter(|_| draft.status == AlertStatus::Resolved),
    };
    tags(&mut alert, &mut draft);
    draft.label("team", alert.word("team"));
    alert.keep(&mut draft);
    root.keep(&mut draft);
    batch.push(draft)
}

/// Tags are words; those of the form `name:value` become labels, and all of them stay to be read.
fn tags<'a>(alert: &mut Object<'a>, draft: &mut Draft<'a>) {
    let Some(Json::List(tags)) = alert.get("tags") else {
        return;
    };
    for tag in tags.iter().filter_map(Json::word) {
        if let Some((name, value)) = tag.split_once([':', '=']) {
            let value: CowStr<'_> = value.trim().to_owned().into();
            draft.label(name.trim().to_owned(), Some(value));
        }
    }
}
