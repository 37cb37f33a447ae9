//! The metadata of a collection's documents, by path and value.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::bounds::Bounds;
use super::document_passages::DocumentPassages;
use super::gathering::GatheredMetadata;
use super::memory::{DOCUMENT_BYTES, PATH_BYTES};
use super::path_values::PathValues;
use super::unindexed_paths::UnindexedPaths;
use crate::Metadata;
use crate::filter::walk::{self, Found, Visitor};
use crate::filter::{FieldPath, Filter};

/// Distinct paths of one collection that are indexed: those that most documents have. Unit tests meet
/// the limit.
pub(super) const MAX_PATHS: usize = if cfg!(test) { 24 } else { 1024 };
/// Keys of a path, and its bytes; longer ones are read from the record.
const MAX_PATH_KEYS: usize = 16;
const MAX_PATH_BYTES: usize = 512;

/// Which documents have which values.
#[derive(Debug, Clone, Default)]
pub(crate) struct MetadataIndex {
    documents: Arc<RoaringBitmap>,
    passages: DocumentPassages,
    paths: BTreeMap<Arc<str>, Arc<PathValues>>,
    /// Memory of the paths with their values, bytes.
    paths_bytes: u64,
    /// No path has fewer documents, so that a path with no more need not be compared with them all.
    least_documents: u64,
    /// Documents with paths that found no room, or that had it when others needed it more.
    unindexed: UnindexedPaths,
    /// Documents with a path that is too long.
    too_deep: RoaringBitmap,
}

/// What the index knows of a path.
pub(super) struct AtPath<'a> {
    /// The values that are indexed.
    pub(super) values: Option<&'a PathValues>,
    /// Documents that may have values there which the index does not know.
    pub(super) unknown: RoaringBitmap,
}

impl MetadataIndex {
    /// Of documents whose paths are all indexed: [`GatheredMetadata::is_crowded`] denies it.
    pub(crate) fn of_gathered(mut gathered: GatheredMetadata) -> Self {
        gathered.sort();
        let documents = gathered.documents.iter().map(|(document, _)| *document);
        let documents: RoaringBitmap = documents.collect();
        let paths = gathered.paths.into_iter();
        let paths: BTreeMap<_, _> = paths
            .map(|(path, values)| (path, Arc::new(values.into_values())))
            .collect();
        let paths_bytes = paths.iter().map(|(path, values)| path_bytes(path, values));
        Self {
            documents: Arc::new(documents),
            passages: DocumentPassages::of_sorted(gathered.documents),
            paths_bytes: paths_bytes.sum(),
            paths,
            too_deep: gathered.too_deep,
            ..Self::default()
        }
    }

    /// Takes in a document whose number is new.
    pub(crate) fn add(&mut self, document: u32, passages: Range<u32>, metadata: &Metadata) {
        Arc::make_mut(&mut self.documents).insert(document);
        self.passages.insert(document, passages);
        walk::all(metadata, &mut Adding(self, document));
    }

    /// Takes out a document that has this metadata.
    pub(crate) fn remove(&mut self, document: u32, metadata: &Metadata) {
        Arc::make_mut(&mut self.documents).remove(document);
        self.passages.remove(document);
        self.remove_values(document, metadata);
    }

    /// Puts new metadata in the place of old.
    pub(crate) fn replace(&mut self, document: u32, old: &Metadata, new: &Metadata) {
        self.remove_values(document, old);
        walk::all(new, &mut Adding(self, document));
    }

    /// Every document.
    pub(crate) fn documents(&self) -> &RoaringBitmap {
        &self.documents
    }

    /// The passages of some documents.
    pub(crate) fn passages_of(&self, documents: &RoaringBitmap) -> RoaringBitmap {
        self.passages.of(documents)
    }

    /// About the memory that it takes, bytes.
    pub(crate) fn bytes(&self) -> u64 {
        let documents = self.documents.len() * DOCUMENT_BYTES;
        documents + self.paths_bytes + self.unindexed.bytes()
    }

    /// Which documents pass a filter, as far as the index knows.
    pub(crate) fn bounds(&self, filter: &Filter) -> Bounds {
        match filter {
            Filter::All(filters) => {
                let mut bounds = Bounds::exactly(RoaringBitmap::clone(&self.documents));
                for filter in filters {
                    bounds.intersect(&self.bounds(filter));
                }
                bounds
            }
            Filter::Any(filters) => {
                let mut bounds = Bounds::exactly(RoaringBitmap::new());
                for filter in filters {
                    bounds.unite(&self.bounds(filter));
                }
                bounds
            }
            Filter::Not(filter) => self.bounds(filter).complement(&self.documents),
            Filter::Field(path, condition) => {
                let AtPath { values, unknown } = self.at(path);
                let known = values.map(|values| values.bounds(condition));
                let mut bounds = known.unwrap_or_else(|| Bounds::exactly(RoaringBitmap::new()));
                bounds.possible |= unknown;
                bounds
            }
        }
    }

