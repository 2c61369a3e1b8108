//! State that a stage keeps: every change can be undone, to a savepoint or as a whole, and is written to the
//! changelog once per changed key.
#![allow(
    clippy::disallowed_types,
    reason = "a hash store is only looked into: nothing here walks it, and its hasher has no random key"
)]

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::ops::RangeBounds;

use rustc_hash::FxBuildHasher;

use crate::codec::{Codec, CodecFailure};

/// Takes changelog records, one at a time: key and value (absent: a tombstone).
pub type DeltaSink<'a> = &'a mut (dyn FnMut(&[u8], Option<&[u8]>) + 'a);

/// Changes on their way to the changelog, in one reused arena.
#[derive(Debug, Default)]
pub struct Deltas {
    bytes: Vec<u8>,
    entries: Vec<Delta>,
}

#[derive(Debug)]
struct Delta {
    start: usize,
    value: usize,
    end: usize,
    tombstone: bool,
}

impl Deltas {
    /// Appends one change: the key's bytes are the store's number and what `key` writes.
    pub fn push(
        &mut self,
        store: u8,
        key: impl FnOnce(&mut Vec<u8>),
        value: Option<impl FnOnce(&mut Vec<u8>)>,
    ) {
        let start = self.bytes.len();
        self.bytes.push(store);
        key(&mut self.bytes);
        let middle = self.bytes.len();
        let tombstone = value.is_none();
        if let Some(value) = value {
            value(&mut self.bytes);
        }
        self.entries.push(Delta {
            start,
            value: middle,
            end: self.bytes.len(),
            tombstone,
        });
    }

    /// Hands every change over as key and value (absent: a tombstone).
    pub fn each(&self, sink: DeltaSink<'_>) {
        for delta in &self.entries {
            let value = (!delta.tombstone).then(|| &self.bytes[delta.value..delta.end]);
            sink(&self.bytes[delta.start..delta.value], value);
        }
    }

    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
    }
}

/// One store as the task sees it.
pub trait Store: Send {
    /// A mark to roll back to. Marks grow with every change.
    fn savepoint(&self) -> usize;
    /// Undoes every change made after the mark.
    fn rollback(&mut self, savepoint: usize);
    /// Makes every change permanent: nothing before this can be undone any more.
    fn commit(&mut self);
    /// Writes the present value of every key changed since the last commit.
    fn deltas(&self, store: u8, deltas: &mut Deltas);
    /// Takes one changelog record in. Not undoable.
    ///
    /// # Errors
    /// [`CodecFailure`] if the bytes are not a key or value of this store.
    fn restore(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), CodecFailure>;
    /// Forgets everything, as before a restore.
    fn clear(&mut self);
    /// True if something changed since the last commit.
    fn changed(&self) -> bool {
        self.savepoint() > 0
    }
}

/// A stage's stores, each under a number that never changes its meaning: changelogs outlive programs.
pub trait State: Default + Send {
    /// Visits every store with its number, always in the same order. Numbers from 240 up are the core's.
    fn visit(&mut self, visitor: &mut dyn FnMut(u8, &mut dyn Store));
}

impl State for () {
    fn visit(&mut self, _visitor: &mut dyn FnMut(u8, &mut dyn Store)) {}
}

