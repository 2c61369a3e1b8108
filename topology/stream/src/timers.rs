//! Timers, kept like any other state: undone with the record that set them, restored from the changelog.

use std::collections::{BTreeMap, BTreeSet};

use crate::codec::{Codec, CodecFailure};
use crate::record::Millis;
use crate::store::{Deltas, Store};

/// Which clock a timer goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Clock {
    /// Event time, as the stage's records advance it. Fires per record, never per batch.
    Stream,
    /// The time of day, as the edge tells it.
    Processing,
}

impl Clock {
    fn tag(self) -> u8 {
        match self {
            Clock::Stream => 0,
            Clock::Processing => 1,
        }
    }

    fn of_tag(tag: u8) -> Option<Self> {
        match tag {
            0 => Some(Clock::Stream),
            1 => Some(Clock::Processing),
            _ => None,
        }
    }
}

/// A stage's timers: at most one for each key and clock.
#[derive(Debug)]
pub struct Timers<T> {
    due: BTreeMap<(Clock, T), Millis>,
    stream: BTreeSet<(Millis, T)>,
    processing: BTreeSet<(Millis, T)>,
    undo: Vec<((Clock, T), Option<Millis>)>,
}

impl<T: Ord> Default for Timers<T> {
    fn default() -> Self {
        Self {
            due: BTreeMap::new(),
            stream: BTreeSet::new(),
            processing: BTreeSet::new(),
            undo: Vec::new(),
        }
    }
}

impl<T: Ord + Clone> Timers<T> {
    /// Sets the timer of this key, replacing the one it had.
    pub fn set(&mut self, clock: Clock, timer: T, due: Millis) {
        let key = (clock, timer);
        let old = self.replace(&key, Some(due));
        self.undo.push((key, old));
    }

    /// Removes the timer of this key, if there is one.
    pub fn cancel(&mut self, clock: Clock, timer: &T) {
        let key = (clock, timer.clone());
        if let Some(old) = self.replace(&key, None) {
            self.undo.push((key, Some(old)));
        }
    }

    /// The earliest timer of a clock.
    #[must_use]
    pub fn next(&self, clock: Clock) -> Option<Millis> {
        self.queue(clock).first().map(|entry| entry.0)
    }

    /// Takes the earliest timer of a clock that is due at `now`.
    pub fn pop(&mut self, clock: Clock, now: Millis) -> Option<T> {
        let (due, timer) = self.queue(clock).first()?;
        if *due > now {
            return None;
        }
        let timer = timer.clone();
        self.cancel(clock, &timer);
        Some(timer)
    }

    fn queue(&self, clock: Clock) -> &BTreeSet<(Millis, T)> {
        match clock {
            Clock::Stream => &self.stream,
            Clock::Processing => &self.processing,
        }
    }

    fn replace(&mut self, key: &(Clock, T), due: Option<Millis>) -> Option<Millis> {
        let old = match due {
            Some(due) => self.due.insert(key.clone(), due),
            None => self.due.remove(key),
        };
        let queue = match key.0 {
            Clock::Stream => &mut self.stream,
            Clock::Processing => &mut self.processing,
        };
        if let Some(old) = old {
            queue.remove(&(old, key.1.clone()));
        }
        if let Some(due) = due {
            queue.insert((due, key.1.clone()));
        }
        old
    }
}

fn encode_key<T: Codec>(key: &(Clock, T), out: &mut Vec<u8>) {
    out.push(key.0.tag());
    key.1.encode(out);
}

fn decode_key<T: Codec>(bytes: &[u8]) -> Result<(Clock, T), CodecFailure> {
    let clock = bytes.first().copied().and_then(Clock::of_tag);
    let clock = clock.ok_or_else(|| CodecFailure::new("a timer names no known clock"))?;
    Ok((clock, T::decode(&bytes[1..])?))
}

impl<T: Codec + Ord + Clone + Send> Store for Timers<T> {
    fn savepoint(&self) -> usize {
        self.undo.len()
    }

    fn rollback(&mut self, savepoint: usize) {
        while self.undo.len() > savepoint {
            if let Some((key, old)) = self.undo.pop() {
                self.replace(&key, old);
            }
        }
    }

    fn commit(&mut self) {
        self.undo.clear();
    }

    fn deltas(&self, store: u8, deltas: &mut Deltas) {
        let keys: BTreeSet<&(Clock, T)> = self.undo.iter().map(|(key, _)| key).collect();
        for key in keys {
            let value = self
                .due
                .get(key)
                .map(|due| |out: &mut Vec<u8>| due.encode(out));
            deltas.push(store, |out| encode_key(key, out), value);
        }
    }

    fn restore(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), CodecFailure> {
        let due = value.map(Millis::decode).transpose()?;
        self.replace(&decode_key(key)?, due);
        Ok(())
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_fire_in_order_and_only_when_due() {
        let mut timers = Timers::<String>::default();
        timers.set(Clock::Stream, "b".into(), 20);
        timers.set(Clock::Stream, "a".into(), 10);
        timers.set(Clock::Processing, "c".into(), 5);
        assert_eq!(timers.pop(Clock::Stream, 9), None);
        assert_eq!(timers.pop(Clock::Stream, 25).as_deref(), Some("a"));
        assert_eq!(timers.pop(Clock::Stream, 25).as_deref(), Some("b"));
        assert_eq!(timers.pop(Clock::Stream, 25), None);
        assert_eq!(timers.next(Clock::Processing), Some(5));
    }

    #[test]
    fn a_rolled_back_timer_is_as_it_was() {
        let mut timers = Timers::<i64>::default();
        timers.set(Clock::Stream, 1, 10);
        timers.commit();
        timers.set(Clock::Stream, 1, 30);
        timers.set(Clock::Stream, 2, 5);
        timers.pop(Clock::Stream, 100);
        timers.rollback(0);
        assert_eq!(timers.next(Clock::Stream), Some(10));
        assert_eq!(timers.pop(Clock::Stream, 100), Some(1));
        assert_eq!(timers.pop(Clock::Stream, 100), None);
    }

    #[test]
    fn timers_read_back_from_their_changelog() {
        let mut timers = Timers::<i64>::default();
        timers.set(Clock::Processing, 4, 40);
        let mut deltas = Deltas::default();
        timers.deltas(0, &mut deltas);
        let mut copy = Timers::<i64>::default();
        deltas.each(&mut |key, value| copy.restore(&key[1..], value).expect("own bytes"));
        assert_eq!(copy.next(Clock::Processing), Some(40));
    }
}
