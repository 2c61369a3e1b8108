//! Labels and annotations, in the shapes in which sources send them.

use std::collections::BTreeMap;
use std::fmt;

use prunella_schemas::CowStr;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

use crate::json::{Json, Text, duplicate};
use crate::payload::MAX_LABELS;

/// The names under which the common facts are found among labels, the surest first.
pub(crate) const SERVICE: &[&str] = &[
    "service_name",
    "service",
    "app",
    "app_kubernetes_io_name",
    "application",
    "deployment",
    "component",
    "job",
];
/// Host or address.
pub(crate) const HOST: &[&str] = &["host_ip", "instance", "host", "hostname", "ip", "node"];
/// Domain.
pub(crate) const DOMAIN: &[&str] = &["cluster", "env", "environment"];
/// Severity.
pub(crate) const SEVERITY: &[&str] = &["severity", "priority", "level"];
/// The number that crossed the threshold.
pub(crate) const VALUE: &[&str] = &["metric_value", "value"];
/// Text for people.
pub(crate) const DESCRIPTION: &[&str] = &["description", "summary", "message"];

/// Labels or annotations, borrowed from the payload where it has them as they are.
pub(crate) type LabelMap<'a> = BTreeMap<CowStr<'a>, CowStr<'a>>;

/// The first of these names that has a value.
pub(crate) fn first<'a>(labels: &LabelMap<'a>, names: &[&str]) -> Option<CowStr<'a>> {
    names
        .iter()
        .filter_map(|name| labels.get(*name))
        .map(|value| value.part(str::trim))
        .find(|value| !value.is_empty())
}

/// A JSON object of labels, read straight into the map in which they stay.
#[derive(Debug, Default)]
pub(crate) struct Labels<'a>(pub(crate) LabelMap<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for Labels<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LabelsVisitor;

        impl<'de> Visitor<'de> for LabelsVisitor {
            type Value = Labels<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object of labels")
            }

            fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
                Ok(Labels::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
                let mut labels = Vec::with_capacity(12);
                while let Some((Text(name), Text(value))) = entries.next_entry()? {
                    if labels.len() == MAX_LABELS {
                        return Err(too_many());
                    }
                    labels.push((CowStr::from(name), CowStr::from(value)));
                }
                let count = labels.len();
                // Sources mostly send them in order; a map is built from a sorted list in one go.
                labels.sort_by(|left, right| left.0.cmp(&right.0));
                if let Some(pair) = labels.windows(2).find(|pair| pair[0].0 == pair[1].0) {
                    return Err(duplicate(&pair[0].0));
                }
                let labels: LabelMap<'_> = labels.into_iter().collect();
                debug_assert_eq!(labels.len(), count);
                Ok(Labels(labels))
            }
        }

        deserializer.deserialize_any(LabelsVisitor)
    }
}

fn too_many<E: de::Error>() -> E {
    E::custom(format_args!(
        "too_many_labels: one alert carries more than {MAX_LABELS} labels; let the source drop those that \
         nobody reads"
    ))
}

/// Annotations, which a source may also send as a single text: it is then the description.
#[derive(Debug, Default)]
pub(crate) struct Annotations<'a>(pub(crate) LabelMap<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for Annotations<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnnotationsVisitor)
    }
}

struct AnnotationsVisitor;

impl AnnotationsVisitor {
    fn one<'a>(text: CowStr<'a>) -> Annotations<'a> {
        let filled = Some(text).filter(|text| !text.is_empty()).into_iter();
        Annotations(filled.map(|text| ("description".into(), text)).collect())
    }
}

/// Anything but a map is what a single text would be.
macro_rules! as_text {
    ($($visit:ident($value:ty))*) => {
        $(fn $visit<E: de::Error>(self, value: $value) -> Result<Self::Value, E> {
            let Text(text) = Text::deserialize(de::IntoDeserializer::into_deserializer(value))?;
            Ok(Self::one(text.into_owned().into()))
        })*
    };
}

