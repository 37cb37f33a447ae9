//! The values at one path.

use std::cell::Cell;

use roaring::RoaringBitmap;

use super::allocation::bitmap_bytes;
use super::memory::value_bytes;
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
    /// Takes in what a document has here. By how many bytes of memory the values grow.
    pub(super) fn insert(&mut self, document: u32, found: Found<'_>) -> i64 {
        match found {
            Found::Field => {
                let before = bitmap_bytes(&self.documents);
                self.documents.insert(document);
                difference(before, bitmap_bytes(&self.documents))
            }
            Found::Bare(value) => self.bare.insert(document, value),
            Found::Element(value) => self.elements.insert(document, value),
        }
    }

    /// Takes it out again. By how many bytes the values grow, which is not more than 0.
    pub(super) fn remove(&mut self, document: u32, found: Found<'_>) -> i64 {
        match found {
            Found::Field => {
                let before = bitmap_bytes(&self.documents);
                self.documents.remove(document);
                difference(before, bitmap_bytes(&self.documents))
            }
            Found::Bare(value) => self.bare.remove(document, value),
            Found::Element(value) => self.elements.remove(document, value),
        }
    }

    /// All that the values take, as the changes add up to, bytes.
    pub(super) fn bytes(&self) -> u64 {
        let parts = [&self.bare, &self.elements].map(Values::bytes);
        bitmap_bytes(&self.documents) + parts.iter().sum::<u64>()
    }
}

impl Values {
    fn insert(&mut self, document: u32, value: ScalarRef<'_>) -> i64 {
        let (postings, value) = self.place_of(value);
        let grown = Cell::new(0);
        postings.upsert(
            |other| other.by_ref().cmp(&value),
            |posting| {
                let before = posting.heap_bytes();
                posting.insert(document);
                grown.set(difference(before, posting.heap_bytes()));
            },
            || {
                grown.set(value_bytes(value) as i64);
                (value.to_owned(), Posting::One(document))
            },
        );
        grown.get()
    }

    fn remove(&mut self, document: u32, value: ScalarRef<'_>) -> i64 {
        let (postings, value) = self.place_of(value);
        let mut grown = 0;
        postings.change_or_remove(
            |other| other.by_ref().cmp(&value),
            |posting| {
                let before = posting.heap_bytes();
                let is_left = posting.remove(document);
                grown = match is_left {
                    true => difference(before, posting.heap_bytes()),
                    false => -(value_bytes(value) as i64),
                };
                is_left
            },
        );
        grown
    }

    fn bytes(&self) -> u64 {
        let all = self.whole.iter().chain(self.cut.iter());
        all.map(|(value, posting)| value_bytes(value.by_ref()) + posting.heap_bytes())
            .sum()
    }

    fn place_of<'a>(&mut self, value: ScalarRef<'a>) -> (&mut Postings, ScalarRef<'a>) {
        match value {
            ScalarRef::Text(text) => match indexed_text(text) {
                (text, true) => (&mut self.whole, ScalarRef::Text(text)),
                (text, false) => (&mut self.cut, ScalarRef::Text(text)),
            },
            value => (&mut self.whole, value),
        }
    }
}

/// What is kept of a text, and whether that is all of it.
pub(super) fn indexed_text(text: &str) -> (&str, bool) {
    let kept = text.floor_char_boundary(MAX_INDEXED_TEXT_BYTES);
    (&text[..kept], kept == text.len())
}

fn difference(before: u64, after: u64) -> i64 {
    after as i64 - before as i64
}
