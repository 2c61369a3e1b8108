//! What the files of a knowledge directory hold: a file says by its fields what it is.

mod conditions;
mod playbooks;
mod probes;
mod rules;
mod settings;
mod tasks;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::diagnostic::{Level, Report};
use crate::fields::{Fields, Placed};
use crate::model::Settings;
use crate::yaml::{self, Data, Mark, Node};

pub(crate) use playbooks::ReadPlaybook;
pub(crate) use rules::ReadRule;

/// What was read of one file.
#[derive(Default)]
pub(crate) struct ReadFile {
    pub(crate) rules: Vec<ReadRule>,
    pub(crate) playbooks: Vec<ReadPlaybook>,
    pub(crate) settings: Option<Placed<Settings>>,
    pub(crate) sources: Vec<(Placed<String>, Value)>,
}

/// True if a file of this name is read at all: others (a README) may lie beside the knowledge.
pub(crate) fn is_knowledge(path: &str) -> bool {
    let extension = path.rsplit_once('.').map(|(_, extension)| extension);
    extension.is_some_and(|extension| {
        extension.eq_ignore_ascii_case("yaml") || extension.eq_ignore_ascii_case("yml")
    })
}

pub(crate) fn read(path: &str, text: &str, report: &mut Report<'_>) -> ReadFile {
    let (documents, flaws) = yaml::read(text);
    let broken = documents.is_empty() && !flaws.is_empty();
    for flaw in flaws {
        report.error(flaw.at, 1, flaw.message);
    }
    let mut file = ReadFile::default();
    let documents: Vec<_> = documents
        .iter()
        .filter(|document| !matches!(document.data, Data::Null))
        .collect();
    if documents.is_empty() && !broken {
        let at = Mark { line: 1, column: 1 };
        report.push(
            Level::Warning,
            at,
            1,
            "the file says nothing".to_owned(),
            None,
        );
    }
    for document in documents {
        read_document(path, document, &mut file, report);
    }
    file
}

fn read_document(path: &str, document: &Node, file: &mut ReadFile, report: &mut Report<'_>) {
    let Some(mut fields) = Fields::of("a knowledge file", document, report) else {
        return;
    };
    if let Data::Map(entries) = &document.data {
        let has = |name: &str| entries.iter().any(|entry| entry.name == name);
        if has("playbook_id") || (has("tasks") && !has("rules")) {
            file.playbooks.extend(playbooks::read(document, report));
            return;
        }
        if is_settings_file(path) && !has("settings") {
            file.settings = settings::read(document, report);
            return;
        }
    }
    for node in fields.list("rules", report) {
        file.rules.extend(rules::read(node, report));
    }
    for node in fields.list("playbooks", report) {
        file.playbooks.extend(playbooks::read(node, report));
    }
    if let Some(entry) = fields.get("settings") {
        file.settings = settings::read(&entry.value, report);
    }
    if let Some(entry) = fields.get("sources") {
        read_sources(&entry.value, file, report);
    }
    // A playbook that forgot its id is recognised by none of these: its own field is named too.
    let _ = fields.get("playbook_id");
    fields.done(report);
}

fn is_settings_file(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.')
        .is_some_and(|(stem, _)| stem == "settings")
}

/// Sources are described in the words of the normalizer, which checks them.
fn read_sources(node: &Node, file: &mut ReadFile, report: &mut Report<'_>) {
    let Data::Map(entries) = &node.data else {
        let message = format!("`sources` is a mapping of names, not {}", node.kind());
        report.error(node.at, 1, message);
        return;
    };
    for entry in entries {
        if !matches!(entry.value.data, Data::Map(_)) {
            let message = format!("the source `{}` is a mapping", entry.name);
            report.error(entry.value.at, 1, message);
            continue;
        }
        let name = Placed {
            value: entry.name.clone(),
            at: entry.at,
        };
        file.sources.push((name, json(&entry.value)));
    }
}

/// A value as JSON.
pub(crate) fn json(node: &Node) -> Value {
    match &node.data {
        Data::Null => Value::Null,
        Data::Bool(truth) => Value::Bool(*truth),
        Data::Int(number, _) => Value::from(*number),
        Data::Double(number, _) => Value::from(*number),
        Data::Text(text) => Value::String(text.clone()),
        Data::List(items) => items.iter().map(|item| json(item)).collect(),
        Data::Map(entries) => {
            let fields = entries
                .iter()
                .map(|entry| (entry.name.clone(), json(&entry.value)));
            Value::Object(fields.collect())
        }
    }
}

/// Texts by name: the labels that a rule asks for.
pub(crate) fn texts(
    fields: &mut Fields<'_>,
    name: &'static str,
    report: &mut Report<'_>,
) -> BTreeMap<String, String> {
    let Some(entry) = fields.get(name) else {
        return BTreeMap::new();
    };
    let Data::Map(entries) = &entry.value.data else {
        crate::fields::wrong_kind(entry, "a mapping", report);
        return BTreeMap::new();
    };
    entries
        .iter()
        .filter_map(|entry| {
            let text = crate::fields::text(entry, report)?;
            Some((entry.name.clone(), text.value))
        })
        .collect()
}
