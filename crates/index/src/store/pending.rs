//! A large batch as reads see it while it is applied step by step: all of it, from one moment on.

use std::iter::Peekable;
use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::frozen_view::Entry;
use super::write_batch::Changes;
use super::{Key, KeyRange};
use crate::Error;

/// The changes of a batch that has been decided and not yet applied everywhere.
#[derive(Debug, Default)]
pub(super) struct Pending(ArcSwapOption<Changes>);

impl Pending {
    /// From now on reads see these changes, whatever is stored.
    pub(super) fn show(&self, changes: Arc<Changes>) {
        self.0.store(Some(changes));
    }

    /// From now on reads see what is stored.
    pub(super) fn clear(&self) {
        self.0.store(None);
    }

    /// What a read of a key returns; `None` when that is what is stored.
    pub(super) fn value(&self, key: &Key) -> Option<Option<Vec<u8>>> {
        self.0.load().as_ref()?.get(key).cloned()
    }

    /// Entries of a range with the changes put over them. Both are in the order of keys.
    pub(super) fn over<I>(&self, stored: I, range: &KeyRange) -> Over<I>
    where
        I: Iterator<Item = Result<Entry, Error>>,
    {
        Over {
            stored: stored.peekable(),
            changes: self.0.load_full(),
            range: range.clone(),
        }
    }
}

/// Stored entries with changes over them.
pub(super) struct Over<I: Iterator> {
    stored: Peekable<I>,
    changes: Option<Arc<Changes>>,
    /// What is left of the range.
    range: KeyRange,
}

impl<I: Iterator<Item = Result<Entry, Error>>> Iterator for Over<I> {
    type Item = Result<Entry, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let Some(changes) = self.changes.clone() else {
            return self.stored.next();
        };
        loop {
            let change = changes.range::<Key, _>(self.range.key_bounds()).next();
            let Some((key, value)) = change else {
                return self.stored.next();
            };
            match self.stored.peek() {
                Some(Err(_)) => return self.stored.next(),
                Some(Ok((stored, _))) if stored < key => return self.stored.next(),
                Some(Ok((stored, _))) if stored == key => drop(self.stored.next()),
                _ => {}
            }
            self.range.start_after(key);
            if let Some(value) = value {
                return Some(Ok((key.clone(), value.clone())));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::CollectionId;

    fn key(n: u32) -> Key {
        Key::passage(CollectionId(1), n)
    }

    fn read(pending: &Pending, stored: &[u32], range: &KeyRange) -> Vec<(u32, u8)> {
        let entries = stored.iter().map(|n| Ok((key(*n), vec![0])));
        let read = pending.over(entries, range).map(|entry| entry.unwrap());
        read.map(|(key, value)| (key.passage_number().unwrap(), value[0]))
            .collect()
    }

    #[test]
    fn a_scan_sees_changes_in_their_places_and_only_those_of_its_range() {
        let pending = Pending::default();
        let range = KeyRange::passages_from(CollectionId(1), 2);
        assert_eq!(read(&pending, &[3, 5], &range), [(3, 0), (5, 0)]);
        let puts = [1, 2, 4, 5, 9].map(|n| (key(n), Some(vec![1])));
        let removals = [3, 6].map(|n| (key(n), None));
        let other = [(Key::passage(CollectionId(2), 4), Some(vec![1]))];
        let changes = puts.into_iter().chain(removals).chain(other).collect();
        pending.show(Arc::new(changes));
        let seen = read(&pending, &[3, 5, 6, 7, 8], &range);
        assert_eq!(seen, [(2, 1), (4, 1), (5, 1), (7, 0), (8, 0), (9, 1)]);
        assert_eq!(pending.value(&key(9)), Some(Some(vec![1])));
        assert_eq!(pending.value(&key(6)), Some(None));
        assert_eq!(pending.value(&key(7)), None);
        pending.clear();
        assert_eq!(read(&pending, &[3], &range), [(3, 0)]);
        assert_eq!(pending.value(&key(9)), None);
    }
}
