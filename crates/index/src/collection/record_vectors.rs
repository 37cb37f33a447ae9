//! Vectors of a collection as the record has them.

use super::Reader;
use crate::Error;
use crate::store::{CollectionId, Key, Store};
use crate::vectors::ExactVectors;

/// Reads the vectors of one collection.
#[derive(Debug, Clone, Copy)]
pub(super) struct RecordVectors<'a> {
    store: &'a Store,
    collection: CollectionId,
    dimensions: usize,
}

impl Reader {
    /// What a search reads that segments do not hold.
    pub(super) fn record_vectors(&self) -> RecordVectors<'_> {
        RecordVectors {
            store: &self.store,
            collection: self.id,
            dimensions: self.dimensions,
        }
    }
}

impl RecordVectors<'_> {
    fn piece(&self, passage: u32, piece: u32) -> Result<Option<Vec<u8>>, Error> {
        self.store
            .get(&Key::vector(self.collection, passage, piece))
    }
}

impl ExactVectors for RecordVectors<'_> {
    type Error = Error;

    /// By its keys, of which there is mostly one: a scan of a range costs several times as much.
    fn vector(&self, passage: u32) -> Result<Option<Vec<f32>>, Error> {
        let Some(mut bytes) = self.piece(passage, 0)? else {
            return Ok(None);
        };
        let length = self.dimensions * size_of::<f32>();
        for number in 1.. {
            if bytes.len() >= length {
                break;
            }
            match self.piece(passage, number)? {
                Some(piece) => bytes.extend_from_slice(&piece),
                // Removed between two pieces: a batch takes them all away.
                None if self.piece(passage, 0)?.is_none() => return Ok(None),
                None => break,
            }
        }
        if bytes.len() != length {
            let reason = format!("the vector of passage {passage} cannot be read");
            return Err(self.store.corrupt(reason));
        }
        Ok(Some(super::load::floats(&bytes)))
    }
}
