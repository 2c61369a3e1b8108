//! The audit trail: one hash chain for each writing task. Whoever reads it can see that nothing was taken out,
//! put in or changed.

use prunella_schemas::AuditEntry;
use prunella_schemas::state::ChainHead;
use prunella_stream::Digest;

/// What an entry of the trail is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fact<'a> {
    pub(crate) at: i64,
    pub(crate) domain: &'a str,
    pub(crate) subject: &'a str,
    pub(crate) subject_id: &'a str,
    pub(crate) actor: &'a str,
}

/// Appends an entry to a writer's chain.
pub(crate) fn append(
    head: &mut ChainHead,
    writer: String,
    fact: Fact<'_>,
    summary: String,
) -> AuditEntry {
    let actor = if fact.actor.is_empty() {
        writer.clone()
    } else {
        fact.actor.to_owned()
    };
    let mut entry = AuditEntry {
        writer,
        seq: head.next_seq,
        at: fact.at,
        domain: fact.domain.to_owned(),
        subject: fact.subject.to_owned(),
        subject_id: fact.subject_id.to_owned(),
        summary,
        actor,
        prev_hash: std::mem::take(&mut head.hash),
        hash: String::new(),
    };
    entry.hash = hash_of(&entry);
    head.next_seq += 1;
    head.hash.clone_from(&entry.hash);
    entry
}

/// Where a chain is broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the audit chain of {writer} is broken at entry {seq}: {why}; compare it with a copy of the topic"
)]
pub struct BrokenAt {
    /// The chain's writer.
    pub writer: String,
    /// Number of the first entry that does not fit.
    pub seq: i64,
    /// What does not fit.
    pub why: Break,
}

/// What does not fit at an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Break {
    /// The entry's hash is not that of its fields.
    #[error("a field was changed")]
    Changed,
    /// Its number does not follow the one before.
    #[error("an entry is missing, doubled or out of order")]
    Number,
    /// It does not name the hash of the entry before.
    #[error("the entry before it is another one")]
    Link,
    /// It belongs to another chain.
    #[error("it was written by another task")]
    Writer,
}

/// Checks the entries of one writer, in their order. A chain may be checked from its middle: what the first
/// entry names as the one before it is then taken as given.
///
/// # Errors
/// [`BrokenAt`] the first entry that does not fit.
pub fn verify_chain<'a>(entries: impl IntoIterator<Item = &'a AuditEntry>) -> Result<(), BrokenAt> {
    let mut before: Option<&AuditEntry> = None;
    for entry in entries {
        if let Some(why) = misfit(before, entry) {
            return Err(BrokenAt {
                writer: entry.writer.clone(),
                seq: entry.seq,
                why,
            });
        }
        before = Some(entry);
    }
    Ok(())
}

fn misfit(before: Option<&AuditEntry>, entry: &AuditEntry) -> Option<Break> {
    match before {
        Some(before) if before.writer != entry.writer => return Some(Break::Writer),
        Some(before) if before.seq.checked_add(1) != Some(entry.seq) => return Some(Break::Number),
        Some(before) if before.hash != entry.prev_hash => return Some(Break::Link),
        None if entry.seq == 0 && !entry.prev_hash.is_empty() => return Some(Break::Link),
        _ => {}
    }
    (hash_of(entry) != entry.hash).then_some(Break::Changed)
}

fn hash_of(entry: &AuditEntry) -> String {
    Digest::of(&[
        b"audit",
        entry.writer.as_bytes(),
        &entry.seq.to_be_bytes(),
        &entry.at.to_be_bytes(),
        entry.domain.as_bytes(),
        entry.subject.as_bytes(),
        entry.subject_id.as_bytes(),
        entry.summary.as_bytes(),
        entry.actor.as_bytes(),
        entry.prev_hash.as_bytes(),
    ])
    .hex()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(length: i64) -> Vec<AuditEntry> {
        let mut head = ChainHead::default();
        let fact = |at| Fact {
            at,
            domain: "prod",
            subject: "run",
            subject_id: "r1",
            actor: "",
        };
        (0..length)
            .map(|at| {
                append(
                    &mut head,
                    "orchestrator-0".to_owned(),
                    fact(at),
                    format!("step {at}"),
                )
            })
            .collect()
    }

    fn check(entries: &[AuditEntry], seq: i64, why: Break) {
        let broken = verify_chain(entries).unwrap_err();
        assert_eq!((broken.seq, broken.why), (seq, why));
    }

    #[test]
    fn a_chain_as_it_was_written_is_whole() {
        assert_eq!(verify_chain(&chain(5)), Ok(()));
        assert_eq!(verify_chain(&chain(5)[2..]), Ok(()));
        assert_eq!(verify_chain(&[]), Ok(()));
    }

    #[test]
    fn a_changed_entry_is_found() {
        let mut entries = chain(5);
        entries[3].summary.push('!');
        check(&entries, 3, Break::Changed);
    }

    #[test]
    fn a_missing_doubled_or_foreign_entry_is_found() {
        let mut missing = chain(5);
        missing.remove(2);
        check(&missing, 3, Break::Number);
        let mut doubled = chain(5);
        doubled.insert(2, doubled[2].clone());
        check(&doubled, 2, Break::Number);
        let mut foreign = chain(5);
        foreign[4].writer = "orchestrator-1".to_owned();
        check(&foreign, 4, Break::Writer);
    }

    #[test]
    fn an_entry_that_was_written_anew_breaks_the_link() {
        let mut entries = chain(5);
        entries[2].summary = "something else".to_owned();
        entries[2].hash = hash_of(&entries[2]);
        check(&entries, 3, Break::Link);
        let mut first = chain(1);
        first[0].prev_hash = "aa".to_owned();
        check(&first, 0, Break::Link);
    }
}
