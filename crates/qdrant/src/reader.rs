//! What reads a collection.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use qdrant_client::Qdrant;
use qdrant_client::qdrant::{
    CountPoints, CreateFieldIndexCollection, FieldType, Filter as PointFilter, GetPoints, PointId,
    RetrievedPoint, ScrollPoints, VectorsSelector, WithPayloadSelector, WithVectorsSelector,
    with_vectors_selector::SelectorOptions,
};
use siamese_index::{
    CollectionEncoder, CollectionSettings, CollectionStats, Error, Filter, Hit, HitContent,
    HitParts, Metadata, ScoredPassage, StoredDocument, StoredPassage, check_vector, cosine,
    normalized,
};
use uuid::Uuid;

use crate::conditions::Conditions;
use crate::connection::Connection;
use crate::document_point::{self, Summary};
use crate::error::unreadable;
use crate::ids::{self, Version};
use crate::passage_point;
use crate::payload::{Payload, only};
use crate::registry::Registered;
use crate::terms::TermList;

/// Points read in one call. With their vectors they are less than 4 MiB up to 8192 dimensions.
const MAX_POINTS_PER_CALL: usize = 128;
/// Documents read in one call of a list, whose texts may be long.
const DOCUMENTS_PER_PAGE: u32 = 32;
/// Fields of metadata that Qdrant indexes for one collection. Filters on further ones are right, and slower.
const MAX_INDEXED_FIELDS: usize = 128;

/// Searches, gets, lists and counts.
#[derive(Debug)]
pub struct Reader {
    pub(crate) registered: ArcSwap<Registered>,
    pub(crate) connection: Arc<Connection>,
    /// The names of the collection's collections in Qdrant.
    pub(crate) documents: String,
    pub(crate) passages: String,
    name: String,
    dimensions: usize,
    /// Fields of which an index has been asked for, and whether somebody has waited for it.
    indexed: Mutex<HashMap<String, bool>>,
}

impl Reader {
    pub(crate) fn new(registered: Registered, connection: Arc<Connection>, prefix: &str) -> Self {
        let number = registered.number.text();
        Self {
            documents: format!("{prefix}-{number}-documents"),
            passages: format!("{prefix}-{number}-passages"),
            name: registered.name.clone(),
            dimensions: registered.kept.encoder.identity.dimensions,
            registered: ArcSwap::from_pointee(registered),
            connection,
            indexed: Mutex::default(),
        }
    }

    /// The collection's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The collection's settings.
    pub fn settings(&self) -> CollectionSettings {
        self.registered.load().kept.settings
    }

    /// What makes the collection's vectors.
    pub fn encoder(&self) -> Arc<CollectionEncoder> {
        Arc::new(self.registered.load().kept.encoder.clone())
    }

    /// Length of every vector.
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// How much is in it. What only a data folder has is 0.
    ///
    /// # Errors
    /// When the cluster fails.
    pub fn stats(&self) -> Result<CollectionStats, Error> {
        let count = |collection: &str| self.count(collection, None);
        Ok(CollectionStats {
            documents: count(&self.documents)?,
            passages: count(&self.passages)?,
            created_at_ms: self.registered.load().kept.created_at_ms,
            head_passages: 0,
            dead_passages: 0,
            segments: 0,
            segment_bytes: 0,
            lexical_head_passages: 0,
            lexical_segments: 0,
            lexical_bytes: 0,
            is_rebuilding: false,
            is_rebuilding_words: false,
        })
    }

    /// How many documents pass a filter.
    ///
    /// # Errors
    /// [`Error::NotSupportedHere`], or when the cluster fails.
    pub fn count_matching(&self, filter: &Filter) -> Result<u64, Error> {
        let filter = self.point_filter(Some(filter))?;
        self.count(&self.documents, filter)
    }

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
        let (mut found, mut bytes) = (Vec::new(), 0);
        let vector_bytes = match with_vectors {
            true => self.dimensions * size_of::<f32>(),
            false => 0,
        };
        self.visit_points(after, document_point::WHOLE, &mut |payload| {
            if found.len() >= limit || bytes >= max_bytes {
                return Ok(false);
            }
            let summary = Summary::read(&payload)?;
            let whole = match self.passages_of(&summary, with_vectors)? {
                Some(passages) => Some((document_point::document(&payload)?, passages)),
                // Replaced since it was listed.
                None => self.get_whole(&summary.id, with_vectors)?,
            };
            if let Some((document, passages)) = whole {
                bytes += document.text.len()
                    + passages.len() * (size_of::<StoredPassage>() + vector_bytes);
                found.push((document, passages));
            }
            Ok(found.len() < limit)
        })?;
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
        let mut mean = vec![0.0; self.dimensions];
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

