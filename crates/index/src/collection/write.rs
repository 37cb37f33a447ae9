//! Writing: plan, apply, flush, publish.
//!
//! Order is the promise: a write is applied to the record, made durable by the group flush, and
//! only then published to searches and acknowledged.

use std::collections::HashSet;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use super::body::Body;
use super::{Collection, Published, WriterState};
use crate::content_hash::ContentHash;
use crate::document::{check_id, check_metadata};
use crate::lexical::{LexicalSnapshot, PieceBuilder, WordCounts};
use crate::merge_patch::merge;
use crate::metadata_index::MetadataIndex;
use crate::store::{
    Counters, DocumentRecord, Key, KeyRange, MAX_VALUE_BYTES, PassageRecord, WriteBatch,
};
use crate::vectors::{NewRow, Snapshot, normalized};
use crate::{
    DocumentDraft, DocumentWrite, Error, ImportedDocument, Metadata, NewPassage, StoredDocument,
};

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

/// What a write did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpsertStatus {
    /// The id was new.
    Created,
    /// The id was there with other content.
    Updated,
    /// The id was there with this content.
    Unchanged,
}

/// A batch in the making, with the snapshot that goes with it.
pub(super) struct Change {
    batch: WriteBatch,
    snapshot: Snapshot,
    pub(super) metadata: MetadataIndex,
    lexical: LexicalSnapshot,
    /// The words of new passages, to be added to it.
    new_words: PieceBuilder,
    counters: Counters,
    now_ms: u64,
}

/// When a document was stored and when it changed, milliseconds since 1970.
#[derive(Debug, Clone, Copy)]
struct Times {
    created_at_ms: u64,
    updated_at_ms: u64,
}

impl Change {
    /// The times of a document that changes now.
    fn times_since(&self, created_at_ms: u64) -> Times {
        Times {
            created_at_ms,
            updated_at_ms: self.now_ms,
        }
    }

    /// The number that the next new document gets.
    pub(super) fn next_document(&self) -> u32 {
        self.counters.next_document
    }
}

impl Collection {
    /// What each draft would need, so that nothing is encoded twice.
    ///
    /// # Errors
    /// When the store fails.
    pub fn plan(&self, drafts: &[DocumentDraft]) -> Result<Vec<WritePlan>, Error> {
        drafts.iter().map(|draft| self.plan_one(draft)).collect()
    }

