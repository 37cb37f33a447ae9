//! Writing: plan, apply, flush, publish.
//!
//! Order is the promise: a write is applied to the record, made durable by the group flush, and
//! only then published to searches and acknowledged.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::sync::{Arc, MutexGuard};

use super::body::Body;
use super::change::{Change, Times};
use super::documents;
use super::state::{Published, WriterState};
use super::writer::Writer;
use crate::clock::now_ms;
use crate::content_hash::ContentHash;
use crate::document::{MAX_METADATA_BYTES, check_id, check_metadata, metadata_bytes};
use crate::merge_patch::merge;
use crate::store::{DocumentRecord, Key, Sequence, WriteBatch};
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

/// Metadata that was merged into that of a document.
struct Patched {
    draft: DocumentDraft,
    record: DocumentRecord,
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

    /// Stores documents as another index had them, with their times. What is stored under their ids
    /// is replaced.
    ///
    /// # Errors
    /// As [`Self::upsert`], [`Error::Stale`] for a document without passages, and [`Error::OtherGenerations`],
    /// whose vectors are not given.
    pub fn import(&self, documents: &[ImportedDocument]) -> Result<(), Error> {
        check_writes(
            documents.iter().map(|document| &document.write),
            self.reader.dimensions,
        )?;
        let words: Vec<_> = documents
            .iter()
            .map(|document| self.words_of(&document.write))
            .collect();
        let other_generations = || Error::OtherGenerations {
            name: self.reader.name.clone(),
        };
        let fill = |lead: &Self, change: &mut Change| {
            if !lead.is(self) {
                return Err(other_generations());
            }
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
        };
        self.write_all(WriteBatch::default(), fill, |_, _, ()| {
            Err(other_generations())
        })
    }

    /// Deletes documents. For each id, whether it was there.
    ///
    /// # Errors
    /// When the store fails.
    pub fn delete(&self, ids: &[String]) -> Result<Vec<bool>, Error> {
        let fill = |lead: &Self, change: &mut Change| {
            let mut gone = HashSet::new();
            let delete = |id| {
                let id: &String = id;
                let record = lead.reader.document_record(id)?.filter(|_| gone.insert(id));
                if let Some(record) = record {
                    lead.remove(change, id, &record)?;
                }
                Ok(record.is_some())
            };
            let were_there = ids.iter().map(delete).collect::<Result<Vec<_>, Error>>()?;
            lead.forget_feedback(change, ids)?;
            Ok(were_there)
        };
        self.write_all(WriteBatch::freeing_room(), fill, |member, change, _| {
            member.remove_by_id(change, ids)
        })
    }

    /// Removes those of the documents that are there.
    pub(super) fn remove_by_id(&self, change: &mut Change, ids: &[String]) -> Result<(), Error> {
        let mut gone = HashSet::new();
        for id in ids {
            let record = self.reader.document_record(id)?.filter(|_| gone.insert(id));
            if let Some(record) = record {
                self.remove(change, id, &record)?;
            }
        }
        Ok(())
    }

