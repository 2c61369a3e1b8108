//! Formats by name, and which format each source sends.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use prunella_stream::Rejection;
use serde_json::Value;

use crate::draft::Batch;
use crate::field_map::{FieldMap, FieldMapError};
use crate::format::{self, TABLE};
use crate::generic::Generic;
use crate::payload;
use crate::vendors::Vendor;

/// How one kind of system says what it has to say.
pub(crate) trait Source: Send + Sync + fmt::Debug {
    /// The format's name.
    fn name(&self) -> &'static str;
    /// Whether a payload of this media type may be of the format.
    fn takes(&self, content_type: &str) -> bool {
        payload::is_json(content_type)
    }
    /// The format as one that reads objects, if it is.
    fn vendor(&'static self) -> Option<&'static Vendor> {
        None
    }
    /// What keeps payloads about the same thing in order; see [`crate::ordering_key`].
    fn ordering_key(&self, text: &str) -> Result<Option<String>, Rejection>;
    /// Takes every alert of the payload into the batch, in its order.
    fn normalize<'a>(&self, text: &'a str, batch: &mut Batch<'a>) -> Result<(), Rejection>;
}

/// Which format each source sends.
///
/// A source that the knowledge describes is read as described. Any other is of the format that it is named
/// after, alone or with something added (`alertmanager`, `alertmanager-eu`, `zabbix.lab`), and else `generic`.
#[derive(Clone, Debug)]
pub struct Sources {
    described: BTreeMap<String, Described>,
    generic: Arc<dyn Source>,
}

/// What a description says a source is.
#[derive(Clone, Debug)]
enum Described {
    /// A format that is built in.
    Vendor(&'static dyn Source),
    /// Any JSON.
    Fields(Arc<Generic>),
}

impl Default for Sources {
    fn default() -> Self {
        Self {
            described: BTreeMap::new(),
            generic: Arc::new(Generic(FieldMap::default())),
        }
    }
}

/// Every mistake in the descriptions of sources.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(|(source, error)| format!("source `{source}`: {error}")).collect::<Vec<_>>().join("; "))]
pub struct SourcesError(pub Vec<(String, FieldMapError)>);

impl Sources {
    /// Sources from the knowledge's `sources:`, by name.
    ///
    /// # Errors
    /// [`SourcesError`] with every mistake.
    pub fn parse(described: &BTreeMap<String, Value>) -> Result<Self, SourcesError> {
        let mut sources = Self::default();
        let mut errors = Vec::new();
        for (name, description) in described {
            match parse_one(description) {
                Ok(source) => drop(sources.described.insert(name.clone(), source)),
                Err(error) => errors.push((name.clone(), error)),
            }
        }
        if errors.is_empty() {
            Ok(sources)
        } else {
            Err(SourcesError(errors))
        }
    }

    /// Name of the format in which a source is read.
    #[must_use]
    pub fn format_name(&self, source: &str) -> &'static str {
        self.format(source).name()
    }

    pub(crate) fn format(&self, source: &str) -> &dyn Source {
        if let Some(described) = self.described.get(source) {
            return match described {
                Described::Vendor(source) => *source,
                Described::Fields(generic) => generic.as_ref(),
            };
        }
        format::named(source)
            .and_then(|format| format.source)
            .unwrap_or(self.generic.as_ref())
    }
}

fn parse_one(description: &Value) -> Result<Described, FieldMapError> {
    let Value::Object(fields) = description else {
        return Err(FieldMapError::NotAnObject);
    };
    let format = match fields.get("format") {
        None => "generic",
        Some(Value::String(format)) => format,
        Some(other) => return Err(FieldMapError::UnknownFormat(other.to_string())),
    };
    let Some(known) = TABLE.iter().find(|known| known.name == format) else {
        return Err(FieldMapError::UnknownFormat(format.to_owned()));
    };
    match known.source {
        None => Ok(Described::Fields(Arc::new(Generic(FieldMap::parse(
            fields,
        )?)))),
        Some(_) if fields.len() > 1 => Err(FieldMapError::NothingToDescribe(format.to_owned())),
        Some(source) => Ok(Described::Vendor(source)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::format::FORMATS;

    fn parse(described: Value) -> Result<Sources, SourcesError> {
        let described: BTreeMap<String, Value> = serde_json::from_value(described).unwrap();
        Sources::parse(&described)
    }

    #[test]
    fn a_source_is_of_the_format_it_is_named_after() {
        let sources = Sources::default();
        for (source, format) in [
            ("alertmanager", "alertmanager"),
            ("alertmanager-eu", "alertmanager"),
            ("zabbix.lab", "zabbix"),
            ("alertmanagers", "generic"),
            ("acme", "generic"),
            ("", "generic"),
        ] {
            assert_eq!(sources.format_name(source), format, "{source}");
        }
    }

    #[test]
    fn a_description_wins_over_a_name() {
        let sources = parse(json!({
            "prod": {"format": "alertmanager"},
            "zabbix-bridge": {"fields": {"alert_name": "what"}},
        }))
        .unwrap();
        assert_eq!(sources.format_name("prod"), "alertmanager");
        assert_eq!(sources.format_name("zabbix-bridge"), "generic");
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let error = parse(json!({
            "a": 7,
            "b": {"format": "carrier-pigeon"},
            "c": {"format": "zabbix", "fields": {}},
            "d": {"fields": {}},
        }))
        .unwrap_err();
        let names: Vec<&str> = error.0.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert!(error.to_string().contains("source `b`"));
    }

    #[test]
    fn every_format_that_is_listed_can_be_described() {
        for format in FORMATS {
            let sources = parse(json!({"x": {"format": format}})).unwrap();
            assert_eq!(sources.format_name("x"), *format);
        }
    }
}
