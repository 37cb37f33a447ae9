//! How often each value occurs among some documents.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use roaring::RoaringBitmap;

use super::MetadataIndex;
use super::document_union::DocumentUnion;
use super::memory::value_bytes;
use super::path_values::PathValues;
use super::posting::Posting;
use crate::Metadata;
use crate::filter::walk::{self, Found};
use crate::filter::{FieldPath, Scalar};

/// For each value at a path, the number of documents that have it there, bare or in an array: of
/// documents that were added by their metadata, since the index does not know all their values.
#[derive(Debug, Default)]
pub(crate) struct FacetCounts {
    counts: BTreeMap<Scalar, u64>,
    /// The values of each document.
    added: Vec<BTreeSet<Scalar>>,
    /// About the memory that they take.
    bytes: u64,
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
        let at = self.at(path);
        let cut = at.values.map(PathValues::documents_with_cut_texts);
        (at.unknown | cut.unwrap_or_default()) & documents
    }

    /// The `limit` most frequent of the values at `path`, in `documents` of which all values are known
    /// and in those that were added to `counted`.
    pub(crate) fn most_frequent(
        &self,
        path: &FieldPath,
        documents: &RoaringBitmap,
        counted: &FacetCounts,
        limit: usize,
    ) -> MostFrequent {
        let values = self.at(path).values;
        let mut best = Best::new(limit);
        if let Some(values) = values {
            values.count(documents, &mut |value, count| {
                let added = counted.counts.get(value);
                best.offer(value, count + added.copied().unwrap_or_default());
            });
        }
        let is_known = |value: &Scalar| values.is_some_and(|values| values.has(value));
        for (value, count) in &counted.counts {
            if !is_known(value) {
                best.offer(value, *count);
            }
        }
        let (values_listed, is_all) = best.finish();
        let listed: BTreeSet<&Scalar> = values_listed.iter().map(|(value, _)| value).collect();
        let other = if is_all {
            0
        } else {
            let in_index = values.map_or(0, |values| {
                let others = values.documents_with_others(&listed);
                others.intersection_len(documents)
            });
            let is_other =
                |own: &&BTreeSet<Scalar>| own.iter().any(|value| !listed.contains(value));
            in_index + counted.added.iter().filter(is_other).count() as u64
        };
        MostFrequent {
            values: values_listed,
            other,
        }
    }
}

impl PathValues {
    fn documents_with_cut_texts(&self) -> RoaringBitmap {
        let mut documents = DocumentUnion::default();
        for (_, posting) in self.bare.cut.iter().chain(self.elements.cut.iter()) {
            documents.add(posting);
        }
        documents.finish()
    }

    fn documents_with_others(&self, listed: &BTreeSet<&Scalar>) -> RoaringBitmap {
        let mut documents = DocumentUnion::default();
        let all = self.bare.whole.iter().chain(self.elements.whole.iter());
        for (_, posting) in all.filter(|(value, _)| !listed.contains(value)) {
            documents.add(posting);
        }
        documents.finish()
    }

    fn has(&self, value: &Scalar) -> bool {
        let values = [&self.bare, &self.elements];
        let mut postings = values.map(|values| &values.whole).into_iter();
        postings.any(|postings| postings.get(|other| other.cmp(value)).is_some())
    }

    /// Calls `found` once for each value with the number of `documents` that have it.
    fn count<'a>(&'a self, documents: &RoaringBitmap, found: &mut impl FnMut(&'a Scalar, u64)) {
        let (bare, elements) = (&self.bare.whole, &self.elements.whole);
        for (value, posting) in bare.iter() {
            let count = match elements.get(|other| other.cmp(value)) {
                None => posting.count_in(documents),
                Some(elements) => count_both(posting, elements, documents),
            };
            found(value, count);
        }
        for (value, posting) in elements.iter() {
            if bare.get(|other| other.cmp(value)).is_none() {
                found(value, posting.count_in(documents));
            }
        }
    }
}

fn count_both(left: &Posting, right: &Posting, documents: &RoaringBitmap) -> u64 {
    (left.to_bitmap() | right.to_bitmap()).intersection_len(documents)
}

/// The most frequent values of those that were offered. It holds no more than it returns, however many
/// values there are.
struct Best<'a> {
    limit: usize,
    /// The least frequent is the greatest.
    kept: BinaryHeap<Counted<'a>>,
    is_all: bool,
}

/// Sorts as in the answer.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Counted<'a>(Reverse<u64>, &'a Scalar);

impl<'a> Best<'a> {
    fn new(limit: usize) -> Self {
        Self {
            limit,
            kept: BinaryHeap::new(),
            is_all: true,
        }
    }

    fn offer(&mut self, value: &'a Scalar, count: u64) {
        if count == 0 {
            return;
        }
        let counted = Counted(Reverse(count), value);
        if self.kept.len() < self.limit {
            return self.kept.push(counted);
        }
        self.is_all = false;
        if let Some(mut last) = self.kept.peek_mut()
            && counted.cmp(&last) == Ordering::Less
        {
            *last = counted;
        }
    }

    /// The values in their order, and whether those are all.
    fn finish(self) -> (Vec<(Scalar, u64)>, bool) {
        let sorted = self.kept.into_sorted_vec().into_iter();
        let values = sorted.map(|Counted(Reverse(count), value)| (value.clone(), count));
        (values.collect(), self.is_all)
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
            self.bytes += value_bytes(value.by_ref());
        }
        self.added.push(values);
    }

    /// About the memory that it takes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}
