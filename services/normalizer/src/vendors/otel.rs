//! OpenTelemetry log records, as OTLP in its JSON form has them.
//!
//! From the OpenTelemetry specification, "OTLP Specification: JSON Protobuf encoding", "Logs data model" and the
//! semantic conventions of resources.
//!
//! Each record is an alert: send only records that are meant as such, and all others to the log analyzer.

use prunella_schemas::{CowStr, Severity};
use prunella_stream::Rejection;

use super::{Vendor, unexpected};
use crate::draft::{Batch, Draft, Times};
use crate::format::Format;
use crate::json::Json;
use crate::labels::{LabelMap, first};
use crate::object::Object;

pub(crate) static FORMAT: Format = Format {
    name: "otel",
    about: "OpenTelemetry log records that are meant as alerts, as OTLP JSON",
    documentation: "OpenTelemetry specification: OTLP, logs data model",
    recognised_by: "a list `resourceLogs`",
    required: &["resourceLogs.*.scopeLogs.*.logRecords.*"],
    severities: &[
        ("TRACE", Severity::Info),
        ("DEBUG", Severity::Info),
        ("INFO", Severity::Info),
        ("WARN", Severity::Warning),
        ("ERROR", Severity::Error),
        ("FATAL", Severity::Critical),
    ],
    statuses: &[],
    source: Some(&VENDOR),
};
static VENDOR: Vendor = Vendor {
    name: "otel",
    order: &[],
    read,
};

fn read<'a>(mut root: Object<'a>, batch: &mut Batch<'a>) -> Result<(), Rejection> {
    let resources = root.list("resourceLogs");
    let resources = resources.ok_or_else(|| unexpected("otel", "has no list `resourceLogs`"))?;
    for resource in resources {
        let mut logs = object(resource)?;
        let mut resource = logs.object("resource");
        let labels = attributes(&mut resource);
        logs.adopt(resource.within("resource"));
        logs.adopt(root.clone());
        for scope in logs.list("scopeLogs").unwrap_or_default() {
            let mut scoped = object(scope)?;
            let scope = scoped.object("scope");
            scoped.adopt(scope.within("scope"));
            let records = scoped.list("logRecords").unwrap_or_default();
            scoped.adopt(logs.clone());
            for (index, record) in records.into_iter().enumerate() {
                let mut draft = draft(object(record)?, labels.clone(), &scoped, batch);
                scoped.share(&mut draft, index == 0);
                batch.push(draft)?;
            }
        }
    }
    Ok(())
}

fn object(json: Json<'_>) -> Result<Object<'_>, Rejection> {
    Object::of(json).ok_or_else(|| unexpected("otel", "has a list of what are no objects"))
}

fn draft<'a>(
    mut record: Object<'a>,
    mut labels: LabelMap<'a>,
    scope: &Object<'a>,
    batch: &Batch<'a>,
) -> Draft<'a> {
    for (name, value) in attributes(&mut record) {
        labels.entry(name).or_insert(value);
    }
    let body = record.get("body").and_then(any_value);
    if body.is_some() {
        record.forget(&["body"]);
    }
    let named = record.word("eventName");
    let named = named.or_else(|| first(&labels, &["alertname", "event.name", "exception.type"]));
    let name = named.or_else(|| Some(scope.said("scope.name")?.into_owned().into()));
    let number = record.number("severityNumber");
    let text = record
        .said("severityText")
        .map(|word| FORMAT.severity(&word));
    let at = record
        .time("timeUnixNano")
        .or_else(|| record.time("observedTimeUnixNano"));
    let mut draft = Draft {
        name: name.unwrap_or_else(|| "OpenTelemetryLogRecord".into()),
        severity: number.and_then(severity).or(text),
        service: first(&labels, &["service.name", "k8s.deployment.name"]),
        host: first(
            &labels,
            &["host.name", "host.ip", "k8s.node.name", "server.address"],
        ),
        domain: first(
            &labels,
            &[
                "k8s.cluster.name",
                "deployment.environment.name",
                "deployment.environment",
            ],
        ),
        times: Times {
            at,
            ..Times::default()
        },
        description: body.or_else(|| first(&labels, &["exception.message"])),
        labels,
        ..Draft::default()
    };
    let place = ["service.namespace", "service.instance.id", "k8s.pod.name"];
    let place = place.map(|name| first(&draft.labels, &[name]).unwrap_or_default());
    draft.fingerprint = batch.series(&[
        &draft.name,
        draft.service.as_deref().unwrap_or_default(),
        draft.host.as_deref().unwrap_or_default(),
        &place[0],
        &place[1],
        &place[2],
    ]);
    record.keep(&mut draft);
    draft
}

/// Severity by number: four of each, from TRACE (1) to FATAL (24).
fn severity(number: f64) -> Option<Severity> {
    match number {
        number if !(1.0..25.0).contains(&number) => None,
        number if number < 13.0 => Some(Severity::Info),
        number if number < 17.0 => Some(Severity::Warning),
        number if number < 21.0 => Some(Severity::Error),
        _ => Some(Severity::Critical),
    }
}

/// Attributes: a list of `{key, value}`, where the value says its type. What is no such list stays.
fn attributes<'a>(of: &mut Object<'a>) -> LabelMap<'a> {
    let mut labels = LabelMap::new();
    for item in of.list("attributes").unwrap_or_default() {
        let whole = item.clone();
        let mut item = Object::of(item).unwrap_or_default();
        let value = item.get("value").and_then(any_value);
        match item.word("key") {
            Some(key) => {
                let value = value.or_else(|| Some(item.get("value")?.text().into()));
                item.forget(&["value"]);
                for (name, more) in item.into_labels() {
                    labels.insert(format!("{key}.{name}").into(), more);
                }
                labels.insert(key, value.unwrap_or_default());
            }
            None => drop(labels.insert("attribute".into(), whole.into_text())),
        }
    }
    labels
}

/// The text of an `AnyValue`: `{"stringValue": ...}` and so on; a value without its type is taken as it is.
fn any_value<'a>(json: &Json<'a>) -> Option<CowStr<'a>> {
    let Json::Object(fields) = json else {
        return json.word().map(CowStr::from);
    };
    let mut fields = fields.iter();
    match (fields.next(), fields.next()) {
        (Some((name, value)), None) if name.ends_with("Value") => Some(value.clone().into_text()),
        _ => Some(json.clone().into_text()),
    }
}
