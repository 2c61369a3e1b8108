//! Every example of every schema, through the codec and through another implementation of Avro.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests; they read files"
)]

use std::fs;
use std::path::PathBuf;

use apache_avro::types::Value as Avro;
use apache_avro::{Schema, from_avro_datum};
use prunella_schemas::{ALL, Known, Registry, decode_any};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

/// Frame of single-object encoding: marker and fingerprint.
const HEADER: usize = 10;

fn for_every_example(mut check: impl FnMut(&dyn Known, &Value, &[u8])) {
    let dir = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    let dir = PathBuf::from(dir).join("examples");
    for known in ALL.iter().copied() {
        let text = fs::read_to_string(dir.join(format!("{}.json", known.name()))).unwrap();
        let examples: Vec<Value> = serde_json::from_str(&text).unwrap();
        assert!(examples.len() >= 2, "{} has too few examples", known.name());
        for example in &examples {
            let bytes = known.encode_json(example).unwrap();
            check(known, example, &bytes);
        }
    }
}

#[test]
fn every_example_reads_back_as_it_was() {
    for_every_example(|known, example, bytes| {
        let json = known.to_json(&Registry::new(), bytes).unwrap();
        assert_eq!(&json, example, "{}", known.name());
    });
}

#[test]
fn equal_values_give_equal_bytes() {
    for_every_example(|known, example, bytes| {
        assert_eq!(
            known.encode_json(example).unwrap(),
            bytes,
            "{}",
            known.name()
        );
    });
}

#[test]
fn bytes_say_which_record_they_are() {
    for_every_example(|known, example, bytes| {
        let decoded = decode_any(bytes).unwrap();
        assert_eq!(decoded, (known.name(), example.clone()));
    });
}

#[test]
fn a_generic_reader_sees_the_same_values() {
    for_every_example(|known, example, bytes| {
        let schema = Schema::parse_str(known.schema().text()).unwrap();
        let mut body = &bytes[HEADER..];
        let value = from_avro_datum(&schema, &mut body, None).unwrap();
        assert!(body.is_empty(), "{}", known.name());
        assert_eq!(&json_of(&value), example, "{}", known.name());
    });
}

fn json_of(value: &Avro) -> Value {
    match value {
        Avro::Null => Value::Null,
        Avro::Boolean(value) => (*value).into(),
        Avro::Int(value) => (*value).into(),
        Avro::Long(value) | Avro::TimestampMillis(value) => (*value).into(),
        Avro::Double(value) => (*value).into(),
        Avro::String(value) | Avro::Enum(_, value) => value.as_str().into(),
        Avro::Union(_, value) => json_of(value),
        Avro::Array(items) => items.iter().map(json_of).collect(),
        Avro::Map(entries) => entries
            .iter()
            .map(|(key, value)| (key.clone(), json_of(value)))
            .collect(),
        Avro::Record(fields) => fields
            .iter()
            .map(|(key, value)| (key.clone(), json_of(value)))
            .collect(),
        other => panic!("no schema of ours holds {other:?}"),
    }
}

#[test]
fn no_cut_or_lengthened_record_is_read() {
    for_every_example(|known, _, bytes| {
        let refused = |bytes: &[u8]| known.to_json(&Registry::new(), bytes).is_err();
        for length in 0..bytes.len() {
            assert!(
                refused(&bytes[..length]),
                "{} cut to {length}",
                known.name()
            );
        }
        let longer: Vec<u8> = bytes.iter().copied().chain([0]).collect();
        assert!(refused(&longer), "{} lengthened", known.name());
    });
}

#[test]
fn a_line_of_json_has_the_fields_in_the_order_of_the_schema() {
    for_every_example(|known, _, bytes| {
        let schema: Value = serde_json::from_str(known.schema().text()).unwrap();
        let expected: Vec<&str> = schema["fields"]
            .as_array()
            .unwrap()
            .iter()
            .map(|field| field["name"].as_str().unwrap())
            .collect();
        let line = known.to_json_line(&Registry::new(), bytes).unwrap();
        let Keys(found) = serde_json::from_str(&line).unwrap();
        assert_eq!(found, expected, "{}", known.name());
    });
}

/// The keys of a JSON object as they stand in the text; serde_json's own map may sort them.
struct Keys(Vec<String>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeysVisitor;
        impl<'de> Visitor<'de> for KeysVisitor {
            type Value = Keys;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Keys, A::Error> {
                let mut keys = Vec::new();
                while let Some((key, IgnoredAny)) = entries.next_entry()? {
                    keys.push(key);
                }
                Ok(Keys(keys))
            }
        }
        deserializer.deserialize_map(KeysVisitor)
    }
}
