//! Versions of documents: how a new one comes to count.
//!
//! 1. The passages of the new versions are written. Nobody finds them: no document has these versions.
//! 2. The points of the documents are written, each under the condition that it still has the version that it had when it
//!    was planned. That is the step after which the new version counts, and it is one point's, so it happens or does not.
//! 3. The points are read again: one that does not have its new version was changed by somebody else, and what was
//!    written for it is removed ([`Error::Stale`]).
//! 4. The passages of the versions before are removed. Until then, searches pass over them.
//!
//! Whoever is killed after the first step leaves passages that nobody finds, after the second or third one passages that
//! do not count any more; [`crate::sweep`] removes both.

use std::time::{SystemTime, UNIX_EPOCH};

use qdrant_client::qdrant::{Filter, PointStruct, UpsertPoints, Vector};
use siamese_index::{
    CollectionSettings, ContentHash, DocumentDraft, Error, NewPassage, WordCounts, normalized,
};
use uuid::Uuid;

use crate::Writer;
use crate::conditions::is_any;
use crate::document_point::{self, Summary};
use crate::ids::{self, Version};
use crate::passage_point::{self, Owner};
use crate::registry::one_after_another;
use crate::word_vector;

/// Bytes of points in one call; a node takes 32 MiB.
const MAX_CALL_BYTES: usize = 4 << 20;
/// About what a point takes besides its vector and its text.
const POINT_BYTES: usize = 512;

/// What a document is to become.
#[derive(Debug)]
pub(crate) struct NewVersion<'a> {
    draft: &'a DocumentDraft,
    pub(crate) summary: Summary,
    /// Of each passage the vector, and that of its words where words are indexed.
    vectors: Vec<(Vec<f32>, Option<Vector>)>,
    /// What it was before, if it was there.
    before: Option<Version>,
}

impl<'a> NewVersion<'a> {
    /// # Errors
    /// When there are no random numbers.
    pub(crate) fn of(
        draft: &'a DocumentDraft,
        passages: &[NewPassage],
        before: Option<&Summary>,
        settings: &CollectionSettings,
    ) -> Result<Self, Error> {
        let now_ms = now_ms();
        Ok(Self {
            draft,
            summary: Summary {
                point: ids::of_name(&draft.id),
                id: draft.id.clone(),
                version: Version::new()?,
                hash: ContentHash::of(draft),
                spans: passages.iter().map(|it| (it.start, it.end)).collect(),
                created_at_ms: before.map_or(now_ms, |before| before.created_at_ms),
                updated_at_ms: now_ms,
            },
            vectors: passages
                .iter()
                .map(|passage| {
                    let words = settings.lexical.then(|| {
                        let text = &draft.text[passage.start..passage.end];
                        WordCounts::of(draft.title.as_deref(), text, settings.words)
                    });
                    let words = words.as_ref().and_then(word_vector::of_passage);
                    (normalized(&passage.vector), words)
                })
                .collect(),
            before: before.map(|before| before.version),
        })
    }

    /// The same with the times that it has elsewhere.
    pub(crate) fn at(mut self, created_at_ms: u64, updated_at_ms: u64) -> Self {
        self.summary.created_at_ms = created_at_ms;
        self.summary.updated_at_ms = updated_at_ms;
        self
    }

    fn passage_points(&self) -> impl Iterator<Item = PointStruct> {
        let terms = passage_point::terms_of(&self.draft.metadata);
        let (document, version) = (self.summary.point, self.summary.version);
        let written_at_ms = now_ms();
        self.vectors
            .iter()
            .zip(0..)
            .map(move |((vector, words), ordinal)| {
                let owner = Owner {
                    document,
                    version,
                    ordinal,
                };
                passage_point::point(owner, vector.clone(), words.clone(), &terms, written_at_ms)
            })
    }
}

impl Writer {
    /// Makes versions the ones that count.
    ///
    /// # Errors
    /// [`Error::Stale`] for the first document that somebody else has changed meanwhile; others may count already. Or a
    /// cluster that fails.
    pub(crate) fn write(&self, versions: &[NewVersion<'_>]) -> Result<(), Error> {
        if versions.is_empty() {
            return Ok(());
        }
        let reader = &self.reader;
        let passages = versions.iter().flat_map(NewVersion::passage_points);
        self.put_points(&reader.passages, passages, None)?;
        let before: Vec<String> = versions
            .iter()
            .filter_map(|version| version.before)
            .map(Version::text)
            // So that the step may be made twice.
            .chain(
                versions
                    .iter()
                    .map(|version| version.summary.version.text()),
            )
            .collect();
        let documents = versions
            .iter()
            .map(|version| document_point::point(version.draft, &version.summary));
        // Versions are random: one that is in the list is that of its own document. A point that is not there is made.
        let unchanged = is_any(document_point::VERSION.to_owned(), before);
        self.put_points(&reader.documents, documents, Some(&unchanged))?;
        self.settle(versions)
    }

    /// Removes the passages of those versions that do not count.
    fn settle(&self, versions: &[NewVersion<'_>]) -> Result<(), Error> {
        let points: Vec<Uuid> = versions.iter().map(|it| it.summary.point).collect();
        let current = self.reader.versions(&points)?;
        let (mut gone, mut stale) = (Vec::new(), None);
        for NewVersion {
            summary, before, ..
        } in versions
        {
            let counts = current.get(&summary.point).map(|(_, version)| *version);
            if counts == Some(summary.version) {
                gone.extend(*before);
            } else {
                gone.push(summary.version);
                stale.get_or_insert_with(|| summary.id.clone());
            }
        }
        if let Err(error) = self.remove_passages(&gone) {
            // They are found by nobody, and swept later.
            tracing::debug!(%error, "passages that do not count any more were left");
        }
        stale.map_or(Ok(()), |id| Err(Error::Stale { id }))
    }

    fn put_points(
        &self,
        collection: &str,
        points: impl Iterator<Item = PointStruct>,
        unless_changed: Option<&Filter>,
    ) -> Result<(), Error> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        let send = |batch: Vec<PointStruct>| {
            let request = UpsertPoints {
                collection_name: collection.to_owned(),
                wait: Some(true),
                ordering: unless_changed.and_then(|_| one_after_another()),
                points: batch,
                update_filter: unless_changed.cloned(),
                ..UpsertPoints::default()
            };
            let sent = self.reader.tell(&request, |client, request| async move {
                client.upsert_points(request).await
            });
            sent.map(drop)
        };
        for point in points {
            let point_bytes = POINT_BYTES + prost_bytes(&point);
            if bytes + point_bytes > MAX_CALL_BYTES && !batch.is_empty() {
                send(std::mem::take(&mut batch))?;
                bytes = 0;
            }
            bytes += point_bytes;
            batch.push(point);
        }
        match batch.is_empty() {
            true => Ok(()),
            false => send(batch),
        }
    }
}

fn prost_bytes(point: &PointStruct) -> usize {
    prost::Message::encoded_len(point)
}

pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}
