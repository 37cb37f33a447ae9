//! Reading documents and vectors from the record.

use super::body::{Body, BodyPieces};
use super::load::vector;
use super::reader::Reader;
use crate::store::{
    CollectionId, Counters, DocumentRecord, Key, KeyRange, MAX_VALUE_BYTES, PassageRecord, Store,
};
use crate::{Error, Metadata, StoredDocument, StoredPassage};

/// Times a document is read again when it changes under the reader.
const MAX_READS: usize = 100;

impl Reader {
    /// A document by its id.
    ///
    /// # Errors
    /// When the store fails.
    pub fn get(&self, id: &str) -> Result<Option<StoredDocument>, Error> {
        Ok(self
            .consistent(id, |record| self.body(record))?
            .map(|(record, body)| document(id, record, body)))
    }

    /// A document's passages in their order; with their vectors when asked for.
    ///
    /// # Errors
    /// When the store fails.
    pub fn passages(
        &self,
        id: &str,
        with_vectors: bool,
    ) -> Result<Option<Vec<StoredPassage>>, Error> {
        let read = |record: &DocumentRecord| {
            record
                .passage_numbers()
                .map(|number| self.passage(number, with_vectors))
                .collect::<Result<Option<Vec<_>>, Error>>()
        };
        Ok(self.consistent(id, read)?.map(|(_, passages)| passages))
    }

    /// A document with its passages, both of one version; with their vectors when asked for.
    ///
    /// # Errors
    /// When the store fails.
    pub fn get_whole(
        &self,
        id: &str,
        with_vectors: bool,
    ) -> Result<Option<(StoredDocument, Vec<StoredPassage>)>, Error> {
        let whole = self.consistent(id, |record| self.whole(record, with_vectors))?;
        Ok(whole.map(|(record, (body, passages))| (document(id, record, body), passages)))
    }

    fn whole(
        &self,
        record: &DocumentRecord,
        with_vectors: bool,
    ) -> Result<Option<(Body, Vec<StoredPassage>)>, Error> {
        let body = self.body(record)?;
        let passages = record
            .passage_numbers()
            .map(|number| self.passage(number, with_vectors))
            .collect::<Result<Option<Vec<_>>, Error>>()?;
        Ok(body.zip(passages))
    }

    /// Documents in the order of their ids, those after `after`.
    ///
    /// # Errors
    /// When the store fails.
    pub fn list(&self, after: Option<&str>, limit: usize) -> Result<Vec<StoredDocument>, Error> {
        let mut documents = Vec::new();
        for entry in self
            .store
            .scan(&KeyRange::documents_after(self.id(), after))
        {
            if documents.len() >= limit {
                break;
            }
            let (key, _) = entry?;
            let id = key
                .document_id()
                .ok_or_else(|| self.unreadable("a document's key"))?;
            // Deleted since the scan came by: not a part of the page.
            documents.extend(self.get(id)?);
        }
        Ok(documents)
    }