    /// The `limit` passages of a hit that are nearest to `query`, best first; equal scores in the order of the text. None
    /// when the document has been replaced since.
    ///
    /// # Errors
    /// A query that is no vector of this collection, or a cluster that fails.
    pub fn best_passages(
        &self,
        hit: &Hit,
        query: &[f32],
        limit: usize,
    ) -> Result<Vec<ScoredPassage>, Error> {
        check_vector(query, self.dimensions)?;
        let query = normalized(query);
        let Some(summary) = self
            .summary(&hit.id)?
            .filter(|it| it.version.0 == hit.number())
        else {
            return Ok(Vec::new());
        };
        let passages = self.passages_of(&summary, true)?.unwrap_or_default();
        let scored = passages.into_iter().zip(0..).map(|(mut passage, ordinal)| {
            let vector = passage.vector.take().unwrap_or_default();
            ScoredPassage::found_elsewhere(cosine(&query, &vector), passage, ordinal)
        });
        let mut scored: Vec<_> = scored.collect();
        scored.sort_by(|a, b| b.score.total_cmp(&a.score));
        scored.truncate(limit);
        Ok(scored)
    }

    /// Reads parts of a hit. `None` when its document has been replaced or deleted since the search, or changed so that it
    /// no longer passes the filter.
    ///
    /// # Errors
    /// When the cluster fails.
    pub fn read_hit(&self, hit: &Hit, parts: &HitParts<'_>) -> Result<Option<HitContent>, Error> {
        let read = self.read_hits(&[(hit, *parts)])?;
        Ok(read.into_iter().next().flatten())
    }

