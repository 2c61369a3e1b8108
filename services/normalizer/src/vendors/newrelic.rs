//! New Relic: the webhook destination of workflows, and the older webhook of notification channels.
//!
//! From the New Relic documentation, "Notification integrations: webhook" (default template of a workflow) and
//! "Customize your webhook payload" (incidents of legacy notification channels).
//!
//! A workflow tells of one issue and of every entity that it concerns: each gives an alert of its own.

use prunella_schemas::{AlertStatus, CowStr, Severity};
use prunella_stream::Rejection;

use super::{Vendor, unexpected};
use crate::draft::{Batch, Draft, Times};
use crate::format::Format;
use crate::json::Json;
use crate::object::Object;

pub(crate) static FORMAT: Format = Format {
    name: "newrelic",
    about: "New Relic workflows, and legacy notification channels",
    documentation: "New Relic documentation: Notification integrations, webhook",
    recognised_by: "`title`, `alertConditionNames`; legacy: `condition_name`",
    required: &[
        "title",
        "alertConditionNames.*",
        "condition_name",
        "policy_name",
    ],
    severities: &[
        ("CRITICAL", Severity::Critical),
        ("HIGH", Severity::Error),
        ("MEDIUM", Severity::Warning),
        ("LOW", Severity::Info),
        ("WARNING", Severity::Warning),
        ("INFO", Severity::Info),
    ],
    statuses: &[
        ("CREATED", AlertStatus::Firing),
        ("ACTIVATED", AlertStatus::Firing),
        ("open", AlertStatus::Firing),
        ("acknowledged", AlertStatus::Firing),
        ("DEACTIVATED", AlertStatus::Resolved),
        ("CLOSED", AlertStatus::Resolved),
    ],
    source: Some(&VENDOR),
};
static VENDOR: Vendor = Vendor {
    name: "newrelic",
    order: &["id", "issueId", "incident_id", "condition_id"],
    read,
};

fn read<'a>(mut root: Object<'a>, batch: &mut Batch<'a>) -> Result<(), Rejection> {
    let condition = root
        .said("alertConditionNames.0")
        .map(|name| name.into_owned().into());
    let legacy = root.word("condition_name");
    let named = legacy.clone().or(condition);
    let name: CowStr<'a> = match named {
        Some(name) => name,
        None => root.first(&["title", "policy_name"]).ok_or_else(|| {
            unexpected(
                "newrelic",
                "has neither `alertConditionNames`, `condition_name` nor `title`",
            )
        })?,
    };
    let targets = root.list("targets").unwrap_or_default();
    let entities = match root.get("impactedEntities") {
        Some(Json::List(entities)) => entities.iter().filter_map(Json::word).collect(),
        _ => Vec::new(),
    };
    let state = root.said("state").or_else(|| root.said("current_state"));
    let status = state
        .and_then(|word| FORMAT.status(&word))
        .unwrap_or_default();
    let severity = root.said("priority").or_else(|| root.said("severity"));
    let severity = severity.map(|word| FORMAT.severity(&word));
    let incident = root
        .said("incident_id")
        .or_else(|| root.said("id"))
        .or_else(|| root.said("issueId"));
    let incident = incident.unwrap_or_default().into_owned();
    let times = times(&mut root, status);
    let description = root.word("details").or_else(|| root.word("title"));
    root.forget(&["impactedEntities"]);
    let concerned = concerned(entities, targets);
    for (index, one) in concerned.into_iter().enumerate() {
        let mut draft = Draft {
            // An issue's id is the same until it is closed.
            fingerprint: batch.series(&[&name, &incident, &one.name]),
            name: name.clone(),
            severity,
            status,
            times,
            description: description.clone(),
            service: Some(one.name.into()).filter(|name: &CowStr<'_>| !name.is_empty()),
            labels: one.labels,
            annotations: one.annotations,
            ..Draft::default()
        };
        root.share(&mut draft, index == 0);
        batch.push(draft)?;
    }
    Ok(())
}

fn times(root: &mut Object<'_>, status: AlertStatus) -> Times {
    let starts = root.time("createdAt");
    let updated = root.time("updatedAt").or_else(|| root.time("timestamp"));
    let closed = root.time("closedAt");
    match status {
        AlertStatus::Firing => Times {
            at: None,
            starts: starts.or(updated),
            ends: None,
        },
        AlertStatus::Resolved => Times {
            at: None,
            starts,
            ends: closed.or(updated),
        },
    }
}

/// An entity that an issue concerns.
#[derive(Default)]
struct Concerned<'a> {
    name: String,
    labels: crate::labels::LabelMap<'a>,
    annotations: crate::labels::LabelMap<'a>,
}

/// One for each entity, or target, and one without a name if there is none.
fn concerned<'a>(entities: Vec<String>, targets: Vec<Json<'a>>) -> Vec<Concerned<'a>> {
    let mut all: Vec<Concerned<'a>> = entities
        .into_iter()
        .map(|name| Concerned {
            name,
            ..Concerned::default()
        })
        .collect();
    for target in targets {
        let mut one = Concerned::default();
        match target {
            Json::Object(_) => {
                let mut fields = Object::of(target).unwrap_or_default();
                one.name = fields
                    .word("name")
                    .map(CowStr::into_string)
                    .unwrap_or_default();
                one.labels = fields.labels("labels");
                let rest = fields.into_labels().into_iter();
                one.annotations = rest
                    .filter(|(_, value)| !value.is_empty())
                    .map(|(name, value)| (format!("target.{name}").into(), value))
                    .collect();
            }
            other => one.name = other.word().unwrap_or_default(),
        }
        all.push(one);
    }
    if all.is_empty() {
        all.push(Concerned::default());
    }
    all
}
