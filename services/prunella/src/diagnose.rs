//! Every mistake of a directory of knowledge: those of rules and playbooks, and those of declarative sources,
//! which the normalizer reads.

use std::collections::BTreeMap;

use prunella_knowledge::{Diagnostic, KnowledgeSet, Level, Options, check_with};
use prunella_normalizer::{FieldMapError, Sources};
use prunella_schemas::KnowledgeFile;

/// Every mistake, in the files' order, as strictly as the options say.
#[must_use]
pub fn diagnose(files: &[KnowledgeFile], options: Options) -> Vec<Diagnostic> {
    let mut found = check_with(files, options);
    for file in files {
        found.extend(broken_sources(file));
    }
    found.sort_by(|left, right| {
        (&left.path, left.line, left.column).cmp(&(&right.path, right.line, right.column))
    });
    found
}

/// True if one of them keeps the knowledge from being loaded.
#[must_use]
pub fn has_errors(found: &[Diagnostic]) -> bool {
    found.iter().any(Diagnostic::is_error)
}

/// The sources of one file that no normalizer could use. A file with mistakes of its own has no readable sources;
/// theirs show once it is mended.
fn broken_sources(file: &KnowledgeFile) -> Vec<Diagnostic> {
    let alone = Options {
        allow_missing_playbooks: true,
    };
    let Ok(set) = KnowledgeSet::parse_with(std::slice::from_ref(file), alone) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for (name, description) in set.sources {
        let one = BTreeMap::from([(name.clone(), description)]);
        let errors = Sources::parse(&one).err().map(|errors| errors.0);
        for (_, error) in errors.into_iter().flatten() {
            found.push(diagnostic(file, &name, &error));
        }
    }
    found
}

fn diagnostic(file: &KnowledgeFile, source: &str, error: &FieldMapError) -> Diagnostic {
    let (line, column, width) = place(&file.text, source, error);
    Diagnostic {
        level: Level::Error,
        path: file.path.clone(),
        line,
        column,
        message: format!("source `{source}`: {error}"),
        suggestion: suggestion(error),
        excerpt: excerpt(&file.text, line),
        caret: column - 1,
        width,
    }
}

/// Line and column, from 1, and width of what is wrong: of the key if the mistake names one, else of the source.
/// The description's parser keeps no places, so the key is looked for below the source's name.
fn place(text: &str, source: &str, error: &FieldMapError) -> (usize, usize, usize) {
    let below = key(text, "sources", 0).map_or(0, |at| at + "sources".len());
    let Some(source_at) = key(text, source, below) else {
        return (1, 1, 1);
    };
    let named = match error {
        FieldMapError::UnknownKey { key, .. } => Some(key.as_str()),
        FieldMapError::WrongKind { at, .. } => at.rsplit('.').next(),
        FieldMapError::UnknownFormat(_) | FieldMapError::NothingToDescribe(_) => Some("format"),
        FieldMapError::NotAnObject => None,
    };
    let found = named.and_then(|name| Some((key(text, name, source_at + source.len())?, name)));
    let (at, name) = found.unwrap_or((source_at, source));
    let before = &text[..at];
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|at| *at != '\n').count() + 1;
    (line, column, name.chars().count().max(1))
}

/// Where a key of this name begins, at or after a byte.
fn key(text: &str, name: &str, from: usize) -> Option<usize> {
    let is_word = |at: char| at.is_alphanumeric() || matches!(at, '_' | '-' | '.');
    text.get(from..)?.match_indices(name).find_map(|(at, _)| {
        let at = from + at;
        let before = text[..at].chars().next_back();
        let after = text[at + name.len()..].trim_start_matches(['"', '\'']);
        let stands_alone = before.is_none_or(|before| !is_word(before));
        (stands_alone && after.trim_start_matches(' ').starts_with(':')).then_some(at)
    })
}

/// Tabs and control characters would move the caret, or the terminal.
fn excerpt(text: &str, line: usize) -> String {
    let line = text.lines().nth(line - 1).unwrap_or_default();
    let shown = |at: char| if at.is_control() { ' ' } else { at };
    line.chars().take(120).map(shown).collect()
}

fn suggestion(error: &FieldMapError) -> Option<String> {
    let FieldMapError::UnknownKey { key, known, .. } = error else {
        return None;
    };
    let nearest = known
        .split(", ")
        .map(|known| (strsim::damerau_levenshtein(key, known), known))
        .min()?;
    (nearest.0 <= 3).then(|| format!("did you mean `{}`?", nearest.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let file = KnowledgeFile {
            path: "s.yaml".to_owned(),
            text: text.to_owned(),
        };
        let found = diagnose(&[file], Options::default());
        let found: Vec<String> = found
            .iter()
            .map(|found| format!("{}:{} {}", found.line, found.column, found.message))
            .collect();
        assert_eq!(found.len(), expected.len(), "{text}: {found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{text}: {found}");
        }
    }

    #[test]
    fn a_broken_source_is_an_error_at_its_place() {
        check("sources:\n  acme: {fields: {alert_name: what}}\n", &[]);
        check(
            "sources:\n  acme:\n    feilds: {alert_name: what}\n",
            &["3:5 source `acme`: `feilds` is not known"],
        );
        check(
            "# acme: sources\nsources: {\"acme\": {fields: {nmae: x}}, zed: {list: 7}}\n",
            &["2:29 source `acme`: `nmae`", "2:46 source `zed`: `list`"],
        );
        check(
            "sources:\n  acme:\n    format: nagios\n",
            &["3:5 source `acme`: the format nagios"],
        );
    }

    #[test]
    fn what_was_meant_is_suggested() {
        let error = |key: &str| FieldMapError::UnknownKey {
            key: key.to_owned(),
            at: "sources",
            known: "format, list, fields".to_owned(),
        };
        assert_eq!(
            suggestion(&error("feilds")).as_deref(),
            Some("did you mean `fields`?")
        );
        assert_eq!(suggestion(&error("something")), None);
        assert_eq!(suggestion(&FieldMapError::NotAnObject), None);
    }
}
