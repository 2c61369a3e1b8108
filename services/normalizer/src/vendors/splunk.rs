//! Splunk: the alert action "Webhook".
//!
//! From the Splunk documentation, "Use a webhook alert action" (webhook data payload).
//!
//! It carries the first result of the search, and Splunk never says that an alert is over. What the result's
//! fields mean is the search's choice: those with the usual names of service, host and severity are found.

use prunella_schemas::Severity;
use prunella_stream::Rejection;

use super::{Vendor, unexpected};
use crate::draft::{Batch, Draft, Times};
use crate::format::Format;
use crate::labels::{self, first};
use crate::object::Object;

pub(crate) static FORMAT: Format = Format {
    name: "splunk",
    about: "Splunk searches, by the webhook alert action",
    documentation: "Splunk documentation: Use a webhook alert action",
    recognised_by: "`search_name` and `result`",
    required: &["search_name", "sid"],
    severities: &[
        ("1", Severity::Info),
        ("2", Severity::Info),
        ("3", Severity::Warning),
        ("4", Severity::Error),
        ("5", Severity::Critical),
        ("6", Severity::Critical),
    ],
    statuses: &[],
    source: Some(&VENDOR),
};
static VENDOR: Vendor = Vendor {
    name: "splunk",
    order: &["search_name", "sid"],
    read,
};

fn read<'a>(mut root: Object<'a>, batch: &mut Batch<'a>) -> Result<(), Rejection> {
    let mut result = root.object("result");
    // A search that was not saved has an id and no name.
    let name = root.first(&["search_name", "sid"]);
    let name = name.ok_or_else(|| unexpected("splunk", "has no `search_name`"))?;
    let severity = labels::SEVERITY.iter().find_map(|name| result.said(name));
    let severity = severity.map(|word| FORMAT.severity(&word));
    let at = result.time("_time");
    let description = result.word("_raw").or_else(|| result.word("message"));
    let mut draft = Draft {
        severity,
        times: Times {
            at,
            ..Times::default()
        },
        labels: result.into_labels(),
        description,
        ..Draft::default()
    };
    // What Splunk adds to every event (`_bkt`, `_cd`, `_serial`, ...) says nothing of the series.
    let (own, added) = std::mem::take(&mut draft.labels)
        .into_iter()
        .partition(|(name, _)| !name.starts_with('_'));
    draft.labels = own;
    draft.annotations = added;
    draft.service = first(&draft.labels, labels::SERVICE);
    draft.host = first(&draft.labels, labels::HOST);
    let app = root.said("app").unwrap_or_default();
    let series = [&draft.service, &draft.host].map(|part| part.as_deref().unwrap_or_default());
    draft.fingerprint = batch.series(&[&app, &name, series[0], series[1]]);
    draft.name = name;
    root.keep(&mut draft);
    batch.push(draft)
}
