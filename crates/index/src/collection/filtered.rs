//! The documents that pass a filter, by the index and, where it cannot tell, by the record.

use roaring::RoaringBitmap;

use super::Reader;
use crate::filter::Filter;
use crate::metadata_index::MetadataIndex;
use crate::{Error, Metadata};

/// Documents that one search may read from the record because the index cannot tell.
pub(super) const MAX_RECORD_READS: u64 = 20_000;

impl Reader {
    /// How many documents pass a filter.
    ///
    /// # Errors
    /// [`Error::FilterTooBroad`], or a store that fails.
    pub fn count_matching(&self, filter: &Filter) -> Result<u64, Error> {
        let state = &self.published.load_full().state;
        Ok(self.passing(&state.metadata, filter)?.len())
    }

    /// The numbers of the documents that pass. A document of which only the record can tell
    /// passes as it is in the record now.
    pub(super) fn passing(
        &self,
        index: &MetadataIndex,
        filter: &Filter,
    ) -> Result<RoaringBitmap, Error> {
        let mut bounds = index.bounds(filter);
        let undecided = bounds.undecided();
        if undecided.len() > MAX_RECORD_READS {
            return Err(Error::FilterTooBroad {
                documents: undecided.len(),
                max_documents: MAX_RECORD_READS,
            });
        }
        for number in undecided {
            let metadata = self.metadata_by_number(number)?;
            if metadata.is_some_and(|metadata| filter.matches(&metadata)) {
                bounds.certain.insert(number);
            }
        }
        Ok(bounds.certain)
    }

    /// The metadata of a document as it is in the record; `None` when it has been replaced or
    /// deleted.
    pub(super) fn metadata_by_number(&self, number: u32) -> Result<Option<Metadata>, Error> {
        let Some(id) = self.document_id(number)? else {
            return Ok(None);
        };
        let document = self.consistent(&id, |record| {
            if record.number != number {
                return Ok(Some(None));
            }
            Ok(self.metadata_of(record)?.map(Some))
        })?;
        Ok(document.and_then(|(_, metadata)| metadata))
    }
}
