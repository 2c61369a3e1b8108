//! The declaration by itself: names, schemas, writers and readers.

use super::{Finding, Rule, list};
use crate::declaration::Topic;
use crate::topics::{CHANGELOG, DEAD_LETTERS};

/// Longest name of a topic without prefix and suffix; see [`crate::Prefix`].
const LONGEST_NAME: usize = 48;

pub(super) fn check(topics: &[Topic], findings: &mut Vec<Finding>) {
    for (index, topic) in topics.iter().enumerate() {
        declared_once(topic, &topics[..index], findings);
        name_is_ours(topic, findings);
        schema_exists(topic, findings);
        one_writer(topic, findings);
        no_orphan(topic, findings);
    }
}

fn declared_once(topic: &Topic, before: &[Topic], findings: &mut Vec<Finding>) {
    if before.iter().any(|other| other.name == topic.name) {
        findings.push(Finding::new(
            Rule::Declaration,
            topic.name,
            "declared twice; keep one declaration",
        ));
    }
}

/// Names of derived topics must stay free, and every name must fit with a prefix before it.
fn name_is_ours(topic: &Topic, findings: &mut Vec<Finding>) {
    let plain = topic
        .name
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    let derived = topic.name.ends_with(DEAD_LETTERS) || topic.name.ends_with(CHANGELOG);
    if topic.name.is_empty() || topic.name.len() > LONGEST_NAME || !plain || derived {
        findings.push(Finding::new(
            Rule::Declaration,
            topic.name,
            format!(
                "not a name for a declared topic; use at most {LONGEST_NAME} lower-case letters and \
                 hyphens, and no ending of a derived topic ({DEAD_LETTERS}, {CHANGELOG})"
            ),
        ));
    }
}

fn schema_exists(topic: &Topic, findings: &mut Vec<Finding>) {
    if topic.value != Topic::BYTES && prunella_schemas::by_name(topic.value).is_none() {
        findings.push(Finding::new(
            Rule::Declaration,
            topic.name,
            format!(
                "no schema is called {:?}; name one of prunella-schemas, or \"{}\"",
                topic.value,
                Topic::BYTES
            ),
        ));
    }
}

fn one_writer(topic: &Topic, findings: &mut Vec<Finding>) {
    if topic.writers.len() > 1 && topic.many_writers.is_none() {
        findings.push(Finding::new(
            Rule::SingleWriter,
            topic.name,
            format!(
                "written by {}; let one of them write it, or say in many_writers why several may",
                list(topic.writers)
            ),
        ));
    }
}

fn no_orphan(topic: &Topic, findings: &mut Vec<Finding>) {
    if topic.writers.is_empty() {
        findings.push(Finding::new(
            Rule::NoOrphan,
            topic.name,
            "nobody writes it; declare its writer, or remove it",
        ));
    }
    if topic.readers.is_empty() && topic.outside_readers.is_none() {
        findings.push(Finding::new(
            Rule::NoOrphan,
            topic.name,
            "nobody reads it; declare a reader, say in outside_readers who else does, or remove it",
        ));
    }
}
