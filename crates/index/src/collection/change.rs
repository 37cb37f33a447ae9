//! A batch in the making: what a document puts into the record, and what goes with it into the state.

use std::borrow::Borrow;
use std::sync::Arc;

use super::Writer;
use super::body::Body;
use super::state::{State, WriterState};
use crate::content_hash::ContentHash;
use crate::lexical::{PieceBuilder, WordCounts};
use crate::metadata_index::MetadataIndex;
use crate::store::{Counters, DocumentRecord, Key, MAX_VALUE_BYTES, PassageRecord, WriteBatch};
use crate::vectors::{NewRow, VectorSpace, normalized};
use crate::{DocumentDraft, DocumentWrite, Error, Metadata, NewPassage};

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

/// A batch in the making, with the state that goes with it.
pub(super) struct Change {
    pub(super) batch: WriteBatch,
    pub(super) state: State,
    /// The words of new passages, to be added to it.
    pub(super) new_words: PieceBuilder,
    pub(super) counters: Counters,
    pub(super) now_ms: u64,
    /// Whether something is stored, and not only taken away.
    pub(super) adds: bool,
    /// Whether it is of a generation that is being filled.
    pub(super) lacks_documents: bool,
}

/// When a document was stored and when it changed, milliseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) created_at_ms: u64,
    pub(super) updated_at_ms: u64,
}

impl Change {
    /// Nothing yet, at a moment.
    pub(super) fn of(state: &WriterState, batch: WriteBatch, now_ms: u64) -> Self {
        Self {
            batch,
            state: state.staged.clone(),
            new_words: PieceBuilder::default(),
            counters: state.counters,
            now_ms,
            adds: false,
            lacks_documents: state.lacks_documents,
        }
    }

    /// The times of a document that changes now.
    pub(super) fn times_since(&self, created_at_ms: u64) -> Times {
        Times {
            created_at_ms,
            updated_at_ms: self.now_ms,
        }
    }

    pub(super) fn vectors(&mut self) -> &mut VectorSpace {
        Arc::make_mut(&mut self.state.vectors)
    }

    pub(super) fn metadata(&mut self) -> &mut MetadataIndex {
        Arc::make_mut(&mut self.state.metadata)
    }

    /// The number that the next new document gets.
    pub(super) fn next_document(&self) -> u32 {
        self.counters.next_document
    }
}

