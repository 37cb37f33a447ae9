//! What reads a collection.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use qdrant_client::Qdrant;
use qdrant_client::qdrant::{
    Condition, CountPoints, CreateFieldIndexCollection, FieldType, Filter as PointFilter,
    GetPoints, RetrievedPoint, VectorsSelector, WithPayloadSelector, WithVectorsSelector,
    with_vectors_selector::SelectorOptions,
};
use siamese_index::{
    CollectionEncoder, CollectionSettings, CollectionStats, Error, Filter, KeptCollection,
};
use uuid::Uuid;

use crate::conditions::Conditions;
use crate::connection::Connection;
use crate::document_point;
use crate::ids::{self, Version};
use crate::passage_point;
use crate::payload::only;
use crate::places::Places;
use crate::registered::Entry;
use crate::terms::TermList;

/// Points read in one call. With their vectors they are less than 4 MiB up to 8192 dimensions.
const MAX_POINTS_PER_CALL: usize = 128;
/// Fields of metadata that Qdrant indexes for one collection. Filters on further ones are right, and slower.
const MAX_INDEXED_FIELDS: usize = 128;

/// Searches, gets, lists and counts.
#[derive(Debug)]
pub struct Reader {
    pub(crate) kept: ArcSwap<KeptCollection>,
    /// The same for all generations of a collection, as long as that is not made anew.
    pub(crate) family: Version,
    pub(crate) place: Version,
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
    pub(crate) fn new(
        name: &str,
        family: Version,
        entry: &Entry,
        connection: Arc<Connection>,
        prefix: &str,
    ) -> Self {
        let Places {
            documents,
            passages,
        } = Places::of(prefix, entry.place);
        Self {
            kept: ArcSwap::from_pointee(entry.kept.clone()),
            family,
            place: entry.place,
            connection,
            documents,
            passages,
            name: name.to_owned(),
            dimensions: entry.kept.encoder.identity.dimensions,
            indexed: Mutex::default(),
        }
    }

    /// The collection's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The collection's settings.
    pub fn settings(&self) -> CollectionSettings {
        self.kept.load().settings
    }

    /// What makes the collection's vectors.
    pub fn encoder(&self) -> Arc<CollectionEncoder> {
        Arc::new(self.kept.load().encoder.clone())
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
            created_at_ms: self.kept.load().created_at_ms,
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
        self.counted(&request)
    }

    /// Asks every shard for something that costs nothing.
    ///
    /// # Errors
    /// [`Error::CollectionNotFound`], or when one of them has no copy that answers.
    pub(crate) fn touch(&self) -> Result<(), Error> {
        for collection in [&self.documents, &self.passages] {
            self.counted(&CountPoints {
                collection_name: collection.clone(),
                exact: Some(false),
                ..CountPoints::default()
            })?;
        }
        Ok(())
    }

    fn counted(&self, request: &CountPoints) -> Result<u64, Error> {
        let counted = self.ask(request, |client, request| async move {
            client.count(request).await
        })?;
        Ok(counted.result.map_or(0, |result| result.count))
    }

    /// Makes a call about this collection.
    ///
    /// # Errors
    /// [`Error::CollectionNotFound`] when it was deleted by somebody else, or the cluster fails.
    pub(crate) fn ask<R: Clone, T, F>(
        &self,
        request: &R,
        make: impl Fn(Qdrant, R) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, qdrant_client::QdrantError>>,
    {
        self.if_there(self.connection.find(request, make)?)
    }

    /// Makes a call that changes something of this collection.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub(crate) fn tell<R: Clone, T, F>(
        &self,
        request: &R,
        make: impl Fn(Qdrant, R) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, qdrant_client::QdrantError>>,
    {
        self.if_there(self.connection.change(request, make)?)
    }

    fn if_there<T>(&self, answer: Option<T>) -> Result<T, Error> {
        answer.ok_or_else(|| Error::CollectionNotFound {
            name: self.name.clone(),
        })
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
                with_vectors: with_vectors.then(meaning),
                ..GetPoints::default()
            };
            let answer = self.ask(&request, |client, request| async move {
                client.get_points(request).await
            })?;
            found.extend(answer.result);
        }
        Ok(found)
    }

    /// Has Qdrant index a field of both collections, once, and returns whether it does. Filters are right without it, and
    /// slower; who counts values has to wait for it.
    ///
    /// # Errors
    /// When the cluster fails.
    pub(crate) fn index_field(
        &self,
        field: &str,
        field_type: FieldType,
        waits: bool,
    ) -> Result<bool, Error> {
        let indexed = || self.indexed.lock().unwrap_or_else(PoisonError::into_inner);
        if indexed().get(field).is_some_and(|waited| *waited || !waits) {
            return Ok(true);
        }
        // Fields that callers make up do not use up the room of those that there are.
        if indexed().len() >= MAX_INDEXED_FIELDS || !self.is_anywhere(field)? {
            return Ok(false);
        }
        for collection in [&self.documents, &self.passages] {
            index_field(&self.connection, collection, field, field_type, waits)?;
        }
        indexed().insert(field.to_owned(), waits);
        Ok(true)
    }

    /// Whether any document has a field.
    ///
    /// # Errors
    /// When the cluster fails.
    pub(crate) fn is_anywhere(&self, field: &str) -> Result<bool, Error> {
        let has_it = PointFilter::must_not([Condition::is_empty(field)]);
        let (found, _) = self.scroll(Some(has_it), None, 1, &[document_point::VERSION])?;
        Ok(!found.is_empty())
    }
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
    connection.change(&request, |client, request| async move {
        client.create_field_index(request).await
    })?;
    Ok(())
}

/// Asks for the vectors of passages.
pub(crate) fn meaning() -> WithVectorsSelector {
    WithVectorsSelector {
        selector_options: Some(SelectorOptions::Include(VectorsSelector {
            names: vec![passage_point::MEANING.to_owned()],
        })),
    }
}
