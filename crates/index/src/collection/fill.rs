//! Filling a generation with what the collection held when it was made.

use std::borrow::Borrow;

use super::Writer;
use super::change::{Change, Times};
use crate::content_hash::ContentHash;
use crate::{DocumentDraft, DocumentWrite, Error};

impl Writer {
    /// Stores those of some documents of another generation that this one lacks, with their times. Returns the ids
    /// of those that have changed since they were read, and are to be read again.
    ///
    /// # Errors
    /// As [`Writer::upsert`].
    pub fn fill<D: Borrow<DocumentDraft>>(
        &self,
        source: &Self,
        documents: &[DocumentWrite<D>],
    ) -> Result<Vec<String>, Error> {
        super::write::check_writes(documents.iter(), self.reader.dimensions)?;
        let words = documents.iter().map(|document| self.words_of(document));
        let words: Vec<_> = words.collect();
        self.write_alone(|_, change: &mut Change| {
            // One that has been deleted since it was read is not written to any more.
            let source = self.family.led_by(source)?;
            let source = source.lead();
            let mut changed = Vec::new();
            for (document, words) in documents.iter().zip(words) {
                let (draft, hash) = (document.draft(), ContentHash::of(document.draft()));
                // What was written since this generation was made has gone to both.
                if self.reader.document_record(&draft.id)?.is_some() {
                    continue;
                }
                let Some(own) = source.reader.document_record(&draft.id)? else {
                    continue;
                };
                let passages = document.passages.as_deref();
                match passages.filter(|_| own.hash == hash) {
                    None => changed.push(draft.id.clone()),
                    Some(passages) => {
                        let times = Times {
                            created_at_ms: own.created_at_ms,
                            updated_at_ms: own.updated_at_ms,
                        };
                        let passages = passages.iter().zip(words).collect();
                        self.create(change, draft, passages, hash, times)?;
                    }
                }
            }
            Ok(changed)
        })
    }

    /// Returns whether a document is here.
    ///
    /// # Errors
    /// When the store fails.
    pub fn has(&self, id: &str) -> Result<bool, Error> {
        Ok(self.reader.document_record(id)?.is_some())
    }
}