/// Declares a state: a struct of stores and their numbers.
///
/// ```
/// use prunella_stream::{Digest, HashStore};
/// prunella_stream::state! {
///     /// What the stage remembers.
///     pub struct Memory {
///         /// When each series was seen.
///         1 => seen: HashStore<Digest, i64>,
///     }
/// }
/// ```
#[macro_export]
macro_rules! state {
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($(#[$doc:meta])* $number:literal => $field:ident : $type:ty),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Default)]
        $vis struct $name { $($(#[$doc])* pub $field: $type),* }
        const _: () = $crate::check_store_numbers(&[$($number),*]);
        impl $crate::State for $name {
            fn visit(&mut self, visitor: &mut dyn FnMut(u8, &mut dyn $crate::Store)) {
                $(visitor($number, &mut self.$field);)*
            }
        }
    };
}

/// Refuses, while compiling, store numbers that are the core's or used twice.
#[doc(hidden)]
#[allow(clippy::panic, reason = "it runs in the compiler only")]
pub const fn check_store_numbers(numbers: &[u8]) {
    let mut index = 0;
    while index < numbers.len() {
        assert!(
            numbers[index] < 240,
            "store numbers from 240 up are the core's"
        );
        let mut other = 0;
        while other < index {
            assert!(
                numbers[other] != numbers[index],
                "a store number is used twice"
            );
            other += 1;
        }
        index += 1;
    }
}

/// The map under a keyed store.
pub trait Table<K, V>: Default + Send {
    /// The value under a key.
    fn get(&self, key: &K) -> Option<&V>;
    /// The value under a key, to change.
    fn get_mut(&mut self, key: &K) -> Option<&mut V>;
    /// Puts a value and returns the one it replaces.
    fn insert(&mut self, key: K, value: V) -> Option<V>;
    /// Takes a value out.
    fn remove(&mut self, key: &K) -> Option<V>;
    /// Number of keys.
    fn len(&self) -> usize;
    /// Takes everything out.
    fn clear(&mut self);
}

macro_rules! table {
    ($map:ty, $($bound:path),+) => {
        impl<K: Send $(+ $bound)+, V: Send> Table<K, V> for $map {
            fn get(&self, key: &K) -> Option<&V> {
                <$map>::get(self, key)
            }
            fn get_mut(&mut self, key: &K) -> Option<&mut V> {
                <$map>::get_mut(self, key)
            }
            fn insert(&mut self, key: K, value: V) -> Option<V> {
                <$map>::insert(self, key, value)
            }
            fn remove(&mut self, key: &K) -> Option<V> {
                <$map>::remove(self, key)
            }
            fn len(&self) -> usize {
                <$map>::len(self)
            }
            fn clear(&mut self) {
                <$map>::clear(self);
            }
        }
    };
}
table!(BTreeMap<K, V>, Ord);
table!(HashMap<K, V, FxBuildHasher>, Hash, Eq);

/// A keyed store with an undo log.
#[derive(Debug)]
pub struct Keyed<T, K, V> {
    table: T,
    undo: Vec<(K, Option<V>)>,
}

/// A store without order: for the many small entries of a hot path.
pub type HashStore<K, V> = Keyed<HashMap<K, V, FxBuildHasher>, K, V>;
/// A store in key order, for what is iterated.
pub type TreeStore<K, V> = Keyed<BTreeMap<K, V>, K, V>;

impl<T: Default, K, V> Default for Keyed<T, K, V> {
    fn default() -> Self {
        Self {
            table: T::default(),
            undo: Vec::new(),
        }
    }
}

impl<T: Table<K, V>, K: Clone, V: Clone> Keyed<T, K, V> {
    /// The value under a key.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        self.table.get(key)
    }

    /// True if the key is there.
    #[must_use]
    pub fn contains(&self, key: &K) -> bool {
        self.table.get(key).is_some()
    }

    /// Number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// True if there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.len() == 0
    }

    /// Puts a value under a key.
    pub fn put(&mut self, key: K, value: V) {
        let old = self.table.insert(key.clone(), value);
        self.undo.push((key, old));
    }

    /// Takes a key out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let old = self.table.remove(key)?;
        self.undo.push((key.clone(), Some(old.clone())));
        Some(old)
    }

    /// Changes the value under a key; returns what the change returns, or nothing if the key is not there.
    pub fn update<R>(&mut self, key: &K, change: impl FnOnce(&mut V) -> R) -> Option<R> {
        let value = self.table.get_mut(key)?;
        self.undo.push((key.clone(), Some(value.clone())));
        Some(change(value))
    }

    pub(crate) fn undone_since(&self, savepoint: usize) -> &[(K, Option<V>)] {
        &self.undo[savepoint.min(self.undo.len())..]
    }

    fn undo_to(&mut self, savepoint: usize) {
        while self.undo.len() > savepoint {
            let Some((key, old)) = self.undo.pop() else {
                return;
            };
            match old {
                Some(value) => drop(self.table.insert(key, value)),
                None => drop(self.table.remove(&key)),
            }
        }
    }
}

impl<K: Ord + Clone + Send, V: Clone + Send> TreeStore<K, V> {
    /// Every entry in key order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.table.iter()
    }

    /// The entries of a range of keys, in order.
    pub fn range(&self, range: impl RangeBounds<K>) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.table.range(range)
    }
}

