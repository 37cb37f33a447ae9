//! The metadata of many documents, gathered on several threads before an index is made of it.
//!
//! What each gathers is put together by paths and values. The index is the one that would have become of the
//! documents one after the other, and is made in a fraction of the time: each value finds its place once, and
//! memory is counted once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::index::{MAX_PATHS, fits};
use super::memory::{DOCUMENT_BYTES, value_bytes};
use super::path_values::{PathValues, Values, indexed_text};
use super::posting::Posting;
use super::sorted_blocks::SortedBlocks;
use crate::Metadata;
use crate::filter::walk::{self, Found, Visitor};
use crate::filter::{Scalar, ScalarRef};

/// What some documents have in their metadata.
#[derive(Debug, Default)]
pub(crate) struct GatheredMetadata {
    pub(super) documents: Vec<(u32, Range<u32>)>,
    pub(super) paths: HashMap<Arc<str>, GatheredPath>,
    pub(super) too_deep: RoaringBitmap,
    /// About what it takes, bytes.
    bytes: u64,
    /// Whether there are more paths than are indexed. Which of them are depends on the order of documents.
    is_crowded: bool,
}

#[derive(Debug, Default)]
pub(super) struct GatheredPath {
    documents: RoaringBitmap,
    bare: GatheredValues,
    elements: GatheredValues,
}

#[derive(Debug, Default)]
struct GatheredValues {
    /// Texts that are kept whole, the beginnings of longer ones, and what is no text.
    texts: HashMap<Arc<str>, Posting>,
    cut: HashMap<Arc<str>, Posting>,
    others: HashMap<Scalar, Posting>,
}

impl GatheredMetadata {
    /// Takes in a document whose number is new.
    pub(crate) fn add(&mut self, document: u32, passages: Range<u32>, metadata: &Metadata) {
        self.documents.push((document, passages));
        self.bytes += DOCUMENT_BYTES;
        walk::all(metadata, &mut Gathering(self, document));
    }

    /// Takes in what another has gathered of other documents.
    pub(crate) fn append(&mut self, other: Self) {
        if self.documents.is_empty() {
            *self = other;
            return;
        }
        self.documents.extend(other.documents);
        self.too_deep |= other.too_deep;
        self.bytes += other.bytes;
        self.is_crowded |= other.is_crowded;
        for (path, values) in other.paths {
            match self.paths.entry(path) {
                Entry::Occupied(mut own) => own.get_mut().append(values),
                Entry::Vacant(place) => {
                    place.insert(values);
                }
            }
        }
        self.is_crowded |= self.paths.len() > MAX_PATHS;
    }

    /// Returns whether there are more paths than are indexed; then no index can be made of it.
    pub(crate) fn is_crowded(&self) -> bool {
        self.is_crowded
    }

    /// About the memory that it takes, bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The documents in ascending order, with their passages.
    pub(crate) fn into_documents(mut self) -> Vec<(u32, Range<u32>)> {
        self.sort();
        self.documents
    }

    pub(super) fn sort(&mut self) {
        self.documents
            .sort_unstable_by_key(|(document, _)| *document);
    }
}

impl GatheredPath {
    fn append(&mut self, other: Self) {
        self.documents |= other.documents;
        self.bare.append(other.bare);
        self.elements.append(other.elements);
    }

    pub(super) fn into_values(self) -> PathValues {
        PathValues {
            documents: self.documents,
            bare: self.bare.into_values(),
            elements: self.elements.into_values(),
        }
    }
}

impl GatheredValues {
    /// Takes in a value. By how many bytes it grows.
    fn insert(&mut self, document: u32, value: ScalarRef<'_>) -> u64 {
        let known = match value {
            ScalarRef::Text(text) => {
                let (text, is_whole) = indexed_text(text);
                let texts = if is_whole {
                    &mut self.texts
                } else {
                    &mut self.cut
                };
                if !texts.contains_key(text) {
                    texts.insert(Arc::from(text), Posting::One(document));
                    return value_bytes(ScalarRef::Text(text));
                }
                texts.get_mut(text)
            }
            other => match self.others.entry(other.to_owned()) {
                Entry::Occupied(known) => Some(known.into_mut()),
                Entry::Vacant(place) => {
                    place.insert(Posting::One(document));
                    return value_bytes(other);
                }
            },
        };
        if let Some(posting) = known {
            posting.insert(document);
        }
        size_of::<u16>() as u64
    }

