//! Argo CD: the webhook service of its notifications.
//!
//! From the Argo CD documentation, "Notifications: webhook" and "Application" (its status). The payload is the
//! user's own; either the whole application, `{"app": {{toJson .app}}}`, or:
//!
//! ```json
//! {"app": "{{.app.metadata.name}}", "project": "{{.app.spec.project}}",
//!  "health_status": "{{.app.status.health.status}}", "sync_status": "{{.app.status.sync.status}}",
//!  "operation_phase": "{{.app.status.operationState.phase}}",
//!  "message": "{{.app.status.operationState.message}}",
//!  "finished_at": "{{.app.status.operationState.finishedAt}}",
//!  "destination": "{{.app.spec.destination.server}}", "namespace": "{{.app.spec.destination.namespace}}",
//!  "revision": "{{.app.status.sync.revision}}"}
//! ```
//! How its synchronisation ended and how healthy it is are two things, and an alert each.

use prunella_schemas::{AlertStatus, Severity};
use prunella_stream::Rejection;

use super::{Vendor, not_an_alert, unexpected};
use crate::draft::{Batch, Draft, Times};
use crate::format::Format;
use crate::object::Object;
use crate::time;

pub(crate) static FORMAT: Format = Format {
    name: "argocd",
    about: "Argo CD applications: synchronisation and health, by notifications",
    documentation: "Argo CD documentation: Notifications, webhook",
    recognised_by: "`app`, as a name or as the whole application",
    required: &[
        "app.metadata.name",
        "health_status",
        "operation_phase",
        "app.status.health.status",
        "app.status.operationState.phase",
    ],
    severities: &[
        ("Degraded", Severity::Error),
        ("Missing", Severity::Error),
        ("Unknown", Severity::Warning),
        ("Failed", Severity::Error),
        ("Error", Severity::Error),
    ],
    statuses: &[
        ("Degraded", AlertStatus::Firing),
        ("Missing", AlertStatus::Firing),
        ("Unknown", AlertStatus::Firing),
        ("Healthy", AlertStatus::Resolved),
        ("Failed", AlertStatus::Firing),
        ("Error", AlertStatus::Firing),
        ("Succeeded", AlertStatus::Resolved),
    ],
    source: Some(&VENDOR),
};
static VENDOR: Vendor = Vendor {
    name: "argocd",
    order: &["app.metadata.name", "app", "metadata.name"],
    read,
};

/// What an alert is about, and where it is said: flat, and in the application.
const ASPECTS: &[(&str, &str, &str)] = &[
    (
        "ApplicationSyncFailed",
        "operation_phase",
        "status.operationState.phase",
    ),
    (
        "ApplicationUnhealthy",
        "health_status",
        "status.health.status",
    ),
];

fn read<'a>(mut root: Object<'a>, batch: &mut Batch<'a>) -> Result<(), Rejection> {
    let mut app = root.object("app");
    // The application itself, without anything around it.
    if app.is_empty() && root.nests("metadata") && root.nests("status") {
        std::mem::swap(&mut app, &mut root);
    }
    let said = |flat: &str, nested: &str| {
        let word = root.said(flat).or_else(|| app.said(nested));
        let filled = word.filter(|word| !matches!(word.as_ref(), "<no value>" | "<nil>"));
        filled.map(|word| word.into_owned())
    };
    let name = said("app", "metadata.name");
    let name = name.ok_or_else(|| unexpected("argocd", "names no application (`app`)"))?;
    let project = said("project", "spec.project");
    let namespace = said("namespace", "spec.destination.namespace");
    let destination = said("destination", "spec.destination.server");
    let cluster = said("cluster", "spec.destination.name").filter(|name| !name.is_empty());
    let revision = said("revision", "status.sync.revision");
    let message = said("message", "status.operationState.message");
    let at = said("finished_at", "status.operationState.finishedAt");
    let at = at.and_then(|text| time::parse(&text));
    let before = batch.alerts().len();
    for (index, (alert, flat, nested)) in ASPECTS.iter().enumerate() {
        let Some(word) = said(flat, nested) else {
            continue;
        };
        let known = FORMAT
            .statuses
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(&word));
        let Some((_, status)) = known.copied() else {
            continue;
        };
        let place = [&project, &destination].map(|part| part.as_deref().unwrap_or_default());
        let health = said("health_message", "status.health.message");
        let mut draft = Draft {
            name: (*alert).into(),
            fingerprint: batch.series(&[alert, place[0], place[1], &name]),
            severity: Some(FORMAT.severity(&word)).filter(|_| status == AlertStatus::Firing),
            status,
            service: Some(name.clone().into()),
            // When its health changed, it does not say.
            times: Times {
                at: at.filter(|_| index == 0),
                ..Times::default()
            },
            domain: cluster.clone().map(Into::into),
            description: if index == 0 { message.clone() } else { health }.map(Into::into),
            ..Draft::default()
        };
        draft.label("application", Some(name.clone()));
        draft.label("project", project.clone());
        draft.label("namespace", namespace.clone());
        draft.label("destination", destination.clone());
        draft.keep("revision", revision.clone().unwrap_or_default());
        draft.keep(*flat, word);
        let first = batch.alerts().len() == before;
        root.share(&mut draft, first);
        app.share(&mut draft, first);
        batch.push(draft)?;
    }
    if batch.alerts().len() > before {
        return Ok(());
    }
    Err(not_an_alert(
        "an application of Argo CD that is under way, or says neither its health nor how its operation ended",
        "send `health_status` and `operation_phase`, on triggers for failures and recoveries",
    ))
}