    /// Calls `visit` for documents in the order of their ids, those after `after`, until it says false.
    /// One is in memory at a time. Without `with_text`, texts are not read, and empty.
    ///
    /// # Errors
    /// When the store fails, or what `visit` returns.
    pub fn visit_documents<E: From<Error>>(
        &self,
        after: Option<&str>,
        with_text: bool,
        mut visit: impl FnMut(StoredDocument) -> Result<bool, E>,
    ) -> Result<(), E> {
        let range = KeyRange::documents_after(self.id(), after);
        for entry in self.store.scan(&range) {
            let (key, _) = entry?;
            let id = key
                .document_id()
                .ok_or_else(|| self.unreadable("a document's key"))?;
            let read = self.consistent(id, |record| match with_text {
                true => self.body(record),
                false => self.body_without_text(record),
            })?;
            if let Some((record, body)) = read
                && !visit(document(id, record, body))?
            {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The vector that stands for a document: the mean of its passages' vectors.
    ///
    /// # Errors
    /// When the store fails.
    pub fn mean_vector(&self, id: &str) -> Result<Option<Vec<f32>>, Error> {
        let mean = self.consistent(id, |record| {
            let mut mean = vec![0.0; self.dimensions];
            let scale = 1.0 / record.passages as f32;
            for number in record.passage_numbers() {
                let vector = vector(&self.store, self.id(), number)?;
                if vector.len() != mean.len() {
                    return Ok(None);
                }
                let pairs = mean.iter_mut().zip(vector);
                pairs.for_each(|(mean, value)| *mean += value);
            }
            mean.iter_mut().for_each(|value| *value *= scale);
            Ok(Some(mean))
        })?;
        Ok(mean.map(|(_, mean)| mean))
    }

    /// Returns how many documents [`Writer::delete_unchanged`](super::Writer::delete_unchanged) would delete.
    ///
    /// # Errors
    /// When the store fails.
    pub fn count_unchanged(&self, ids: &[String], since_ms: u64) -> Result<u64, Error> {
        let mut unchanged = 0;
        for id in ids {
            let record = self.document_record(id)?;
            unchanged += u64::from(record.is_some_and(|record| record.updated_at_ms < since_ms));
        }
        Ok(unchanged)
    }

    /// As [`Self::list`], each document with its passages, both of one version; no more after those read
    /// so far take `max_bytes` together.
    ///
    /// # Errors
    /// When the store fails.
    pub fn list_whole(
        &self,
        after: Option<&str>,
        limit: usize,
        max_bytes: usize,
        with_vectors: bool,
    ) -> Result<Vec<(StoredDocument, Vec<StoredPassage>)>, Error> {
        let range = KeyRange::documents_after(self.id(), after);
        let (mut documents, mut bytes) = (Vec::new(), 0);
        for entry in self.store.scan(&range) {
            if documents.len() >= limit || bytes >= max_bytes {
                break;
            }
            let (key, _) = entry?;
            let id = key
                .document_id()
                .ok_or_else(|| self.unreadable("a document's key"))?;
            let whole = self.consistent(id, |record| self.whole(record, with_vectors))?;
            let Some((record, (body, passages))) = whole else {
                continue;
            };
            let vector_bytes = if with_vectors {
                self.dimensions * size_of::<f32>()
            } else {
                0
            };
            bytes += record.body_pieces as usize * MAX_VALUE_BYTES;
            bytes += passages.len() * (size_of::<StoredPassage>() + vector_bytes);
            documents.push((document(id, record, body), passages));
        }
        Ok(documents)
    }

    /// Reads what belongs to a document's record. A batch of a writer is atomic, so what was read
    /// between two equal records is of one version.
    pub(super) fn consistent<T>(
        &self,
        id: &str,
        read: impl Fn(&DocumentRecord) -> Result<Option<T>, Error>,
    ) -> Result<Option<(DocumentRecord, T)>, Error> {
        let mut record = self.document_record(id)?;
        for _ in 0..MAX_READS {
            let Some(before) = record else {
                return Ok(None);
            };
            let value = read(&before);
            record = self.document_record(id)?;
            if record == Some(before) {
                let value = value?.ok_or_else(|| self.unreadable("a part of a document"))?;
                return Ok(Some((before, value)));
            }
        }
        Err(Error::Stale { id: id.to_owned() })
    }

    pub(super) fn document_record(&self, id: &str) -> Result<Option<DocumentRecord>, Error> {
        let value = self.store.get(&Key::document(self.id(), id))?;
        value
            .map(|bytes| {
                DocumentRecord::from_bytes(&bytes)
                    .ok_or_else(|| self.unreadable("a document's record"))
            })
            .transpose()
    }

    /// The id of the document with an internal number, if it still has that number.
    pub(super) fn document_id(&self, number: u32) -> Result<Option<String>, Error> {
        let value = self.store.get(&Key::number(self.id(), number))?;
        value
            .map(|bytes| String::from_utf8(bytes).map_err(|_| self.unreadable("a document's id")))
            .transpose()
    }

    pub(super) fn body(&self, record: &DocumentRecord) -> Result<Option<Body>, Error> {
        let mut bytes = Vec::new();
        for piece in 0..record.body_pieces {
            match self
                .store
                .get(&Key::body(self.id(), record.number, piece))?
            {
                Some(piece) => bytes.extend_from_slice(&piece),
                None => return Ok(None),
            }
        }
        Ok(Body::from_bytes(&bytes))
    }

    pub(super) fn body_without_text(&self, record: &DocumentRecord) -> Result<Option<Body>, Error> {
        let Some(mut body) = BodyPieces::open(self, record)? else {
            return Ok(None);
        };
        let parts = body.title()?.zip(body.metadata()?);
        Ok(parts.map(|(title, metadata)| Body {
            title,
            text: String::new(),
            metadata,
        }))
    }

    /// The metadata alone.
    pub(super) fn metadata_of(&self, record: &DocumentRecord) -> Result<Option<Metadata>, Error> {
        match BodyPieces::open(self, record)? {
            Some(mut body) => body.metadata(),
            None => Ok(None),
        }
    }

    pub(super) fn passage(
        &self,
        number: u32,
        with_vector: bool,
    ) -> Result<Option<StoredPassage>, Error> {
        let Some(value) = self.store.get(&Key::passage(self.id(), number))? else {
            return Ok(None);
        };
        let Some(record) = PassageRecord::from_bytes(&value) else {
            return Ok(None);
        };
        let vector = if with_vector {
            Some(vector(&self.store, self.id(), number)?)
        } else {
            None
        };
        Ok(Some(StoredPassage {
            start: record.start as usize,
            end: record.end as usize,
            vector,
        }))
    }

    pub(super) fn unreadable(&self, what: &str) -> Error {
        self.store.corrupt(format!(
            "{what} in the collection {:?} cannot be read",
            self.name
        ))
    }
}

pub(super) fn document(id: &str, record: DocumentRecord, body: Body) -> StoredDocument {
    StoredDocument {
        id: id.to_owned(),
        title: body.title,
        text: body.text,
        metadata: body.metadata,
        passages: record.passages as usize,
        created_at_ms: record.created_at_ms,
        updated_at_ms: record.updated_at_ms,
    }
}

/// The numbers that are free next.
pub(super) fn counters(store: &Store, collection: CollectionId) -> Result<Counters, Error> {
    match store.get(&Key::counters(collection))? {
        None => Ok(Counters::default()),
        Some(bytes) => Counters::from_bytes(&bytes)
            .ok_or_else(|| store.corrupt("a collection's counters cannot be read")),
    }
}
