//! Which documents have paths that found no room in the index.
//!
//! A path is known here by its hash only. Two paths with the same hash share their documents, so that
//! some more documents are read from the record, and no answer is wrong.

use std::hash::{DefaultHasher, Hash, Hasher};

use roaring::RoaringBitmap;

use super::memory::UNINDEXED_PATH_BYTES;
use super::posting::Posting;
use super::sorted_blocks::SortedBlocks;

/// Documents by the hashes of paths. Cloning copies pointers.
#[derive(Debug, Clone, Default)]
pub(super) struct UnindexedPaths {
    documents: SortedBlocks<u64, Posting>,
    /// Memory that it takes, bytes.
    bytes: u64,
}

impl UnindexedPaths {
    pub(super) fn insert(&mut self, path: &str, document: u32) {
        let hash = hash(path);
        let (mut before, mut after) = (0, 0);
        let mut is_new = false;
        self.documents.upsert(
            |other| other.cmp(&hash),
            |posting| {
                before = posting.heap_bytes();
                posting.insert(document);
                after = posting.heap_bytes();
            },
            || {
                is_new = true;
                (hash, Posting::One(document))
            },
        );
        let new = if is_new { UNINDEXED_PATH_BYTES } else { 0 };
        self.bytes = self.bytes + new + after - before;
    }

    /// Takes a document out, if it is there.
    pub(super) fn remove(&mut self, path: &str, document: u32) {
        let hash = hash(path);
        let (mut before, mut after) = (0, 0);
        self.documents.change_or_remove(
            |other| other.cmp(&hash),
            |posting| {
                before = posting.heap_bytes();
                let is_left = posting.remove(document);
                if is_left {
                    after = posting.heap_bytes();
                } else {
                    before += UNINDEXED_PATH_BYTES;
                }
                is_left
            },
        );
        self.bytes = self.bytes + after - before;
    }

    /// How many documents have a path here.
    pub(super) fn len_at(&self, path: &str) -> u64 {
        self.posting(path).map_or(0, Posting::len)
    }

    /// How many documents have a path here, without this one.
    pub(super) fn others_at(&self, path: &str, document: u32) -> u64 {
        let posting = self.posting(path);
        posting.map_or(0, |posting| {
            posting.len() - u64::from(posting.contains(document))
        })
    }

    /// Documents that have a path here, and perhaps some that do not.
    pub(super) fn at(&self, path: &str) -> RoaringBitmap {
        self.posting(path)
            .map(Posting::to_bitmap)
            .unwrap_or_default()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    fn posting(&self, path: &str) -> Option<&Posting> {
        let hash = hash(path);
        self.documents.get(|other| other.cmp(&hash))
    }
}

fn hash(path: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
impl UnindexedPaths {
    pub(super) fn is_empty(&self) -> bool {
        self.documents.iter().next().is_none()
    }

    pub(super) fn counted_bytes(&self) -> u64 {
        let postings = self.documents.iter();
        postings
            .map(|(_, posting)| UNINDEXED_PATH_BYTES + posting.heap_bytes())
            .sum()
    }
}