    fn plan_one(&self, draft: &DocumentDraft) -> Result<WritePlan, Error> {
        check_id(&draft.id)?;
        let Some(record) = self.document_record(&draft.id)? else {
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
    pub fn upsert(&self, documents: &[DocumentWrite]) -> Result<Vec<UpsertStatus>, Error> {
        check_writes(documents.iter(), self.dimensions)?;
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
            self.dimensions,
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
                if let Some(record) = self.document_record(&draft.id)? {
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
        self.write(|change| {
            let mut gone = HashSet::new();
            ids.iter()
                .map(|id| {
                    let record = self.document_record(id)?.filter(|_| gone.insert(id));
                    if let Some(record) = record {
                        self.remove(change, id, &record)?;
                    }
                    Ok(record.is_some())
                })
                .collect()
        })
    }

    /// Merges metadata into a document's by RFC 7396. `None` when there is no such document.
    ///
    /// # Errors
    /// Metadata that becomes too large, or a store that fails.
    pub fn patch_metadata(
        &self,
        id: &str,
        patch: &Metadata,
    ) -> Result<Option<StoredDocument>, Error> {
        self.write(|change| {
            let Some(record) = self.document_record(id)? else {
                return Ok(None);
            };
            let body = self.body(&record)?;
            let mut body = body.ok_or_else(|| self.unreadable("a document's body"))?;
            merge(&mut body.metadata, patch);
            check_metadata(&body.metadata)?;
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
            Ok(Some(super::read::document(id, record, body)))
        })
    }

    /// Marks the collection as deleted, so that late writers fail.
    pub(crate) fn retire(&self) {
        self.stop_maintenance();
        self.lock_writer().deleted = true;
    }

    /// Runs one write under the lock, then waits outside it until it is durable, then publishes.
    pub(super) fn write<T>(
        &self,
        fill: impl FnOnce(&mut Change) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut state = self.lock_writer();
        if state.deleted {
            return Err(Error::CollectionNotFound {
                name: self.name.clone(),
            });
        }
        let mut change = Change {
            batch: WriteBatch::default(),
            snapshot: Snapshot::clone(&state.staged),
            metadata: MetadataIndex::clone(&state.staged_metadata),
            lexical: LexicalSnapshot::clone(&state.staged_lexical),
            new_words: PieceBuilder::default(),
            counters: state.counters,
            now_ms: now_ms(),
        };
        let outcome = fill(&mut change)?;
        let sequence = if change.batch.is_empty() {
            self.store.last_applied()
        } else {
            change
                .batch
                .put(&Key::counters(self.id()), change.counters.to_bytes());
            let sequence = self.store.apply(change.batch)?;
            state.counters = change.counters;
            state.staged = Arc::new(change.snapshot);
            state.staged_metadata = Arc::new(change.metadata);
            change.lexical.add(change.new_words);
            state.staged_lexical = Arc::new(change.lexical);
            sequence
        };
        let staged = Published {
            snapshot: Arc::clone(&state.staged),
            metadata: Arc::clone(&state.staged_metadata),
            lexical: Arc::clone(&state.staged_lexical),
            sequence,
        };
        drop(state);
        self.store.make_durable(sequence)?;
        let heads = [
            staged.snapshot.head_passages(),
            staged.lexical.head_passages(),
        ];
        self.publish(&staged);
        if heads.into_iter().max() >= Some(self.maintenance.max_head_passages) {
            self.maintenance.wake.ring();
        }
        Ok(outcome)
    }

    /// Shows a durable state to searches, unless a newer one is shown already. Segments that came
    /// while the writer waited are kept.
    fn publish(&self, durable: &Published) {
        self.published.rcu(|published| {
            if published.sequence >= durable.sequence {
                return Arc::clone(published);
            }
            let segments = published.snapshot.segments();
            let snapshot = if segments.version > durable.snapshot.segments().version {
                Arc::new(durable.snapshot.adopting(segments))
            } else {
                Arc::clone(&durable.snapshot)
            };
            let segments = published.lexical.segments();
            let lexical = if segments.version > durable.lexical.segments().version {
                Arc::new(durable.lexical.adopting(segments))
            } else {
                Arc::clone(&durable.lexical)
            };
            Arc::new(Published {
                snapshot,
                metadata: Arc::clone(&durable.metadata),
                lexical,
                sequence: durable.sequence,
            })
        });
    }

    pub(super) fn lock_writer(&self) -> MutexGuard<'_, WriterState> {
        // A writer that panicked changed neither counters nor staged snapshot.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(
        &self,
        change: &mut Change,
        document: &DocumentWrite,
        words: Vec<WordCounts>,
    ) -> Result<UpsertStatus, Error> {
        let draft = &document.draft;
        let hash = ContentHash::of(draft);
        let record = self.document_record(&draft.id)?;
        match (&record, &document.passages) {
            (Some(record), _) if record.hash == hash => Ok(UpsertStatus::Unchanged),
            (Some(record), _) if record.hash.encoded == hash.encoded => {
                self.put_metadata(change, draft, record, hash)?;
                Ok(UpsertStatus::Updated)
            }
            (_, None) => Err(Error::Stale {
                id: draft.id.clone(),
            }),
            (None, Some(passages)) => {
                let times = change.times_since(change.now_ms);
                let passages = passages.iter().zip(words).collect();
                self.create(change, draft, passages, hash, times)?;
                Ok(UpsertStatus::Created)
            }
            (Some(record), Some(passages)) => {
                self.remove(change, &draft.id, record)?;
                let times = change.times_since(record.created_at_ms);
                let passages = passages.iter().zip(words).collect();
                self.create(change, draft, passages, hash, times)?;
                Ok(UpsertStatus::Updated)
            }
        }
    }

    /// The words of each passage; none where words are not indexed.
    fn words_of(&self, document: &DocumentWrite) -> Vec<WordCounts> {
        let DocumentDraft { title, text, .. } = &document.draft;
        let passages = document.passages.iter().flatten();
        let is_indexed = self.settings().lexical;
        let words = |passage: &NewPassage| match is_indexed {
            true => WordCounts::of(title.as_deref(), &text[passage.start..passage.end]),
            false => WordCounts::default(),
        };
        passages.map(words).collect()
    }

    fn create(
        &self,
        change: &mut Change,
        draft: &DocumentDraft,
        passages: Vec<(&NewPassage, WordCounts)>,
        hash: ContentHash,
        times: Times,
    ) -> Result<(), Error> {
        let (number, first_passage) = self.take_numbers(&mut change.counters, passages.len())?;
        let count = passages.len() as u32;
        let mut rows = Vec::with_capacity(passages.len());
        for ((passage, words), place) in passages.into_iter().zip(first_passage..) {
            let record = PassageRecord {
                document: number,
                start: passage.start as u32,
                end: passage.end as u32,
            };
            change
                .batch
                .put(&Key::passage(self.id(), place), record.to_bytes());
            if self.settings().lexical {
                change.new_words.add(place, number, words);
            }
            let vector = normalized(&passage.vector);
            self.put_vector(&mut change.batch, place, &vector);
            rows.push(NewRow {
                passage: place,
                document: number,
                vector,
            });
        }
        change.batch.put(
            &Key::number(self.id(), number),
            draft.id.clone().into_bytes(),
        );
        let record = DocumentRecord {
            number,
            first_passage,
            passages: count,
            body_pieces: self.put_body(&mut change.batch, number, draft),
            hash,
            created_at_ms: times.created_at_ms,
            updated_at_ms: times.updated_at_ms,
        };
        change
            .batch
            .put(&Key::document(self.id(), &draft.id), record.to_bytes());
        change.snapshot.add_document(&rows);
        change
            .metadata
            .add(number, record.passage_numbers(), &draft.metadata);
        Ok(())
    }

    /// Writes body and record again; passages and vectors stay.
    fn put_metadata(
        &self,
        change: &mut Change,
        draft: &DocumentDraft,
        record: &DocumentRecord,
        hash: ContentHash,
    ) -> Result<DocumentRecord, Error> {
        let old = self.stored_metadata(record)?;
        change
            .metadata
            .replace(record.number, &old, &draft.metadata);
        let body_pieces = self.put_body(&mut change.batch, record.number, draft);
        for piece in body_pieces..record.body_pieces {
            change
                .batch
                .remove(&Key::body(self.id(), record.number, piece));
        }
        let record = DocumentRecord {
            body_pieces,
            hash,
            updated_at_ms: change.now_ms,
            ..*record
        };
        change
            .batch
            .put(&Key::document(self.id(), &draft.id), record.to_bytes());
        Ok(record)
    }

    pub(super) fn remove(
        &self,
        change: &mut Change,
        id: &str,
        record: &DocumentRecord,
    ) -> Result<(), Error> {
        let metadata = self.stored_metadata(record)?;
        change.metadata.remove(record.number, &metadata);
        let batch = &mut change.batch;
        batch.remove(&Key::document(self.id(), id));
        batch.remove(&Key::number(self.id(), record.number));
        for piece in 0..record.body_pieces {
            batch.remove(&Key::body(self.id(), record.number, piece));
        }
        for passage in record.passage_numbers() {
            batch.remove(&Key::passage(self.id(), passage));
            for piece in 0..self.vector_pieces() {
                batch.remove(&Key::vector(self.id(), passage, piece));
            }
        }
        change.snapshot.remove_document(record.passage_numbers());
        change.lexical.remove(record.passage_numbers());
        change.counters.removed_passages = change.snapshot.removed_passages();
        Ok(())
    }

    /// The metadata of a document that no other writer can change now.
    fn stored_metadata(&self, record: &DocumentRecord) -> Result<Metadata, Error> {
        let body = self.body(record)?;
        let body = body.ok_or_else(|| self.unreadable("a document's body"))?;
        Ok(body.metadata)
    }

    fn put_body(&self, batch: &mut WriteBatch, number: u32, draft: &DocumentDraft) -> u32 {
        let body = Body {
            title: draft.title.clone(),
            text: draft.text.clone(),
            metadata: draft.metadata.clone(),
        };
        let mut pieces = 0;
        for piece in body.to_bytes().chunks(MAX_VALUE_BYTES) {
            batch.put(&Key::body(self.id(), number, pieces), piece.to_vec());
            pieces += 1;
        }
        pieces
    }

    fn put_vector(&self, batch: &mut WriteBatch, passage: u32, vector: &[f32]) {
        let bytes: Vec<u8> = vector
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        for (piece, place) in bytes.chunks(MAX_VALUE_BYTES).zip(0..) {
            batch.put(&Key::vector(self.id(), passage, place), piece.to_vec());
        }
    }

    fn vector_pieces(&self) -> u32 {
        (self.dimensions * size_of::<f32>()).div_ceil(MAX_VALUE_BYTES) as u32
    }

    fn take_numbers(&self, counters: &mut Counters, passages: usize) -> Result<(u32, u32), Error> {
        let exhausted = || Error::NumbersExhausted {
            name: self.name.clone(),
        };
        let numbers = (counters.next_document, counters.next_passage);
        let passages = u32::try_from(passages).map_err(|_| exhausted())?;
        counters.next_document = numbers.0.checked_add(1).ok_or_else(exhausted)?;
        counters.next_passage = numbers.1.checked_add(passages).ok_or_else(exhausted)?;
        Ok(numbers)
    }
}

/// Checks documents of one write, whose ids must be distinct.
fn check_writes<'a>(
    documents: impl Iterator<Item = &'a DocumentWrite>,
    dimensions: usize,
) -> Result<(), Error> {
    let mut ids = HashSet::new();
    for document in documents {
        document.check(dimensions)?;
        if !ids.insert(document.draft.id.as_str()) {
            return Err(Error::DuplicateId {
                id: document.draft.id.clone(),
            });
        }
    }
    Ok(())
}

/// Keys removed in one batch when a dropped collection is cleaned up.
const MAX_REMOVALS_PER_BATCH: usize = 10_000;

/// Removes everything of a dropped collection, in bounded batches.
pub(crate) fn sweep(
    store: &crate::store::Store,
    collection: crate::store::CollectionId,
) -> Result<(), Error> {
    for range in KeyRange::of_collection(collection) {
        loop {
            let mut batch = WriteBatch::default();
            for entry in store.scan(&range).take(MAX_REMOVALS_PER_BATCH) {
                batch.remove(&entry?.0);
            }
            if batch.is_empty() {
                break;
            }
            store.apply(batch)?;
        }
    }
    let mut batch = WriteBatch::default();
    batch.remove(&Key::dropped(collection));
    store.apply(batch)?;
    Ok(())
}

/// Milliseconds since 1970; 0 on a clock before that.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}
