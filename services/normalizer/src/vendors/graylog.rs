//! Graylog: HTTP notifications of event definitions.
//!
//! From the Graylog documentation, "Notifications" (data available to notifications, HTTP notification).
//!
//! Graylog tells of events and never that one is over.

use prunella_schemas::Severity;
use prunella_stream::Rejection;

use super::{Vendor, unexpected};
use crate::draft::{Batch, Draft, Times};
use crate::format::Format;
use crate::object::Object;

pub(crate) static FORMAT: Format = Format {
    name: "graylog",
    about: "Graylog event definitions, by HTTP notifications",
    documentation: "Graylog documentation: Notifications",
    recognised_by: "`event_definition_title` and `event`",
    required: &[
        "event_definition_title",
        "event_definition_id",
        "event.message",
    ],
    severities: &[
        ("1", Severity::Info),
        ("2", Severity::Warning),
        ("3", Severity::Error),
        ("4", Severity::Critical),
        ("Low", Severity::Info),
        ("Normal", Severity::Warning),
        ("High", Severity::Error),
    ],
    statuses: &[],
    source: Some(&VENDOR),
};
static VENDOR: Vendor = Vendor {
    name: "graylog",
    order: &["event_definition_id", "event_definition_title"],
    read,
};

fn read<'a>(mut root: Object<'a>, batch: &mut Batch<'a>) -> Result<(), Rejection> {
    let mut event = root.object("event");
    let name = root.first(&["event_definition_title", "event_definition_id"]);
    let name = name.or_else(|| event.word("message"));
    let name = name.ok_or_else(|| unexpected("graylog", "has no `event_definition_title`"))?;
    let definition = root
        .said("event_definition_id")
        .or_else(|| event.said("event_definition_id"));
    let definition = definition.unwrap_or_default().into_owned();
    let key = event.said("key").unwrap_or_default().into_owned();
    let groups = event.labels("group_by_fields");
    let group: String = groups
        .iter()
        .map(|(name, value)| format!("{name}={value}\0"))
        .collect();
    let mut draft = Draft {
        fingerprint: batch.series(&[&definition, &key, &group]),
        severity: event.said("priority").map(|word| FORMAT.severity(&word)),
        labels: groups,
        description: event
            .word("message")
            .or_else(|| root.word("event_definition_description")),
        name,
        ..Draft::default()
    };
    // When it was seen, not when the search ran.
    draft.times = Times {
        at: event.time("timestamp"),
        ..Times::default()
    };
    for (name, value) in event.labels("fields") {
        draft.label(name, Some(value));
    }
    draft.label("source", event.word("source"));
    event.keep_as("event", &mut draft);
    root.keep(&mut draft);
    batch.push(draft)
}
