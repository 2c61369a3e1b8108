//! Every schema of the build against the files in `avro`, `history` and `examples`, and against the past.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests; they read files"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use apache_avro::Schema;
use prunella_schemas::{ALL, Known, can_read, compatible};
use serde_json::Value;

fn crate_dir() -> PathBuf {
    PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR"))
}

/// Names of the files with that ending below a directory: their paths without the ending.
fn names_below(dir: &Path, ending: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            let inner = names_below(&path, ending);
            found.extend(inner.into_iter().map(|name| format!("{stem}/{name}")));
        } else if path.extension().is_some_and(|found| found == ending) {
            found.insert(stem);
        }
    }
    found
}

fn catalogue_names() -> BTreeSet<String> {
    ALL.iter().map(|known| known.name().to_owned()).collect()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn the_catalogue_holds_every_schema_file_and_no_other() {
    assert_eq!(catalogue_names().len(), ALL.len(), "a name twice");
    assert_eq!(
        catalogue_names(),
        names_below(&crate_dir().join("avro"), "avsc")
    );
}

#[test]
fn every_schema_has_examples() {
    assert_eq!(
        catalogue_names(),
        names_below(&crate_dir().join("examples"), "json")
    );
}

#[test]
fn the_code_names_every_version_in_the_history() {
    let mut expected = BTreeSet::new();
    for known in ALL {
        for version in 1..=known.schema().history().len() {
            expected.insert(format!("{}/{version}", known.name()));
        }
    }
    assert_eq!(expected, names_below(&crate_dir().join("history"), "avsc"));
}

#[test]
fn the_schema_in_force_is_the_newest_of_its_history() {
    for known in ALL {
        let newest = known.schema().history().last().unwrap();
        assert_eq!(
            without_docs(json(known.schema().text())),
            without_docs(json(newest)),
            "{}: copy it to history as a new version",
            known.name()
        );
    }
}

/// Everything of a schema that matters to a reader; the defaults too, which the canonical form leaves out.
fn without_docs(mut schema: Value) -> Value {
    match &mut schema {
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| *item = without_docs(item.take())),
        Value::Object(node) => {
            // Only a text is documentation: a field may be called `doc` too.
            if node.get("doc").is_some_and(Value::is_string) {
                node.remove("doc");
            }
            node.values_mut()
                .for_each(|value| *value = without_docs(value.take()));
        }
        _ => {}
    }
    schema
}

#[test]
fn every_schema_reads_and_is_read_by_its_whole_history() {
    for known in ALL {
        for (index, version) in known.schema().history().iter().enumerate() {
            let result = compatible(version, known.schema().text());
            assert_eq!(result, Ok(()), "{} version {}", known.name(), index + 1);
        }
    }
}

#[test]
fn no_two_schemas_share_a_fingerprint() {
    let mut seen = BTreeSet::new();
    for known in ALL {
        let fingerprint = known.schema().fingerprint().unwrap();
        assert!(seen.insert(fingerprint), "{}", known.name());
    }
}

#[test]
fn other_libraries_parse_every_schema_alone() {
    for known in ALL {
        for text in known.schema().history() {
            let parsed = Schema::parse_str(text);
            assert!(parsed.is_ok(), "{}: {parsed:?}", known.name());
        }
    }
}

#[test]
fn every_field_is_documented_and_every_enumeration_has_a_default() {
    for known in ALL {
        check_documentation(known.name(), &json(known.schema().text()));
    }
}

fn check_documentation(place: &str, schema: &Value) {
    match schema {
        Value::Array(variants) => variants
            .iter()
            .for_each(|variant| check_documentation(place, variant)),
        Value::Object(node) => {
            let place = match node.get("name").and_then(Value::as_str) {
                Some(name) => {
                    assert!(node.contains_key("doc"), "{place}/{name} has no doc");
                    format!("{place}/{name}")
                }
                None => place.to_owned(),
            };
            if node.get("symbols").is_some() {
                assert!(node.contains_key("default"), "{place} has no default");
            }
            for key in ["type", "items", "values", "fields"] {
                check_documentation(&place, node.get(key).unwrap_or(&Value::Null));
            }
        }
        _ => {}
    }
}

