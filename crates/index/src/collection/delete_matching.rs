//! Deleting by filter.

use super::Writer;
use super::change::Change;
use crate::Error;
use crate::clock::now_ms;
use crate::filter::Filter;
use crate::store::{DocumentRecord, WriteBatch};

/// Documents deleted in one batch: bounds how long other writers wait.
const MAX_DOCUMENTS_PER_BATCH: usize = 1000;

/// Which documents were there when deleting began.
#[derive(Debug, Clone, Copy)]
enum WrittenBefore {
    /// Those with a lower number.
    Number(u32),
    /// Those that have not been written after it, milliseconds since 1970.
    Moment(u64),
}

impl WrittenBefore {
    fn may_be(self, number: u32) -> bool {
        match self {
            Self::Number(end) => number < end,
            Self::Moment(_) => true,
        }
    }

    fn is(self, record: &DocumentRecord) -> bool {
        match self {
            Self::Number(end) => record.number < end,
            Self::Moment(moment_ms) => record.updated_at_ms <= moment_ms,
        }
    }
}

impl Writer {
    /// Deletes the documents that pass a filter, and returns how many those were. They go in
    /// batches, and what was deleted before an error stays deleted. A document that is made while
    /// this runs is kept.
    ///
    /// # Errors
    /// [`Error::FilterTooBroad`], or a store that fails.
    pub fn delete_matching(&self, filter: &Filter) -> Result<u64, Error> {
        let (mut deleted, started_at_ms) = (0, now_ms());
        // Numbers ascend, so this bounds the loop whatever other writers do.
        let mut end = None;
        loop {
            let fill = |lead: &Self, change: &mut Change| {
                // Of a generation that has taken the place of this one, only the times are the same.
                let written = match lead.is(self) {
                    true => WrittenBefore::Number(*end.get_or_insert(change.next_document())),
                    false => WrittenBefore::Moment(started_at_ms),
                };
                lead.delete_some(change, filter, written)
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
        written: WrittenBefore,
    ) -> Result<Vec<String>, Error> {
        let passing = self.reader.passing(&change.state.metadata, filter)?;
        let mut deleted = Vec::new();
        let passing = passing.into_iter();
        for number in passing.take_while(|number| written.may_be(*number)) {
            if deleted.len() == MAX_DOCUMENTS_PER_BATCH {
                break;
            }
            let id = self.reader.document_id(number)?;
            let id = id.ok_or_else(|| self.reader.unreadable("a document's id"))?;
            let record = self.reader.document_record(&id)?;
            let record = record.ok_or_else(|| self.reader.unreadable("a document's record"))?;
            if !written.is(&record) {
                continue;
            }
            self.remove(change, &id, &record)?;
            deleted.push(id);
        }
        self.forget_feedback(change, &deleted)?;
        Ok(deleted)
    }
}