    fn append(&mut self, other: Self) {
        append(&mut self.texts, other.texts);
        append(&mut self.cut, other.cut);
        append(&mut self.others, other.others);
    }

    fn into_values(self) -> Values {
        let texts = |texts: HashMap<Arc<str>, Posting>| {
            let texts = texts.into_iter();
            texts.map(|(text, posting)| (Scalar::Text(text), posting))
        };
        let mut whole: Vec<_> = texts(self.texts).chain(self.others).collect();
        let mut cut: Vec<_> = texts(self.cut).collect();
        whole.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        cut.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        Values {
            whole: SortedBlocks::of_sorted(whole),
            cut: SortedBlocks::of_sorted(cut),
        }
    }
}

fn append<K: std::hash::Hash + Eq>(own: &mut HashMap<K, Posting>, other: HashMap<K, Posting>) {
    for (value, posting) in other {
        match own.entry(value) {
            Entry::Occupied(mut own) => own.get_mut().append(posting),
            Entry::Vacant(place) => {
                place.insert(posting);
            }
        }
    }
}

struct Gathering<'a>(&'a mut GatheredMetadata, u32);

impl Visitor for Gathering<'_> {
    fn visit(&mut self, path: &str, keys: usize, found: Found<'_>) -> bool {
        let Self(gathered, document) = self;
        if !fits(path, keys) {
            gathered.too_deep.insert(*document);
            return false;
        }
        if !gathered.paths.contains_key(path) {
            if gathered.paths.len() >= MAX_PATHS {
                gathered.is_crowded = true;
                return true;
            }
            gathered
                .paths
                .insert(Arc::from(path), GatheredPath::default());
        }
        if let Some(values) = gathered.paths.get_mut(path) {
            gathered.bytes += match found {
                Found::Field => u64::from(values.documents.insert(*document)) * 2,
                Found::Bare(value) => values.bare.insert(*document, value),
                Found::Element(value) => values.elements.insert(*document, value),
            };
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::MetadataIndex;
    use super::*;

    fn metadata(number: u32) -> Metadata {
        let text = "t".repeat(if number.is_multiple_of(7) {
            300
        } else {
            number as usize % 5
        });
        let value = json!({
            "group": number % 3, "text": text, "own": number, "mixed": [number % 4, "x", null, true],
            "deep": {"a.b": {"c": f64::from(number % 6) / 2.0}}, "same": 1.0,
        });
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn the_index_of_what_several_gathered_is_the_one_of_the_documents_in_a_row() {
        let mut parts: [GatheredMetadata; 3] = Default::default();
        let mut index = MetadataIndex::default();
        for number in 0..500_u32 {
            let passages = number * 2..number * 2 + 1 + number % 2;
            index.add(number, passages.clone(), &metadata(number));
            parts[number as usize / 40 % 3].add(number, passages, &metadata(number));
        }
        let [mut gathered, second, third] = parts;
        gathered.append(third);
        gathered.append(second);
        let made = MetadataIndex::of_gathered(gathered);
        assert_eq!(made.bytes(), made.counted_bytes());
        assert_eq!(made.entries(), index.entries());
        assert_eq!(made.documents(), index.documents());
        assert_eq!(made.bytes(), index.bytes());
        let some: RoaringBitmap = [0, 3, 4, 499].into_iter().collect();
        assert_eq!(made.passages_of(&some), index.passages_of(&some));
    }

    #[test]
    fn more_paths_than_are_indexed_are_noticed_in_one_part_and_in_several_together() {
        let crowded = |paths: Range<usize>| {
            let fields = paths.map(|number| (format!("field-{number}"), json!(1)));
            let mut gathered = GatheredMetadata::default();
            gathered.add(0, 0..1, &fields.collect());
            gathered
        };
        assert!(crowded(0..MAX_PATHS + 1).is_crowded());
        let mut gathered = crowded(0..MAX_PATHS);
        assert!(!gathered.is_crowded());
        gathered.append(crowded(1..MAX_PATHS));
        assert!(!gathered.is_crowded());
        gathered.append(crowded(1..MAX_PATHS + 1));
        assert!(gathered.is_crowded());
    }
}
