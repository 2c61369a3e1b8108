//! The probe of an `API_Call`: the request that tells, after a crash or a lost answer, whether it took effect.

use crate::diagnostic::Report;
use crate::fields::{Fields, one_of};
use crate::yaml::{Data, Node};

use super::conditions;

/// What a probe's conditions read: the answer's status, and its body if that is JSON.
const VARIABLES: &[&str] = &["body", "status"];
const METHODS: &[&str] = &["GET", "HEAD"];

/// Checks the probe among a task's parameters, if there is one.
pub(crate) fn check(parameters: &Node, report: &mut Report<'_>) {
    let Data::Map(entries) = &parameters.data else {
        return;
    };
    let Some(entry) = entries.iter().find(|entry| entry.name == "probe") else {
        return;
    };
    let Some(mut fields) = Fields::of("a probe", &entry.value, report) else {
        return;
    };
    if fields.require("action", report).is_some()
        && let Some(action) = fields.text("action", report)
    {
        let method = action.value.split_whitespace().next().unwrap_or_default();
        if !METHODS.contains(&method.to_ascii_uppercase().as_str()) {
            report.error_with(
                action.at,
                method.chars().count(),
                format!("a probe only reads, `{method}` may do more"),
                one_of(method, METHODS),
            );
        }
    }
    let _ = fields.require("done_if", report);
    for name in ["done_if", "absent_if"] {
        let condition = fields
            .get(name)
            .and_then(|entry| conditions::read(&entry.value, report));
        if let Some(condition) = condition {
            condition.check(VARIABLES, |_| None, report);
        }
    }
    let _ = (fields.get("headers"), fields.get("query"));
    fields.done(report);
}