impl<'de> Visitor<'de> for AnnotationsVisitor {
    type Value = Annotations<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object of annotations")
    }

    as_text! { visit_bool(bool) visit_i64(i64) visit_u64(u64) visit_f64(f64) visit_str(&str) }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(Annotations::default())
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, items: A) -> Result<Self::Value, A::Error> {
        let Text(text) = Text::deserialize(de::value::SeqAccessDeserializer::new(items))?;
        Ok(Self::one(text.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Self::Value, A::Error> {
        let labels = Labels::deserialize(de::value::MapAccessDeserializer::new(entries))?;
        Ok(Annotations(labels.0))
    }
}

/// Labels from a value of unknown shape: an object, a list of `{tag, value}` (or `key`, `name`), or a list of
/// `name:value` words. A name that occurs more than once keeps all its values, in their order, with a comma in
/// between.
///
/// Returns nothing if it is none of these, or holds too many.
pub(crate) fn from_json(json: &Json<'_>) -> Option<LabelMap<'static>> {
    let mut labels: BTreeMap<String, String> = BTreeMap::new();
    match json {
        Json::Object(fields) => {
            labels.extend(
                fields
                    .iter()
                    .map(|(name, value)| (name.to_string(), value.text())),
            );
        }
        Json::List(items) => {
            for item in items {
                let (name, value) = pair(item)?;
                more_of(item, &name, &mut labels);
                labels
                    .entry(name)
                    .and_modify(|values: &mut String| {
                        values.push(',');
                        values.push_str(&value);
                    })
                    .or_insert(value);
            }
        }
        Json::Null => {}
        _ => return None,
    }
    let owned = labels.into_iter();
    Some(
        owned
            .map(|(name, value)| (name.into(), value.into()))
            .collect(),
    )
}

/// What a pair says beside its name and value.
fn more_of(item: &Json<'_>, name: &str, labels: &mut BTreeMap<String, String>) {
    const KNOWN: &[&str] = &["tag", "key", "name", "value"];
    let Json::Object(fields) = item else {
        return;
    };
    for (key, value) in fields {
        if !KNOWN.contains(&key.as_ref()) {
            labels.insert(format!("{name}.{key}"), value.text());
        }
    }
}

fn pair(item: &Json<'_>) -> Option<(String, String)> {
    match item {
        Json::Object(fields) => {
            let name = ["tag", "key", "name"]
                .iter()
                .find_map(|key| fields.get(*key))?;
            let value = fields.get("value").map(Json::text).unwrap_or_default();
            Some((name.word()?, value))
        }
        Json::Text(word) => {
            let (name, value) = word.split_once([':', '=']).unwrap_or((word, ""));
            Some((name.trim().to_owned(), value.trim().to_owned()))
        }
        _ => None,
    }
}

/// The host in an instance label: without a scheme, a path and a port.
pub(crate) fn host(instance: &str) -> &str {
    let rest = instance
        .split_once("://")
        .map_or(instance, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    if let Some(bracketed) = authority.strip_prefix('[') {
        return bracketed.split(']').next().unwrap_or(bracketed);
    }
    match authority.split_once(':') {
        // More than one colon and no brackets: an IPv6 address, which has no port.
        Some((_, port)) if port.contains(':') => authority,
        Some((host, _)) => host,
        None => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_found_in_whatever_names_an_instance() {
        for (instance, expected) in [
            ("10.0.0.7:9100", "10.0.0.7"),
            ("db-1", "db-1"),
            (
                "https://shop.example.org:8443/health?x=1",
                "shop.example.org",
            ),
            ("[2001:db8::1]:9100", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
            ("", ""),
        ] {
            assert_eq!(host(instance), expected, "{instance}");
        }
    }

    #[test]
    fn the_surest_name_wins_and_a_blank_one_counts_as_none() {
        let labels: LabelMap<'_> = [("job", "node"), ("app", "shop"), ("service", " ")]
            .map(|(name, value)| (name.into(), value.into()))
            .into();
        assert_eq!(first(&labels, SERVICE).as_deref(), Some("shop"));
        assert_eq!(first(&labels, DOMAIN), None);
    }

    fn check(json: &str, expected: Option<&[(&str, &str)]>) {
        let seen = from_json(&serde_json::from_str(json).unwrap());
        let expected = expected.map(|labels| {
            labels
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into()))
                .collect::<LabelMap<'_>>()
        });
        assert_eq!(seen, expected, "{json}");
    }

    #[test]
    fn labels_come_in_three_shapes() {
        let both: &[(&str, &str)] = &[("env", "eu"), ("n", "1")];
        check(r#"{"env": "eu", "n": 1}"#, Some(both));
        check(
            r#"[{"tag": "env", "value": "eu"}, {"key": "n", "value": 1}]"#,
            Some(both),
        );
        check(r#"["env:eu", "n=1"]"#, Some(both));
        check("null", Some(&[]));
    }

    #[test]
    fn a_repeated_tag_keeps_all_its_values() {
        check(
            r#"["a:1", "b:2", "a:3"]"#,
            Some(&[("a", "1,3"), ("b", "2")]),
        );
    }

    #[test]
    fn what_is_no_list_of_labels_is_not_taken_for_one() {
        check("7", None);
        check("[[1]]", None);
        check(r#"[{"value": "x"}]"#, None);
    }

    #[test]
    fn more_labels_than_an_alert_may_carry_are_refused() {
        let object = |count: usize| {
            let labels: Vec<String> = (0..count).map(|n| format!("\"l{n}\": \"v\"")).collect();
            let json = format!("{{{}}}", labels.join(","));
            serde_json::from_str::<Labels<'_>>(&json)
                .map(|labels| labels.0.len())
                .map_err(|error| error.to_string())
        };
        assert_eq!(object(MAX_LABELS).unwrap(), MAX_LABELS);
        let error = object(MAX_LABELS + 1).unwrap_err();
        assert!(error.starts_with("too_many_labels: "), "{error}");
    }
}
