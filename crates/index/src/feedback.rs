//! Feedback: which documents were useful for which queries.

use std::sync::Arc;

use crate::collection::Collection;
use crate::collections::Collections;
use crate::document::check_id;
use crate::store::{FeedbackRecord, Key, WriteBatch, next_collection_id};
use crate::{Error, Index};

/// Bytes of the query of a judgement: it stands in one value of the store.
pub const MAX_JUDGED_QUERY_BYTES: usize = 3072;

/// Says whether a document is useful for a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// 1 to [`MAX_JUDGED_QUERY_BYTES`] bytes.
    pub query: String,
    /// The document's id.
    pub document: String,
    /// Whether it is.
    pub is_useful: bool,
}

/// A judgement as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredJudgement {
    /// What was said.
    pub judgement: Judgement,
    /// When it was said, milliseconds since 1970.
    pub at_ms: u64,
    /// Where it stands among all of its collection; those after it come after this place.
    pub place: Vec<u8>,
}

/// How much feedback a collection may have. More is refused.
#[derive(Debug, Clone, Copy)]
pub struct FeedbackLimits {
    /// Judgements.
    pub max_judgements: u64,
    /// Bytes on the disk, before sled's own.
    pub max_bytes: u64,
}

/// How much feedback a collection has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FeedbackStats {
    /// Judgements.
    pub judgements: u64,
    /// Bytes on the disk, before sled's own.
    pub bytes: u64,
}

/// What became of judgements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FeedbackOutcome {
    /// Nothing had been said about the document and the query.
    pub created: u64,
    /// The opposite had been said.
    pub changed: u64,
}

impl Judgement {
    pub(crate) fn check(&self) -> Result<(), Error> {
        check_id(&self.document)?;
        match (1..=MAX_JUDGED_QUERY_BYTES).contains(&self.query.len()) {
            true => Ok(()),
            false => Err(Error::JudgedQueryLength {
                bytes: self.query.len(),
                max_bytes: MAX_JUDGED_QUERY_BYTES,
            }),
        }
    }
}

impl Collections {
    /// Gives a collection a place for feedback, if it has none.
    fn prepare_feedback(&self, name: &str) -> Result<(), Error> {
        if self.feedback_record(name)?.is_some() {
            return Ok(());
        }
        let _changing = self.lock_changes();
        self.named(name)?;
        if self.feedback_record(name)?.is_some() {
            return Ok(());
        }
        let number = next_collection_id(&self.loader.store)?;
        let record = FeedbackRecord {
            number,
            judgements: 0,
            bytes: 0,
        };
        let mut batch = WriteBatch::default();
        batch.put(
            &Key::next_collection(),
            (number.0 + 1).to_le_bytes().to_vec(),
        );
        batch.put(&Key::feedback(name), record.to_bytes());
        self.commit(batch)
    }

    /// What is known of the feedback of a collection.
    pub(crate) fn feedback_record(&self, name: &str) -> Result<Option<FeedbackRecord>, Error> {
        let store = &self.loader.store;
        let Some(bytes) = store.get(&Key::feedback(name))? else {
            return Ok(None);
        };
        let record = FeedbackRecord::from_bytes(&bytes);
        record
            .map(Some)
            .ok_or_else(|| store.corrupt("the feedback of a collection"))
    }
}

impl Index {
    /// Stores judgements about documents of a collection, all or none. What was said last about a document and a
    /// query counts. On return they are durable.
    ///
    /// # Errors
    /// [`Error::CollectionNotFound`], [`Error::DocumentNotFound`], [`Error::FeedbackFull`], a query that is too
    /// long, or a store that fails. Nothing has been written then.
    pub fn put_feedback(
        &self,
        collection: &str,
        judgements: &[Judgement],
        limits: &FeedbackLimits,
    ) -> Result<FeedbackOutcome, Error> {
        judgements.iter().try_for_each(Judgement::check)?;
        let collection: Arc<Collection> = self.collection(collection)?;
        // What is refused leaves nothing behind.
        for Judgement { document, .. } in judgements {
            collection.writer().check_judged(document)?;
        }
        self.collections.prepare_feedback(collection.name())?;
        collection.writer().put_feedback(judgements, limits)
    }
}