impl<T: Table<K, V>, K: Codec + Clone + Ord + Send, V: Codec + Clone + Send> Store
    for Keyed<T, K, V>
{
    fn savepoint(&self) -> usize {
        self.undo.len()
    }

    fn rollback(&mut self, savepoint: usize) {
        self.undo_to(savepoint);
    }

    fn commit(&mut self) {
        self.undo.clear();
    }

    fn deltas(&self, store: u8, deltas: &mut Deltas) {
        let mut keys: Vec<&K> = self.undo.iter().map(|(key, _)| key).collect();
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            let value = self
                .table
                .get(key)
                .map(|value| |out: &mut Vec<u8>| value.encode(out));
            deltas.push(store, |out| key.encode(out), value);
        }
    }

    fn restore(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), CodecFailure> {
        let key = K::decode(key)?;
        match value {
            Some(value) => drop(self.table.insert(key, V::decode(value)?)),
            None => drop(self.table.remove(&key)),
        }
        Ok(())
    }

    fn clear(&mut self) {
        self.table.clear();
        self.undo.clear();
    }
}

/// A store that can be undone but is not written to the changelog: an index that the stage's `rebuild` makes
/// anew from the others.
#[derive(Debug, Default)]
pub struct Unlogged<S>(pub S);

impl<T: Table<K, V>, K: Clone + Send, V: Clone + Send> Store for Unlogged<Keyed<T, K, V>> {
    fn savepoint(&self) -> usize {
        self.0.undo.len()
    }

    fn rollback(&mut self, savepoint: usize) {
        self.0.undo_to(savepoint);
    }

    fn commit(&mut self) {
        self.0.undo.clear();
    }

    fn deltas(&self, _store: u8, _deltas: &mut Deltas) {}

    fn restore(&mut self, _key: &[u8], _value: Option<&[u8]>) -> Result<(), CodecFailure> {
        Err(CodecFailure::new("this store is not on any changelog"))
    }

    fn clear(&mut self) {
        self.0.table.clear();
        self.0.undo.clear();
    }

    fn changed(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entries(store: &TreeStore<i64, i64>) -> Vec<(i64, i64)> {
        store.iter().map(|(key, value)| (*key, *value)).collect()
    }

    #[test]
    fn rolling_back_to_a_savepoint_keeps_what_came_before_it() {
        let mut store = TreeStore::<i64, i64>::default();
        store.put(1, 10);
        let savepoint = store.savepoint();
        store.put(1, 11);
        store.put(2, 20);
        store.remove(&1);
        store.rollback(savepoint);
        assert_eq!(entries(&store), [(1, 10)]);
    }

    #[test]
    fn a_changed_key_gives_one_delta_with_its_last_value() {
        let mut store = TreeStore::<i64, i64>::default();
        store.put(1, 10);
        store.update(&1, |value| *value += 1);
        store.put(2, 5);
        store.remove(&2);
        let mut deltas = Deltas::default();
        store.deltas(7, &mut deltas);
        let mut seen = Vec::new();
        deltas.each(&mut |key, value| seen.push((key.to_vec(), value.map(<[u8]>::to_vec))));
        let key = |number: i64| [vec![7], number.to_be_bytes().to_vec()].concat();
        assert_eq!(
            seen,
            [
                (key(1), Some(11_i64.to_be_bytes().to_vec())),
                (key(2), None)
            ]
        );
    }

    proptest! {
        #[test]
        fn the_changelog_rebuilds_the_store(steps in prop::collection::vec((0_i64..6, prop::option::of(0_i64..9), 0_u8..8), 0..60)) {
            let mut store = TreeStore::<i64, i64>::default();
            let mut copy = TreeStore::<i64, i64>::default();
            let mut before = entries(&store);
            for (key, value, what) in steps {
                match value {
                    Some(value) => store.put(key, value),
                    None => drop(store.remove(&key)),
                }
                if what == 0 {
                    store.rollback(0);
                    prop_assert_eq!(&entries(&store), &before);
                } else if what == 1 {
                    let mut deltas = Deltas::default();
                    store.deltas(0, &mut deltas);
                    deltas.each(&mut |key, value| copy.restore(&key[1..], value).expect("own bytes"));
                    store.commit();
                    before = entries(&store);
                    prop_assert_eq!(entries(&copy), before.clone());
                }
            }
        }
    }
}
