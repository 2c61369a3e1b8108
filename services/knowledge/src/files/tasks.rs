//! One task of a playbook.

use serde_json::Map;

use crate::alert::{ALERT_VARIABLES, RUN_VARIABLES};
use crate::diagnostic::Report;
use crate::fields::{Fields, number, one_of, text_of, wrong_kind};
use crate::kinds;
use crate::model::{AfterFailure, OnFailure, OnSuccess, Retry, Task};
use crate::yaml::{Data, Mark, Node};

use super::conditions::{self, ReadCondition};
use super::{json, probes};

/// Longest attempt, if the task names none: 30 s.
const TIMEOUT_MS: i64 = 30 * 1_000;
/// The most attempts.
const MAX_ATTEMPTS: u32 = 100;

/// A task and where its parts stand.
pub(crate) struct ReadTask {
    pub(crate) task: Task,
    /// Where its id stands.
    pub(crate) at: Mark,
    pub(crate) kind_at: Mark,
    pub(crate) output_at: Mark,
    pub(crate) depends_on_at: Vec<Mark>,
    pub(crate) conditions: Vec<ReadCondition>,
}

/// Reads one task.
pub(crate) fn read(node: &Node, report: &mut Report<'_>) -> Option<ReadTask> {
    let mut fields = Fields::of("a task", node, report)?;
    let at = fields.require("id", report).map(|entry| entry.value.at);
    let id = fields.text("id", report).map(|id| id.value);
    let name = fields.text("name", report).map(|name| name.value);
    let description = fields.text("description", report);
    let (kind, kind_at) = read_kind(&mut fields, report);
    let (depends_on, depends_on_at) = read_names("depends_on", &mut fields, report);
    let conditions = read_conditions(&mut fields, report);
    let output = fields.text("output_variable", report);
    let output_at = output.as_ref().map_or(node.at, |output| output.at);
    let output_variable = output.map(|output| output.value);
    check_output(output_variable.as_deref(), output_at, report);
    let parameters = read_parameters(kind.as_deref(), &mut fields, report);
    let task = Task {
        name: name.or_else(|| id.clone()).unwrap_or_default(),
        id: id.unwrap_or_default(),
        description: description.map(|text| text.value).unwrap_or_default(),
        action: read_action(kind.as_deref(), &mut fields, report),
        kind: kind.unwrap_or_default(),
        parameters,
        depends_on,
        conditions: conditions
            .iter()
            .map(|condition| condition.condition.clone())
            .collect(),
        retry: read_retry(&mut fields, report),
        timeout_ms: fields.span("timeout", report).unwrap_or(TIMEOUT_MS),
        on_success: fields
            .word("on_success", ON_SUCCESS, report)
            .unwrap_or_default(),
        on_failure: fields
            .word("on_failure", ON_FAILURE, report)
            .unwrap_or_default(),
        output_variable,
        mutating: fields.truth("mutating", report),
        target: fields.text("target", report).map(|target| target.value),
    };
    fields.done(report);
    // Without an id nothing can refer to it; the rest of the file is checked as if it were not there.
    (!task.id.is_empty()).then(|| ReadTask {
        task,
        at: at.unwrap_or(node.at),
        kind_at,
        output_at,
        depends_on_at,
        conditions,
    })
}

const ON_SUCCESS: &[(&str, OnSuccess)] = &[
    ("continue", OnSuccess::Continue),
    ("send_notification", OnSuccess::Notify),
];

const ON_FAILURE: &[(&str, OnFailure)] = &[
    ("abort", after(AfterFailure::Abort, false)),
    ("abort_with_notification", after(AfterFailure::Abort, true)),
    ("continue", after(AfterFailure::Continue, false)),
    (
        "continue_with_notification",
        after(AfterFailure::Continue, true),
    ),
    ("send_notification", after(AfterFailure::Continue, true)),
    ("escalate", after(AfterFailure::Escalate, true)),
    (
        "send_notification_and_escalate",
        after(AfterFailure::Escalate, true),
    ),
];

const fn after(then: AfterFailure, notify: bool) -> OnFailure {
    OnFailure { then, notify }
}

fn read_kind(fields: &mut Fields<'_>, report: &mut Report<'_>) -> (Option<String>, Mark) {
    let at = fields.at();
    if fields.require("type", report).is_none() {
        return (None, at);
    }
    let Some(found) = fields.text("type", report) else {
        return (None, at);
    };
    match kinds::named(&found.value) {
        Some(kind) => (Some(kind.to_owned()), found.at),
        None => {
            report.error_with(
                found.at,
                found.value.chars().count(),
                format!("there is no type of task `{}`", found.value),
                one_of(&found.value, kinds::ALL),
            );
            (None, found.at)
        }
    }
}

