//! What a caller remembers of one page of hits to ask for the next.
//!
//! Documents have internal numbers that grow and are never used again; a document that is replaced
//! gets a new one. So a number says since when a text has been there, and documents that were
//! returned can be told from all others, whatever is written between two pages.

use roaring::RoaringBitmap;

use super::Hit;
use crate::metadata_index::MetadataIndex;

/// A moment in the life of a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moment {
    /// Documents that were there have smaller numbers, and later ones do not.
    end: u32,
}

/// Documents that have been returned.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HitSet {
    numbers: RoaringBitmap,
}

impl Moment {
    pub(super) fn of(index: &MetadataIndex) -> Self {
        let last = index.documents().max();
        Self {
            end: last.map_or(0, |last| last.saturating_add(1)),
        }
    }

    /// Takes out what was stored or replaced later.
    pub(super) fn leave_earlier(self, documents: &mut RoaringBitmap) {
        documents.remove_range(self.end..=u32::MAX);
    }
}

impl HitSet {
    /// Adds the document of a hit.
    pub fn insert(&mut self, hit: &Hit) {
        if let Ok(number) = u32::try_from(hit.number) {
            self.numbers.insert(number);
        }
    }

    /// Returns whether the document of a hit is in it, in this version of its text.
    pub fn contains(&self, hit: &Hit) -> bool {
        u32::try_from(hit.number).is_ok_and(|number| self.numbers.contains(number))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.numbers.len() as usize
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// About the memory that they take, bytes.
    pub fn memory_bytes(&self) -> usize {
        self.numbers.serialized_size()
    }

    pub(super) fn numbers(&self) -> &RoaringBitmap {
        &self.numbers
    }
}
