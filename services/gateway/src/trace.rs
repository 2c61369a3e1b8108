//! Identities that nobody gave: traces (W3C Trace Context) and ids of commands.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::http::HeaderMap;
use prunella_stream::{Digest, Millis};

/// Header that carries a trace.
pub(crate) const TRACEPARENT: &str = "traceparent";

/// The trace that a request belongs to: the one it brings, or a new one.
pub(crate) fn of(headers: &HeaderMap) -> String {
    let brought = headers
        .get(TRACEPARENT)
        .and_then(|value| value.to_str().ok());
    match brought.map(str::trim).filter(|text| is_valid(text)) {
        Some(brought) => brought.to_owned(),
        None => format!("00-{}-{}-01", unique().hex(), &unique().hex()[..16]),
    }
}

/// The trace's id: the part that is the same from hop to hop.
pub(crate) fn id(traceparent: &str) -> &str {
    traceparent.split('-').nth(1).unwrap_or_default()
}

/// Version 00: ids that are not all zero, in lower case.
fn is_valid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let hex = |part: &str, length| {
        let digits = b"0123456789abcdef";
        part.len() == length && part.bytes().all(|byte| digits.contains(&byte))
    };
    let set = |part: &str| part.bytes().any(|byte| byte != b'0');
    matches!(parts[..], ["00", trace, span, flags]
        if hex(trace, 32) && hex(span, 16) && hex(flags, 2) && set(trace) && set(span))
}

/// A digest that no other call gives, here or elsewhere.
pub(crate) fn unique() -> Digest {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    // The standard library seeds it from the system's random numbers, once a thread and then counting.
    let seed = RandomState::new();
    let (first, second) = (seed.hash_one(count), seed.hash_one(!count));
    Digest::of(&[
        &first.to_le_bytes(),
        &second.to_le_bytes(),
        &count.to_le_bytes(),
        &std::process::id().to_le_bytes(),
        &now().to_le_bytes(),
    ])
}

/// The time of day.
pub(crate) fn now() -> Millis {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(brought: &str, kept: bool) {
        let mut headers = HeaderMap::new();
        headers.insert(TRACEPARENT, brought.parse().unwrap());
        let trace = of(&headers);
        assert_eq!(trace == brought, kept, "{brought}");
        assert!(is_valid(&trace));
    }

    #[test]
    fn a_trace_that_is_brought_is_kept_if_it_is_one() {
        check(
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            true,
        );
        check(
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            false,
        );
        check(
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            false,
        );
        check(
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            false,
        );
        check(
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            false,
        );
        check("nonsense", false);
    }

    #[test]
    fn ids_are_unique() {
        let ids: std::collections::BTreeSet<_> = (0..1_000).map(|_| unique()).collect();
        assert_eq!(ids.len(), 1_000);
    }
}
