//! What conditions and templates see: the alert, the run, outputs of earlier tasks, and the parameters.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use minijinja::value::{Enumerator, Object, Serde, Value as Datum};
use prunella_knowledge::{Condition, Variables};
use prunella_schemas::NormalizedAlert;
use prunella_schemas::state::{LiveRun, RunFacts, Shared};
use serde_json::{Map, Value, json};

use crate::plan::Plan;

/// One task of one run, seen from its conditions and templates.
///
/// Names, in the order in which they win: `alert`, `run`, `labels`, `annotations`, `run_id`, `task_id`,
/// `idempotency_key`, `service`, `domain`, `parameters`; then the tasks' output variables; then the alert's own
/// fields. A field that the alert does not have is null to conditions and not there to templates.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// The run.
    pub run: &'a LiveRun,
    /// Its plan.
    pub plan: &'a Plan,
    /// The run's id.
    pub run_id: &'a str,
    /// The task's id.
    pub task_id: &'a str,
    /// The task's idempotency key.
    pub key: &'a str,
}

impl Scope<'_> {
    /// The variables that a condition reads. One that is not there is left out: the condition says so.
    #[must_use]
    pub fn variables(&self, condition: &Condition) -> Variables {
        let mut variables = Variables::new();
        for reference in condition.references() {
            if let Some(value) = self.json(&reference.name) {
                variables.set(reference.name.as_str(), &value);
            }
        }
        variables
    }

    /// What templates read of these names, with the task's own rendered parameters over the run's.
    #[must_use]
    pub fn context(&self, reads: &BTreeSet<String>, own: Option<&Value>) -> Datum {
        let mut context: BTreeMap<String, Datum> = BTreeMap::new();
        for name in reads {
            if let Some(datum) = self.datum(name, own) {
                context.insert(name.clone(), datum);
            }
        }
        Datum::from(context)
    }

    fn datum(&self, name: &str, own: Option<&Value>) -> Option<Datum> {
        match name {
            "alert" => Some(Datum::from_object(AlertObject(self.run.facts.clone()))),
            "parameters" => Some(Datum::from(Serde(self.parameters(own)))),
            "run_id" => Some(Datum::from(self.run_id)),
            "task_id" => Some(Datum::from(self.task_id)),
            "idempotency_key" => Some(Datum::from(self.key)),
            _ => self
                .json(name)
                .filter(|value| !value.is_null())
                .map(|value| Datum::from(Serde(value))),
        }
    }

    fn json(&self, name: &str) -> Option<Value> {
        let facts = &self.run.facts;
        match name {
            "alert" => Some(alert_json(&facts.alert)),
            "run" => Some(self.run_json()),
            "labels" | "annotations" => alert_field(&facts.alert, name),
            "run_id" => Some(Value::from(self.run_id)),
            "task_id" => Some(Value::from(self.task_id)),
            "idempotency_key" => Some(Value::from(self.key)),
            "service" => Some(Value::from(facts.alert.service_name.clone())),
            "domain" => Some(Value::from(facts.alert.domain.clone())),
            "parameters" => Some(self.parameters(None)),
            name => self
                .output(name)
                .or_else(|| alert_field(&facts.alert, name)),
        }
    }

    /// The output of the task that has this output variable, if it has finished with one.
    fn output(&self, variable: &str) -> Option<Value> {
        let tasks = self.plan.playbook.tasks.iter().zip(&self.run.tasks);
        let outputs = tasks.rev().filter_map(|(task, progress)| {
            (task.output_variable.as_deref() == Some(variable))
                .then_some(progress.output.as_deref())
                .flatten()
        });
        outputs
            .map(|text| serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)))
            .next()
    }

    fn parameters(&self, own: Option<&Value>) -> Value {
        let given = self.run.facts.parameters.iter();
        let mut all: Map<String, Value> = given
            .map(|(name, value)| (name.clone(), Value::from(value.clone())))
            .collect();
        if let Some(Value::Object(own)) = own {
            all.extend(
                own.iter()
                    .map(|(name, value)| (name.clone(), value.clone())),
            );
        }
        Value::Object(all)
    }

    fn run_json(&self) -> Value {
        let facts = &self.run.facts;
        let tasks = self.plan.playbook.tasks.iter().zip(&self.run.tasks);
        let tasks: Map<String, Value> = tasks
            .map(|(task, progress)| {
                let seen = json!({
                    "state": progress.state.as_str(), "attempts": progress.attempts, "cause": progress.cause,
                });
                (task.id.clone(), seen)
            })
            .collect();
        json!({
            "run_id": self.run_id, "playbook_id": facts.playbook_id, "rule_id": facts.rule_id,
            "decision_id": facts.decision_id, "domain": facts.alert.domain,
            "service": facts.alert.service_name, "author": facts.author,
            "created_at": facts.created_at, "started_at": self.run.started_at, "tasks": tasks,
        })
    }
}

/// The fields of an alert that texts and conditions may name.
const FIELDS: &[&str] = &[
    "alert_id",
    "fingerprint",
    "source_system",
    "alert_name",
    "severity",
    "status",
    "service_name",
    "host_ip",
    "metric_value",
    "timestamp",
    "starts_at",
    "received_at",
    "domain",
    "labels",
    "annotations",
    "description",
];

fn alert_json(alert: &NormalizedAlert) -> Value {
    let fields = FIELDS
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), alert_field(alert, name)?)));
    Value::Object(fields.collect())
}

fn alert_field(alert: &NormalizedAlert, name: &str) -> Option<Value> {
    let texts = |texts: &BTreeMap<String, String>| {
        let fields = texts
            .iter()
            .map(|(name, text)| (name.clone(), Value::from(text.clone())));
        Value::Object(fields.collect())
    };
    Some(match name {
        "alert_id" => Value::from(alert.alert_id.clone()),
        "fingerprint" => Value::from(alert.fingerprint.clone()),
        "source_system" => Value::from(alert.source_system.clone()),
        "alert_name" => Value::from(alert.alert_name.clone()),
        "severity" => Value::from(alert.severity.as_str()),
        "status" => Value::from(alert.status.as_str()),
        "service_name" => Value::from(alert.service_name.clone()),
        "host_ip" => Value::from(alert.host_ip.clone()),
        "metric_value" => Value::from(alert.metric_value),
        "timestamp" => Value::from(alert.timestamp),
        "starts_at" => Value::from(alert.starts_at),
        "received_at" => Value::from(alert.received_at),
        "domain" => Value::from(alert.domain.clone()),
        "labels" => texts(&alert.labels),
        "annotations" => texts(&alert.annotations),
        "description" => Value::from(alert.description.clone()),
        _ => return None,
    })
}

/// The alert as templates see it: a field is made when it is read.
#[derive(Debug)]
struct AlertObject(Shared<RunFacts>);

impl Object for AlertObject {
    fn get_value(self: &Arc<Self>, key: &Datum) -> Option<Datum> {
        let value = alert_field(&self.0.alert, key.as_str()?)?;
        (!value.is_null()).then(|| Datum::from(Serde(value)))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Str(FIELDS)
    }
}
