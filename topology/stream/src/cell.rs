//! A value that can be undone and is on no changelog.

use crate::codec::CodecFailure;
use crate::store::{Deltas, Store};

/// One undoable value that is not written to the changelog: a view of a broadcast topic, which is read again
/// after a restart.
#[derive(Debug, Default)]
pub struct Cell<T> {
    value: T,
    undo: Vec<T>,
}

impl<T: Clone> Cell<T> {
    /// The value.
    #[must_use]
    pub fn get(&self) -> &T {
        &self.value
    }

    /// Replaces the value.
    pub fn set(&mut self, value: T) {
        self.undo.push(std::mem::replace(&mut self.value, value));
    }

    /// Changes a copy of the value and puts it in place.
    pub fn change(&mut self, change: impl FnOnce(&mut T)) {
        let mut value = self.value.clone();
        change(&mut value);
        self.set(value);
    }
}

impl<T: Default + Send> Store for Cell<T> {
    fn savepoint(&self) -> usize {
        self.undo.len()
    }

    fn rollback(&mut self, savepoint: usize) {
        while self.undo.len() > savepoint {
            if let Some(value) = self.undo.pop() {
                self.value = value;
            }
        }
    }

    fn commit(&mut self) {
        self.undo.clear();
    }

    fn deltas(&self, _store: u8, _deltas: &mut Deltas) {}

    fn restore(&mut self, _key: &[u8], _value: Option<&[u8]>) -> Result<(), CodecFailure> {
        Err(CodecFailure::new("this cell is not on any changelog"))
    }

    fn clear(&mut self) {
        self.value = T::default();
        self.undo.clear();
    }

    fn changed(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_goes_back_to_a_savepoint_and_not_behind_a_commit() {
        let mut cell = Cell::<i64>::default();
        cell.set(1);
        let savepoint = cell.savepoint();
        cell.change(|value| *value += 1);
        cell.rollback(savepoint);
        assert_eq!(cell.get(), &1);
        cell.commit();
        cell.set(3);
        cell.rollback(0);
        assert_eq!(cell.get(), &1);
    }
}
