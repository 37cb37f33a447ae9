//! The documents of one value.

use std::sync::Arc;

use roaring::RoaringBitmap;

/// Documents that have a value: at least one. Values of one document only, such as keys and
/// times, are common enough to be kept without a bitmap.
#[derive(Debug, Clone)]
pub(super) enum Posting {
    One(u32),
    Many(Arc<RoaringBitmap>),
}

impl Posting {
    pub(super) fn insert(&mut self, document: u32) {
        match self {
            Self::One(only) if *only == document => {}
            Self::One(only) => {
                *self = Self::Many(Arc::new([*only, document].into_iter().collect()))
            }
            Self::Many(documents) => {
                Arc::make_mut(documents).insert(document);
            }
        }
    }

    /// Takes a document out; false when none is left.
    pub(super) fn remove(&mut self, document: u32) -> bool {
        match self {
            Self::One(only) => *only != document,
            Self::Many(documents) => {
                Arc::make_mut(documents).remove(document);
                match (documents.len(), documents.min()) {
                    (1, Some(only)) => *self = Self::One(only),
                    (0, _) => return false,
                    _ => {}
                }
                true
            }
        }
    }

    /// How many of `documents` have the value.
    pub(super) fn count_in(&self, documents: &RoaringBitmap) -> u64 {
        match self {
            Self::One(only) => documents.contains(*only).into(),
            Self::Many(own) => own.intersection_len(documents),
        }
    }

    pub(super) fn to_bitmap(&self) -> RoaringBitmap {
        match self {
            Self::One(only) => [*only].into_iter().collect(),
            Self::Many(documents) => RoaringBitmap::clone(documents),
        }
    }
}
