//! Where a generic source keeps what: a declarative map from its fields to an alert's.
//!
//! ```yaml
//! sources:
//!   acme:
//!     list: data.events           # where the alerts are; absent: the payload itself, an object or a list
//!     ordering_key: data.tenant   # what keeps payloads in order; absent: an identity of the first alert
//!     fields:                     # each a path, or paths of which the first that has a value counts
//!       alert_name: rule.title
//!       severity: [rule.level, level]
//!     values:                     # words of the source, whatever their case, and what they mean
//!       severity: {P0: Critical}
//!       status: {gone: Resolved}
//!     defaults:                   # for what the source never says
//!       domain: eu
//! ```
//! A path is names with dots in between; a number selects from a list. A field that is not named here keeps its
//! usual names (see [`Target::names`]).

use std::collections::BTreeMap;

use prunella_schemas::{AlertStatus, Severity};
use serde_json::{Map, Value};

use crate::json::{Fields, Json};
use crate::words;

/// What a description of a source gets wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldMapError {
    /// It is no mapping.
    #[error(
        "a source is described by a mapping with `fields`, `values`, `defaults`, `list` and `ordering_key`"
    )]
    NotAnObject,
    /// Its format is not built in.
    #[error("the format {0} is not known; use one of {known}", known = crate::FORMATS.join(", "))]
    UnknownFormat(String),
    /// A vendor's format is what it is.
    #[error(
        "the format {0} needs no further description; remove everything but `format`, or use `generic`"
    )]
    NothingToDescribe(String),
    /// A key that means nothing here.
    #[error("`{key}` is not known under `{at}`; known are {known}")]
    UnknownKey {
        /// The key.
        key: String,
        /// Where it stands.
        at: &'static str,
        /// What may stand there.
        known: String,
    },
    /// A value of the wrong kind.
    #[error("`{at}` must be {expected}")]
    WrongKind {
        /// Where it stands.
        at: String,
        /// What is expected.
        expected: &'static str,
    },
}

macro_rules! targets {
    ($($(#[$doc:meta])* $variant:ident $name:literal [$($usual:literal),*];)*) => {
        /// A part of an alert that a field of a source may fill.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Target { $($(#[$doc])* $variant),* }

        impl Target {
            pub(crate) const ALL: &'static [Self] = &[$(Self::$variant),*];

            fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// The names under which it is looked for in a source that is not described, the surest first.
            pub(crate) fn names(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &[$($usual),*]),* }
            }
        }
    };
}
targets! {
    /// Name of the alerting rule.
    Name "alert_name" ["alert_name", "alertname", "alertName", "name", "rule_name", "ruleName", "title"];
    /// The source's own identity of the series.
    Fingerprint "fingerprint" ["fingerprint", "dedup_key", "dedupKey"];
    /// The source's own id of the alert.
    Id "alert_id" ["alert_id", "alertId", "event_id", "eventId", "id"];
    /// How bad it is.
    Severity "severity" ["severity", "priority", "level"];
    /// Whether it is active.
    Status "status" ["status", "state"];
    /// The service concerned.
    Service "service_name" ["service_name", "serviceName", "service", "app", "application"];
    /// The host concerned.
    Host "host_ip" ["host_ip", "hostIp", "host", "hostname", "instance", "ip"];
    /// The number that crossed the threshold.
    Value "metric_value" ["metric_value", "metricValue", "value"];
    /// When it was observed.
    Timestamp "timestamp" ["timestamp", "@timestamp", "event_time", "eventTime", "time", "ts"];
    /// When it began to fire.
    StartsAt "starts_at" ["starts_at", "startsAt", "started_at", "startedAt"];
    /// When it resolved.
    EndsAt "ends_at" ["ends_at", "endsAt", "resolved_at", "resolvedAt"];
    /// The island it belongs to.
    Domain "domain" ["domain", "cluster", "env", "environment"];
    /// Labels.
    Labels "labels" ["labels", "tags"];
    /// Annotations.
    Annotations "annotations" ["annotations"];
    /// Text for people.
    Description "description" ["description", "message", "summary", "text"];
}

/// A path into a payload.
pub(crate) type Path = Vec<String>;

