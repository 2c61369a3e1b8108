//! Uptime Kuma: its notification "Webhook" with the preset body.
//!
//! From the Uptime Kuma wiki, "Notification methods", and the form of the notification itself (preset body:
//! `heartbeat`, `monitor` and `msg`).

use prunella_schemas::{AlertStatus, Severity};
use prunella_stream::Rejection;

use super::{Vendor, unexpected};
use crate::draft::{Batch, Draft, Times};
use crate::format::Format;
use crate::object::Object;

pub(crate) static FORMAT: Format = Format {
    name: "uptime-kuma",
    about: "Uptime Kuma, by a webhook with the preset body",
    documentation: "Uptime Kuma wiki: Notification methods",
    recognised_by: "`heartbeat`, `monitor` and `msg`",
    required: &["monitor.name", "msg"],
    severities: &[("0", Severity::Critical), ("2", Severity::Warning)],
    statuses: &[
        ("0", AlertStatus::Firing),
        ("1", AlertStatus::Resolved),
        ("2", AlertStatus::Firing),
        // Under maintenance: nobody shall act.
        ("3", AlertStatus::Resolved),
    ],
    source: Some(&VENDOR),
};
static VENDOR: Vendor = Vendor {
    name: "uptime-kuma",
    order: &["monitor.id", "heartbeat.monitorID", "monitor.name"],
    read,
};

fn read<'a>(mut root: Object<'a>, batch: &mut Batch<'a>) -> Result<(), Rejection> {
    let mut monitor = root.object("monitor");
    let mut beat = root.object("heartbeat");
    let message = root.word("msg");
    let id = monitor.said("id").or_else(|| beat.said("monitorID"));
    let id = id.unwrap_or_default().into_owned();
    let name = monitor.word("name").or_else(|| message.clone());
    let name =
        name.ok_or_else(|| unexpected("uptime-kuma", "has neither `monitor.name` nor `msg`"))?;
    let word = beat.said("status").unwrap_or_default().into_owned();
    let status = FORMAT.status(&word).unwrap_or_default();
    // Without a heartbeat it is no outage: a certificate runs out, or somebody pressed "Test".
    let about = if beat.is_empty() { "notice" } else { "up" };
    let severity = match (about, status) {
        ("notice", _) => Some(Severity::Warning),
        (_, AlertStatus::Firing) => Some(FORMAT.severity(&word)),
        (_, AlertStatus::Resolved) => None,
    };
    let host = monitor.said("hostname").or_else(|| {
        monitor
            .said("url")
            .filter(|url| url.len() > "https://".len())
    });
    let mut draft = Draft {
        fingerprint: batch.series(&[&id, &name, about]),
        severity,
        status,
        host: host.map(|host| host.into_owned().into()),
        value: beat.number("ping"),
        times: Times {
            at: beat.time("time"),
            ..Times::default()
        },
        labels: monitor.labels("tags"),
        description: beat
            .word("msg")
            .filter(|text| !text.is_empty())
            .or_else(|| message.clone()),
        name,
        ..Draft::default()
    };
    draft.label("monitor_type", monitor.word("type"));
    if draft.description != message {
        draft.keep("msg", message.unwrap_or_default());
    }
    beat.keep_as("heartbeat", &mut draft);
    monitor.keep_as("monitor", &mut draft);
    root.keep(&mut draft);
    batch.push(draft)
}
