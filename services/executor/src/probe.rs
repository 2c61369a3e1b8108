//! What a target says about an action whose outcome is in doubt.

use prunella_knowledge::{Condition, Variables};
use prunella_schemas::Action;
use prunella_schemas::spec::{API_CALL, ApiCallSpec, ProbeSpec};
use serde_json::Value;

use crate::effect::EffectOutcome;

/// What a probe's answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It took effect.
    Done,
    /// It certainly did not.
    Absent,
    /// It says neither, or both.
    Unclear(String),
}

/// Whether an action says how its target can be asked.
pub(crate) fn declared(action: &Action) -> bool {
    spec_of(action).is_some()
}

/// Reads the answer to a probe with the conditions that the action declared.
pub(crate) fn read(action: &Action, outcome: &EffectOutcome) -> Answer {
    let Some(probe) = spec_of(action) else {
        return Answer::Unclear("no probe is declared".to_owned());
    };
    let body = outcome.output.as_deref().map(serde_json::from_str::<Value>);
    let body = body.and_then(Result::ok).unwrap_or(Value::Null);
    let status = outcome.status.map_or(Value::Null, Value::from);
    let mut variables = Variables::new();
    variables.set("status", &status);
    variables.set("body", &body);
    let done = holds(&probe.done_if, &variables);
    let absent = probe
        .absent_if
        .as_deref()
        .map(|text| holds(text, &variables));
    match (done, absent) {
        (Ok(true), Some(Ok(true))) => {
            Answer::Unclear("both `done_if` and `absent_if` hold".to_owned())
        }
        (Ok(true), _) => Answer::Done,
        (_, Some(Ok(true))) => Answer::Absent,
        (Err(why), _) | (_, Some(Err(why))) => Answer::Unclear(why),
        (Ok(false), _) => Answer::Unclear(format!(
            "it answered with status {status}, for which neither `done_if` nor `absent_if` holds"
        )),
    }
}

fn spec_of(action: &Action) -> Option<ProbeSpec> {
    if action.kind != API_CALL {
        return None;
    }
    serde_json::from_str::<ApiCallSpec>(&action.spec)
        .ok()?
        .probe
}

fn holds(condition: &str, variables: &Variables) -> Result<bool, String> {
    let condition = Condition::compile(condition).map_err(|error| error.to_string())?;
    condition
        .evaluate(variables)
        .map_err(|error| error.to_string())
}
