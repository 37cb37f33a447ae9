//! Reading documents, their versions and their passages.

use std::collections::HashMap;

use qdrant_client::qdrant::{Filter as PointFilter, PointId, RetrievedPoint, ScrollPoints};
use siamese_index::{Error, Metadata, StoredDocument, StoredPassage};
use uuid::Uuid;

use crate::Reader;
use crate::document_point::{self, Summary};
use crate::ids::{self, Version};
use crate::payload::{Payload, only};

/// Documents read in one call of a list, whose texts may be of a megabyte each, and without their texts.
const DOCUMENTS_PER_PAGE: u32 = 8;
const SUMMARIES_PER_PAGE: u32 = 256;

impl Reader {
    /// A document by its id.
    ///
    /// # Errors
    /// When the cluster fails.
    pub fn get(&self, id: &str) -> Result<Option<StoredDocument>, Error> {
        let payload = self.document_payload(id, document_point::WHOLE)?;
        payload.as_ref().map(document_point::document).transpose()
    }

    /// A document's passages in their order; with their vectors when asked for.
    ///
    /// # Errors
    /// When the cluster fails.
    pub fn passages(
        &self,
        id: &str,
        with_vectors: bool,
    ) -> Result<Option<Vec<StoredPassage>>, Error> {
        self.consistent(id, document_point::SUMMARY, |payload| {
            self.passages_of(&Summary::read(payload)?, with_vectors)
        })
    }

    /// A document with its passages, both of one version; with their vectors when asked for.
    ///
    /// # Errors
    /// When the cluster fails.
    pub fn get_whole(
        &self,
        id: &str,
        with_vectors: bool,
    ) -> Result<Option<(StoredDocument, Vec<StoredPassage>)>, Error> {
        self.consistent(id, document_point::WHOLE, |payload| {
            let passages = self.passages_of(&Summary::read(payload)?, with_vectors)?;
            let document = document_point::document(payload)?;
            Ok(passages.map(|passages| (document, passages)))
        })
    }

    /// A document's metadata, version and passages with their vectors, all of one version.
    pub(crate) fn get_version(
        &self,
        id: &str,
    ) -> Result<Option<(Metadata, Version, Vec<StoredPassage>)>, Error> {
        self.consistent(id, document_point::WITHOUT_TEXT, |payload| {
            let summary = Summary::read(payload)?;
            let passages = self.passages_of(&summary, true)?;
            let metadata = document_point::metadata(payload)?;
            Ok(passages.map(|passages| (metadata, summary.version, passages)))
        })
    }

    /// Calls `visit` for documents in the order of their points, those after `after`, until it says false. Without
    /// `with_text`, texts are not read, and empty.
    ///
    /// # Errors
    /// When the cluster fails.
    pub fn visit_documents(
        &self,
        after: Option<&str>,
        with_text: bool,
        visit: &mut dyn FnMut(StoredDocument) -> bool,
    ) -> Result<(), Error> {
        let fields = match with_text {
            true => document_point::WHOLE,
            false => document_point::WITHOUT_TEXT,
        };
        self.visit_points(after, fields, &mut |payload| {
            Ok(visit(document_point::document(&payload)?))
        })
    }

    /// Documents with their passages in the order of their points, each of one version; no more after those read so far
    /// take `max_bytes` together.
    ///
    /// # Errors
    /// When the cluster fails.
    pub fn list_whole(
        &self,
        after: Option<&str>,
        limit: usize,
        max_bytes: usize,
        with_vectors: bool,
    ) -> Result<Vec<(StoredDocument, Vec<StoredPassage>)>, Error> {
        let (mut listed, mut bytes) = (Vec::new(), 0);
        let vector_bytes = match with_vectors {
            true => self.dimensions() * size_of::<f32>(),
            false => 0,
        };
        self.visit_points(after, document_point::WHOLE, &mut |payload| {
            if listed.len() >= limit || bytes >= max_bytes {
                return Ok(false);
            }
            let summary = Summary::read(&payload)?;
            let document = document_point::document(&payload)?;
            bytes += document.text.len()
                + document.passages * (size_of::<StoredPassage>() + vector_bytes);
            listed.push((document, summary));
            Ok(listed.len() < limit)
        })?;
        self.with_passages(listed, with_vectors)
    }

    /// Adds their passages to documents; the vectors of all of them are read together.
    fn with_passages(
        &self,
        listed: Vec<(StoredDocument, Summary)>,
        with_vectors: bool,
    ) -> Result<Vec<(StoredDocument, Vec<StoredPassage>)>, Error> {
        let mut vectors = None;
        if with_vectors {
            let points = listed.iter().flat_map(|(_, summary)| summary.passages());
            vectors = Some(self.vectors(&points.collect::<Vec<_>>())?);
        }
        let mut found = Vec::with_capacity(listed.len());
        for (document, summary) in listed {
            let passages = match &mut vectors {
                Some(vectors) => joined(&summary, vectors),
                None => Some(summary.stored_passages()),
            };
            match passages {
                Some(passages) => found.push((document, passages)),
                // Replaced since it was listed.
                None => found.extend(self.get_whole(&summary.id, with_vectors)?),
            }
        }
        Ok(found)
    }

