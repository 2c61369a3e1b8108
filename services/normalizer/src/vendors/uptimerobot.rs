//! UptimeRobot: webhook alert contacts that send their variables as JSON ("Send as JSON").
//!
//! From the UptimeRobot help, "Web-hook alert contacts" (list of variables).

use prunella_schemas::{AlertStatus, Severity};
use prunella_stream::Rejection;

use super::{Vendor, unexpected};
use crate::draft::{Batch, Draft, Times};
use crate::format::Format;
use crate::object::Object;

pub(crate) static FORMAT: Format = Format {
    name: "uptimerobot",
    about: "UptimeRobot monitors, by a webhook alert contact that sends JSON",
    documentation: "UptimeRobot help: Web-hook alert contacts",
    recognised_by: "`monitorFriendlyName` or `monitorID`",
    required: &["monitorFriendlyName", "monitorID"],
    severities: &[
        ("1", Severity::Critical),
        ("2", Severity::Info),
        ("3", Severity::Warning),
    ],
    statuses: &[
        ("1", AlertStatus::Firing),
        ("2", AlertStatus::Resolved),
        ("3", AlertStatus::Firing),
        ("Down", AlertStatus::Firing),
        ("Up", AlertStatus::Resolved),
        ("SSL expiry", AlertStatus::Firing),
    ],
    source: Some(&VENDOR),
};
static VENDOR: Vendor = Vendor {
    name: "uptimerobot",
    order: &["monitorID", "monitorFriendlyName"],
    read,
};

fn read<'a>(mut root: Object<'a>, batch: &mut Batch<'a>) -> Result<(), Rejection> {
    let id = root.said("monitorID").unwrap_or_default().into_owned();
    let name = root.first(&["monitorFriendlyName", "monitorID"]);
    let name = name.ok_or_else(|| unexpected("uptimerobot", "has no `monitorFriendlyName`"))?;
    let kind = root
        .said("alertType")
        .or_else(|| root.said("alertTypeFriendlyName"));
    let kind = kind.unwrap_or_default().into_owned();
    // A certificate that runs out is another matter than the site being down, and not over when it is up.
    let about = if kind == "3" || kind.to_ascii_lowercase().contains("ssl") {
        "certificate"
    } else {
        "up"
    };
    let days = root
        .number("sslExpiryDaysLeft")
        .filter(|_| about == "certificate");
    let status = FORMAT.status(&kind).unwrap_or_default();
    let mut draft = Draft {
        fingerprint: batch.series(&[&id, about]),
        severity: Some(FORMAT.severity(&kind)).filter(|_| status == AlertStatus::Firing),
        status,
        host: root.said("monitorURL").map(|url| url.into_owned().into()),
        value: days,
        times: Times {
            at: root.time("alertDateTime"),
            ..Times::default()
        },
        description: root.word("alertDetails"),
        name,
        ..Draft::default()
    };
    draft.label("monitor_id", root.word("monitorID"));
    root.keep(&mut draft);
    batch.push(draft)
}