#[test]
fn what_a_schema_gives_a_default_the_rust_type_gives_the_same() {
    for known in ALL {
        for example in examples(*known) {
            check_defaults(*known, &example);
        }
    }
}

/// A record without any of the fields that have a default is read as the same record with the defaults.
fn check_defaults(known: &dyn Known, example: &Value) {
    let schema = json(known.schema().text());
    let mut spare = example.clone();
    let mut full = example.clone();
    for field in schema["fields"].as_array().unwrap() {
        if let Some(default) = field.get("default") {
            let name = field["name"].as_str().unwrap();
            spare.as_object_mut().unwrap().remove(name);
            full[name] = default.clone();
        }
    }
    let spare = known.encode_json(&spare);
    assert_eq!(spare, known.encode_json(&full), "{}", known.name());
    assert!(spare.is_ok(), "{}: {spare:?}", known.name());
}

fn examples(known: &dyn Known) -> Vec<Value> {
    let path = crate_dir().join(format!("examples/{}.json", known.name()));
    let text = fs::read_to_string(path).unwrap();
    match json(&text) {
        Value::Array(examples) => examples,
        other => panic!("{}: not a list: {other}", known.name()),
    }
}

const ALERT: &str = include_str!("../avro/normalized-alert.avsc");

/// The alert's schema after a change to its list of fields.
fn alert_with(change: impl FnOnce(&mut Vec<Value>)) -> String {
    let mut schema = json(ALERT);
    change(schema["fields"].as_array_mut().unwrap());
    schema.to_string()
}

fn field<'a>(fields: &'a mut [Value], name: &str) -> &'a mut Value {
    fields
        .iter_mut()
        .find(|field| field["name"] == name)
        .unwrap()
}

#[test]
fn a_change_that_breaks_readers_is_caught() {
    let check = |what: &str, change: fn(&mut Vec<Value>)| {
        let changed = alert_with(change);
        assert!(compatible(ALERT, &changed).is_err(), "{what}");
    };
    check("a type that changed", |fields| {
        field(fields, "timestamp")["type"] = "string".into();
    });
    check("a new field without a default", |fields| {
        fields.push(serde_json::json!({"name": "region", "type": "string"}));
    });
    check("a required field that is gone", |fields| {
        fields.retain(|field| field["name"] != "fingerprint");
    });
    check("a field that was renamed", |fields| {
        field(fields, "domain")["name"] = "island".into();
    });
    check("a field that may no longer be absent", |fields| {
        field(fields, "host_ip")["type"] = "string".into();
    });
    check("an enumeration without its default that grew", |fields| {
        let severity = &mut field(fields, "severity")["type"];
        severity.as_object_mut().unwrap().remove("default");
        severity["symbols"].as_array_mut().unwrap().pop();
    });
    check("a change inside a nested record", |fields| {
        field(fields, "raw")["type"]["fields"][2]["type"] = "boolean".into();
    });
}

#[test]
fn a_change_that_readers_survive_passes() {
    let check = |what: &str, change: fn(&mut Vec<Value>)| {
        let changed = alert_with(change);
        assert_eq!(compatible(ALERT, &changed), Ok(()), "{what}");
    };
    check("no change", |_| {});
    check("a new field with a default", |fields| {
        fields.push(serde_json::json!({"name": "region", "type": "string", "default": ""}));
    });
    check("a field with a default that is gone", |fields| {
        fields.retain(|field| field["name"] != "annotations");
    });
    check("another order of fields", |fields| fields.reverse());
    check("a new symbol", |fields| {
        let severity = &mut field(fields, "severity")["type"];
        severity["symbols"]
            .as_array_mut()
            .unwrap()
            .push("Fatal".into());
    });
}

#[test]
fn a_wider_number_can_read_a_narrower_one_only() {
    let narrow = r#"{"type": "record", "name": "N", "fields": [{"name": "n", "type": "int"}]}"#;
    let wide = r#"{"type": "record", "name": "N", "fields": [{"name": "n", "type": "long"}]}"#;
    assert_eq!(can_read(narrow, wide), Ok(()));
    assert!(can_read(wide, narrow).is_err());
    assert!(compatible(narrow, wide).is_err());
}
