//! What writes a collection.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::sync::Arc;

use siamese_index::{
    ContentHash, DocumentDraft, DocumentWrite, Error, Filter, ImportedDocument, Metadata,
    NewPassage, StoredDocument, UpsertStatus, Upserted, WritePlan, check_metadata, check_writes,
    merge_metadata, metadata_bytes,
};
use uuid::Uuid;

use crate::Reader;
use crate::conditions::{has_id, is_any, nested};
use crate::document_point::{self, Summary};
use crate::ids::{self, Version};
use crate::passage_point;
use crate::registry::delete_matching;
use crate::write::NewVersion;

/// Times a change of metadata is tried again when the document changes meanwhile.
const MAX_PATCHES: usize = 5;
/// Documents deleted at once.
const MAX_DOCUMENTS_PER_BATCH: u32 = 256;
/// Bytes of a document's metadata, with what a patch adds.
const MAX_METADATA_BYTES: usize = siamese_index::MAX_METADATA_BYTES;

/// Plans, stores, changes and deletes.
#[derive(Debug)]
pub struct Writer {
    pub(crate) reader: Arc<Reader>,
}

impl Writer {
    pub(crate) fn new(reader: Arc<Reader>) -> Self {
        Self { reader }
    }

    /// What reads the same collection.
    pub fn reader(&self) -> &Arc<Reader> {
        &self.reader
    }

    /// What each draft would need, so that nothing is encoded twice.
    ///
    /// # Errors
    /// When the cluster fails.
    pub fn plan(&self, drafts: &[DocumentDraft]) -> Result<Vec<WritePlan>, Error> {
        let stored = self
            .reader
            .summaries(drafts.iter().map(|draft| draft.id.as_str()))?;
        let plans = drafts.iter().map(|draft| {
            let Some(summary) = stored.get(&ids::of_name(&draft.id)) else {
                return WritePlan::Encode;
            };
            let (hash, passages) = (ContentHash::of(draft), summary.spans.len());
            if summary.hash == hash {
                WritePlan::Unchanged { passages }
            } else if summary.hash.encoded == hash.encoded {
                WritePlan::MetadataOnly { passages }
            } else {
                WritePlan::Encode
            }
        });
        Ok(plans.collect())
    }

    /// Stores documents with distinct ids. On return they are durable and found by searches. Each becomes visible as a
    /// whole, one after another.
    ///
    /// # Errors
    /// Bad input, [`Error::Stale`] when a document was changed by somebody else meanwhile, or a cluster that fails. Some of
    /// the documents may have been stored then.
    pub fn upsert<D: Borrow<DocumentDraft>>(
        &self,
        documents: &[DocumentWrite<D>],
    ) -> Result<Upserted, Error> {
        check_writes(documents.iter(), self.reader.dimensions())?;
        let ids = documents
            .iter()
            .map(|document| document.draft.borrow().id.as_str());
        let stored = self.reader.summaries(ids)?;
        let (mut statuses, mut versions) = (Vec::new(), Vec::new());
        for document in documents {
            let draft = document.draft.borrow();
            let before = stored.get(&ids::of_name(&draft.id));
            let (status, version) =
                self.next_version(draft, document.passages.as_deref(), before)?;
            statuses.push(status);
            versions.extend(version);
        }
        self.write(&versions)?;
        Ok(Upserted { statuses, place: 0 })
    }

