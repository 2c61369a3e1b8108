//! SOURCES.md says what the table of formats says. `UPDATE_EXAMPLES=1 cargo test -p prunella-normalizer` writes it
//! anew.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test's own steps may fail loudly, and it reads files"
)]

use std::fmt::Write;
use std::fs;
use std::path::Path;

use prunella_normalizer::{Format, TABLE};

const HEAD: &str = "\
# Sources

Every format that is built in, from the table in `src/format.rs`. A source is of the format that it is named after, \
alone or with something added (`grafana`, `grafana-eu`, `grafana.lab`); any other is read as `generic`, or as \
`sources:` in the knowledge describes it. A payload that a vendor's format does not recognise is read as `generic` \
before it is refused.

Only the loss of a required field (or of what it lies in) may cost a payload; of several that are named here, one \
that fits the payload is enough. Words are compared without case; a word that is not listed has the general \
meaning, if it has one. Inputs with what becomes of them lie in `examples/`.
";

fn words<T: std::fmt::Debug>(title: &str, words: &[(&str, T)], page: &mut String) {
    if words.is_empty() {
        return;
    }
    let words: Vec<String> = words
        .iter()
        .map(|(word, meaning)| format!("`{word}` {meaning:?}"))
        .collect();
    writeln!(page, "- {title}: {}", words.join(", ")).unwrap();
}

fn section(format: &Format, page: &mut String) {
    let required: Vec<String> = format
        .required
        .iter()
        .map(|path| format!("`{path}`"))
        .collect();
    writeln!(page, "\n## {}\n\n{}.\n", format.name, format.about).unwrap();
    writeln!(page, "- described in: {}", format.documentation).unwrap();
    writeln!(page, "- recognised by: {}", format.recognised_by).unwrap();
    writeln!(page, "- required: {}", required.join(", ")).unwrap();
    words("severities", format.severities, page);
    words("statuses", format.statuses, page);
}

#[test]
fn the_page_says_what_the_table_says() {
    let mut page = HEAD.to_owned();
    for format in TABLE {
        section(format, &mut page);
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("SOURCES.md");
    if std::env::var_os("UPDATE_EXAMPLES").is_some() {
        fs::write(path, page).unwrap();
        return;
    }
    let seen = fs::read_to_string(path).unwrap_or_default();
    assert_eq!(
        seen, page,
        "run with UPDATE_EXAMPLES=1 if the table is right"
    );
}
