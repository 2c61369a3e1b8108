//! A directory of files as one knowledge set: read whole, checked whole, known by its digest.

use std::collections::BTreeMap;
use std::sync::Arc;

use prunella_schemas::KnowledgeFile;
use prunella_stream::Digest;

use crate::diagnostic::{Diagnostic, Level, Report};
use crate::fields::{Placed, one_of};
use crate::files::{self, ReadFile, ReadRule};
use crate::model::KnowledgeSet;
use crate::yaml::Mark;

/// The most rules of a set.
const MAX_RULES: usize = 10_000;

/// How strictly a set is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// A rule whose playbook is not there is a warning; it notifies instead of running one.
    pub allow_missing_playbooks: bool,
}

impl KnowledgeSet {
    /// Reads a set.
    ///
    /// # Errors
    /// Every mistake, in the files' order, if one of them is an error.
    pub fn parse(files: &[KnowledgeFile]) -> Result<Self, Vec<Diagnostic>> {
        Self::parse_with(files, Options::default())
    }

    /// Reads a set, as strictly as the options say.
    ///
    /// # Errors
    /// Every mistake, in the files' order, if one of them is an error.
    pub fn parse_with(files: &[KnowledgeFile], options: Options) -> Result<Self, Vec<Diagnostic>> {
        let (set, found) = load(files, options);
        if found.iter().any(Diagnostic::is_error) {
            Err(found)
        } else {
            Ok(set)
        }
    }
}

/// Every mistake of a set, in the files' order.
#[must_use]
pub fn check(files: &[KnowledgeFile]) -> Vec<Diagnostic> {
    check_with(files, Options::default())
}

/// Every mistake of a set, in the files' order, as strictly as the options say.
#[must_use]
pub fn check_with(files: &[KnowledgeFile], options: Options) -> Vec<Diagnostic> {
    load(files, options).1
}

/// The digest of a set: of every path and text, whatever the order of the files.
#[must_use]
pub fn digest_of(files: &[KnowledgeFile]) -> String {
    let files = sorted(files);
    let mut parts: Vec<&[u8]> = vec![b"knowledge"];
    for file in files {
        parts.push(file.path.as_bytes());
        parts.push(file.text.as_bytes());
    }
    Digest::of(&parts).hex()
}

fn sorted(files: &[KnowledgeFile]) -> Vec<&KnowledgeFile> {
    let mut sorted: Vec<&KnowledgeFile> = files.iter().collect();
    sorted.sort();
    sorted
}

fn load(files: &[KnowledgeFile], options: Options) -> (KnowledgeSet, Vec<Diagnostic>) {
    let mut reports = Vec::new();
    let mut read = Vec::new();
    for file in sorted(files) {
        if files::is_knowledge(&file.path) {
            let mut report = Report::new(&file.path, &file.text);
            read.push(files::read(&file.path, &file.text, &mut report));
            reports.push(report);
        }
    }
    let mut assembly = Assembly {
        set: KnowledgeSet {
            digest: digest_of(files),
            ..KnowledgeSet::default()
        },
        reports,
        options,
    };
    assembly.take(read);
    let found = assembly.reports.into_iter().flat_map(|report| {
        let mut found = report.into_found();
        found.sort_by_key(|mistake| (mistake.line, mistake.column));
        found
    });
    (assembly.set, found.collect())
}

/// Puts the files together, and reports what only shows when they are.
struct Assembly<'a> {
    set: KnowledgeSet,
    reports: Vec<Report<'a>>,
    options: Options,
}

/// Where something stands: the file's number, and the place in it.
type Place = (usize, Mark);

impl Assembly<'_> {
    fn take(&mut self, read: Vec<ReadFile>) {
        let mut rules: Vec<(usize, ReadRule)> = Vec::new();
        let mut triggers: Vec<(usize, ReadRule)> = Vec::new();
        let mut playbooks: BTreeMap<String, Place> = BTreeMap::new();
        let mut sources: BTreeMap<String, Place> = BTreeMap::new();
        let mut settings: Option<Place> = None;
        for (file, read) in read.into_iter().enumerate() {
            rules.extend(read.rules.into_iter().map(|rule| (file, rule)));
            for playbook in read.playbooks {
                let id = playbook.playbook.playbook_id.clone();
                if self.is_new("playbook", &mut playbooks, &id, (file, playbook.at)) {
                    self.set.playbooks.insert(id, Arc::new(playbook.playbook));
                    triggers.extend(playbook.triggers.into_iter().map(|rule| (file, rule)));
                }
            }
            for (Placed { value: name, at }, source) in read.sources {
                if self.is_new("source", &mut sources, &name, (file, at)) {
                    self.set.sources.insert(name, source);
                }
            }
            if let Some(found) = read.settings {
                if let Some((first, _)) = settings {
                    let message = format!("there are settings in `{}` already", self.path(first));
                    self.reports[file].error(found.at, 1, message);
                } else {
                    settings = Some((file, found.at));
                    self.set.settings = found.value;
                }
            }
        }
        self.take_rules(rules, triggers);
    }

    fn take_rules(&mut self, rules: Vec<(usize, ReadRule)>, triggers: Vec<(usize, ReadRule)>) {
        let mut seen: BTreeMap<String, Place> = BTreeMap::new();
        for (file, read) in rules.into_iter().chain(triggers) {
            let place = (file, read.at);
            if !self.is_new("rule", &mut seen, &read.rule.id, place) {
                continue;
            }
            if self.set.rules.len() == MAX_RULES {
                let message = format!("a set has at most {MAX_RULES} rules");
                self.reports[file].error(read.at, 1, message);
                return;
            }
            self.check_playbook(file, &read);
            self.set.rules.push(Arc::new(read.rule));
        }
    }

    fn check_playbook(&mut self, file: usize, read: &ReadRule) {
        let Some(id) = &read.rule.playbook else {
            return;
        };
        if self.set.playbooks.contains_key(id) {
            return;
        }
        self.set.missing_playbooks.insert(id.clone());
        let known: Vec<&str> = self.set.playbooks.keys().map(String::as_str).collect();
        let (level, message) = if self.options.allow_missing_playbooks {
            let message = format!("there is no playbook `{id}`: the rule notifies instead");
            (Level::Warning, message)
        } else {
            (Level::Error, format!("there is no playbook `{id}`"))
        };
        let suggestion = if known.is_empty() {
            "no file holds a playbook".to_owned()
        } else {
            one_of(id, &known)
        };
        let width = id.chars().count();
        self.reports[file].push(level, read.playbook_at, width, message, Some(suggestion));
    }

    /// True if the name was not there before; reports it if it was.
    fn is_new(
        &mut self,
        what: &str,
        seen: &mut BTreeMap<String, Place>,
        name: &str,
        (file, at): Place,
    ) -> bool {
        match seen.get(name) {
            None => {
                seen.insert(name.to_owned(), (file, at));
                true
            }
            Some((first, first_at)) => {
                let message = format!(
                    "the {what} `{name}` is there twice; first in `{}`, line {}",
                    self.path(*first),
                    first_at.line
                );
                self.reports[file].error(at, name.chars().count(), message);
                false
            }
        }
    }

    fn path(&self, file: usize) -> &str {
        self.reports.get(file).map_or("", Report::path)
    }
}

#[cfg(test)]
mod tests;
