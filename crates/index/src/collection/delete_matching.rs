//! Deleting by filter.

use super::Writer;
use super::change::Change;
use crate::Error;
use crate::filter::Filter;
use crate::store::WriteBatch;

/// Documents deleted in one batch: bounds how long other writers wait.
const MAX_DOCUMENTS_PER_BATCH: usize = 1000;

impl Writer {
    /// Deletes the documents that pass a filter, and returns how many those were. They go in
    /// batches, and what was deleted before an error stays deleted. A document that is made while
    /// this runs is kept.
    ///
    /// # Errors
    /// [`Error::FilterTooBroad`], or a store that fails.
    pub fn delete_matching(&self, filter: &Filter) -> Result<u64, Error> {
        let mut deleted = 0;
        // Numbers ascend, so this bounds the loop whatever other writers do.
        let mut end = None;
        loop {
            let fill = |change: &mut Change| {
                let end = *end.get_or_insert(change.next_document());
                self.delete_some(change, filter, end)
            };
            let freeing = WriteBatch::freeing_room();
            let batch = self.write_all(freeing, fill, |member, change, ids| {
                member.remove_by_id(change, ids)
            })?;
            deleted += batch.len() as u64;
            if batch.len() < MAX_DOCUMENTS_PER_BATCH {
                return Ok(deleted);
            }
        }
    }

    fn delete_some(
        &self,
        change: &mut Change,
        filter: &Filter,
        end: u32,
    ) -> Result<Vec<String>, Error> {
        let passing = self.reader.passing(&change.state.metadata, filter)?;
        let mut deleted = Vec::new();
        for number in passing
            .into_iter()
            .take_while(|number| *number < end)
            .take(MAX_DOCUMENTS_PER_BATCH)
        {
            let id = self.reader.document_id(number)?;
            let id = id.ok_or_else(|| self.reader.unreadable("a document's id"))?;
            let record = self.reader.document_record(&id)?;
            let record = record.ok_or_else(|| self.reader.unreadable("a document's record"))?;
            self.remove(change, &id, &record)?;
            deleted.push(id);
        }
        self.forget_feedback(change, &deleted)?;
        Ok(deleted)
    }
}
