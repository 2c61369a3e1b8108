//! The record that a verdict becomes.

use prunella_schemas::{BorrowedAlert, BorrowedDecision, CowStr, Outcome, RawRef};
use prunella_stream::{Digest, Millis};

use crate::judge::Verdict;

/// The decision on an alert. The alert's own texts move into it; the whole alert goes along where something
/// follows.
pub(crate) fn decision<'a>(
    alert: BorrowedAlert<'a>,
    verdict: Verdict,
    knowledge_digest: &'a str,
    now: Millis,
) -> BorrowedDecision<'a> {
    let follows = matches!(
        verdict.outcome,
        Outcome::Triggered | Outcome::Notified | Outcome::Stale | Outcome::ConditionError
    );
    let whole = follows.then(|| alert.clone());
    let rule_id = verdict
        .rule
        .as_ref()
        .map(|rule| CowStr::from(rule.id.clone()));
    let playbook_id = match verdict.outcome {
        Outcome::Triggered => verdict
            .rule
            .and_then(|rule| rule.playbook.clone())
            .map(CowStr::from),
        _ => None,
    };
    let evidence = verdict.evidence.into_iter();
    BorrowedDecision {
        decision_id: id(&alert.raw, knowledge_digest).into(),
        root: alert.raw,
        alert_id: alert.alert_id,
        fingerprint: alert.fingerprint,
        source_system: alert.source_system,
        domain: alert.domain,
        alert_name: alert.alert_name,
        severity: alert.severity,
        status: alert.status,
        service_name: alert.service_name,
        outcome: verdict.outcome,
        rule_id,
        playbook_id,
        reason: verdict.reason.into(),
        evidence: evidence
            .map(|(name, value)| (name.into(), value.into()))
            .collect(),
        knowledge_digest: knowledge_digest.into(),
        received_at: alert.received_at,
        decided_at: now,
        alert: whole,
    }
}

/// A digest of the root raw record and the knowledge, never of time, attempts or derived offsets.
fn id<S: AsRef<str>>(root: &RawRef<S>, knowledge_digest: &str) -> String {
    let [mut partition, mut offset, mut index] = [itoa::Buffer::new(); 3];
    Digest::of(&[
        b"decision",
        root.topic.as_ref().as_bytes(),
        partition.format(root.partition).as_bytes(),
        offset.format(root.offset).as_bytes(),
        index.format(root.index).as_bytes(),
        knowledge_digest.as_bytes(),
    ])
    .hex()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_of_the_root_and_the_knowledge() {
        let root = RawRef {
            topic: "raw-alerts".to_owned(),
            partition: 3,
            offset: 41,
            index: 2,
        };
        let expected = Digest::of(&[b"decision", b"raw-alerts", b"3", b"41", b"2", b"abc"]).hex();
        assert_eq!(id(&root, "abc"), expected);
        assert_ne!(id(&root, "abd"), expected);
        assert_ne!(id(&RawRef { index: 3, ..root }, "abc"), expected);
    }
}
