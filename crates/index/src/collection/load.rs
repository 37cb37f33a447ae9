//! Loading the vectors of a collection: from its segments as far as they are good, the rest from
//! the record.
//!
//! Segments are believed only as far as the record confirms them. While the count of removed
//! passages is the one that the manifest remembers, what is dead is known; otherwise all living
//! passages are listed. Either way nothing that was deleted comes back and nothing is lost.

use roaring::RoaringBitmap;

use crate::memory::MemoryShare;
use crate::segments::{Segment, SegmentFolder, SegmentList};
use crate::store::{CollectionId, Counters, Key, KeyRange, PassageRecord, Store};
use crate::vectors::{NewRow, Survivors, Values, VectorSegment, VectorSpace};
use crate::{Error, VectorPrecision};

/// Vectors of each segment that are compared with the record.
const COMPARED_ROWS: usize = 16;
/// Vectors after which it is looked at how much memory they take.
const ROWS_PER_CHECK: usize = 1024;

/// Where a collection is loaded from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) store: &'a Store,
    pub(super) collection: CollectionId,
    pub(super) dimensions: usize,
    /// What segments are to hold.
    pub(super) precision: VectorPrecision,
    pub(super) memory: &'a MemoryShare,
}

/// All vectors of a collection as the record has them.
pub(super) fn vectors(
    source: &Source<'_>,
    folder: &SegmentFolder<VectorSegment>,
    counters: &Counters,
) -> Result<VectorSpace, Error> {
    let found = folder.open();
    let found = found.filter(|found| found.list.end <= counters.next_passage);
    let Some(found) = found else {
        return source.all_loaded(counters);
    };
    if !source.confirms(&found.list)? {
        tracing::warn!(
            collection = source.collection.0,
            "the segments are of other data and are made anew"
        );
        return source.all_loaded(counters);
    }
    let is_complete = found.is_complete();
    let (list, survivors) = (found.list, found.manifest.survivors);
    let is_known = is_complete && survivors.are_among(&list.passages());
    if !is_known || survivors.removed_passages != counters.removed_passages {
        return source.reconciled(list, counters);
    }
    source.with_rest(list, survivors)
}

