//! The Zabbix media type that ships holds together: its script uses every parameter that is declared and no
//! other, and sends the fields that the examples have.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test's own steps may fail loudly, and it reads files"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn shipped(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Every word that follows the mark.
fn after<'a>(text: &'a str, mark: &str) -> BTreeSet<&'a str> {
    text.split(mark)
        .skip(1)
        .map(|rest| {
            let is_word = |char: char| char.is_ascii_alphanumeric() || char == '_';
            let end = rest.find(|char| !is_word(char)).unwrap_or(rest.len());
            &rest[..end]
        })
        .collect()
}

fn parts(media_type: &str) -> (&str, &str) {
    let (parameters, rest) = media_type.split_once("      script: |\n").unwrap();
    let (script, _) = rest.split_once("      max_sessions:").unwrap();
    (parameters, script)
}

/// Names in the script's list of parameters that are passed on as they are.
fn passed_on(script: &str) -> BTreeSet<&str> {
    let (_, rest) = script.split_once("\n        [").unwrap();
    let (list, _) = rest.split_once("].forEach").unwrap();
    list.split(',')
        .map(|name| name.trim().trim_matches('\''))
        .collect()
}

#[test]
fn the_script_uses_every_parameter_and_no_other() {
    let media_type = shipped("zabbix/prunella-mediatype.yaml");
    let (parameters, script) = parts(&media_type);
    let declared = after(parameters, "        - name: ");
    let mut used = after(script, "params.");
    used.extend(passed_on(script));
    assert_eq!(used, declared);
}

#[test]
fn the_script_sends_the_fields_that_the_examples_have() {
    let media_type = shipped("zabbix/prunella-mediatype.yaml");
    let (_, script) = parts(&media_type);
    let mut sent = after(script, "body.");
    sent.extend(passed_on(script));
    let example = shipped("examples/zabbix/recovery.in.json");
    let example: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(&example).unwrap();
    let fields: BTreeSet<&str> = example.keys().map(String::as_str).collect();
    assert_eq!(sent, fields);
}