impl Writer {
    /// Stores a document. One that is new here has these times; without them it is new everywhere.
    pub(super) fn put<D: Borrow<DocumentDraft>>(
        &self,
        change: &mut Change,
        document: &DocumentWrite<D>,
        words: Vec<WordCounts>,
        times: Option<Times>,
    ) -> Result<UpsertStatus, Error> {
        let draft = document.draft();
        let hash = ContentHash::of(draft);
        let record = self.reader.document_record(&draft.id)?;
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
                let times = times.unwrap_or_else(|| change.times_since(change.now_ms));
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
    pub(super) fn words_of<D: Borrow<DocumentDraft>>(
        &self,
        document: &DocumentWrite<D>,
    ) -> Vec<WordCounts> {
        let DocumentDraft { title, text, .. } = document.draft();
        let passages = document.passages.iter().flatten();
        let settings = self.reader.settings();
        let words = |passage: &NewPassage| match settings.lexical {
            true => {
                let text = &text[passage.start..passage.end];
                WordCounts::of(title.as_deref(), text, settings.words)
            }
            false => WordCounts::default(),
        };
        passages.map(words).collect()
    }

    pub(super) fn create(
        &self,
        change: &mut Change,
        draft: &DocumentDraft,
        passages: Vec<(&NewPassage, WordCounts)>,
        hash: ContentHash,
        times: Times,
    ) -> Result<(), Error> {
        change.adds = true;
        let (number, first_passage) = self.take_numbers(&mut change.counters, passages.len())?;
        let count = passages.len() as u32;
        let mut rows = Vec::with_capacity(passages.len());
        for ((passage, words), place) in passages.into_iter().zip(first_passage..) {
            let record = PassageRecord {
                document: number,
                start: passage.start as u32,
                end: passage.end as u32,
            };
            let key = Key::passage(self.reader.id(), place);
            change.batch.put(&key, record.to_bytes());
            if self.reader.settings().lexical {
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
        let key = Key::number(self.reader.id(), number);
        change.batch.put(&key, draft.id.clone().into_bytes());
        let record = DocumentRecord {
            number,
            first_passage,
            passages: count,
            body_pieces: self.put_body(&mut change.batch, number, draft),
            hash,
            created_at_ms: times.created_at_ms,
            updated_at_ms: times.updated_at_ms,
        };
        let key = Key::document(self.reader.id(), &draft.id);
        change.batch.put(&key, record.to_bytes());
        change.vectors().add_document(&rows);
        change
            .metadata()
            .add(number, record.passage_numbers(), &draft.metadata);
        Ok(())
    }

    /// Writes body and record again; passages and vectors stay.
    pub(super) fn put_metadata(
        &self,
        change: &mut Change,
        draft: &DocumentDraft,
        record: &DocumentRecord,
        hash: ContentHash,
    ) -> Result<DocumentRecord, Error> {
        change.adds = true;
        let old = self.stored_metadata(record)?;
        change
            .metadata()
            .replace(record.number, &old, &draft.metadata);
        let body_pieces = self.put_body(&mut change.batch, record.number, draft);
        for piece in body_pieces..record.body_pieces {
            let key = Key::body(self.reader.id(), record.number, piece);
            change.batch.remove(&key);
        }
        let record = DocumentRecord {
            body_pieces,
            hash,
            updated_at_ms: change.now_ms,
            ..*record
        };
        let key = Key::document(self.reader.id(), &draft.id);
        change.batch.put(&key, record.to_bytes());
        Ok(record)
    }

    pub(super) fn remove(
        &self,
        change: &mut Change,
        id: &str,
        record: &DocumentRecord,
    ) -> Result<(), Error> {
        let metadata = self.stored_metadata(record)?;
        change.metadata().remove(record.number, &metadata);
        let batch = &mut change.batch;
        batch.remove(&Key::document(self.reader.id(), id));
        batch.remove(&Key::number(self.reader.id(), record.number));
        for piece in 0..record.body_pieces {
            batch.remove(&Key::body(self.reader.id(), record.number, piece));
        }
        for passage in record.passage_numbers() {
            batch.remove(&Key::passage(self.reader.id(), passage));
            for piece in 0..self.vector_pieces() {
                batch.remove(&Key::vector(self.reader.id(), passage, piece));
            }
        }
        change.vectors().remove_document(record.passage_numbers());
        Arc::make_mut(&mut change.state.words).remove(record.passage_numbers());
        change.counters.removed_passages = change.state.vectors.removed_passages();
        Ok(())
    }

    /// The metadata of a document that no other writer can change now.
    pub(super) fn stored_metadata(&self, record: &DocumentRecord) -> Result<Metadata, Error> {
        let metadata = self.reader.metadata_of(record)?;
        metadata.ok_or_else(|| self.reader.unreadable("a document's metadata"))
    }

    fn put_body(&self, batch: &mut WriteBatch, number: u32, draft: &DocumentDraft) -> u32 {
        let body = Body {
            title: draft.title.clone(),
            text: draft.text.clone(),
            metadata: draft.metadata.clone(),
        };
        let mut pieces = 0;
        for piece in body.to_bytes().chunks(MAX_VALUE_BYTES) {
            batch.put(&Key::body(self.reader.id(), number, pieces), piece.to_vec());
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
            batch.put(
                &Key::vector(self.reader.id(), passage, place),
                piece.to_vec(),
            );
        }
    }

    fn vector_pieces(&self) -> u32 {
        (self.reader.dimensions * size_of::<f32>()).div_ceil(MAX_VALUE_BYTES) as u32
    }

    fn take_numbers(&self, counters: &mut Counters, passages: usize) -> Result<(u32, u32), Error> {
        let exhausted = || Error::NumbersExhausted {
            name: self.reader.name.clone(),
        };
        let numbers = (counters.next_document, counters.next_passage);
        let passages = u32::try_from(passages).map_err(|_| exhausted())?;
        counters.next_document = numbers.0.checked_add(1).ok_or_else(exhausted)?;
        counters.next_passage = numbers.1.checked_add(passages).ok_or_else(exhausted)?;
        Ok(numbers)
    }
}
