//! A sorted map whose clones share what they do not change.

use std::cmp::Ordering;
use std::sync::Arc;

/// Entries of a full block: one change copies at most that many.
const MAX_BLOCK_ENTRIES: usize = 128;

/// Keys in ascending order, in blocks. Cloning copies one pointer for each block.
#[derive(Debug, Clone)]
pub(super) struct SortedBlocks<K, V> {
    /// None is empty.
    blocks: Vec<Arc<Block<K, V>>>,
}

type Block<K, V> = Vec<(K, V)>;

impl<K, V> Default for SortedBlocks<K, V> {
    fn default() -> Self {
        Self { blocks: Vec::new() }
    }
}

impl<K, V> SortedBlocks<K, V> {
    /// Of entries with ascending keys, in full blocks, as keys leave that come in order.
    pub(super) fn of_sorted(entries: Vec<(K, V)>) -> Self {
        let mut blocks = Vec::with_capacity(entries.len().div_ceil(MAX_BLOCK_ENTRIES));
        let mut entries = entries.into_iter();
        loop {
            let block: Vec<_> = entries.by_ref().take(MAX_BLOCK_ENTRIES).collect();
            if block.is_empty() {
                return Self { blocks };
            }
            blocks.push(Arc::new(block));
        }
    }
}

impl<K: Clone, V: Clone> SortedBlocks<K, V> {
    /// The value whose key `compare` finds equal; it says how a key compares with the one sought.
    pub(super) fn get(&self, compare: impl Fn(&K) -> Ordering) -> Option<&V> {
        let block = &self.blocks[self.block_of(&compare)?];
        let place = block.binary_search_by(|(key, _)| compare(key)).ok()?;
        Some(&block[place].1)
    }

    /// Entries from the first key that `is_before` denies.
    pub(super) fn iter_from(
        &self,
        is_before: impl Fn(&K) -> bool,
    ) -> impl Iterator<Item = (&K, &V)> {
        let place = self.blocks.partition_point(|block| {
            let last = block.last();
            last.is_some_and(|(key, _)| is_before(key))
        });
        let entries = self.blocks[place..].iter().flat_map(|block| block.iter());
        entries
            .skip_while(move |(key, _)| is_before(key))
            .map(|(key, value)| (key, value))
    }

    /// All entries.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.iter_from(|_| false)
    }

    /// Changes the value that `compare` finds, or puts in what `make` gives.
    pub(super) fn upsert(
        &mut self,
        compare: impl Fn(&K) -> Ordering,
        change: impl FnOnce(&mut V),
        make: impl FnOnce() -> (K, V),
    ) {
        let Some(number) = self.block_of(&compare) else {
            return self.insert(0, 0, make());
        };
        match self.blocks[number].binary_search_by(|(key, _)| compare(key)) {
            Ok(place) => change(&mut Arc::make_mut(&mut self.blocks[number])[place].1),
            Err(place) => self.insert(number, place, make()),
        }
    }

    /// Changes the value that `compare` finds; `change` says whether to keep it.
    pub(super) fn change_or_remove(
        &mut self,
        compare: impl Fn(&K) -> Ordering,
        change: impl FnOnce(&mut V) -> bool,
    ) {
        let Some(number) = self.block_of(&compare) else {
            return;
        };
        let found = self.blocks[number].binary_search_by(|(key, _)| compare(key));
        let Ok(place) = found else {
            return;
        };
        let block = Arc::make_mut(&mut self.blocks[number]);
        if !change(&mut block[place].1) {
            block.remove(place);
            if block.is_empty() {
                self.blocks.remove(number);
            }
        }
    }

    /// The last block that does not begin after the key sought; the first if all do.
    fn block_of(&self, compare: &impl Fn(&K) -> Ordering) -> Option<usize> {
        let begins_before = |block: &Arc<Block<K, V>>| {
            let first = block.first();
            first.is_some_and(|(key, _)| compare(key).is_le())
        };
        let after = self.blocks.partition_point(begins_before);
        (!self.blocks.is_empty()).then(|| after.saturating_sub(1))
    }

    fn insert(&mut self, number: usize, place: usize, entry: (K, V)) {
        let is_last = number + 1 == self.blocks.len();
        let Some(block) = self.blocks.get_mut(number) else {
            return self.blocks.push(Arc::new(vec![entry]));
        };
        if block.len() < MAX_BLOCK_ENTRIES {
            return Arc::make_mut(block).insert(place, entry);
        }
        if is_last && place == block.len() {
            // Keys that come in order leave full blocks behind.
            return self.blocks.push(Arc::new(vec![entry]));
        }
        let block = Arc::make_mut(block);
        let mut upper = block.split_off(MAX_BLOCK_ENTRIES / 2);
        match place.checked_sub(block.len()) {
            Some(place) => upper.insert(place, entry),
            None => block.insert(place, entry),
        }
        self.blocks.insert(number + 1, Arc::new(upper));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn entries(blocks: &SortedBlocks<u16, u32>) -> Vec<(u16, u32)> {
        blocks.iter().map(|(key, value)| (*key, *value)).collect()
    }

    proptest! {
        #[test]
        fn it_does_what_a_map_does_and_clones_keep_their_state(
            changes in prop::collection::vec((0..600_u16, prop::bool::weighted(0.7)), 0..2000),
            sought in 0..600_u16,
        ) {
            let (mut blocks, mut map) = (SortedBlocks::default(), BTreeMap::new());
            let mut earlier = None;
            for (place, (key, put)) in changes.iter().enumerate() {
                if place == changes.len() / 2 {
                    earlier = Some((blocks.clone(), map.clone()));
                }
                if *put {
                    *map.entry(*key).or_insert(0) += 1;
                    blocks.upsert(|other: &u16| other.cmp(key), |value| *value += 1, || (*key, 1));
                } else {
                    map.remove(key);
                    blocks.change_or_remove(|other| other.cmp(key), |_| false);
                }
            }
            prop_assert_eq!(entries(&blocks), map.clone().into_iter().collect::<Vec<_>>());
            prop_assert_eq!(blocks.get(|other| other.cmp(&sought)), map.get(&sought));
            let from: Vec<u16> = blocks.iter_from(|key| *key < sought).map(|(key, _)| *key).collect();
            prop_assert_eq!(from, map.range(sought..).map(|(key, _)| *key).collect::<Vec<_>>());
            prop_assert!(blocks.blocks.iter().all(|block| !block.is_empty()));
            if let Some((blocks, map)) = earlier {
                prop_assert_eq!(entries(&blocks), map.into_iter().collect::<Vec<_>>());
            }
        }
    }
}
