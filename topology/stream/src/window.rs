//! Entries that expire by the segment of event time they belong to: one index entry a key and segment, no timer.

use std::collections::BTreeMap;
use std::hash::Hash;

use crate::codec::{Codec, CodecFailure};
use crate::record::Millis;
use crate::store::{Deltas, HashStore, Store};

/// A value with the segment it was last put in.
#[derive(Clone, Debug, PartialEq)]
struct Entry<V> {
    segment: i64,
    value: V,
}

impl<V: Codec> Codec for Entry<V> {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.segment.to_be_bytes());
        self.value.encode(out);
    }

    fn decode(bytes: &[u8]) -> Result<Self, CodecFailure> {
        let (segment, value) = bytes
            .split_first_chunk::<8>()
            .ok_or_else(|| CodecFailure::new("a window entry is cut short"))?;
        Ok(Self {
            segment: i64::from_be_bytes(*segment),
            value: V::decode(value)?,
        })
    }
}

/// Length of a segment: expiry is late by at most this much.
const SEGMENT_MS: Millis = 60_000;

/// A keyed store whose entries expire when time has passed the segment they were last put in.
///
/// The index of segments may name a key more than once, or in a segment it has left; an entry's own segment
/// decides. So a rollback needs to restore entries only, and to name again what an expiry had dropped.
#[derive(Debug)]
pub struct WindowStore<K, V> {
    entries: HashStore<K, Entry<V>>,
    segments: BTreeMap<i64, Vec<K>>,
}

impl<K, V> Default for WindowStore<K, V>
where
    HashStore<K, Entry<V>>: Default,
{
    fn default() -> Self {
        Self {
            entries: HashStore::default(),
            segments: BTreeMap::new(),
        }
    }
}

impl<K: Clone + Hash + Ord + Send, V: Clone + Send> WindowStore<K, V> {
    /// The value under a key.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|entry| &entry.value)
    }

    /// Puts a value; it lives at least until `expire` is called with a time later than `keep_until`.
    /// A key never moves to an earlier segment.
    pub fn put(&mut self, key: K, value: V, keep_until: Millis) {
        let wanted = keep_until.div_euclid(SEGMENT_MS);
        let present = self.entries.get(&key).map(|entry| entry.segment);
        let segment = present.map_or(wanted, |segment| segment.max(wanted));
        if present != Some(segment) {
            self.segments.entry(segment).or_default().push(key.clone());
        }
        self.entries.put(key, Entry { segment, value });
    }

    /// Takes a key out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        self.entries.remove(key).map(|entry| entry.value)
    }

    /// Drops at most `limit` entries whose segment ended before `now`; returns how many were dropped.
    pub fn expire(&mut self, now: Millis, limit: usize) -> usize {
        let current = now.div_euclid(SEGMENT_MS);
        let mut dropped = 0;
        while let Some(mut first) = self.segments.first_entry() {
            let segment = *first.key();
            if segment >= current || dropped >= limit {
                break;
            }
            let Some(key) = first.get_mut().pop() else {
                first.remove();
                continue;
            };
            if self
                .entries
                .get(&key)
                .is_some_and(|entry| entry.segment == segment)
            {
                self.entries.remove(&key);
                dropped += 1;
            }
        }
        dropped
    }

    /// Number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl<K: Codec + Clone + Hash + Ord + Send, V: Codec + Clone + Send> Store for WindowStore<K, V> {
    fn savepoint(&self) -> usize {
        self.entries.savepoint()
    }

    fn rollback(&mut self, savepoint: usize) {
        for (key, old) in self.entries.undone_since(savepoint) {
            if let Some(entry) = old {
                self.segments
                    .entry(entry.segment)
                    .or_default()
                    .push(key.clone());
            }
        }
        self.entries.rollback(savepoint);
    }

    fn commit(&mut self) {
        self.entries.commit();
    }

    fn deltas(&self, store: u8, deltas: &mut Deltas) {
        self.entries.deltas(store, deltas);
    }

    fn restore(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), CodecFailure> {
        self.entries.restore(key, value)?;
        let key = K::decode(key)?;
        if let Some(entry) = self.entries.get(&key) {
            self.segments.entry(entry.segment).or_default().push(key);
        }
        Ok(())
    }

    fn clear(&mut self) {
        self.entries.clear();
        self.segments.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Millis = 60_000;

    #[test]
    fn an_entry_expires_when_its_segment_has_passed_and_not_before() {
        let mut store = WindowStore::<i64, i64>::default();
        store.put(1, 10, 5 * MINUTE);
        assert_eq!(store.expire(5 * MINUTE + MINUTE - 1, 10), 0);
        assert_eq!(store.expire(6 * MINUTE, 10), 1);
        assert!(store.is_empty());
    }

    #[test]
    fn an_entry_that_moved_on_survives_its_old_segment() {
        let mut store = WindowStore::<i64, i64>::default();
        store.put(1, 10, MINUTE);
        store.put(1, 11, 9 * MINUTE);
        assert_eq!(store.expire(5 * MINUTE, 10), 0);
        assert_eq!(store.get(&1), Some(&11));
    }

    #[test]
    fn an_expiry_that_is_rolled_back_can_expire_again() {
        let mut store = WindowStore::<i64, i64>::default();
        store.put(1, 10, MINUTE);
        store.commit();
        assert_eq!(store.expire(5 * MINUTE, 10), 1);
        store.rollback(0);
        assert_eq!(store.get(&1), Some(&10));
        assert_eq!(store.expire(5 * MINUTE, 10), 1);
    }

    #[test]
    fn expiry_stops_at_its_limit() {
        let mut store = WindowStore::<i64, i64>::default();
        for key in 0..10 {
            store.put(key, key, MINUTE);
        }
        assert_eq!(store.expire(5 * MINUTE, 4), 4);
        assert_eq!(store.len(), 6);
    }
}
