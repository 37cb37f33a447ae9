//! The values at one path.

use roaring::RoaringBitmap;

use super::posting::Posting;
use super::sorted_blocks::SortedBlocks;
use crate::filter::walk::Found;
use crate::filter::{Scalar, ScalarRef};

/// Bytes of a text that are kept. Of a longer one the index knows how it begins.
pub(super) const MAX_INDEXED_TEXT_BYTES: usize = 256;

/// Values in their order, with their documents.
pub(super) type Postings = SortedBlocks<Scalar, Posting>;

/// What documents have at one path.
#[derive(Debug, Clone, Default)]
pub(super) struct PathValues {
    /// Documents that have anything there.
    pub(super) documents: RoaringBitmap,
    pub(super) bare: Values,
    pub(super) elements: Values,
}

/// Values that stand by themselves, or values in arrays.
#[derive(Debug, Clone, Default)]
pub(super) struct Values {
    pub(super) whole: Postings,
    /// The beginnings of texts that are longer than [`MAX_INDEXED_TEXT_BYTES`].
    pub(super) cut: Postings,
}

impl PathValues {
    pub(super) fn insert(&mut self, document: u32, found: Found<'_>) {
        match found {
            Found::Field => {
                self.documents.insert(document);
            }
            Found::Bare(value) => self.bare.insert(document, value),
            Found::Element(value) => self.elements.insert(document, value),
        }
    }

    pub(super) fn remove(&mut self, document: u32, found: Found<'_>) {
        match found {
            Found::Field => {
                self.documents.remove(document);
            }
            Found::Bare(value) => self.bare.remove(document, value),
            Found::Element(value) => self.elements.remove(document, value),
        }
    }
}

impl Values {
    fn insert(&mut self, document: u32, value: ScalarRef<'_>) {
        let (postings, value) = self.place_of(value);
        postings.upsert(
            |other| other.by_ref().cmp(&value),
            |posting| posting.insert(document),
            || (value.to_owned(), Posting::One(document)),
        );
    }

    fn remove(&mut self, document: u32, value: ScalarRef<'_>) {
        let (postings, value) = self.place_of(value);
        postings.change_or_remove(
            |other| other.by_ref().cmp(&value),
            |posting| posting.remove(document),
        );
    }

    fn place_of<'a>(&mut self, value: ScalarRef<'a>) -> (&mut Postings, ScalarRef<'a>) {
        match value {
            ScalarRef::Text(text) if text.len() > MAX_INDEXED_TEXT_BYTES => {
                let kept = text.floor_char_boundary(MAX_INDEXED_TEXT_BYTES);
                (&mut self.cut, ScalarRef::Text(&text[..kept]))
            }
            value => (&mut self.whole, value),
        }
    }
}
