//! The record that a verdict becomes.

use prunella_schemas::{Decision, NormalizedAlert, Outcome, RawRef};
use prunella_stream::{Digest, Millis};

use crate::judge::Verdict;

/// The decision on an alert. The alert's own texts move into it; the whole alert goes along where something
/// follows.
pub(crate) fn decision(
    alert: NormalizedAlert,
    verdict: Verdict,
    knowledge_digest: &str,
    now: Millis,
) -> Decision {
    let follows = matches!(
        verdict.outcome,
        Outcome::Triggered | Outcome::Notified | Outcome::Stale | Outcome::ConditionError
    );
    let whole = follows.then(|| alert.clone());
    let rule_id = verdict.rule.as_ref().map(|rule| rule.id.clone());
    let playbook_id = match verdict.outcome {
        Outcome::Triggered => verdict.rule.and_then(|rule| rule.playbook.clone()),
        _ => None,
    };
    Decision {
        decision_id: id(&alert.raw, knowledge_digest),
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
        reason: verdict.reason,
        evidence: verdict.evidence,
        knowledge_digest: knowledge_digest.to_owned(),
        received_at: alert.received_at,
        decided_at: now,
        alert: whole,
    }
}

/// A digest of the root raw record and the knowledge, never of time, attempts or derived offsets.
fn id(root: &RawRef, knowledge_digest: &str) -> String {
    let (mut partition, mut offset, mut index) = ([0; 20], [0; 20], [0; 20]);
    Digest::of(&[
        b"decision",
        root.topic.as_bytes(),
        decimal(i64::from(root.partition), &mut partition),
        decimal(root.offset, &mut offset),
        decimal(i64::from(root.index), &mut index),
        knowledge_digest.as_bytes(),
    ])
    .hex()
}

/// A number as `to_string` writes it, without its memory.
fn decimal(value: i64, buffer: &mut [u8; 20]) -> &[u8] {
    let mut left = value.unsigned_abs();
    let mut start = buffer.len();
    loop {
        start -= 1;
        buffer[start] = b'0' + u8::try_from(left % 10).unwrap_or_default();
        left /= 10;
        if left == 0 {
            break;
        }
    }
    if value < 0 {
        start -= 1;
        buffer[start] = b'-';
    }
    &buffer[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_they_always_are() {
        for value in [0, 7, -7, 1_234_567_890, i64::MAX, i64::MIN] {
            let mut buffer = [0; 20];
            assert_eq!(decimal(value, &mut buffer), value.to_string().as_bytes());
        }
    }

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
