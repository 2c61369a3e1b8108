//! Google Cloud Monitoring: the webhook and the Pub/Sub channel of an alerting policy.
//!
//! From the Google Cloud documentation, "Create and manage notification channels", schema versions 1.1 and 1.2
//! of the structure `incident`.

use prunella_schemas::{AlertStatus, Severity};
use prunella_stream::Rejection;

use super::{Vendor, unexpected};
use crate::draft::{Batch, Draft, Times};
use crate::format::Format;
use crate::labels::first;
use crate::object::Object;

pub(crate) static FORMAT: Format = Format {
    name: "gcp",
    about: "Google Cloud Monitoring alerting policies",
    documentation: "Google Cloud documentation: Create and manage notification channels, schema structure",
    recognised_by: "an object `incident`",
    required: &["incident.policy_name", "incident.condition_name"],
    severities: &[
        ("Critical", Severity::Critical),
        ("Error", Severity::Error),
        ("Warning", Severity::Warning),
        ("No severity", Severity::Unknown),
    ],
    statuses: &[
        ("open", AlertStatus::Firing),
        ("acknowledged", AlertStatus::Firing),
        ("closed", AlertStatus::Resolved),
    ],
    source: Some(&VENDOR),
};
static VENDOR: Vendor = Vendor {
    name: "gcp",
    order: &["incident.policy_name", "incident.incident_id"],
    read,
};

/// Labels of a resource that name a service, the surest first.
const SERVICE: &[&str] = &[
    "service_name",
    "container_name",
    "function_name",
    "database_id",
    "subscription_id",
    "topic_id",
    "queue_id",
    "module_id",
    "job_name",
];

fn read<'a>(mut root: Object<'a>, batch: &mut Batch<'a>) -> Result<(), Rejection> {
    let mut incident = root.object("incident");
    // A policy's name is the alert's; a condition's tells apart the several that a policy may have.
    let name = incident.first(&["policy_name", "condition_name"]);
    let name = name.ok_or_else(|| {
        unexpected(
            "gcp",
            "has no `incident` with a policy's or condition's name",
        )
    })?;
    let mut resource = incident.object("resource");
    let mut metric = incident.object("metric");
    let mut draft = Draft {
        severity: incident.said("severity").map(|word| FORMAT.severity(&word)),
        status: incident
            .said("state")
            .and_then(|word| FORMAT.status(&word))
            .unwrap_or_default(),
        value: incident.number("observed_value"),
        times: Times {
            at: None,
            starts: incident.time("started_at"),
            ends: incident.time("ended_at"),
        },
        labels: resource.labels("labels"),
        description: incident.word("summary"),
        ..Draft::default()
    };
    for (name, value) in metric.labels("labels") {
        draft.label(name, Some(value));
    }
    for (name, value) in incident.labels("policy_user_labels") {
        draft.label(name, Some(value));
    }
    draft.label("metric_type", metric.word("type"));
    draft.label("resource_type", resource.word("type"));
    draft.label(
        "project",
        incident.first(&["scoping_project_id", "scoping_project_number"]),
    );
    draft.label("condition_name", incident.word("condition_name"));
    draft.service = first(&draft.labels, SERVICE);
    draft.host = first(&draft.labels, &["instance_id", "node_name"]);
    draft.domain = first(&draft.labels, &["cluster_name"]);
    // The incident's own id is in both of its messages, but a new one each time: it is the occurrence, not the
    // series.
    let labels: String = draft
        .labels
        .iter()
        .map(|(name, value)| format!("{name}\0{value}\0"))
        .collect();
    let resource_name = incident
        .said("resource_id")
        .unwrap_or_default()
        .into_owned();
    draft.fingerprint = batch.series(&[&name, &resource_name, &labels]);
    draft.name = name;
    resource.keep_as("resource", &mut draft);
    metric.keep_as("metric", &mut draft);
    incident.keep(&mut draft);
    root.keep(&mut draft);
    batch.push(draft)
}