    /// Stores documents as an index had them, with their vectors and times. What is stored under their ids is replaced,
    /// unless it is the same. Returns how many were written.
    ///
    /// # Errors
    /// As [`Self::upsert`].
    pub fn import(&self, documents: &[ImportedDocument]) -> Result<usize, Error> {
        check_writes(
            documents.iter().map(|document| &document.write),
            self.reader.dimensions(),
        )?;
        let ids = documents
            .iter()
            .map(|document| document.write.draft.id.as_str());
        let stored = self.reader.summaries(ids)?;
        let settings = self.reader.settings();
        let mut versions = Vec::new();
        for ImportedDocument {
            write,
            created_at_ms,
            updated_at_ms,
        } in documents
        {
            let draft = &write.draft;
            let before = stored.get(&ids::of_name(&draft.id));
            if before.is_some_and(|before| before.hash == ContentHash::of(draft)) {
                continue;
            }
            let passages = write.passages.as_deref().ok_or_else(|| Error::Stale {
                id: draft.id.clone(),
            })?;
            let version = NewVersion::of(draft, passages, before, &settings)?;
            versions.push(version.at(*created_at_ms, *updated_at_ms));
        }
        let written = versions.len();
        self.write(&versions)?;
        Ok(written)
    }

    /// What a document becomes, if it changes.
    pub(crate) fn next_version<'a>(
        &self,
        draft: &'a DocumentDraft,
        passages: Option<&[NewPassage]>,
        before: Option<&Summary>,
    ) -> Result<(UpsertStatus, Option<NewVersion<'a>>), Error> {
        let hash = ContentHash::of(draft);
        let stale = || Error::Stale {
            id: draft.id.clone(),
        };
        match (before, passages) {
            (Some(before), _) if before.hash == hash => Ok((UpsertStatus::Unchanged, None)),
            (Some(before), _) if before.hash.encoded == hash.encoded => {
                let version = self.with_other_metadata(draft, before)?.ok_or_else(stale)?;
                Ok((UpsertStatus::Updated, Some(version)))
            }
            (_, None) => Err(stale()),
            (before, Some(passages)) => {
                let status = match before {
                    Some(_) => UpsertStatus::Updated,
                    None => UpsertStatus::Created,
                };
                let version = NewVersion::of(draft, passages, before, &self.reader.settings())?;
                Ok((status, Some(version)))
            }
        }
    }

    /// The same passages with the vectors that they have; nothing when they have been replaced meanwhile.
    fn with_other_metadata<'a>(
        &self,
        draft: &'a DocumentDraft,
        before: &Summary,
    ) -> Result<Option<NewVersion<'a>>, Error> {
        let Some(passages) = self.reader.passages_of(before, true)? else {
            return Ok(None);
        };
        let passages = passages.into_iter().map(|passage| NewPassage {
            start: passage.start,
            end: passage.end,
            vector: passage.vector.unwrap_or_default(),
        });
        let passages: Vec<NewPassage> = passages.collect();
        NewVersion::of(draft, &passages, Some(before), &self.reader.settings()).map(Some)
    }

    /// Merges metadata into a document's by RFC 7396. `None` when there is no such document. Metadata of more than
    /// `max_bytes` of JSON may only become less.
    ///
    /// # Errors
    /// Metadata that becomes too large, [`Error::Stale`] when others keep changing the document, or a cluster that fails.
    pub fn patch_metadata(
        &self,
        id: &str,
        patch: &Metadata,
        max_bytes: usize,
    ) -> Result<Option<StoredDocument>, Error> {
        for _ in 0..MAX_PATCHES {
            let Some(before) = self.reader.summary(id)? else {
                return Ok(None);
            };
            let Some(document) = self.reader.get(id)? else {
                return Ok(None);
            };
            let mut metadata = document.metadata.clone();
            merge_metadata(&mut metadata, patch);
            let bytes_before = metadata_bytes(&document.metadata);
            check_metadata(
                &metadata,
                max_bytes.min(MAX_METADATA_BYTES).max(bytes_before),
            )?;
            let draft = DocumentDraft {
                id: id.to_owned(),
                title: document.title.clone(),
                text: document.text.clone(),
                metadata,
            };
            let hash = ContentHash::of(&draft);
            if hash == before.hash {
                return Ok(Some(document));
            }
            if hash.encoded != before.hash.encoded {
                // The document was read in another version than its summary.
                continue;
            }
            let Some(version) = self.with_other_metadata(&draft, &before)? else {
                continue;
            };
            let updated_at_ms = version.summary.updated_at_ms;
            match self.write(&[version]) {
                Ok(()) => {
                    return Ok(Some(StoredDocument {
                        metadata: draft.metadata,
                        updated_at_ms,
                        ..document
                    }));
                }
                Err(Error::Stale { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::Stale { id: id.to_owned() })
    }

    /// Deletes documents. For each id, whether it was there.
    ///
    /// # Errors
    /// When the cluster fails.
    pub fn delete(&self, ids: &[String]) -> Result<Vec<bool>, Error> {
        let points: Vec<Uuid> = ids.iter().map(|id| ids::of_name(id)).collect();
        let stored = self.reader.versions(&points)?;
        let gone: Vec<(Uuid, Version)> = stored
            .iter()
            .map(|(point, (_, version))| (*point, *version))
            .collect();
        self.delete_points(&gone, false)?;
        let mut seen = HashSet::new();
        let were_there = points
            .iter()
            .map(|point| stored.contains_key(point) && seen.insert(*point));
        Ok(were_there.collect())
    }

    /// Deletes the documents that pass a filter, tells their points, and returns how many those were. They go in batches, and what was deleted
    /// before an error stays deleted. A document that changes while this runs is kept.
    ///
    /// # Errors
    /// [`Error::NotSupportedHere`], or a cluster that fails.
    pub fn delete_matching(
        &self,
        filter: &Filter,
        mut and_then: impl FnMut(&[Uuid]),
    ) -> Result<u64, Error> {
        let conditions = self.reader.point_filter(Some(filter))?;
        let fields = &[document_point::ID, document_point::VERSION];
        let (mut deleted, mut offset) = (0, None);
        loop {
            let (found, next) = self.reader.scroll(
                conditions.clone(),
                offset.take(),
                MAX_DOCUMENTS_PER_BATCH,
                fields,
            )?;
            let gone = found.iter().map(|point| {
                let id = crate::payload::read_text(&point.payload, document_point::ID)?;
                let version = document_point::version(&point.payload)?;
                Ok((ids::of_name(id), version))
            });
            let gone = gone.collect::<Result<Vec<_>, Error>>()?;
            self.delete_points(&gone, true)?;
            let points: Vec<Uuid> = gone.iter().map(|(point, _)| *point).collect();
            and_then(&points);
            deleted += gone.len() as u64;
            offset = next;
            if offset.is_none() {
                return Ok(deleted);
            }
        }
    }

    /// Deletes documents, then their passages. With `unchanged`, those alone that still have this version.
    pub(crate) fn delete_points(
        &self,
        gone: &[(Uuid, Version)],
        unchanged: bool,
    ) -> Result<(), Error> {
        if gone.is_empty() {
            return Ok(());
        }
        let versions: Vec<String> = gone.iter().map(|(_, version)| version.text()).collect();
        let of_versions = |field: &str| nested(is_any(field.to_owned(), versions.clone()));
        let mut documents =
            qdrant_client::qdrant::Filter::must([has_id(gone.iter().map(|(point, _)| *point))]);
        if unchanged {
            documents.must.push(of_versions(document_point::VERSION));
        }
        let reader = &self.reader;
        delete_matching(&reader.connection, &reader.documents, documents)?;
        self.remove_passages(&gone.iter().map(|(_, version)| *version).collect::<Vec<_>>())
    }

    /// Removes the passages of versions that do not count any more.
    pub(crate) fn remove_passages(&self, versions: &[Version]) -> Result<(), Error> {
        if versions.is_empty() {
            return Ok(());
        }
        let versions = versions.iter().map(|version| version.text()).collect();
        let filter = is_any(passage_point::VERSION.to_owned(), versions);
        let reader = &self.reader;
        delete_matching(&reader.connection, &reader.passages, filter)
    }
}