    pub(super) fn at(&self, path: &FieldPath) -> AtPath<'_> {
        let canonical = path.canonical();
        if !fits(canonical, path.keys().len()) {
            return AtPath {
                values: None,
                unknown: self.too_deep.clone(),
            };
        }
        AtPath {
            values: self.paths.get(canonical).map(|values| &**values),
            unknown: self.unindexed.at(canonical),
        }
    }

    fn remove_values(&mut self, document: u32, metadata: &Metadata) {
        walk::all(metadata, &mut Removing(self, document));
        self.too_deep.remove(document);
    }

    /// Returns whether a path is indexed, or is from now on because a document has it that others have, too.
    fn admits(&mut self, path: &str, document: u32) -> bool {
        if self.paths.contains_key(path) {
            return true;
        }
        if self.paths.len() >= MAX_PATHS && !self.make_room_for(path, document) {
            return false;
        }
        self.paths.insert(Arc::from(path), Arc::default());
        self.paths_bytes += path_bytes(path, &PathValues::default());
        self.least_documents = self.least_documents.min(1);
        true
    }

    /// Takes out a path that fewer documents have, if there is one. So paths of a single document,
    /// however many it has, go when other documents come.
    fn make_room_for(&mut self, path: &str, document: u32) -> bool {
        let own = self.unindexed.others_at(path, document) + 1;
        if own <= self.least_documents {
            return false;
        }
        let paths = self.paths.iter();
        let counted = paths.map(|(path, values)| {
            // Some documents may have had it before it was let in.
            let documents = values.documents.len() + self.unindexed.len_at(path);
            (documents, Arc::clone(path))
        });
        let Some((least, rarest)) = counted.min_by_key(|(documents, _)| *documents) else {
            return false;
        };
        self.least_documents = least;
        if own <= least {
            return false;
        }
        if let Some(values) = self.paths.remove(&rarest) {
            self.paths_bytes -= path_bytes(&rarest, &values);
            for document in &values.documents {
                self.unindexed.insert(&rarest, document);
            }
        }
        true
    }
}

pub(super) fn fits(path: &str, keys: usize) -> bool {
    keys <= MAX_PATH_KEYS && path.len() <= MAX_PATH_BYTES
}

fn path_bytes(path: &str, values: &PathValues) -> u64 {
    PATH_BYTES + path.len() as u64 + values.bytes()
}

struct Adding<'a>(&'a mut MetadataIndex, u32);

impl Visitor for Adding<'_> {
    fn visit(&mut self, path: &str, keys: usize, found: Found<'_>) -> bool {
        let Self(index, document) = self;
        if !fits(path, keys) {
            index.too_deep.insert(*document);
            return false;
        }
        if found == Found::Field && !index.admits(path, *document) {
            index.unindexed.insert(path, *document);
        }
        if let Some(values) = index.paths.get_mut(path) {
            let grown = Arc::make_mut(values).insert(*document, found);
            index.paths_bytes = index.paths_bytes.saturating_add_signed(grown);
        }
        true
    }
}

struct Removing<'a>(&'a mut MetadataIndex, u32);

impl Visitor for Removing<'_> {
    fn visit(&mut self, path: &str, keys: usize, found: Found<'_>) -> bool {
        let Self(index, document) = self;
        if !fits(path, keys) {
            return false;
        }
        if found == Found::Field {
            index.unindexed.remove(path, *document);
        }
        if let Some(values) = index.paths.get_mut(path) {
            let values = Arc::make_mut(values);
            let grown = values.remove(*document, found);
            index.paths_bytes = index.paths_bytes.saturating_add_signed(grown);
            let documents = values.documents.len();
            index.least_documents = index.least_documents.min(documents);
            if documents == 0 {
                index.paths_bytes -= path_bytes(path, values);
                index.paths.remove(path);
            }
        }
        true
    }
}

#[cfg(test)]
impl MetadataIndex {
    pub(super) fn is_crowded(&self) -> bool {
        !self.unindexed.is_empty()
    }

    pub(super) fn is_indexed(&self, path: &str) -> bool {
        self.paths.contains_key(path)
    }

    /// What [`Self::bytes`] should be, counted anew.
    pub(super) fn counted_bytes(&self) -> u64 {
        let paths = self.paths.iter();
        let paths: u64 = paths.map(|(path, values)| path_bytes(path, values)).sum();
        self.documents.len() * DOCUMENT_BYTES + paths + self.unindexed.counted_bytes()
    }

    /// All values with their documents.
    pub(super) fn entries(&self) -> Vec<String> {
        let paths = self.paths.iter().map(|(path, values)| {
            let parts = [&values.bare, &values.elements];
            let entries = parts.map(|values| {
                let all = values.whole.iter().chain(values.cut.iter());
                all.map(|(value, posting)| (value.clone(), posting.to_bitmap()))
                    .collect::<Vec<_>>()
            });
            format!("{path} {:?} {entries:?}", values.documents)
        });
        paths.chain([format!("{:?}", self.too_deep)]).collect()
    }

    /// Returns whether nothing is left of what was in it.
    pub(super) fn is_empty(&self) -> bool {
        let is_unindexed = !self.unindexed.is_empty();
        let documents = self.documents.len() + self.too_deep.len();
        documents == 0 && self.paths.is_empty() && !is_unindexed && self.bytes() == 0
    }
}
