//! How often each value occurs among some documents.

use std::collections::{BTreeMap, BTreeSet};

use roaring::RoaringBitmap;

use super::MetadataIndex;
use super::path_values::PathValues;
use crate::Metadata;
use crate::filter::walk::{self, Found};
use crate::filter::{FieldPath, Scalar};

/// For each value at a path, the number of documents that have it there, bare or in an array.
#[derive(Debug, Default)]
pub(crate) struct FacetCounts {
    counts: BTreeMap<Scalar, u64>,
    /// The values of each document that was added by its metadata.
    added: Vec<BTreeSet<Scalar>>,
}

/// The most frequent values of a field.
#[derive(Debug, PartialEq)]
pub(crate) struct MostFrequent {
    /// Most frequent first; equally frequent ones in their order.
    pub(crate) values: Vec<(Scalar, u64)>,
    /// Documents that have a value which is not among these.
    pub(crate) other: u64,
}

impl MetadataIndex {
    /// Those of `documents` of which only the record tells all values at `path`.
    pub(crate) fn partly_known(
        &self,
        path: &FieldPath,
        documents: &RoaringBitmap,
    ) -> RoaringBitmap {
        match self.values_at(path) {
            Ok(values) => values.documents_with_cut_texts() & documents,
            Err(unknown) => unknown & documents,
        }
    }

    /// Counts the values at `path` in documents of which all values are known.
    pub(crate) fn count_values(&self, path: &FieldPath, documents: &RoaringBitmap) -> FacetCounts {
        let values = self.values_at(path);
        values.map_or_else(|_| FacetCounts::default(), |values| values.count(documents))
    }

    /// The `limit` most frequent of the values that were counted, in `documents` and by adding.
    pub(crate) fn most_frequent(
        &self,
        path: &FieldPath,
        documents: &RoaringBitmap,
        counted: FacetCounts,
        limit: usize,
    ) -> MostFrequent {
        let FacetCounts { counts, added } = counted;
        let mut values: Vec<(Scalar, u64)> = counts.into_iter().collect();
        // The sort is stable, and the map was in the order of values.
        values.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        if values.len() <= limit {
            return MostFrequent { values, other: 0 };
        }
        values.truncate(limit);
        let listed: BTreeSet<&Scalar> = values.iter().map(|(value, _)| value).collect();
        let is_other = |own: &&BTreeSet<Scalar>| own.iter().any(|value| !listed.contains(value));
        let in_index = self.values_at(path).map_or(0, |values| {
            let others = values.documents_with_others(&listed);
            others.intersection_len(documents)
        });
        MostFrequent {
            other: in_index + added.iter().filter(is_other).count() as u64,
            values,
        }
    }
}

impl PathValues {
    fn documents_with_cut_texts(&self) -> RoaringBitmap {
        let mut documents = super::document_union::DocumentUnion::default();
        for (_, posting) in self.bare.cut.iter().chain(self.elements.cut.iter()) {
            documents.add(posting);
        }
        documents.finish()
    }

    fn documents_with_others(&self, listed: &BTreeSet<&Scalar>) -> RoaringBitmap {
        let mut documents = super::document_union::DocumentUnion::default();
        let all = self.bare.whole.iter().chain(self.elements.whole.iter());
        for (_, posting) in all.filter(|(value, _)| !listed.contains(value)) {
            documents.add(posting);
        }
        documents.finish()
    }

    fn count(&self, documents: &RoaringBitmap) -> FacetCounts {
        let mut counts = BTreeMap::new();
        for (value, posting) in self.bare.whole.iter() {
            let count = posting.count_in(documents);
            if count > 0 {
                counts.insert(value.clone(), count);
            }
        }
        for (value, posting) in self.elements.whole.iter() {
            let bare = self.bare.whole.get(|other| other.cmp(value));
            let count = match bare {
                None => posting.count_in(documents),
                Some(bare) => (posting.to_bitmap() | bare.to_bitmap()).intersection_len(documents),
            };
            if count > 0 {
                counts.insert(value.clone(), count);
            }
        }
        FacetCounts {
            counts,
            added: Vec::new(),
        }
    }
}

impl FacetCounts {
    /// Adds a document by its metadata.
    pub(crate) fn add(&mut self, path: &FieldPath, metadata: &Metadata) {
        let mut values = BTreeSet::new();
        walk::any_at(metadata, path, &mut |found| {
            if let Found::Bare(value) | Found::Element(value) = found {
                values.insert(value.to_owned());
            }
            false
        });
        for value in &values {
            *self.counts.entry(value.clone()).or_default() += 1;
        }
        self.added.push(values);
    }
}
