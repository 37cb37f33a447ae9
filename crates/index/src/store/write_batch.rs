//! Changes that belong together, and the steps that they are written in.
//!
//! A batch of sled keeps all readers waiting while it is applied, and adds to the log without a pause.
//! So it has no more than a *step*; a larger one is staged first (`staging.rs`).

use std::collections::BTreeMap;

use super::Key;

/// Keys of one step: what readers wait for is a few milliseconds.
const MAX_STEP_KEYS: usize = 512;
/// Bytes of the keys and values of one step. A step may write three times as much to the log, since sled
/// writes each page whole now and then and moves another, and should fill one segment of it at most.
const MAX_STEP_BYTES: u64 = 256 << 10;

/// What is put under keys or, without a value, removed.
pub(super) type Changes = BTreeMap<Key, Option<Vec<u8>>>;

/// Changes that are applied together or not at all.
#[derive(Debug, Default)]
pub(crate) struct WriteBatch {
    /// The last change of a key counts.
    changes: Changes,
    bytes: u64,
    /// Whether it is there to make room, and may use a part of the reserve for that.
    frees_room: bool,
}

impl WriteBatch {
    /// A batch that makes room: what it puts is small beside what it removes. It may use a part of
    /// what is kept free on the disk.
    pub(crate) fn freeing_room() -> Self {
        Self {
            frees_room: true,
            ..Self::default()
        }
    }

    pub(super) fn frees_room(&self) -> bool {
        self.frees_room
    }

    pub(crate) fn put(&mut self, key: &Key, value: Vec<u8>) {
        self.bytes += (key.as_bytes().len() + value.len()) as u64;
        self.changes.insert(key.clone(), Some(value));
    }

    pub(crate) fn remove(&mut self, key: &Key) {
        self.bytes += key.as_bytes().len() as u64;
        self.changes.insert(key.clone(), None);
    }

    /// Bytes of all keys and values.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Returns whether another change would make it more than one step.
    pub(crate) fn is_full(&self) -> bool {
        self.changes.len() >= MAX_STEP_KEYS || self.bytes >= MAX_STEP_BYTES
    }

    /// Returns whether it is small enough to be applied at once.
    pub(super) fn is_one_step(&self) -> bool {
        self.changes.len() <= MAX_STEP_KEYS && self.bytes <= MAX_STEP_BYTES
    }

    /// Bytes that are written for it: twice as many when it is staged first.
    pub(super) fn written_bytes(&self) -> u64 {
        if self.is_one_step() {
            self.bytes
        } else {
            self.bytes.saturating_mul(2)
        }
    }

    pub(super) fn changes(&self) -> &Changes {
        &self.changes
    }

    pub(super) fn into_changes(self) -> Changes {
        self.changes
    }
}

/// Changes as batches of one step each, made one after the other.
pub(super) fn steps<'c>(
    changes: impl Iterator<Item = (&'c Key, &'c Option<Vec<u8>>)>,
) -> impl Iterator<Item = WriteBatch> {
    let mut changes = changes.peekable();
    std::iter::from_fn(move || {
        let mut batch = WriteBatch::default();
        while !batch.is_full() {
            let Some((key, value)) = changes.next() else {
                break;
            };
            match value {
                Some(value) => batch.put(key, value.clone()),
                None => batch.remove(key),
            }
        }
        (!batch.is_empty()).then_some(batch)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::CollectionId;

    #[test]
    fn steps_hold_every_change_once_and_each_stays_within_its_limits() {
        let key = |n| Key::passage(CollectionId(1), n);
        let changes: Changes = (0..3000)
            .map(|n| (key(n), (n % 3 > 0).then(|| vec![7; n as usize])))
            .collect();
        let mut seen = Changes::new();
        for batch in steps(changes.iter()) {
            assert!(batch.changes.len() <= MAX_STEP_KEYS);
            // The last change may pass the limit.
            assert!(batch.bytes < MAX_STEP_BYTES + 4000);
            seen.extend(batch.into_changes());
        }
        assert!(seen == changes);
    }

    #[test]
    fn a_batch_is_one_step_up_to_either_limit() {
        let mut batch = WriteBatch::default();
        for n in 0..MAX_STEP_KEYS as u32 {
            assert!(batch.is_one_step() && !batch.is_full());
            batch.remove(&Key::passage(CollectionId(1), n));
        }
        assert!(batch.is_one_step() && batch.is_full());
        batch.remove(&Key::tally());
        assert!(!batch.is_one_step());
        let mut batch = WriteBatch::default();
        batch.put(&Key::tally(), vec![0; MAX_STEP_BYTES as usize]);
        assert!(!batch.is_one_step());
    }
}
