//! Storing, listing and deleting judgements.
//!
//! A judgement is about a document that is there: it is deleted with it, in the same batch. All generations have
//! the same documents, so there is one feedback for all of them, under the name of the collection.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::change::Change;
use super::{Reader, Writer};
use crate::Error;
use crate::clock::now_ms;
use crate::feedback::{FeedbackLimits, FeedbackOutcome, FeedbackStats, Judgement, StoredJudgement};
use crate::store::{FeedbackRecord, JudgementRecord, Key, KeyRange, QUERY_HASH_BYTES, WriteBatch};

/// Judgements that are deleted in one batch: bounds how long other writers wait.
const JUDGEMENTS_PER_BATCH: usize = 256;

impl Reader {
    /// How much feedback the collection has.
    ///
    /// # Errors
    /// When the store fails.
    pub fn feedback_stats(&self) -> Result<FeedbackStats, Error> {
        let record = self.feedback_record()?;
        Ok(
            record.map_or_else(FeedbackStats::default, |record| FeedbackStats {
                judgements: record.judgements,
                bytes: record.bytes,
            }),
        )
    }

    /// Judgements, those of one document together: all, or those of one document; those after a place, if one is
    /// given. `None` when there is no such place.
    ///
    /// # Errors
    /// When the store fails.
    pub fn feedback(
        &self,
        document: Option<&str>,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Option<Vec<StoredJudgement>>, Error> {
        let Some(FeedbackRecord { number, .. }) = self.feedback_record()? else {
            return Ok(after.is_none().then(Vec::new));
        };
        let mut range = KeyRange::judgements(number, document);
        if let Some(place) = after {
            let key = Key::judgement_at(number, place);
            match key.and_then(|key| range.after_key(&key)) {
                Some(rest) => range = rest,
                None => return Ok(None),
            }
        }
        let entries = self.store.scan(&range).take(limit);
        let judgements = entries.map(|entry| self.judgement(&entry?));
        judgements.collect::<Result<_, Error>>().map(Some)
    }

    fn judgement(&self, (key, value): &(Key, Vec<u8>)) -> Result<StoredJudgement, Error> {
        let parts = key.judged_document().zip(key.judgement_place());
        let read = parts.zip(JudgementRecord::from_bytes(value));
        let ((document, place), record) = read.ok_or_else(|| self.unreadable("a judgement"))?;
        Ok(StoredJudgement {
            judgement: Judgement {
                query: record.query,
                document: document.to_owned(),
                is_useful: record.is_useful,
            },
            at_ms: record.at_ms,
            place: place.to_vec(),
        })
    }

    fn feedback_record(&self) -> Result<Option<FeedbackRecord>, Error> {
        let Some(bytes) = self.store.get(&Key::feedback(&self.name))? else {
            return Ok(None);
        };
        let record = FeedbackRecord::from_bytes(&bytes);
        record
            .map(Some)
            .ok_or_else(|| self.unreadable("the feedback"))
    }
}

impl Writer {
    /// As [`crate::Index::put_feedback`], in a collection that has a place for it.
    pub(crate) fn put_feedback(
        &self,
        judgements: &[Judgement],
        limits: &FeedbackLimits,
    ) -> Result<FeedbackOutcome, Error> {
        self.reader.store.check_writable()?;
        // No document is deleted meanwhile.
        let gate = self.family.lock();
        let members = self.family.led_by(self)?;
        let before = self.living_feedback()?;
        let (mut record, mut outcome) = (before, FeedbackOutcome::default());
        let mut batch = WriteBatch::default();
        for (key, value) in members.lead().entries(record, judgements)? {
            match self.reader.store.get(&key)? {
                None => {
                    outcome.created += 1;
                    record.judgements += 1;
                    record.bytes += entry_bytes(&key, &value.to_bytes());
                }
                Some(old) if says(&old) == Some(value.is_useful) => continue,
                Some(_) => outcome.changed += 1,
            }
            batch.put(&key, value.to_bytes());
        }
        self.check_limits(&before, &record, limits)?;
        if batch.is_empty() {
            return Ok(outcome);
        }
        batch.put(&Key::feedback(&self.reader.name), record.to_bytes());
        let sequence = self.reader.store.apply(batch)?;
        drop(gate);
        self.reader.store.make_durable(sequence)?;
        Ok(outcome)
    }

    /// What is to be put under which keys. Of several judgements about the same, the last one.
    fn entries(
        &self,
        record: FeedbackRecord,
        judgements: &[Judgement],
    ) -> Result<BTreeMap<Key, JudgementRecord>, Error> {
        let (mut entries, at_ms) = (BTreeMap::new(), now_ms());
        for judgement in judgements {
            let Judgement {
                query, document, ..
            } = judgement;
            self.check_judged(document)?;
            let key = Key::judgement(record.number, document, &hash(query));
            let value = JudgementRecord {
                is_useful: judgement.is_useful,
                at_ms,
                query: query.clone(),
            };
            entries.insert(key, value);
        }
        Ok(entries)
    }

