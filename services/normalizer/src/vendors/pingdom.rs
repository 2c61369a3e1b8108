//! Pingdom: state change webhooks of uptime and transaction checks.
//!
//! From the Pingdom resources, "Webhooks: state change webhooks".

use prunella_schemas::{AlertStatus, Severity};
use prunella_stream::Rejection;

use super::{Vendor, unexpected};
use crate::draft::{Batch, Draft, Times};
use crate::format::Format;
use crate::object::Object;

pub(crate) static FORMAT: Format = Format {
    name: "pingdom",
    about: "Pingdom uptime and transaction checks",
    documentation: "Pingdom resources: Webhooks",
    recognised_by: "`check_name` and `current_state`",
    required: &["check_name", "check_id"],
    severities: &[("HIGH", Severity::Error), ("LOW", Severity::Warning)],
    statuses: &[
        ("DOWN", AlertStatus::Firing),
        ("FAILING", AlertStatus::Firing),
        ("UNKNOWN", AlertStatus::Firing),
        ("UP", AlertStatus::Resolved),
        ("SUCCESS", AlertStatus::Resolved),
    ],
    source: Some(&VENDOR),
};
static VENDOR: Vendor = Vendor {
    name: "pingdom",
    order: &["check_id", "check_name"],
    read,
};

fn read<'a>(mut root: Object<'a>, batch: &mut Batch<'a>) -> Result<(), Rejection> {
    let id = root.said("check_id").unwrap_or_default().into_owned();
    let name = root.first(&["check_name", "check_id"]);
    let name = name.ok_or_else(|| unexpected("pingdom", "has no `check_name`"))?;
    let changed = root.time("state_changed_timestamp");
    let changed = changed.or_else(|| root.time("state_changed_utc_time"));
    let state = root.said("current_state");
    let status = state
        .and_then(|word| FORMAT.status(&word))
        .unwrap_or_default();
    let host = root
        .said("check_params.hostname")
        .map(|host| host.into_owned().into());
    let mut draft = Draft {
        fingerprint: batch.series(&[&id]),
        severity: root
            .said("importance_level")
            .map(|word| FORMAT.severity(&word)),
        status,
        host,
        times: Times {
            at: changed,
            ..Times::default()
        },
        labels: root.labels("tags"),
        name,
        ..Draft::default()
    };
    draft.label("check_type", root.word("check_type"));
    // What people wrote says more than "Timeout".
    let written = root.word("custom_message");
    draft.description = written.or_else(|| root.first(&["long_description", "description"]));
    root.keep(&mut draft);
    batch.push(draft)
}