/// A description of a source.
#[derive(Clone, Debug, Default)]
pub(crate) struct FieldMap {
    pub(crate) list: Option<Path>,
    pub(crate) ordering_key: Option<Path>,
    fields: BTreeMap<Target, Vec<Path>>,
    severities: BTreeMap<String, Severity>,
    statuses: BTreeMap<String, AlertStatus>,
    defaults: BTreeMap<Target, String>,
}

impl FieldMap {
    pub(crate) fn parse(description: &Map<String, Value>) -> Result<Self, FieldMapError> {
        const KEYS: &[&str] = &[
            "format",
            "list",
            "ordering_key",
            "fields",
            "values",
            "defaults",
        ];
        let mut map = Self::default();
        for (key, value) in description {
            match key.as_str() {
                "format" => {}
                "list" => map.list = Some(path(value, "list")?),
                "ordering_key" => map.ordering_key = Some(path(value, "ordering_key")?),
                "fields" => {
                    for (target, value) in targets(value, "fields")? {
                        map.fields.insert(target, paths(value, target)?);
                    }
                }
                "values" => map.parse_values(object(value, "values")?)?,
                "defaults" => {
                    for (target, value) in targets(value, "defaults")? {
                        map.defaults.insert(target, scalar(value, target)?);
                    }
                }
                _ => return Err(unknown(key, "sources", KEYS)),
            }
        }
        Ok(map)
    }

    fn parse_values(&mut self, values: &Map<String, Value>) -> Result<(), FieldMapError> {
        for (field, words) in values {
            match field.as_str() {
                "severity" => {
                    self.severities = meanings(words, "values.severity", &|word| {
                        Some(Severity::parse(word))
                            .filter(|severity| *severity != Severity::Unknown)
                    })?;
                }
                "status" => self.statuses = meanings(words, "values.status", &words::status)?,
                _ => return Err(unknown(field, "values", &["severity", "status"])),
            }
        }
        Ok(())
    }

    /// The first value that one of the target's fields has, and the name of the payload's field it came from.
    pub(crate) fn find<'j, 'a>(
        &'j self,
        fields: &'j Fields<'a>,
        target: Target,
    ) -> Option<(&'j str, &'j Json<'a>)> {
        let filled = |json: &&Json<'_>| !matches!(json, Json::Null);
        match self.fields.get(&target) {
            Some(paths) => paths.iter().find_map(|path| {
                let (name, rest) = path.split_first()?;
                let found = walk(fields.get(name.as_str())?, rest).filter(filled)?;
                Some((if rest.is_empty() { name.as_str() } else { "" }, found))
            }),
            None => target.names().iter().find_map(|name| {
                let found = fields.get(*name).filter(filled)?;
                Some((*name, found))
            }),
        }
    }

    /// What a target is where the source says nothing.
    pub(crate) fn default_of(&self, target: Target) -> Option<&str> {
        self.defaults.get(&target).map(String::as_str)
    }

    pub(crate) fn severity(&self, word: &str) -> Severity {
        let own = self.severities.get(&word.trim().to_ascii_lowercase());
        own.copied().unwrap_or_else(|| Severity::parse(word))
    }

    pub(crate) fn status(&self, word: &str) -> Option<AlertStatus> {
        let own = self.statuses.get(&word.trim().to_ascii_lowercase());
        own.copied().or_else(|| words::status(word))
    }
}

/// What lies at a path.
pub(crate) fn walk<'j, 'a>(json: &'j Json<'a>, path: &[String]) -> Option<&'j Json<'a>> {
    path.iter().try_fold(json, |json, step| match json {
        Json::Object(fields) => fields.get(step.as_str()),
        Json::List(items) => items.get(step.parse::<usize>().ok()?),
        _ => None,
    })
}

fn path(value: &Value, at: &str) -> Result<Path, FieldMapError> {
    let steps = value
        .as_str()
        .map(|text| text.split('.').map(str::to_owned));
    steps
        .map(Iterator::collect)
        .filter(|path: &Path| path.iter().all(|step| !step.is_empty()))
        .ok_or_else(|| FieldMapError::WrongKind {
            at: at.to_owned(),
            expected: "a path: names with dots in between",
        })
}

