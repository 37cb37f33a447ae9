//! From a question to hits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use siamese_encoder::InputKind;
use siamese_index::{Collection, SearchOptions, SearchResults};

use super::blocking;
use crate::app::Engine;
use crate::error::ApiError;
use crate::queue::{Admission, Lane};

/// What a search looks for.
#[derive(Debug, Clone)]
pub(crate) enum SearchedFor {
    /// Documents like this text.
    Text(String),
    /// Documents near this vector.
    Vector(Vec<f32>),
    /// Documents like this stored one, which is left out itself.
    Document(String),
}

/// Where the time of a search went.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SearchTimings {
    pub(crate) queued: Duration,
    pub(crate) encoding: Duration,
    pub(crate) searching: Duration,
}

/// Searches one collection.
///
/// # Errors
/// 404 for an unknown document, 422 for a vector that does not fit, 503 when the queue is full.
pub(crate) async fn search(
    engine: &Engine,
    collection: &Arc<Collection>,
    searched_for: SearchedFor,
    mut options: SearchOptions,
) -> Result<(SearchResults, SearchTimings), ApiError> {
    let mut timings = SearchTimings::default();
    let vector = match searched_for {
        SearchedFor::Text(text) => embed_query(engine, text, &mut timings).await?,
        SearchedFor::Vector(vector) => vector,
        SearchedFor::Document(id) => {
            let vector = stored_vector(collection, id.clone()).await?;
            options.exclude = Some(id);
            vector
        }
    };
    let collection = Arc::clone(collection);
    let started_at = Instant::now();
    let results = blocking(move || Ok(collection.search(&vector, &options)?)).await?;
    timings.searching = started_at.elapsed();
    Ok((results, timings))
}

async fn embed_query(
    engine: &Engine,
    text: String,
    timings: &mut SearchTimings,
) -> Result<Vec<f32>, ApiError> {
    let embeddings = engine
        .embed(vec![text], InputKind::Query, Lane::Query, Admission::Refuse)
        .await?;
    let embedding = embeddings
        .into_iter()
        .next()
        .ok_or_else(|| ApiError::internal("the encoder returned no vector"))?;
    timings.queued = embedding.queued;
    timings.encoding = embedding.encoding;
    Ok(embedding.vector)
}

/// The vector that stands for a stored document: the mean of its passages' unit vectors.
///
/// # Errors
/// 404 when there is no such document.
pub(super) async fn stored_vector(
    collection: &Arc<Collection>,
    id: String,
) -> Result<Vec<f32>, ApiError> {
    let collection = Arc::clone(collection);
    blocking(move || {
        let passages = collection
            .passages(&id, true)?
            .ok_or_else(|| ApiError::document_not_found(&id))?;
        let vectors: Vec<Vec<f32>> = passages
            .into_iter()
            .filter_map(|passage| passage.vector)
            .collect();
        mean(&vectors).ok_or_else(|| ApiError::internal("a stored document has no vector"))
    })
    .await
}

fn mean(vectors: &[Vec<f32>]) -> Option<Vec<f32>> {
    let (first, rest) = vectors.split_first()?;
    let mut sum = first.clone();
    for vector in rest {
        sum.iter_mut()
            .zip(vector)
            .for_each(|(sum, value)| *sum += value);
    }
    let scale = 1.0 / vectors.len() as f32;
    sum.iter_mut().for_each(|value| *value *= scale);
    Some(sum)
}