    /// As [`Self::read_hit`], of several hits in order.
    ///
    /// # Errors
    /// When the cluster fails.
    pub fn read_hits(
        &self,
        hits: &[(&Hit, HitParts<'_>)],
    ) -> Result<Vec<Option<HitContent>>, Error> {
        let documents: Vec<Uuid> = hits.iter().map(|(hit, _)| ids::of_name(&hit.id)).collect();
        let fields = only(document_point::WHOLE);
        let found = self.points(&self.documents, &documents, &fields, false)?;
        let payloads = found.iter().map(|point| {
            let id = crate::payload::read_text(&point.payload, document_point::ID)?;
            Ok((id, &point.payload))
        });
        let payloads = payloads.collect::<Result<HashMap<&str, &Payload>, Error>>()?;
        let with_vectors = hits.iter().filter(|(_, parts)| parts.vector);
        let points: Vec<Uuid> = with_vectors.map(|(hit, _)| passage_of(hit)).collect();
        let mut vectors = self.vectors(&points)?;
        let contents = hits.iter().map(|(hit, parts)| {
            let Some(payload) = payloads.get(hit.id.as_str()) else {
                return Ok(None);
            };
            let vector = match parts.vector {
                true => match vectors.remove(&passage_of(hit)) {
                    Some(vector) => Some(vector),
                    None => return Ok(None),
                },
                false => None,
            };
            content(hit, parts, payload, vector)
        });
        contents.collect()
    }

    /// The metadata of a hit; `None` when its document has been replaced or deleted since.
    ///
    /// # Errors
    /// When the cluster fails.
    pub fn hit_metadata(&self, hit: &Hit) -> Result<Option<Metadata>, Error> {
        let payload =
            self.version_of_hit(hit, &[document_point::VERSION, document_point::METADATA])?;
        payload.as_ref().map(document_point::metadata).transpose()
    }

    /// The vector of a hit's best passage; `None` when its document has been replaced or deleted since.
    ///
    /// # Errors
    /// When the cluster fails.
    pub fn hit_vector(&self, hit: &Hit) -> Result<Option<Vec<f32>>, Error> {
        let point = passage_of(hit);
        Ok(self.vectors(&[point])?.remove(&point))
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

    /// The vectors of passages; those that are not stored are left out.
    ///
    /// # Errors
    /// When the cluster fails.
    pub(crate) fn vectors(&self, passages: &[Uuid]) -> Result<HashMap<Uuid, Vec<f32>>, Error> {
        let found = self.points(&self.passages, passages, &only(passage_point::OWNER), true)?;
        let vectors = found.into_iter().map(|point| {
            let owner = passage_point::Owner::read(&point.payload)?;
            Ok((owner.point(), passage_point::vector(point.vectors)?))
        });
        vectors.collect()
    }

    /// A document's passages; `None` when they are not all there, because the version is no longer the one that counts.
    pub(crate) fn passages_of(
        &self,
        summary: &Summary,
        with_vectors: bool,
    ) -> Result<Option<Vec<StoredPassage>>, Error> {
        let mut passages = summary.stored_passages();
        if with_vectors {
            let points = summary.passages();
            let mut vectors = self.vectors(&points)?;
            for (passage, point) in passages.iter_mut().zip(points) {
                let Some(vector) = vectors.remove(&point) else {
                    return Ok(None);
                };
                passage.vector = Some(vector);
            }
        }
        Ok(Some(passages))
    }

    /// Conditions on points, and has Qdrant index what they look at.
    ///
    /// # Errors
    /// [`Error::NotSupportedHere`], or when the cluster fails.
    pub(crate) fn point_filter(
        &self,
        filter: Option<&Filter>,
    ) -> Result<Option<PointFilter>, Error> {
        let Some(filter) = filter else {
            return Ok(None);
        };
        let conditions = Conditions::of(filter)?;
        for (list, field) in conditions.fields {
            let field_type = match list {
                TermList::Values => FieldType::Keyword,
                TermList::Numbers | TermList::Moments => FieldType::Float,
            };
            self.index_field(&field, field_type, false)?;
        }
        Ok(Some(conditions.filter))
    }

    /// # Errors
    /// When the cluster fails.
    pub(crate) fn count(
        &self,
        collection: &str,
        filter: Option<PointFilter>,
    ) -> Result<u64, Error> {
        let request = CountPoints {
            collection_name: collection.to_owned(),
            filter,
            exact: Some(true),
            ..CountPoints::default()
        };
        let counted = self.ask(|client| {
            let request = request.clone();
            async move { client.count(request).await }
        })?;
        Ok(counted.result.map_or(0, |result| result.count))
    }

    /// Makes a call about this collection.
    ///
    /// # Errors
    /// [`Error::CollectionNotFound`] when it was deleted by somebody else, or the cluster fails.
    pub(crate) fn ask<T, F>(&self, make: impl Fn(Qdrant) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, qdrant_client::QdrantError>>,
    {
        let found = self.connection.find(make)?;
        found.ok_or_else(|| Error::CollectionNotFound {
            name: self.name.clone(),
        })
    }

    /// Makes a call that changes something of this collection.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub(crate) fn tell<T, F>(&self, make: impl Fn(Qdrant) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, qdrant_client::QdrantError>>,
    {
        let done = self.connection.change(make)?;
        done.ok_or_else(|| Error::CollectionNotFound {
            name: self.name.clone(),
        })
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

    /// The payload of a hit's document, if it is still the version that was found.
    fn version_of_hit(&self, hit: &Hit, fields: &[&str]) -> Result<Option<Payload>, Error> {
        let Some(payload) = self.document_payload(&hit.id, fields)? else {
            return Ok(None);
        };
        let version = document_point::version(&payload)?;
        Ok((version.0 == hit.number()).then_some(payload))
    }

    fn document_payload(&self, id: &str, fields: &[&str]) -> Result<Option<Payload>, Error> {
        let found = self.points(&self.documents, &[ids::of_name(id)], &only(fields), false)?;
        Ok(found.into_iter().next().map(|point| point.payload))
    }

    pub(crate) fn points(
        &self,
        collection: &str,
        points: &[Uuid],
        with_payload: &WithPayloadSelector,
        with_vectors: bool,
    ) -> Result<Vec<RetrievedPoint>, Error> {
        let mut found = Vec::new();
        for points in points.chunks(MAX_POINTS_PER_CALL) {
            let request = GetPoints {
                collection_name: collection.to_owned(),
                ids: points.iter().copied().map(ids::point).collect(),
                with_payload: Some(with_payload.clone()),
                with_vectors: with_vectors.then(|| WithVectorsSelector {
                    selector_options: Some(SelectorOptions::Include(VectorsSelector {
                        names: vec![passage_point::MEANING.to_owned()],
                    })),
                }),
                ..GetPoints::default()
            };
            let answer = self.ask(|client| {
                let request = request.clone();
                async move { client.get_points(request).await }
            })?;
            found.extend(answer.result);
        }
        Ok(found)
    }

    fn visit_points(
        &self,
        after: Option<&str>,
        fields: &[&str],
        visit: &mut dyn FnMut(Payload) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let first = after.map(ids::of_name);
        let mut offset: Option<PointId> = first.map(ids::point);
        loop {
            let page = self.scroll(None, offset.take(), DOCUMENTS_PER_PAGE, fields)?;
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
        let page = self.ask(|client| {
            let request = request.clone();
            async move { client.scroll(request).await }
        })?;
        Ok((page.result, page.next_page_offset))
    }

    /// Has Qdrant index a field of both collections, once. Filters are right without it, and slower; who counts values has
    /// to wait for it.
    pub(crate) fn index_field(
        &self,
        field: &str,
        field_type: FieldType,
        waits: bool,
    ) -> Result<(), Error> {
        {
            let mut indexed = self.indexed.lock().unwrap_or_else(PoisonError::into_inner);
            let is_full = indexed.len() >= MAX_INDEXED_FIELDS && !waits;
            if is_full || indexed.get(field).is_some_and(|waited| *waited || !waits) {
                return Ok(());
            }
            indexed.insert(field.to_owned(), waits);
        }
        for collection in [&self.documents, &self.passages] {
            index_field(&self.connection, collection, field, field_type, waits)?;
        }
        Ok(())
    }
}

/// The point of a hit's best passage.
fn passage_of(hit: &Hit) -> Uuid {
    let document = ids::of_name(&hit.id);
    ids::of_passage(document, Version(hit.number()), hit.passage())
}

/// What is asked for of a hit; `None` when the document is another one by now, or does not pass.
fn content(
    hit: &Hit,
    parts: &HitParts<'_>,
    payload: &Payload,
    vector: Option<Vec<f32>>,
) -> Result<Option<HitContent>, Error> {
    let document = document_point::document(payload)?;
    let passes = |filter: &Filter| filter.matches(&document.metadata);
    let is_the_version = document_point::version(payload)?.0 == hit.number();
    if !is_the_version || !parts.filter.is_none_or(passes) {
        return Ok(None);
    }
    let failed = || unreadable("a passage's place in its text");
    let text_of = |start: usize, end: usize| {
        let text = document.text.get(start..end).ok_or_else(failed)?;
        Ok::<_, Error>(text.to_owned())
    };
    let spans = document_point::spans(payload)?;
    let &(start, end) = spans.get(hit.passage() as usize).ok_or_else(failed)?;
    let others = parts.passages.iter();
    Ok(Some(HitContent {
        passage: StoredPassage { start, end, vector },
        passage_text: text_of(start, end)?,
        passage_texts: others
            .map(|passage| text_of(passage.start, passage.end))
            .collect::<Result<_, _>>()?,
        title: document.title,
        text: parts.text.then_some(document.text),
        metadata: parts.metadata.then_some(document.metadata),
    }))
}

/// Has Qdrant index a field of a collection.
///
/// # Errors
/// When the cluster fails.
pub(crate) fn index_field(
    connection: &Connection,
    collection: &str,
    field: &str,
    field_type: FieldType,
    waits: bool,
) -> Result<(), Error> {
    let request = CreateFieldIndexCollection {
        collection_name: collection.to_owned(),
        field_name: field.to_owned(),
        field_type: Some(field_type.into()),
        wait: Some(waits),
        ..CreateFieldIndexCollection::default()
    };
    connection.change(|client| {
        let request = request.clone();
        async move { client.create_field_index(request).await }
    })?;
    Ok(())
}