fn paths(value: &Value, target: Target) -> Result<Vec<Path>, FieldMapError> {
    let at = format!("fields.{}", target.name());
    match value {
        Value::Array(items) => items.iter().map(|item| path(item, &at)).collect(),
        one => Ok(vec![path(one, &at)?]),
    }
}

fn object<'v>(value: &'v Value, at: &str) -> Result<&'v Map<String, Value>, FieldMapError> {
    value.as_object().ok_or_else(|| FieldMapError::WrongKind {
        at: at.to_owned(),
        expected: "a mapping",
    })
}

fn targets<'v>(
    value: &'v Value,
    at: &'static str,
) -> Result<Vec<(Target, &'v Value)>, FieldMapError> {
    let target = |name: &str| {
        Target::ALL
            .iter()
            .copied()
            .find(|target| target.name() == name)
    };
    object(value, at)?
        .iter()
        .map(|(name, value)| match target(name) {
            Some(target) => Ok((target, value)),
            None => {
                let known: Vec<&str> = Target::ALL.iter().map(|target| target.name()).collect();
                Err(unknown(name, at, &known))
            }
        })
        .collect()
}

fn scalar(value: &Value, target: Target) -> Result<String, FieldMapError> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err(FieldMapError::WrongKind {
            at: format!("defaults.{}", target.name()),
            expected: "a text or a number",
        }),
    }
}

fn meanings<T>(
    value: &Value,
    at: &'static str,
    parse: &dyn Fn(&str) -> Option<T>,
) -> Result<BTreeMap<String, T>, FieldMapError> {
    let wrong = || FieldMapError::WrongKind {
        at: at.to_owned(),
        expected: "a mapping from the source's words to ours: Critical, Error, Warning, Info; Firing, Resolved",
    };
    value
        .as_object()
        .ok_or_else(wrong)?
        .iter()
        .map(|(word, meaning)| {
            let meaning = meaning.as_str().and_then(parse).ok_or_else(wrong)?;
            Ok((word.trim().to_ascii_lowercase(), meaning))
        })
        .collect()
}

fn unknown(key: &str, at: &'static str, known: &[&str]) -> FieldMapError {
    FieldMapError::UnknownKey {
        key: key.to_owned(),
        at,
        known: known.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(description: &Value) -> Result<FieldMap, FieldMapError> {
        FieldMap::parse(description.as_object().unwrap())
    }

    fn check_refused(description: Value, part: &str) {
        let error = parse(&description).unwrap_err().to_string();
        assert!(error.contains(part), "{description}: {error}");
    }

    #[test]
    fn mistakes_are_named_with_what_would_be_right() {
        check_refused(json!({"field": {}}), "`field` is not known under `sources`");
        check_refused(json!({"fields": {"nmae": "x"}}), "alert_name");
        check_refused(json!({"fields": {"alert_name": 7}}), "fields.alert_name");
        check_refused(json!({"fields": {"alert_name": "a..b"}}), "a path");
        check_refused(json!({"list": 7}), "`list`");
        check_refused(json!({"values": {"host": {}}}), "severity, status");
        check_refused(json!({"values": {"severity": {"x": "purple"}}}), "Critical");
        check_refused(json!({"defaults": {"domain": []}}), "defaults.domain");
    }

    #[test]
    fn a_path_leads_through_objects_and_lists() {
        let json: Json<'_> = serde_json::from_str(r#"{"a": [{"b": 7}]}"#).unwrap();
        let walk = |text: &str| walk(&json, &path(&json!(text), "x").unwrap()).cloned();
        assert_eq!(walk("a.0.b"), Some(Json::Integer(7)));
        assert_eq!(walk("a.1.b"), None);
        assert_eq!(walk("a.b"), None);
    }

    #[test]
    fn words_of_the_source_come_before_ours() {
        let map = parse(&json!({"values": {
            "severity": {"P1": "Warning"}, "status": {"UP": "Firing"},
        }}))
        .unwrap();
        assert_eq!(map.severity("p1"), Severity::Warning);
        assert_eq!(map.severity("p2"), Severity::Error);
        assert_eq!(map.status("up"), Some(AlertStatus::Firing));
        assert_eq!(map.status("ok"), Some(AlertStatus::Resolved));
    }
}
