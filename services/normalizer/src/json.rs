//! JSON as sources send it: borrowed, ordered, and strict about what a reader could take two ways.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use prunella_schemas::CowStr;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::payload::MAX_ALERTS;

/// A JSON value of unknown shape. Objects are ordered by key, whatever order they came in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json<'a> {
    Null,
    Bool(bool),
    Integer(i64),
    Unsigned(u64),
    Float(f64),
    Text(Cow<'a, str>),
    List(Vec<Json<'a>>),
    Object(Fields<'a>),
}

/// The fields of an object.
pub(crate) type Fields<'a> = BTreeMap<Cow<'a, str>, Json<'a>>;

impl<'a> Json<'a> {
    /// The value as a label would hold it: a text as it is, nothing for null, anything else as JSON.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Null => String::new(),
            Self::Text(text) => text.as_ref().to_owned(),
            // Every value of this type can be written: keys are texts and numbers are finite.
            other => serde_json::to_string(other).unwrap_or_default(),
        }
    }

    /// The same, keeping a text where it lies.
    pub(crate) fn into_text(self) -> CowStr<'a> {
        match self {
            Self::Text(text) => text.into(),
            other => other.text().into(),
        }
    }

    /// The value in memory of its own.
    pub(crate) fn into_static(self) -> Json<'static> {
        match self {
            Self::Null => Json::Null,
            Self::Bool(value) => Json::Bool(value),
            Self::Integer(value) => Json::Integer(value),
            Self::Unsigned(value) => Json::Unsigned(value),
            Self::Float(value) => Json::Float(value),
            Self::Text(text) => Json::Text(Cow::Owned(text.into_owned())),
            Self::List(items) => Json::List(items.into_iter().map(Json::into_static).collect()),
            Self::Object(fields) => {
                let fields = fields.into_iter();
                Json::Object(
                    fields
                        .map(|(name, value)| (Cow::Owned(name.into_owned()), value.into_static()))
                        .collect(),
                )
            }
        }
    }

    /// The text of a text or a number; nothing for what is no single word.
    pub(crate) fn word(&self) -> Option<String> {
        match self {
            Self::Null | Self::List(_) | Self::Object(_) => None,
            scalar => Some(scalar.text()).filter(|text| !text.trim().is_empty()),
        }
    }
}

/// A text that a label or a plain field holds. Numbers and booleans are taken as their text, null as none, so
/// that a source that changes a type loses nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

impl<'a> Text<'a> {
    /// The text, unless it is blank.
    pub(crate) fn filled(self) -> Option<Cow<'a, str>> {
        Some(self.0).filter(|text| !text.trim().is_empty())
    }
}

/// U+0000 is refused in every text: what acts on alerts passes them to programs that end a text at it. It can
/// only come from an escape, so a text that is borrowed from the payload holds none.
fn without_nul<E: de::Error>(text: &str) -> Result<String, E> {
    if text.contains('\0') {
        return Err(E::custom(
            "nul: a text holds the character U+0000; let the source leave it out",
        ));
    }
    Ok(text.to_owned())
}

pub(crate) fn duplicate<E: de::Error>(key: &str) -> E {
    E::custom(format_args!(
        "duplicate_key: the key `{}` occurs twice in one object; which one is meant?",
        crate::payload::shorten(key)
    ))
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a text")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(without_nul(text)?)))
            }

            fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
                Ok(Text::default())
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(if value { "true" } else { "false" })))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(value.to_string())))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(value.to_string())))
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(Json::Float(value).text())))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Self::Value, A::Error> {
                let list = Json::deserialize(de::value::SeqAccessDeserializer::new(items))?;
                Ok(Text(Cow::Owned(list.text())))
            }

            fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Self::Value, A::Error> {
                let object = Json::deserialize(de::value::MapAccessDeserializer::new(entries))?;
                Ok(Text(Cow::Owned(object.text())))
            }
        }

        deserializer.deserialize_any(TextVisitor)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Json<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Json::Integer(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(i64::try_from(value).map_or(Json::Unsigned(value), Json::Integer))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Json::Float(value))
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Json::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Json::Text(Cow::Owned(without_nul(text)?)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut fields = Fields::new();
        while let Some((Text(key), value)) = entries.next_entry()? {
            if fields.contains_key(&key) {
                return Err(duplicate(&key));
            }
            fields.insert(key, value);
        }
        Ok(Json::Object(fields))
    }
}

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Integer(value) => serializer.serialize_i64(*value),
            Self::Unsigned(value) => serializer.serialize_u64(*value),
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => serializer.collect_seq(items),
            Self::Object(fields) => serializer.collect_map(fields),
        }
    }
}

/// A list with no more items than a payload may hold alerts.
#[derive(Debug)]
pub(crate) struct Alerts<T>(pub(crate) Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Alerts<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AlertsVisitor<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for AlertsVisitor<T> {
            type Value = Alerts<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list of alerts")
            }

            fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
                Ok(Alerts(Vec::new()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                let mut alerts = Vec::new();
                while let Some(alert) = items.next_element()? {
                    if alerts.len() == MAX_ALERTS {
                        return Err(too_many_alerts());
                    }
                    alerts.push(alert);
                }
                Ok(Alerts(alerts))
            }
        }

        deserializer.deserialize_any(AlertsVisitor(std::marker::PhantomData))
    }
}

fn too_many_alerts<E: de::Error>() -> E {
    E::custom(format_args!(
        "too_many_alerts: the payload holds more than {MAX_ALERTS} alerts; let the source send smaller groups"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(json: &str) -> Result<String, String> {
        serde_json::from_str::<Text<'_>>(json)
            .map(|text| text.0.into_owned())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn scalars_of_any_type_are_taken_as_text() {
        for (json, text) in [
            (r#""a""#, "a"),
            (r#""a\n""#, "a\n"),
            ("12", "12"),
            ("-1", "-1"),
            ("1.5", "1.5"),
            ("true", "true"),
            ("null", ""),
            ("[1, \"b\"]", r#"[1,"b"]"#),
            (r#"{"b": 1, "a": null}"#, r#"{"a":null,"b":1}"#),
        ] {
            assert_eq!(text_of(json).as_deref(), Ok(text), "{json}");
        }
    }

    #[test]
    fn a_key_that_occurs_twice_is_refused_and_one_that_does_not_is_taken() {
        let parse = |json: &'static str| serde_json::from_str::<Json<'_>>(json);
        assert!(parse(r#"{"a": 1, "b": {"a": 1}}"#).is_ok());
        let error = parse(r#"{"a": {"b": 1, "b": 1}}"#).unwrap_err().to_string();
        assert!(error.starts_with("duplicate_key: the key `b`"), "{error}");
        // The same key, once with an escape.
        assert!(parse(r#"{"a": 1, "\u0061": 2}"#).is_err());
    }

    #[test]
    fn nul_is_refused_wherever_it_stands() {
        for json in [r#""a\u0000""#, r#"["\u0000"]"#, r#"{"\u0000": 1}"#] {
            let error = text_of(json).unwrap_err();
            assert!(error.starts_with("nul: "), "{error}");
        }
        assert!(text_of("\"\0\"").is_err());
    }
}
