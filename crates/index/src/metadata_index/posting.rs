//! The documents of one value.

use std::sync::Arc;

use roaring::RoaringBitmap;

use super::allocation::{allocation_bytes, bitmap_bytes};

/// Documents that are kept as a list. A bitmap of two documents takes ten times as much memory, and
/// most values that are shared at all are shared by few.
const MAX_LISTED: usize = 16;

/// Documents that have a value: at least one. Values of one document only, such as keys and
/// times, are common enough to be kept without an allocation.
#[derive(Debug, Clone)]
pub(super) enum Posting {
    One(u32),
    /// In ascending order.
    Few(Arc<[u32]>),
    Many(Arc<RoaringBitmap>),
}

impl Posting {
    pub(super) fn insert(&mut self, document: u32) {
        match self {
            Self::One(only) if *only == document => {}
            Self::One(only) => {
                let (first, second) = ((*only).min(document), (*only).max(document));
                *self = Self::Few(Arc::new([first, second]));
            }
            Self::Few(documents) => {
                let Err(place) = documents.binary_search(&document) else {
                    return;
                };
                let (before, after) = documents.split_at(place);
                let all = before.iter().chain([&document]).chain(after).copied();
                *self = if documents.len() < MAX_LISTED {
                    Self::Few(all.collect())
                } else {
                    Self::Many(Arc::new(all.collect()))
                };
            }
            Self::Many(documents) => {
                Arc::make_mut(documents).insert(document);
            }
        }
    }

    /// Takes in the documents of another.
    pub(super) fn append(&mut self, other: Self) {
        match (&mut *self, other) {
            (Self::Many(own), Self::Many(other)) => *Arc::make_mut(own) |= &*other,
            (_, Self::One(document)) => self.insert(document),
            (_, Self::Few(documents)) => {
                documents.iter().for_each(|document| self.insert(*document))
            }
            (_, other @ Self::Many(_)) => {
                let few = std::mem::replace(self, other);
                self.append(few);
            }
        }
    }

    /// Takes a document out; false when none is left.
    pub(super) fn remove(&mut self, document: u32) -> bool {
        match self {
            Self::One(only) => *only != document,
            Self::Few(documents) => {
                let others = documents.iter().filter(|other| **other != document);
                *self = Self::listed(others.copied().collect());
                true
            }
            Self::Many(documents) => {
                Arc::make_mut(documents).remove(document);
                // Half of the list's length, so that changes about the limit do not convert it each time.
                if documents.len() <= (MAX_LISTED / 2) as u64 {
                    *self = Self::listed(documents.iter().collect());
                }
                true
            }
        }
    }

    fn listed(documents: Arc<[u32]>) -> Self {
        match *documents {
            [only] => Self::One(only),
            _ => Self::Few(documents),
        }
    }

    /// How many documents there are.
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::One(_) => 1,
            Self::Few(documents) => documents.len() as u64,
            Self::Many(documents) => documents.len(),
        }
    }

    pub(super) fn contains(&self, document: u32) -> bool {
        match self {
            Self::One(only) => *only == document,
            Self::Few(documents) => documents.binary_search(&document).is_ok(),
            Self::Many(documents) => documents.contains(document),
        }
    }

    /// How many of `documents` have the value.
    pub(super) fn count_in(&self, documents: &RoaringBitmap) -> u64 {
        match self {
            Self::One(only) => documents.contains(*only).into(),
            Self::Few(own) => {
                let common = own.iter().filter(|document| documents.contains(**document));
                common.count() as u64
            }
            Self::Many(own) => own.intersection_len(documents),
        }
    }

    pub(super) fn to_bitmap(&self) -> RoaringBitmap {
        match self {
            Self::One(only) => [*only].into_iter().collect(),
            Self::Few(documents) => documents.iter().copied().collect(),
            Self::Many(documents) => RoaringBitmap::clone(documents),
        }
    }

    /// Memory beside the posting itself, bytes.
    pub(super) fn heap_bytes(&self) -> u64 {
        match self {
            Self::One(_) => 0,
            Self::Few(documents) => {
                let counts = 2 * size_of::<usize>();
                allocation_bytes(counts + size_of_val(&**documents))
            }
            Self::Many(documents) => bitmap_bytes(documents),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_posting_holds_what_a_set_holds_whatever_its_size() {
        let mut posting = Posting::One(500);
        let mut set = BTreeSet::from([500]);
        let numbers = (0..200_u32).map(|n| n * 7919 % 1000);
        for number in numbers.clone() {
            posting.insert(number);
            set.insert(number);
            assert!(posting.to_bitmap().iter().eq(set.iter().copied()));
            assert_eq!(posting.len(), set.len() as u64);
        }
        let odd: RoaringBitmap = (0..500).map(|n| 2 * n + 1).collect();
        for number in numbers {
            assert!(posting.remove(number));
            set.remove(&number);
            assert!(posting.to_bitmap().iter().eq(set.iter().copied()));
            let in_odd = set.iter().filter(|number| *number % 2 == 1).count();
            assert_eq!(posting.count_in(&odd), in_odd as u64);
        }
        assert!(!posting.remove(500), "it was the last");
    }
}
