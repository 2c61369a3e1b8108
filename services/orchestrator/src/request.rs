//! What a task asks for: compiled from the playbook once, rendered into an action's target and spec.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::value::Value as Datum;
use prunella_knowledge::{Task, kinds};
use prunella_schemas::Severity;
use prunella_schemas::spec::{API_CALL, ApiCallSpec, NOTIFICATION, NotificationSpec, ProbeSpec};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::render::{RenderError, Templates, Text, Tree};
use crate::scope::Scope;

/// A task's request, compiled.
#[derive(Debug)]
pub struct Request {
    form: Form,
    target: Option<Text>,
    parameters: Tree,
    reads: BTreeSet<String>,
}

/// A task's request, rendered: what an action carries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendered {
    /// What is acted upon.
    pub target: String,
    /// JSON whose shape depends on the kind.
    pub spec: String,
}

#[derive(Debug)]
enum Form {
    ApiCall {
        /// Absent: the template of the address gives it too.
        method: Option<String>,
        address: Text,
        probe: Option<Box<Probe>>,
    },
    Notification,
    Other {
        action: Option<Text>,
    },
}

#[derive(Debug)]
struct Probe {
    method: String,
    address: Text,
    headers: Tree,
    query: Tree,
    done_if: String,
    absent_if: Option<String>,
}

/// Whether a task may change its target: as it says, else by its kind. Telling people never does.
#[must_use]
pub fn mutating(task: &Task) -> bool {
    match task.kind.as_str() {
        NOTIFICATION => false,
        "Kubernetes_Collect" | "Trace_Query" => task.mutating.unwrap_or(false),
        _ => kinds::is_mutating(task),
    }
}

impl Request {
    /// Compiles a task's request.
    ///
    /// # Errors
    /// [`RenderError`] if a text is no template, or the request lacks what its kind needs.
    pub fn compile(task: &Task, templates: &mut Templates) -> Result<Self, RenderError> {
        let mut reads = BTreeSet::new();
        let form = match task.kind.as_str() {
            API_CALL => api_call(task, templates, &mut reads)?,
            NOTIFICATION => Form::Notification,
            _ => Form::Other {
                action: task
                    .action
                    .as_deref()
                    .map(|action| templates.text(&place(task, "action"), action, &mut reads))
                    .transpose()?,
            },
        };
        let target = task.target.as_deref();
        let target = target
            .map(|target| templates.text(&place(task, "target"), target, &mut reads))
            .transpose()?;
        let mut parameters = task.parameters.clone();
        if task.kind == API_CALL {
            parameters.remove("probe");
        }
        let parameters = Value::Object(parameters);
        let parameters = templates.tree(&place(task, "parameters"), &parameters, &mut reads)?;
        Ok(Self {
            form,
            target,
            parameters,
            reads,
        })
    }

    /// Renders it: parameters first, then the texts that may read them.
    ///
    /// # Errors
    /// [`RenderError`] if a template reads what is not there, or gives what its kind cannot be asked for.
    pub fn render(
        &self,
        task: &Task,
        templates: &Templates,
        scope: &Scope<'_>,
    ) -> Result<Rendered, RenderError> {
        let mut context = scope.context(&self.reads, None);
        let parameters = templates.render_tree(&self.parameters, &context)?;
        if self.reads.contains("parameters") {
            context = scope.context(&self.reads, Some(&parameters));
        }
        let Value::Object(parameters) = parameters else {
            return Err(RenderError::new(
                place(task, "parameters"),
                "they are no object",
            ));
        };
        let target = self.target.as_ref();
        let target = target
            .map(|target| templates.render(target, &context))
            .transpose()?;
        let (fallback, spec) = match &self.form {
            Form::ApiCall {
                method,
                address,
                probe,
            } => {
                let line = templates.render_path(address, &context)?;
                let (method, address) = match method {
                    Some(method) => (method.clone(), line.as_str()),
                    None => split_action(&line).ok_or_else(|| bad_line(&place(task, "action")))?,
                };
                let mut call = call(task, &method, parameters)?;
                (call.url, call.path) = split_address(task, address)?;
                let probe = probe.as_ref();
                call.probe = probe
                    .map(|probe| probe.render(task, templates, &context))
                    .transpose()?;
                (call.url.as_deref().map(host), json(&call))
            }
            Form::Notification => {
                let domain = &scope.run.facts.alert.domain;
                (
                    Some(notification_target(domain)),
                    json(&notification(task, &parameters, scope)),
                )
            }
            Form::Other { action } => {
                let action = action.as_ref();
                let action = action
                    .map(|action| templates.render(action, &context))
                    .transpose()?;
                other(parameters, action)
            }
        };
        let target = target.or(fallback).unwrap_or_else(|| {
            let alert = &scope.run.facts.alert;
            alert
                .service_name
                .clone()
                .unwrap_or_else(|| alert.domain.clone())
        });
        if target.trim().is_empty() {
            return Err(RenderError::new(place(task, "target"), "it is empty"));
        }
        Ok(Rendered { target, spec })
    }
}

