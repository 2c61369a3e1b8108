//! Reads the fields of a mapping: each by its name and kind, and reports what is wrong, missing or unknown.

use std::rc::Rc;

use crate::diagnostic::Report;
use crate::duration::parse_duration;
use crate::suggest::nearest;
use crate::yaml::{Data, Entry, Mark, Node};

/// The fields of one mapping.
pub(crate) struct Fields<'n> {
    /// What it describes, for messages: "a rule".
    what: &'static str,
    at: Mark,
    entries: &'n [Entry],
    known: Vec<&'static str>,
}

/// A value with the place where it stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Placed<T> {
    pub(crate) value: T,
    pub(crate) at: Mark,
}

impl<'n> Fields<'n> {
    /// The fields of a mapping; reports a value that is none.
    pub(crate) fn of(what: &'static str, node: &'n Node, report: &mut Report<'_>) -> Option<Self> {
        match &node.data {
            Data::Map(entries) => Some(Self {
                what,
                at: node.at,
                entries,
                known: Vec::new(),
            }),
            _ => {
                let message = format!("{what} is a mapping, not {}", node.kind());
                report.error(node.at, 1, message);
                None
            }
        }
    }

    pub(crate) fn at(&self) -> Mark {
        self.at
    }

    /// The field of this name, as it stands; a field without a value counts as absent.
    pub(crate) fn get(&mut self, name: &'static str) -> Option<&'n Entry> {
        if !self.known.contains(&name) {
            self.known.push(name);
        }
        self.entries
            .iter()
            .find(|entry| entry.name == name && !matches!(entry.value.data, Data::Null))
    }

    pub(crate) fn require(
        &mut self,
        name: &'static str,
        report: &mut Report<'_>,
    ) -> Option<&'n Entry> {
        let found = self.get(name);
        if found.is_none() {
            report.error(self.at, 1, format!("{} needs `{name}`", self.what));
        }
        found
    }

    pub(crate) fn text(
        &mut self,
        name: &'static str,
        report: &mut Report<'_>,
    ) -> Option<Placed<String>> {
        self.get(name).and_then(|entry| text(entry, report))
    }

    pub(crate) fn duration(&mut self, name: &'static str, report: &mut Report<'_>) -> Option<i64> {
        self.get(name).and_then(|entry| duration(entry, report))
    }

    /// A duration that is longer than nothing.
    pub(crate) fn span(&mut self, name: &'static str, report: &mut Report<'_>) -> Option<i64> {
        let entry = self.get(name)?;
        let found = duration(entry, report)?;
        if found == 0 {
            report.error(
                entry.value.at,
                1,
                format!("`{name}` must be longer than nothing"),
            );
            return None;
        }
        Some(found)
    }

    /// A whole number of a range.
    pub(crate) fn number(
        &mut self,
        name: &'static str,
        range: std::ops::RangeInclusive<u32>,
        report: &mut Report<'_>,
    ) -> Option<u32> {
        self.get(name)
            .and_then(|entry| number(name, &entry.value, range, report))
    }

    pub(crate) fn truth(&mut self, name: &'static str, report: &mut Report<'_>) -> Option<bool> {
        let entry = self.get(name)?;
        match entry.value.data {
            Data::Bool(truth) => Some(truth),
            _ => {
                wrong_kind(entry, "true or false", report);
                None
            }
        }
    }

    /// One of some words, compared without case.
    pub(crate) fn word<T: Copy>(
        &mut self,
        name: &'static str,
        words: &[(&'static str, T)],
        report: &mut Report<'_>,
    ) -> Option<T> {
        let found = self.text(name, report)?;
        let word = words
            .iter()
            .find(|(word, _)| word.eq_ignore_ascii_case(&found.value));
        if let Some((_, value)) = word {
            return Some(*value);
        }
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        report.error_with(
            found.at,
            found.value.chars().count(),
            format!("`{name}` cannot be `{}`", found.value),
            one_of(&found.value, &known),
        );
        None
    }

    /// The items of a list; a single value that is none counts as a list of one where that is natural.
    pub(crate) fn list(&mut self, name: &'static str, report: &mut Report<'_>) -> &'n [Rc<Node>] {
        let Some(entry) = self.get(name) else {
            return &[];
        };
        match &entry.value.data {
            Data::List(items) => items,
            Data::Text(_) => std::slice::from_ref(&entry.value),
            _ => {
                wrong_kind(entry, "a list", report);
                &[]
            }
        }
    }

    /// Reports every field that nothing asked for.
    pub(crate) fn done(self, report: &mut Report<'_>) {
        for entry in self.entries {
            if self.known.contains(&entry.name.as_str()) {
                continue;
            }
            let message = format!("{} has no field `{}`", self.what, entry.name);
            let width = entry.name.chars().count();
            match nearest(&entry.name, self.known.iter().copied()) {
                Some(near) => {
                    report.error_with(entry.at, width, message, format!("did you mean `{near}`?"));
                }
                None => {
                    let suggestion = format!("its fields are {}", self.known.join(", "));
                    report.error_with(entry.at, width, message, suggestion);
                }
            }
        }
    }
}

/// A text; numbers count as they were written.
pub(crate) fn text(entry: &Entry, report: &mut Report<'_>) -> Option<Placed<String>> {
    let found = text_of(&entry.value);
    if found.is_none() {
        wrong_kind(entry, "a text", report);
    }
    found
}

pub(crate) fn text_of(node: &Node) -> Option<Placed<String>> {
    match &node.data {
        Data::Text(text) | Data::Int(_, text) | Data::Double(_, text) => Some(Placed {
            value: text.clone(),
            at: node.at,
        }),
        _ => None,
    }
}

pub(crate) fn number(
    name: &str,
    node: &Node,
    range: std::ops::RangeInclusive<u32>,
    report: &mut Report<'_>,
) -> Option<u32> {
    let found = match node.data {
        Data::Int(number, _) => u32::try_from(number)
            .ok()
            .filter(|found| range.contains(found)),
        _ => None,
    };
    if found.is_none() {
        let message = format!(
            "`{name}` is a whole number from {} to {}",
            range.start(),
            range.end()
        );
        report.error(node.at, 1, message);
    }
    found
}

pub(crate) fn wrong_kind(entry: &Entry, wanted: &str, report: &mut Report<'_>) {
    let message = format!("`{}` is {wanted}, not {}", entry.name, entry.value.kind());
    if wanted == "a text" && matches!(entry.value.data, Data::Bool(_)) {
        report.error_with(entry.value.at, 1, message, "put it in quotes");
    } else {
        report.error(entry.value.at, 1, message);
    }
}

/// "did you mean", or all that it could have been.
pub(crate) fn one_of(word: &str, known: &[&str]) -> String {
    match nearest(word, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("it is one of {}", known.join(", ")),
    }
}

fn duration(entry: &Entry, report: &mut Report<'_>) -> Option<i64> {
    let found = text(entry, report)?;
    match parse_duration(&found.value) {
        Ok(milliseconds) => Some(milliseconds),
        Err(reason) => {
            report.error_with(
                found.at,
                found.value.chars().count(),
                format!("`{}`: {reason}", entry.name),
                "write it as 500ms, 30s, 5m, 1h or 2d",
            );
            None
        }
    }
}