    /// Refuses what is said about a document that is not there.
    pub(crate) fn check_judged(&self, document: &str) -> Result<(), Error> {
        match self.reader.document_record(document)? {
            Some(_) => Ok(()),
            None => Err(Error::DocumentNotFound {
                id: document.to_owned(),
            }),
        }
    }

    /// Refuses what adds to feedback that is full.
    fn check_limits(
        &self,
        before: &FeedbackRecord,
        after: &FeedbackRecord,
        limits: &FeedbackLimits,
    ) -> Result<(), Error> {
        let FeedbackLimits {
            max_judgements,
            max_bytes,
        } = *limits;
        let name = || self.reader.name.clone();
        if after.judgements > max_judgements.max(before.judgements) {
            return Err(Error::FeedbackFull {
                name: name(),
                limit: "limits.max_feedback_per_collection",
                max: max_judgements,
            });
        }
        if after.bytes > max_bytes.max(before.bytes) {
            return Err(Error::FeedbackFull {
                name: name(),
                limit: "limits.max_feedback_bytes_per_collection",
                max: max_bytes,
            });
        }
        Ok(())
    }

    /// Deletes judgements: those of a document, those of a query, those of both, or all. Returns how many those were.
    /// They go in batches, and what was deleted before an error stays deleted.
    ///
    /// # Errors
    /// When the store fails.
    pub fn delete_feedback(
        &self,
        document: Option<&str>,
        query: Option<&str>,
    ) -> Result<u64, Error> {
        let Some(FeedbackRecord { number, .. }) = self.reader.feedback_record()? else {
            return Ok(0);
        };
        let (mut deleted, mut range) = (0, Some(KeyRange::judgements(number, document)));
        while let Some(rest) = range.take() {
            let mut keys = Vec::new();
            for entry in self.reader.store.scan(&rest) {
                let (key, value) = entry?;
                if query.is_none_or(|query| is_about(&value, query)) {
                    keys.push(key);
                }
                if keys.len() == JUDGEMENTS_PER_BATCH {
                    break;
                }
            }
            deleted += self.delete_judgements(&keys)?;
            let last = keys
                .pop()
                .filter(|_| keys.len() + 1 == JUDGEMENTS_PER_BATCH);
            range = last.and_then(|last| rest.after_key(&last));
        }
        Ok(deleted)
    }

    /// Deletes those of some judgements that are still there.
    fn delete_judgements(&self, keys: &[Key]) -> Result<u64, Error> {
        self.reader.store.check_writable()?;
        let gate = self.family.lock();
        self.family.led_by(self)?;
        let mut record = self.living_feedback()?;
        let (mut batch, mut deleted) = (WriteBatch::freeing_room(), 0);
        for key in keys {
            if let Some(value) = self.reader.store.get(key)? {
                record.forget(key, &value);
                batch.remove(key);
                deleted += 1;
            }
        }
        if batch.is_empty() {
            return Ok(0);
        }
        batch.put(&Key::feedback(&self.reader.name), record.to_bytes());
        let sequence = self.reader.store.apply(batch)?;
        drop(gate);
        self.reader.store.make_durable(sequence)?;
        Ok(deleted)
    }

    /// Deletes what was said about documents that are being deleted.
    pub(super) fn forget_feedback(&self, change: &mut Change, ids: &[String]) -> Result<(), Error> {
        let Some(before) = self.reader.feedback_record()? else {
            return Ok(());
        };
        let mut record = before;
        let distinct: BTreeSet<&String> = ids.iter().collect();
        for id in distinct.iter().take_while(|_| before.judgements > 0) {
            let range = KeyRange::judgements(record.number, Some(id));
            for entry in self.reader.store.scan(&range) {
                let (key, value) = entry?;
                record.forget(&key, &value);
                change.batch.remove(&key);
            }
        }
        if record != before {
            let key = Key::feedback(&self.reader.name);
            change.batch.put(&key, record.to_bytes());
        }
        Ok(())
    }

    /// The feedback of a collection that has been found to be there. The gate of the family is held.
    fn living_feedback(&self) -> Result<FeedbackRecord, Error> {
        let record = self.reader.feedback_record()?;
        record.ok_or_else(|| Error::CollectionNotFound {
            name: self.reader.name.clone(),
        })
    }
}

impl FeedbackRecord {
    fn forget(&mut self, key: &Key, value: &[u8]) {
        self.judgements = self.judgements.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(entry_bytes(key, value));
    }
}

fn entry_bytes(key: &Key, value: &[u8]) -> u64 {
    (key.as_bytes().len() + value.len()) as u64
}

fn says(value: &[u8]) -> Option<bool> {
    JudgementRecord::from_bytes(value).map(|record| record.is_useful)
}

fn is_about(value: &[u8], query: &str) -> bool {
    JudgementRecord::from_bytes(value).is_some_and(|record| record.query == query)
}

/// The first half of its SHA-256.
fn hash(query: &str) -> [u8; QUERY_HASH_BYTES] {
    let mut half = [0; QUERY_HASH_BYTES];
    half.copy_from_slice(&Sha256::digest(query)[..QUERY_HASH_BYTES]);
    half
}