impl Probe {
    fn render(
        &self,
        task: &Task,
        templates: &Templates,
        context: &Datum,
    ) -> Result<ProbeSpec, RenderError> {
        let address = templates.render_path(&self.address, context)?;
        let (url, path) = split_address(task, &address)?;
        Ok(ProbeSpec {
            method: self.method.clone(),
            url,
            path,
            headers: texts(
                task,
                "probe.headers",
                templates.render_tree(&self.headers, context)?,
            )?,
            query: texts(
                task,
                "probe.query",
                templates.render_tree(&self.query, context)?,
            )?,
            done_if: self.done_if.clone(),
            absent_if: self.absent_if.clone(),
        })
    }
}

/// A notification whose texts cannot be filled in: it goes out all the same, as it was written, with the reason.
#[must_use]
pub fn unfilled_notification(task: &Task, scope: &Scope<'_>, error: &RenderError) -> Rendered {
    let mut spec = notification(task, &task.parameters, scope);
    spec.message = format!("{}\n(shown as it was written: {error})", spec.message);
    Rendered {
        target: notification_target(&scope.run.facts.alert.domain),
        spec: json(&spec),
    }
}

/// What a domain's notifications are keyed by.
#[must_use]
pub fn notification_target(domain: &str) -> String {
    format!("notification/{domain}")
}

/// A spec as JSON text.
pub(crate) fn json<T: Serialize>(spec: &T) -> String {
    // A spec has text keys only and finite numbers, which JSON can always say.
    serde_json::to_string(spec).unwrap_or_default()
}

fn place(task: &Task, part: &str) -> String {
    format!("{}.{part}", task.id)
}

fn split_action(action: &str) -> Option<(String, &str)> {
    let (method, address) = action.trim().split_once(char::is_whitespace)?;
    let method = method.to_ascii_uppercase();
    matches!(
        method.as_str(),
        "GET" | "HEAD" | "OPTIONS" | "POST" | "PUT" | "PATCH" | "DELETE"
    )
    .then(|| (method, address.trim()))
}

fn is_read(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS")
}

fn api_call(
    task: &Task,
    templates: &mut Templates,
    reads: &mut BTreeSet<String>,
) -> Result<Form, RenderError> {
    let action = task.action.as_deref().unwrap_or_default().trim();
    let here = place(task, "action");
    let word = action.split_whitespace().next().unwrap_or_default();
    let (method, address) = if word.contains("{{") {
        (None, templates.path(&here, action, reads)?)
    } else {
        let (method, address) = request_line(&here, action, templates, reads)?;
        (Some(method), address)
    };
    let probe = match task.parameters.get("probe") {
        Some(probe) => Some(Box::new(compile_probe(task, probe, templates, reads)?)),
        None => None,
    };
    Ok(Form::ApiCall {
        method,
        address,
        probe,
    })
}

fn request_line(
    place: &str,
    action: &str,
    templates: &mut Templates,
    reads: &mut BTreeSet<String>,
) -> Result<(String, Text), RenderError> {
    let (method, address) = split_action(action).ok_or_else(|| bad_line(place))?;
    Ok((method, templates.path(place, address, reads)?))
}

fn bad_line(place: &str) -> RenderError {
    RenderError::new(place, "write it as `METHOD URL` or `METHOD /path`")
}

fn compile_probe(
    task: &Task,
    probe: &Value,
    templates: &mut Templates,
    reads: &mut BTreeSet<String>,
) -> Result<Probe, RenderError> {
    let here = place(task, "probe");
    let text = |name: &str| probe.get(name).and_then(Value::as_str);
    let action = text("action").unwrap_or_default();
    let (method, address) = request_line(&here, action, templates, reads)?;
    if !is_read(&method) {
        return Err(RenderError::new(here, "a probe only reads: use GET"));
    }
    let done_if = text("done_if")
        .ok_or_else(|| {
            RenderError::new(
                here.as_str(),
                "it needs `done_if`, a condition over status and body",
            )
        })?
        .to_owned();
    let none = Value::Object(Map::new());
    let mut tree = |name: &str| {
        let value = probe.get(name).unwrap_or(&none);
        templates.tree(&format!("{here}.{name}"), value, reads)
    };
    Ok(Probe {
        headers: tree("headers")?,
        query: tree("query")?,
        absent_if: text("absent_if").map(str::to_owned),
        method,
        address,
        done_if,
    })
}