    /// Deletes those of some documents that have not been written since a moment, milliseconds since 1970,
    /// and returns how many those were.
    ///
    /// # Errors
    /// When the store fails.
    pub fn delete_unchanged(&self, ids: &[String], since_ms: u64) -> Result<u64, Error> {
        let fill = |lead: &Self, change: &mut Change| {
            let mut deleted = Vec::new();
            for id in ids {
                let record = lead.reader.document_record(id)?;
                if let Some(record) = record.filter(|record| record.updated_at_ms < since_ms) {
                    lead.remove(change, id, &record)?;
                    deleted.push(id.clone());
                }
            }
            lead.forget_feedback(change, &deleted)?;
            Ok(deleted)
        };
        let deleted = self.write_all(WriteBatch::freeing_room(), fill, |member, change, ids| {
            member.remove_by_id(change, ids)
        });
        Ok(deleted?.len() as u64)
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
        let fill = |lead: &Self, change: &mut Change| {
            let Some(record) = lead.reader.document_record(id)? else {
                return Ok(None);
            };
            let body = lead.reader.body(&record)?;
            let mut body = body.ok_or_else(|| lead.reader.unreadable("a document's body"))?;
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
                lead.put_metadata(change, &draft, &record, hash)?
            };
            Ok(Some(Patched { draft, record }))
        };
        let patched = self.write_all(WriteBatch::default(), fill, |member, change, patched| {
            let Some(Patched { draft, .. }) = patched else {
                return Ok(());
            };
            // One that has not been filled so far takes the document as it is then.
            if let Some(record) = member.reader.document_record(id)? {
                let hash = ContentHash::of(draft);
                if record.hash != hash {
                    member.put_metadata(change, draft, &record, hash)?;
                }
            }
            Ok(())
        })?;
        Ok(patched.map(|Patched { draft, record }| {
            let body = Body {
                title: draft.title,
                text: draft.text,
                metadata: draft.metadata,
            };
            documents::document(id, record, body)
        }))
    }

    /// Makes a batch of what is written here and of what the other generations need for that, under the lock,
    /// then waits outside it until it is durable, then publishes. `fill` is told which generation leads: this one, or once
    /// that has been deleted the active one.
    pub(super) fn write_all<T>(
        &self,
        batch: WriteBatch,
        fill: impl FnOnce(&Self, &mut Change) -> Result<T, Error>,
        follow: impl Fn(&Self, &mut Change, &T) -> Result<(), Error>,
    ) -> Result<T, Error> {
        // Before the lock, which a write that makes no progress holds.
        self.reader.store.check_writable()?;
        let gate = self.family.lock();
        let members = self.family.led_by(self)?;
        let writers: Vec<&Self> = members.writers().map(|writer| &**writer).collect();
        let (outcome, staged) = Self::write_members(&writers, batch, fill, follow)?;
        drop(gate);
        Self::publish_all(&writers, staged)?;
        Ok(outcome)
    }

    /// As [`Self::write_all`], of this generation alone and with another that stays as it is meanwhile.
    pub(super) fn write_alone<T>(
        &self,
        fill: impl FnOnce(&Self, &mut Change) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.reader.store.check_writable()?;
        let gate = self.family.lock();
        let batch = WriteBatch::default();
        let (outcome, staged) = Self::write_members(&[self], batch, fill, |_, _, _| Ok(()))?;
        drop(gate);
        Self::publish_all(&[self], staged)?;
        Ok(outcome)
    }

    /// Applies one batch for all of some generations, of which the first is the one that the caller has.
    fn write_members<T>(
        writers: &[&Self],
        mut batch: WriteBatch,
        fill: impl FnOnce(&Self, &mut Change) -> Result<T, Error>,
        follow: impl Fn(&Self, &mut Change, &T) -> Result<(), Error>,
    ) -> Result<(T, Vec<Published>), Error> {
        let states = writers.iter().map(|writer| writer.lock_writer());
        let mut states: Vec<MutexGuard<'_, WriterState>> = states.collect();
        // One moment for all, so that a document has the same times everywhere.
        let now_ms = now_ms();
        let (mut changes, mut outcome, mut fill) = (Vec::new(), None, Some(fill));
        for (writer, state) in writers.iter().zip(&states) {
            if state.deleted {
                return Err(Error::CollectionNotFound {
                    name: writer.reader.name.clone(),
                });
            }
            let mut change = Change::of(state, batch, now_ms);
            match (&outcome, fill.take()) {
                (Some(outcome), _) => follow(writer, &mut change, outcome)?,
                (None, Some(fill)) => outcome = Some(fill(writer, &mut change)?),
                (None, None) => {}
            }
            batch = std::mem::take(&mut change.batch);
            changes.push(change);
        }
        let outcome = outcome.ok_or_else(|| Error::CollectionNotFound {
            name: String::new(),
        })?;
        let store = &writers[0].reader.store;
        let sequence = if batch.is_empty() {
            store.last_applied()
        } else {
            Self::apply(writers, &mut states, changes, batch)?
        };
        let published = states.iter().map(|state| Published {
            state: state.staged.clone(),
            sequence,
        });
        Ok((outcome, published.collect()))
    }

    /// Waits until states are durable, and shows them to searches.
    fn publish_all(writers: &[&Self], staged: Vec<Published>) -> Result<(), Error> {
        for (writer, staged) in writers.iter().zip(staged) {
            // Of one batch, so that only the first one waits.
            writer.reader.store.make_durable(staged.sequence)?;
            let head_passages = staged.state.head_passages();
            writer.publish(&staged);
            if head_passages >= writer.maintenance.max_head_passages {
                writer.maintenance.wake.ring();
            }
        }
        Ok(())
    }

    /// Applies changes to the record in one batch, and stages the states that go with them.
    fn apply(
        writers: &[&Self],
        states: &mut [MutexGuard<'_, WriterState>],
        mut changes: Vec<Change>,
        mut batch: WriteBatch,
    ) -> Result<Sequence, Error> {
        let mut bytes_before = Vec::new();
        let give_back = |bytes_before: &[u64]| {
            for (writer, bytes) in writers.iter().zip(bytes_before) {
                writer.memory.set(*bytes);
            }
        };
        for (writer, change) in writers.iter().zip(&mut changes) {
            batch.put(
                &Key::counters(writer.reader.id()),
                change.counters.to_bytes(),
            );
            let new_words = std::mem::take(&mut change.new_words);
            Arc::make_mut(&mut change.state.words).add(new_words);
            let bytes = change.state.bytes();
            // What only takes away is never refused, though it may need a little memory to say what is
            // gone.
            let before = match change.adds {
                true => writer
                    .memory
                    .try_set(bytes)
                    .inspect_err(|_| give_back(&bytes_before))?,
                false => writer.memory.set(bytes),
            };
            bytes_before.push(before);
        }
        let applied = writers[0].reader.store.apply(batch);
        let sequence = applied.inspect_err(|_| give_back(&bytes_before))?;
        for (state, change) in states.iter_mut().zip(changes) {
            state.counters = change.counters;
            state.staged = change.state;
        }
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
///
/// # Errors
/// Bad input; the first that is found.
pub fn check_writes<'a, D: Borrow<DocumentDraft> + 'a>(
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
