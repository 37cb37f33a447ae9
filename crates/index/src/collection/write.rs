//! Writing: plan, apply, flush, publish.
//!
//! Order is the promise: a write is applied to the record, made durable by the group flush, and
//! only then published to searches and acknowledged.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::sync::Arc;

use super::body::Body;
use super::change::{Change, Times, UpsertStatus};
use super::state::{Published, WriterState};
use super::writer::Writer;
use crate::clock::now_ms;
use crate::content_hash::ContentHash;
use crate::document::{MAX_METADATA_BYTES, check_id, check_metadata, metadata_bytes};
use crate::lexical::PieceBuilder;
use crate::merge_patch::merge;
use crate::store::{Key, Sequence, WriteBatch};
use crate::{DocumentDraft, DocumentWrite, Error, ImportedDocument, Metadata, StoredDocument};

/// What a draft would need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WritePlan {
    /// Nothing: it is stored like this.
    Unchanged {
        /// Passages that it has.
        passages: usize,
    },
    /// New metadata; the vectors stay.
    MetadataOnly {
        /// Passages that it has.
        passages: usize,
    },
    /// Encoding.
    Encode,
}

impl Writer {
    /// What each draft would need, so that nothing is encoded twice.
    ///
    /// # Errors
    /// When the store fails, or nothing could be written now.
    pub fn plan(&self, drafts: &[DocumentDraft]) -> Result<Vec<WritePlan>, Error> {
        // Nothing is encoded for a write that will be refused.
        self.reader.store.check_writable()?;
        drafts.iter().map(|draft| self.plan_one(draft)).collect()
    }

    fn plan_one(&self, draft: &DocumentDraft) -> Result<WritePlan, Error> {
        check_id(&draft.id)?;
        let Some(record) = self.reader.document_record(&draft.id)? else {
            return Ok(WritePlan::Encode);
        };
        let (hash, passages) = (ContentHash::of(draft), record.passages as usize);
        Ok(if record.hash == hash {
            WritePlan::Unchanged { passages }
        } else if record.hash.encoded == hash.encoded {
            WritePlan::MetadataOnly { passages }
        } else {
            WritePlan::Encode
        })
    }

    /// Stores documents with distinct ids, all or none. On return they are durable and found by
    /// searches.
    ///
    /// # Errors
    /// Bad input, a full disk, or [`Error::Stale`] when a document without passages is no longer
    /// stored as it was planned. Nothing has been written then.
    pub fn upsert<D: Borrow<DocumentDraft>>(
        &self,
        documents: &[DocumentWrite<D>],
    ) -> Result<Vec<UpsertStatus>, Error> {
        check_writes(documents.iter(), self.reader.dimensions)?;
        // Outside the lock, which one writer holds at a time.
        let words: Vec<_> = documents
            .iter()
            .map(|document| self.words_of(document))
            .collect();
        self.write(|change| {
            let documents = documents.iter().zip(words);
            documents
                .map(|(document, words)| self.put(change, document, words))
                .collect()
        })
    }

    /// Stores documents as another index had them, with their times. What is stored under their ids
    /// is replaced.
    ///
    /// # Errors
    /// As [`Self::upsert`], and [`Error::Stale`] for a document without passages.
    pub fn import(&self, documents: &[ImportedDocument]) -> Result<(), Error> {
        check_writes(
            documents.iter().map(|document| &document.write),
            self.reader.dimensions,
        )?;
        let words: Vec<_> = documents
            .iter()
            .map(|document| self.words_of(&document.write))
            .collect();
        self.write(|change| {
            for (document, words) in documents.iter().zip(words) {
                let draft = &document.write.draft;
                let passages = document.write.passages.as_deref();
                let passages = passages.ok_or_else(|| Error::Stale {
                    id: draft.id.clone(),
                })?;
                if let Some(record) = self.reader.document_record(&draft.id)? {
                    self.remove(change, &draft.id, &record)?;
                }
                let times = Times {
                    created_at_ms: document.created_at_ms,
                    updated_at_ms: document.updated_at_ms,
                };
                let passages = passages.iter().zip(words).collect();
                self.create(change, draft, passages, ContentHash::of(draft), times)?;
            }
            Ok(())
        })
    }

    /// Deletes documents. For each id, whether it was there.
    ///
    /// # Errors
    /// When the store fails.
    pub fn delete(&self, ids: &[String]) -> Result<Vec<bool>, Error> {
        self.write_freeing_room(|change| {
            let mut gone = HashSet::new();
            ids.iter()
                .map(|id| {
                    let record = self.reader.document_record(id)?.filter(|_| gone.insert(id));
                    if let Some(record) = record {
                        self.remove(change, id, &record)?;
                    }
                    Ok(record.is_some())
                })
                .collect()
        })
    }

    /// Deletes those of some documents that have not been written since a moment, milliseconds since 1970,
    /// and returns how many those were.
    ///
    /// # Errors
    /// When the store fails.
    pub fn delete_unchanged(&self, ids: &[String], since_ms: u64) -> Result<u64, Error> {
        self.write_freeing_room(|change| {
            let mut deleted = 0;
            for id in ids {
                let record = self.reader.document_record(id)?;
                if let Some(record) = record.filter(|record| record.updated_at_ms < since_ms) {
                    self.remove(change, id, &record)?;
                    deleted += 1;
                }
            }
            Ok(deleted)
        })
    }