/// Spreads the rendered parameters over the call: `headers`, `query`, `body` and `expect` are what they say;
/// the others are the query of a method without a body, or where a body is given; else they are the body.
fn call(
    task: &Task,
    method: &str,
    mut parameters: Map<String, Value>,
) -> Result<ApiCallSpec, RenderError> {
    let mut part = |name: &str| parameters.remove(name);
    let headers = part("headers");
    let query = part("query");
    let mut body = part("body");
    let expect = part("expect");
    let mut query = match query {
        Some(query) => texts(task, "query", query)?,
        None => BTreeMap::new(),
    };
    let has_body = matches!(method, "POST" | "PUT" | "PATCH") && body.is_none();
    if has_body && !parameters.is_empty() {
        body = Some(Value::Object(parameters));
    } else {
        query.extend(texts(task, "parameters", Value::Object(parameters))?);
    }
    Ok(ApiCallSpec {
        method: method.to_owned(),
        headers: headers
            .map(|headers| texts(task, "headers", headers))
            .transpose()?
            .unwrap_or_default(),
        query,
        body,
        timeout_ms: task.timeout_ms,
        expect: expect
            .map(|expect| statuses(task, &expect))
            .transpose()?
            .unwrap_or_default(),
        ..ApiCallSpec::default()
    })
}

fn statuses(task: &Task, value: &Value) -> Result<Vec<u16>, RenderError> {
    let status = |value: &Value| {
        let number = value.as_u64().and_then(|number| u16::try_from(number).ok());
        number.ok_or_else(|| RenderError::new(place(task, "expect"), "status codes are numbers"))
    };
    match value {
        Value::Array(items) => items.iter().map(status).collect(),
        one => Ok(vec![status(one)?]),
    }
}

/// The fields of an object as texts: what a header or a query parameter is.
fn texts(task: &Task, part: &str, value: Value) -> Result<BTreeMap<String, String>, RenderError> {
    let Value::Object(fields) = value else {
        return Err(RenderError::new(
            place(task, part),
            "it must be names and values",
        ));
    };
    let text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    Ok(fields
        .into_iter()
        .map(|(name, value)| (name, text(value)))
        .collect())
}

fn split_address(
    task: &Task,
    address: &str,
) -> Result<(Option<String>, Option<String>), RenderError> {
    if address.starts_with('/') {
        return Ok((None, Some(address.to_owned())));
    }
    let scheme = address
        .split_once("://")
        .map(|(scheme, _)| scheme.to_ascii_lowercase());
    if matches!(scheme.as_deref(), Some("http" | "https")) && !host(address).is_empty() {
        return Ok((Some(address.to_owned()), None));
    }
    Err(RenderError::new(
        place(task, "action"),
        format!("`{address}` is neither an http(s) URL nor a path with a leading slash"),
    ))
}

/// Host and port of a URL.
fn host(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    let authority = &rest[..end];
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    host.to_ascii_lowercase()
}

fn notification(
    task: &Task,
    parameters: &Map<String, Value>,
    scope: &Scope<'_>,
) -> NotificationSpec {
    let facts = &scope.run.facts;
    let text = |name: &str| match parameters.get(name) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Null) | None => None,
        Some(other) => Some(other.to_string()),
    };
    let recipients = match parameters.get("recipients") {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(all)) => all
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        _ => Vec::new(),
    };
    let name = if task.name.is_empty() {
        &task.id
    } else {
        &task.name
    };
    NotificationSpec {
        severity: text("severity").map_or(facts.alert.severity, |word| Severity::parse(&word)),
        title: text("title").unwrap_or_else(|| format!("{}: {name}", scope.plan.playbook.name)),
        message: text("message").unwrap_or_else(|| facts.alert.description.clone()),
        recipients,
        run_id: scope.run_id.to_owned(),
        service: facts.alert.service_name.clone(),
        domain: facts.alert.domain.clone(),
    }
}

/// Kinds that the executor may or may not know: their parameters as they are, and `action` beside them.
fn other(mut parameters: Map<String, Value>, action: Option<String>) -> (Option<String>, String) {
    let service = parameters
        .get("service")
        .and_then(Value::as_str)
        .map(str::to_owned);
    if let Some(action) = action {
        parameters.entry("action").or_insert(Value::String(action));
    }
    (service, json(&Value::Object(parameters)))
}
