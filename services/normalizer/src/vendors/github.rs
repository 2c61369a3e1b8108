//! GitHub: webhooks about workflow runs and jobs, check runs and deployments that ended.
//!
//! From the GitHub documentation, "Webhook events and payloads" (`workflow_run`, `workflow_job`, `check_run`,
//! `check_suite`, `deployment_status`).
//!
//! A run that fails fires, the next one of the same workflow and branch that succeeds resolves it. What has not
//! ended, was cancelled or skipped is no alert.

use prunella_schemas::{AlertStatus, Severity};
use prunella_stream::Rejection;

use super::{Vendor, not_an_alert, unexpected};
use crate::draft::{Batch, Draft, Times};
use crate::format::Format;
use crate::object::Object;

pub(crate) static FORMAT: Format = Format {
    name: "github",
    about: "GitHub workflow runs and jobs, check runs and suites, and deployments that fail",
    documentation: "GitHub documentation: Webhook events and payloads",
    recognised_by: "`workflow_run`, `workflow_job`, `check_run`, `check_suite` or `deployment_status`",
    required: &[
        "workflow_run.conclusion",
        "workflow_job.conclusion",
        "check_run.conclusion",
        "check_suite.conclusion",
        "deployment_status.state",
    ],
    severities: &[],
    statuses: &[
        ("failure", AlertStatus::Firing),
        ("timed_out", AlertStatus::Firing),
        ("startup_failure", AlertStatus::Firing),
        ("action_required", AlertStatus::Firing),
        ("error", AlertStatus::Firing),
        ("success", AlertStatus::Resolved),
    ],
    source: Some(&VENDOR),
};
static VENDOR: Vendor = Vendor {
    name: "github",
    order: &["repository.full_name", "repository.id"],
    read,
};

/// The objects that end somehow, the alert that a bad end is, and the field that says how it ended.
const KINDS: &[(&str, &str, &str)] = &[
    ("workflow_job", "WorkflowJobFailed", "conclusion"),
    ("workflow_run", "WorkflowRunFailed", "conclusion"),
    ("check_run", "CheckRunFailed", "conclusion"),
    ("check_suite", "CheckSuiteFailed", "conclusion"),
    ("deployment_status", "DeploymentFailed", "state"),
];

fn read<'a>(mut root: Object<'a>, batch: &mut Batch<'a>) -> Result<(), Rejection> {
    let Some((field, alert, end)) = KINDS.iter().find(|(field, ..)| root.nests(field)) else {
        if root.has("zen") || root.has("repository") {
            return Err(not_an_alert(
                "a webhook of GitHub about something else",
                "let it send workflow runs, workflow jobs, check runs and deployment statuses only",
            ));
        }
        return Err(unexpected(
            "github",
            "is about no run, job, check or deployment",
        ));
    };
    let mut object = root.object(field);
    let ended = object.said(end).map(|word| word.into_owned());
    let status = ended.as_deref().and_then(listed);
    let status = status.ok_or_else(|| {
        let ended = ended.as_deref().unwrap_or("nothing yet");
        not_an_alert(
            &format!(
                "a {field} of GitHub that ended with {}",
                crate::payload::shorten(ended)
            ),
            "nothing has to be done about it",
        )
    })?;
    let repository = root
        .said("repository.full_name")
        .or_else(|| root.said("repository.name"));
    let repository = repository.unwrap_or_default().into_owned();
    let short = root
        .said("repository.name")
        .unwrap_or_default()
        .into_owned();
    let branch = object
        .said("head_branch")
        .or_else(|| root.said("deployment.ref"));
    let branch = branch.unwrap_or_default().into_owned();
    let workflow = object
        .said("workflow_name")
        .or_else(|| root.said("workflow.name"))
        .or_else(|| object.said("name").filter(|_| *field == "workflow_run"));
    let workflow = workflow.unwrap_or_default().into_owned();
    let job = object
        .said("name")
        .filter(|_| *field != "workflow_run")
        .unwrap_or_default()
        .into_owned();
    let environment = object.said("environment").unwrap_or_default().into_owned();
    let title = object
        .said("display_title")
        .or_else(|| object.said("description"));
    let what = [&job, &workflow, &environment];
    let what = what.into_iter().find(|name| !name.is_empty());
    let description = format!(
        "{field} {} of {repository} on {branch}: {}",
        what.map_or("", String::as_str),
        title.as_deref().or(ended.as_deref()).unwrap_or_default()
    );
    let starts = object
        .time("run_started_at")
        .or_else(|| object.time("started_at"));
    let starts = starts.or_else(|| object.time("created_at"));
    let ends = object
        .time("completed_at")
        .or_else(|| object.time("updated_at"));
    let mut draft = Draft {
        name: (*alert).into(),
        fingerprint: batch.series(&[alert, &repository, &workflow, &job, &branch, &environment]),
        severity: Some(Severity::Error),
        status,
        service: Some(short.into()),
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
        description: Some(description.into()),
        ..Draft::default()
    };
    draft.service = draft.service.filter(|name| !name.is_empty());
    for (name, value) in [
        ("repository", repository),
        ("branch", branch),
        ("workflow", workflow),
        ("job", job),
        ("environment", environment),
    ] {
        draft.label(name, Some(value));
    }
    object.keep_as(field, &mut draft);
    root.keep(&mut draft);
    batch.push(draft)
}

/// The general words for a status do not count here: `completed` is no end that anyone cares for.
fn listed(word: &str) -> Option<AlertStatus> {
    let found = FORMAT
        .statuses
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(word));
    found.map(|(_, status)| *status)
}