    /// Merges metadata into a document's by RFC 7396. `None` when there is no such document. Metadata of
    /// more than `max_bytes` of JSON may only become less.
    ///
    /// # Errors
    /// Metadata that becomes too large, or a store that fails.
    pub fn patch_metadata(
        &self,
        id: &str,
        patch: &Metadata,
        max_bytes: usize,
    ) -> Result<Option<StoredDocument>, Error> {
        self.write(|change| {
            let Some(record) = self.reader.document_record(id)? else {
                return Ok(None);
            };
            let body = self.reader.body(&record)?;
            let mut body = body.ok_or_else(|| self.reader.unreadable("a document's body"))?;
            let bytes_before = metadata_bytes(&body.metadata);
            merge(&mut body.metadata, patch);
            let max_bytes = max_bytes.min(MAX_METADATA_BYTES).max(bytes_before);
            check_metadata(&body.metadata, max_bytes)?;
            let draft = DocumentDraft {
                id: id.to_owned(),
                title: body.title,
                text: body.text,
                metadata: body.metadata,
            };
            let hash = ContentHash::of(&draft);
            let record = if record.hash == hash {
                record
            } else {
                self.put_metadata(change, &draft, &record, hash)?
            };
            let body = Body {
                title: draft.title,
                text: draft.text,
                metadata: draft.metadata,
            };
            Ok(Some(super::documents::document(id, record, body)))
        })
    }

    /// Marks the collection as deleted, so that late writers fail, once `delete` has made that
    /// durable. Writers wait meanwhile. When it fails, they go on as if nothing had been tried.
    ///
    /// # Errors
    /// What `delete` fails at.
    pub(crate) fn retire(&self, delete: impl FnOnce() -> Result<(), Error>) -> Result<(), Error> {
        let mut state = self.lock_writer();
        delete()?;
        state.deleted = true;
        drop(state);
        self.stop_maintenance();
        Ok(())
    }

    /// Runs one write under the lock, then waits outside it until it is durable, then publishes.
    pub(super) fn write<T>(
        &self,
        fill: impl FnOnce(&mut Change) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.write_batch(WriteBatch::default(), fill)
    }

    /// The same for a write that makes room, which is possible on a full disk.
    pub(super) fn write_freeing_room<T>(
        &self,
        fill: impl FnOnce(&mut Change) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.write_batch(WriteBatch::freeing_room(), fill)
    }

    fn write_batch<T>(
        &self,
        batch: WriteBatch,
        fill: impl FnOnce(&mut Change) -> Result<T, Error>,
    ) -> Result<T, Error> {
        // Before the lock, which a write that makes no progress holds.
        self.reader.store.check_writable()?;
        let mut state = self.lock_writer();
        if state.deleted {
            return Err(Error::CollectionNotFound {
                name: self.reader.name.clone(),
            });
        }
        let mut change = Change {
            batch,
            state: state.staged.clone(),
            new_words: PieceBuilder::default(),
            counters: state.counters,
            now_ms: now_ms(),
            adds: false,
        };
        let outcome = fill(&mut change)?;
        let sequence = if change.batch.is_empty() {
            self.reader.store.last_applied()
        } else {
            self.apply(&mut state, change)?
        };
        let staged = Published {
            state: state.staged.clone(),
            sequence,
        };
        drop(state);
        self.reader.store.make_durable(sequence)?;
        let head_passages = staged.state.head_passages();
        self.publish(&staged);
        if head_passages >= self.maintenance.max_head_passages {
            self.maintenance.wake.ring();
        }
        Ok(outcome)
    }

    /// Applies a change to the record, and stages the state that goes with it.
    fn apply(&self, writer: &mut WriterState, mut change: Change) -> Result<Sequence, Error> {
        let counters = change.counters.to_bytes();
        change.batch.put(&Key::counters(self.reader.id()), counters);
        Arc::make_mut(&mut change.state.words).add(change.new_words);
        let bytes = change.state.bytes();
        // What only takes away is never refused, though it may need a little memory to say what is
        // gone.
        let bytes_before = match change.adds {
            true => self.memory.try_set(bytes)?,
            false => self.memory.set(bytes),
        };
        let applied = self.reader.store.apply(change.batch);
        let sequence = applied.inspect_err(|_| {
            self.memory.set(bytes_before);
        })?;
        writer.counters = change.counters;
        writer.staged = change.state;
        Ok(sequence)
    }

    /// Shows a durable state to searches, unless a newer one is shown already. Segments that came
    /// while the writer waited are kept.
    fn publish(&self, durable: &Published) {
        self.reader.published.rcu(|published| {
            if published.sequence >= durable.sequence {
                return Arc::clone(published);
            }
            let mut newer = durable.clone();
            newer.state.adopt(&published.state);
            Arc::new(newer)
        });
    }
}

/// Checks documents of one write, whose ids must be distinct.
fn check_writes<'a, D: Borrow<DocumentDraft> + 'a>(
    documents: impl Iterator<Item = &'a DocumentWrite<D>>,
    dimensions: usize,
) -> Result<(), Error> {
    let mut ids = HashSet::new();
    for document in documents {
        document.check(dimensions)?;
        if !ids.insert(document.draft().id.as_str()) {
            return Err(Error::DuplicateId {
                id: document.draft().id.clone(),
            });
        }
    }
    Ok(())
}