    /// The vector that stands for a document: the mean of its passages' vectors.
    ///
    /// # Errors
    /// When the cluster fails.
    pub fn mean_vector(&self, id: &str) -> Result<Option<Vec<f32>>, Error> {
        let Some(passages) = self.passages(id, true)? else {
            return Ok(None);
        };
        let mut mean = vec![0.0; self.dimensions()];
        let scale = 1.0 / passages.len() as f32;
        for vector in passages
            .iter()
            .filter_map(|passage| passage.vector.as_ref())
        {
            let pairs = mean.iter_mut().zip(vector);
            pairs.for_each(|(mean, value)| *mean += value);
        }
        mean.iter_mut().for_each(|value| *value *= scale);
        Ok(Some(mean))
    }

    /// What is known of documents, by their points; those that are not stored are left out.
    ///
    /// # Errors
    /// When the cluster fails.
    pub(crate) fn summaries<'a>(
        &self,
        ids: impl Iterator<Item = &'a str>,
    ) -> Result<HashMap<Uuid, Summary>, Error> {
        let points: Vec<Uuid> = ids.map(ids::of_name).collect();
        let found = self.points(
            &self.documents,
            &points,
            &only(document_point::SUMMARY),
            false,
        )?;
        let summaries = found.iter().map(|point| {
            let summary = Summary::read(&point.payload)?;
            Ok((summary.point, summary))
        });
        summaries.collect()
    }

    /// # Errors
    /// When the cluster fails.
    pub(crate) fn summary(&self, id: &str) -> Result<Option<Summary>, Error> {
        Ok(self.summaries(std::iter::once(id))?.into_values().next())
    }

    /// The versions that count of these documents; those that are not stored are left out.
    ///
    /// # Errors
    /// When the cluster fails.
    pub(crate) fn versions(
        &self,
        documents: &[Uuid],
    ) -> Result<HashMap<Uuid, (String, Version)>, Error> {
        let fields = only(&[document_point::ID, document_point::VERSION]);
        let found = self.points(&self.documents, documents, &fields, false)?;
        let versions = found.iter().map(|point| {
            let id = crate::payload::read_text(&point.payload, document_point::ID)?.to_owned();
            let version = document_point::version(&point.payload)?;
            Ok((ids::of_name(&id), (id, version)))
        });
        versions.collect()
    }

    /// A document's passages; `None` when they are not all there, because the version is no longer the one that counts.
    pub(crate) fn passages_of(
        &self,
        summary: &Summary,
        with_vectors: bool,
    ) -> Result<Option<Vec<StoredPassage>>, Error> {
        if !with_vectors {
            return Ok(Some(summary.stored_passages()));
        }
        Ok(joined(summary, &mut self.vectors(&summary.passages())?))
    }

    /// Reads a document and what belongs to its version, again while it changes meanwhile.
    fn consistent<T>(
        &self,
        id: &str,
        fields: &[&str],
        read: impl Fn(&Payload) -> Result<Option<T>, Error>,
    ) -> Result<Option<T>, Error> {
        const MAX_READS: usize = 20;
        for _ in 0..MAX_READS {
            let Some(payload) = self.document_payload(id, fields)? else {
                return Ok(None);
            };
            if let Some(read) = read(&payload)? {
                return Ok(Some(read));
            }
        }
        Err(Error::Stale { id: id.to_owned() })
    }

    pub(crate) fn document_payload(
        &self,
        id: &str,
        fields: &[&str],
    ) -> Result<Option<Payload>, Error> {
        let found = self.points(&self.documents, &[ids::of_name(id)], &only(fields), false)?;
        Ok(found.into_iter().next().map(|point| point.payload))
    }

    fn visit_points(
        &self,
        after: Option<&str>,
        fields: &[&str],
        visit: &mut dyn FnMut(Payload) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let first = after.map(ids::of_name);
        let mut offset: Option<PointId> = first.map(ids::point);
        let limit = match fields.contains(&document_point::TEXT) {
            true => DOCUMENTS_PER_PAGE,
            false => SUMMARIES_PER_PAGE,
        };
        loop {
            let page = self.scroll(None, offset.take(), limit, fields)?;
            for point in page.0 {
                // A page begins with the point that it is to begin after.
                if first.is_some() && point.id == first.map(ids::point) {
                    continue;
                }
                if !visit(point.payload)? {
                    return Ok(());
                }
            }
            offset = page.1;
            if offset.is_none() {
                return Ok(());
            }
        }
    }

    /// Documents from a point on, and where they go on.
    pub(crate) fn scroll(
        &self,
        filter: Option<PointFilter>,
        offset: Option<PointId>,
        limit: u32,
        fields: &[&str],
    ) -> Result<(Vec<RetrievedPoint>, Option<PointId>), Error> {
        let request = ScrollPoints {
            collection_name: self.documents.clone(),
            filter,
            offset,
            limit: Some(limit),
            with_payload: Some(only(fields)),
            ..ScrollPoints::default()
        };
        let page = self.ask(&request, |client, request| async move {
            client.scroll(request).await
        })?;
        Ok((page.result, page.next_page_offset))
    }
}

/// A document's passages with their vectors, taken from among others; `None` when they are not all there.
fn joined(summary: &Summary, vectors: &mut HashMap<Uuid, Vec<f32>>) -> Option<Vec<StoredPassage>> {
    let mut passages = summary.stored_passages();
    for (passage, point) in passages.iter_mut().zip(summary.passages()) {
        passage.vector = Some(vectors.remove(&point)?);
    }
    Some(passages)
}
