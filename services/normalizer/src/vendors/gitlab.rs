//! GitLab: webhooks about pipelines, jobs and deployments that ended.
//!
//! From the GitLab documentation, "Webhook events" (pipeline events, job events, deployment events).
//!
//! A pipeline that fails fires, the next one of the same project and ref that succeeds resolves it. What has not
//! ended, was cancelled or skipped is no alert.

use prunella_schemas::{AlertStatus, Severity};
use prunella_stream::Rejection;

use super::{Vendor, not_an_alert, unexpected};
use crate::draft::{Batch, Draft, Times};
use crate::format::Format;
use crate::json::Json;
use crate::object::Object;

pub(crate) static FORMAT: Format = Format {
    name: "gitlab",
    about: "GitLab pipelines, jobs and deployments that fail",
    documentation: "GitLab documentation: Webhook events",
    recognised_by: "`object_kind`: pipeline, build or deployment",
    required: &[
        "object_kind",
        "object_attributes.status",
        "build_status",
        "status",
    ],
    severities: &[],
    statuses: &[
        ("failed", AlertStatus::Firing),
        ("success", AlertStatus::Resolved),
    ],
    source: Some(&VENDOR),
};
static VENDOR: Vendor = Vendor {
    name: "gitlab",
    order: &["project.path_with_namespace", "project.id", "project_id"],
    read,
};

fn read<'a>(mut root: Object<'a>, batch: &mut Batch<'a>) -> Result<(), Rejection> {
    let kind = root.said("object_kind").map(|kind| kind.into_owned());
    let kind = kind.ok_or_else(|| unexpected("gitlab", "has no `object_kind`"))?;
    let (alert, place, path) = match kind.as_str() {
        "pipeline" => ("PipelineFailed", "object_attributes", "status"),
        "build" => ("JobFailed", "", "build_status"),
        "deployment" => ("DeploymentFailed", "", "status"),
        other => {
            return Err(not_an_alert(
                &format!(
                    "a webhook of GitLab about a {}",
                    crate::payload::shorten(other)
                ),
                "let it send pipeline, job and deployment events only",
            ));
        }
    };
    let mut object = if place.is_empty() {
        std::mem::take(&mut root)
    } else {
        root.object(place)
    };
    let word = object
        .said(path)
        .map(|word| word.into_owned())
        .unwrap_or_default();
    let status = FORMAT
        .statuses
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(&word));
    let Some((_, status)) = status.copied() else {
        return Err(not_an_alert(
            &format!(
                "a {kind} of GitLab whose status is `{}`",
                crate::payload::shorten(&word)
            ),
            "nothing has to be done about it",
        ));
    };
    object.adopt(root);
    let said = |path: &str| object.said(path).unwrap_or_default().into_owned();
    let project = [
        said("project.path_with_namespace"),
        said("project_name"),
        said("project.name"),
    ];
    let project = project
        .into_iter()
        .find(|name| !name.is_empty())
        .unwrap_or_default();
    let (reference, job, environment) = (said("ref"), said("build_name"), said("environment"));
    let failed = failed_jobs(&object);
    let short = [said("project.name"), project.clone()];
    let short = short.into_iter().find(|name| !name.is_empty());
    let starts = object
        .time("created_at")
        .or_else(|| object.time("build_started_at"));
    let starts = starts.or_else(|| object.time("build_created_at"));
    let ends = object
        .time("finished_at")
        .or_else(|| object.time("build_finished_at"));
    let ends = ends.or_else(|| object.time("status_changed_at"));
    let reason = object
        .said("build_failure_reason")
        .unwrap_or_default()
        .into_owned();
    let description = format!("{kind} of {project} on {reference}: {word} {job}{failed} {reason}");
    let mut draft = Draft {
        name: alert.into(),
        fingerprint: batch.series(&[alert, &project, &reference, &job, &environment]),
        severity: Some(Severity::Error),
        status,
        service: short.map(Into::into),
        times: match status {
            AlertStatus::Firing => Times {
                at: ends,
                starts,
                ends: None,
            },
            AlertStatus::Resolved => Times {
                at: None,
                starts: None,
                ends: ends.or(starts),
            },
        },
        description: Some(description.trim_end().to_owned().into()),
        ..Draft::default()
    };
    for (name, value) in [
        ("project", project),
        ("ref", reference),
        ("job", job),
        ("environment", environment),
        ("failed_jobs", failed),
    ] {
        draft.label(name, Some(value));
    }
    object.keep(&mut draft);
    batch.push(draft)
}

/// Names of the pipeline's jobs that failed, those left aside that were allowed to.
fn failed_jobs(object: &Object<'_>) -> String {
    let Some(Json::List(builds)) = object.get("builds") else {
        return String::new();
    };
    let failed = builds.iter().filter_map(|build| {
        let build = Object::of(build.clone())?;
        let allowed = build
            .said("allow_failure")
            .is_some_and(|word| word == "true");
        let failed = build.said("status").is_some_and(|word| word == "failed") && !allowed;
        build
            .said("name")
            .filter(|_| failed)
            .map(|name| name.into_owned())
    });
    failed.collect::<Vec<_>>().join(",")
}