impl Source<'_> {
    fn all_loaded(&self, counters: &Counters) -> Result<VectorSpace, Error> {
        let nothing = Survivors {
            removed_passages: counters.removed_passages,
            ..Survivors::default()
        };
        self.with_rest(SegmentList::default(), nothing)
    }

    /// Lists all living passages: those in segments are alive, all others of the segments are
    /// dead, and the rest is loaded.
    fn reconciled(
        &self,
        mut list: SegmentList<VectorSegment>,
        counters: &Counters,
    ) -> Result<VectorSpace, Error> {
        let in_segments = list.passages();
        let (mut living, mut documents) = (RoaringBitmap::new(), RoaringBitmap::new());
        let mut missing = Vec::new();
        let mut last_document = None;
        for entry in self.passages_from(0) {
            let (passage, document) = entry?;
            if !in_segments.contains(passage) {
                missing.push((passage, document));
                continue;
            }
            living.insert(passage);
            if last_document.replace(document) != Some(document) {
                documents.insert(passage);
            }
        }
        // The head may hold passages of any number, until it has become a segment.
        list.end = 0;
        let survivors = Survivors {
            removed_passages: counters.removed_passages,
            dead: in_segments - living,
            documents,
        };
        let mut space = VectorSpace::of_segments(self.dimensions, list, survivors);
        let mut documents = Documents::new(&mut space, self.memory);
        for (passage, document) in missing {
            let vector = vector(self.store, self.collection, passage)?;
            documents.push(self.row(passage, document, vector)?)?;
        }
        documents.finish();
        Ok(space)
    }

    /// Loads all passages after those that segments hold, by one pass over passages and one over vectors.
    fn with_rest(
        &self,
        list: SegmentList<VectorSegment>,
        survivors: Survivors,
    ) -> Result<VectorSpace, Error> {
        let (first, in_segments) = (list.end, list.passages());
        let mut space = VectorSpace::of_segments(self.dimensions, list, survivors);
        let mut vectors = Vectors {
            entries: self
                .store
                .scan(&KeyRange::vectors_from(self.collection, first)),
            ahead: None,
        };
        let mut documents = Documents::new(&mut space, self.memory);
        for entry in self.passages_from(first) {
            let (passage, document) = entry?;
            if in_segments.contains(passage) {
                continue;
            }
            let vector = floats(&vectors.of(passage)?);
            documents.push(self.row(passage, document, vector)?)?;
        }
        documents.finish();
        Ok(space)
    }

    /// Passages with the numbers of their documents.
    fn passages_from(&self, first: u32) -> impl Iterator<Item = Result<(u32, u32), Error>> + '_ {
        let entries = self
            .store
            .scan(&KeyRange::passages_from(self.collection, first));
        entries.map(|entry| {
            let (key, value) = entry?;
            let record = PassageRecord::from_bytes(&value).map(|record| record.document);
            let numbers = key.passage_number().zip(record);
            numbers.ok_or_else(|| self.store.corrupt("a passage's record cannot be read"))
        })
    }

    fn row(&self, passage: u32, document: u32, vector: Vec<f32>) -> Result<NewRow, Error> {
        let is_good =
            vector.len() == self.dimensions && vector.iter().all(|value| value.is_finite());
        if !is_good {
            let reason = format!("the vector of passage {passage} cannot be read");
            return Err(self.store.corrupt(reason));
        }
        Ok(NewRow {
            passage,
            document,
            vector,
        })
    }

    /// Compares some vectors of each segment with the record. They differ when a store was put
    /// back from a copy and the segments were not.
    fn confirms(&self, list: &SegmentList<VectorSegment>) -> Result<bool, Error> {
        for segment in &list.segments {
            let fits = segment.fits(self.collection.0, self.dimensions);
            if !fits || segment.precision() != self.precision {
                return Ok(false);
            }
            let pause = (segment.passages().len() as usize / COMPARED_ROWS).max(1);
            for row in segment.rows().step_by(pause) {
                let stored = vector(self.store, self.collection, row.passage)?;
                // A passage that has been removed has no vector any more.
                if stored.is_empty() {
                    continue;
                }
                let is_same = match row.values {
                    Values::Exact(vector) => stored == vector,
                    Values::Coded(codes) => codes.is_of(&stored),
                };
                if !is_same {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

/// Puts rows together into documents.
struct Documents<'a> {
    space: &'a mut VectorSpace,
    memory: &'a MemoryShare,
    rows: Vec<NewRow>,
    pushed: usize,
}

impl<'a> Documents<'a> {
    fn new(space: &'a mut VectorSpace, memory: &'a MemoryShare) -> Self {
        Self {
            space,
            memory,
            rows: Vec::new(),
            pushed: 0,
        }
    }

    fn push(&mut self, row: NewRow) -> Result<(), Error> {
        self.pushed += 1;
        if self.pushed.is_multiple_of(ROWS_PER_CHECK) {
            self.memory.check_loaded(self.space.bytes())?;
        }
        let last = self.rows.last();
        if last.is_some_and(|last| last.document != row.document) {
            self.end_document();
        }
        self.rows.push(row);
        Ok(())
    }

    fn finish(mut self) {
        if !self.rows.is_empty() {
            self.end_document();
        }
    }

    fn end_document(&mut self) {
        self.space.add_document(&self.rows);
        self.rows.clear();
    }
}

/// The vector of a passage; empty when it has none.
pub(super) fn vector(
    store: &Store,
    collection: CollectionId,
    passage: u32,
) -> Result<Vec<f32>, Error> {
    let mut bytes = Vec::new();
    for entry in store.scan(&KeyRange::vector(collection, passage)) {
        bytes.extend_from_slice(&entry?.1);
    }
    Ok(floats(&bytes))
}

pub(super) fn floats(bytes: &[u8]) -> Vec<f32> {
    let (values, _) = bytes.as_chunks::<4>();
    values
        .iter()
        .map(|value| f32::from_le_bytes(*value))
        .collect()
}

/// Vectors in the order of their passages, put together from their pieces.
struct Vectors<I> {
    entries: I,
    /// The first piece of the next vector.
    ahead: Option<(u32, Vec<u8>)>,
}

impl<I: Iterator<Item = Result<(Key, Vec<u8>), Error>>> Vectors<I> {
    /// The bytes of a passage's vector; passages are asked for in ascending order.
    fn of(&mut self, passage: u32) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        loop {
            let (place, piece) = match self.ahead.take() {
                Some(ahead) => ahead,
                None => match self.entries.next().transpose()? {
                    Some((key, piece)) => (key.vector_place().map_or(u32::MAX, |(n, _)| n), piece),
                    None => return Ok(bytes),
                },
            };
            if place > passage {
                self.ahead = Some((place, piece));
                return Ok(bytes);
            }
            if place == passage {
                bytes.extend_from_slice(&piece);
            }
        }
    }
}
