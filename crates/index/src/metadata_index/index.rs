//! The metadata of a collection's documents, by path and value.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::bounds::Bounds;
use super::document_passages::DocumentPassages;
use super::path_values::PathValues;
use crate::Metadata;
use crate::filter::walk::{self, Found, Visitor};
use crate::filter::{FieldPath, Filter};

/// Distinct paths of one collection. Those that find no room are read from the record. Unit tests
/// meet the limit.
const MAX_PATHS: usize = if cfg!(test) { 24 } else { 1024 };
/// Keys of a path, and its bytes; longer ones are read from the record.
const MAX_PATH_KEYS: usize = 16;
const MAX_PATH_BYTES: usize = 512;

/// Which documents have which values.
#[derive(Debug, Clone, Default)]
pub(crate) struct MetadataIndex {
    documents: Arc<RoaringBitmap>,
    passages: DocumentPassages,
    paths: BTreeMap<Arc<str>, Arc<PathValues>>,
    /// Documents with a path that found no room. While there are any, no path is let in: it would
    /// lack those documents.
    crowded_out: RoaringBitmap,
    /// Documents with a path that is too long.
    too_deep: RoaringBitmap,
}

impl MetadataIndex {
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
            Filter::Field(path, condition) => match self.values_at(path) {
                Ok(values) => values.bounds(condition),
                Err(unknown) => Bounds {
                    certain: RoaringBitmap::new(),
                    possible: unknown.clone(),
                },
            },
        }
    }

    /// The values at a path, or the documents that may have some which the index does not know.
    pub(super) fn values_at(&self, path: &FieldPath) -> Result<&PathValues, &RoaringBitmap> {
        if !fits(path.canonical(), path.keys().len()) {
            return Err(&self.too_deep);
        }
        let values = self.paths.get(path.canonical());
        values.map(|values| &**values).ok_or(&self.crowded_out)
    }

    fn remove_values(&mut self, document: u32, metadata: &Metadata) {
        walk::all(metadata, &mut Removing(self, document));
        self.crowded_out.remove(document);
        self.too_deep.remove(document);
    }

    fn admits(&self, path: &str) -> bool {
        self.paths.contains_key(path)
            || (self.paths.len() < MAX_PATHS && self.crowded_out.is_empty())
    }
}

fn fits(path: &str, keys: usize) -> bool {
    keys <= MAX_PATH_KEYS && path.len() <= MAX_PATH_BYTES
}

struct Adding<'a>(&'a mut MetadataIndex, u32);

impl Visitor for Adding<'_> {
    fn visit(&mut self, path: &str, keys: usize, found: Found<'_>) -> bool {
        let Self(index, document) = self;
        if !fits(path, keys) {
            index.too_deep.insert(*document);
            return false;
        }
        if index.admits(path) {
            let values = match index.paths.get_mut(path) {
                Some(values) => values,
                None => index.paths.entry(Arc::from(path)).or_default(),
            };
            Arc::make_mut(values).insert(*document, found);
        } else {
            index.crowded_out.insert(*document);
        }
        true
    }
}

struct Removing<'a>(&'a mut MetadataIndex, u32);

impl Visitor for Removing<'_> {
    fn visit(&mut self, path: &str, keys: usize, found: Found<'_>) -> bool {
        let Self(index, document) = self;
        if let Some(values) = index.paths.get_mut(path) {
            let values = Arc::make_mut(values);
            values.remove(*document, found);
            if values.documents.is_empty() {
                index.paths.remove(path);
            }
        }
        fits(path, keys)
    }
}

#[cfg(test)]
impl MetadataIndex {
    pub(super) fn is_crowded(&self) -> bool {
        !self.crowded_out.is_empty()
    }

    /// Whether nothing is left of what was in it.
    pub(super) fn is_empty(&self) -> bool {
        let documents = self.documents.len() + self.crowded_out.len() + self.too_deep.len();
        documents == 0 && self.paths.is_empty()
    }
}