/// The action of an `API_Call` is `METHOD URL`; others have none.
fn read_action(
    kind: Option<&str>,
    fields: &mut Fields<'_>,
    report: &mut Report<'_>,
) -> Option<String> {
    let found = fields.text("action", report);
    if kind != Some(kinds::API_CALL) {
        return found.map(|found| found.value);
    }
    let Some(found) = found else {
        let message = "an API_Call needs `action`".to_owned();
        report.error_with(fields.at(), 1, message, "write `action: GET /path`");
        return None;
    };
    let (method, rest) = found
        .value
        .trim()
        .split_once(char::is_whitespace)
        .unwrap_or((&found.value, ""));
    // A method that a template makes is not known before the run.
    if !method.contains("{{") && !kinds::METHODS.contains(&method.to_ascii_uppercase().as_str()) {
        report.error_with(
            found.at,
            method.chars().count(),
            format!("`{method}` is no HTTP method"),
            one_of(method, kinds::METHODS),
        );
    } else if rest.trim().is_empty() {
        report.error_with(
            found.at,
            found.value.chars().count(),
            "the action names no URL",
            "write it as `GET /path` or `POST https://host/path`",
        );
    }
    Some(found.value)
}

fn read_parameters(
    kind: Option<&str>,
    fields: &mut Fields<'_>,
    report: &mut Report<'_>,
) -> Map<String, serde_json::Value> {
    let Some(entry) = fields.get("parameters") else {
        return Map::new();
    };
    if kind == Some(kinds::API_CALL) {
        probes::check(&entry.value, report);
    }
    match &entry.value.data {
        Data::Map(entries) => entries
            .iter()
            .map(|entry| (entry.name.clone(), json(&entry.value)))
            .collect(),
        _ => {
            wrong_kind(entry, "a mapping", report);
            Map::new()
        }
    }
}

fn read_names(
    name: &'static str,
    fields: &mut Fields<'_>,
    report: &mut Report<'_>,
) -> (Vec<String>, Vec<Mark>) {
    let (mut names, mut places) = (Vec::new(), Vec::new());
    for node in fields.list(name, report) {
        match text_of(node) {
            Some(text) => {
                names.push(text.value);
                places.push(text.at);
            }
            None => {
                let message = format!("`{name}` lists texts, not {}", node.kind());
                report.error(node.at, 1, message);
            }
        }
    }
    (names, places)
}

fn read_conditions(fields: &mut Fields<'_>, report: &mut Report<'_>) -> Vec<ReadCondition> {
    fields
        .list("conditions", report)
        .iter()
        .filter_map(|node| conditions::read(node, report))
        .collect()
}

/// `retry: 3`, or a mapping.
fn read_retry(fields: &mut Fields<'_>, report: &mut Report<'_>) -> Retry {
    let mut retry = Retry::default();
    let Some(entry) = fields.get("retry") else {
        return retry;
    };
    if let Data::Int(..) = entry.value.data {
        retry.max_attempts = number("retry", &entry.value, 1..=MAX_ATTEMPTS, report).unwrap_or(1);
        return retry;
    }
    let Some(mut parts) = Fields::of("a retry", &entry.value, report) else {
        return retry;
    };
    if let Some(attempts) = parts.number("max_attempts", 1..=MAX_ATTEMPTS, report) {
        retry.max_attempts = attempts;
    }
    if let Some(backoff) = parts.duration("backoff", report) {
        retry.backoff_ms = backoff;
        retry.max_backoff_ms = retry.max_backoff_ms.max(backoff);
    }
    if let Some(max_backoff) = parts.duration("max_backoff", report) {
        retry.max_backoff_ms = max_backoff;
    }
    parts.done(report);
    retry
}

fn check_output(name: Option<&str>, at: Mark, report: &mut Report<'_>) {
    let Some(name) = name else {
        return;
    };
    let starts = |character: char| character.is_ascii_alphabetic() || character == '_';
    let goes_on = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let width = name.chars().count();
    if !name.starts_with(starts) || !name.chars().all(goes_on) {
        report.error_with(
            at,
            width,
            format!("`{name}` cannot name a variable"),
            "use letters, digits and `_`, a letter first",
        );
    } else if ALERT_VARIABLES.contains(&name) || RUN_VARIABLES.contains(&name) {
        report.error_with(
            at,
            width,
            format!("`{name}` has a meaning of its own already"),
            format!("name it `{name}_found`, say"),
        );
    }
}
