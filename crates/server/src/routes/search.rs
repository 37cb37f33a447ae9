//! `POST /search`.

use std::time::Instant;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use siamese_index::{GraphSettings, SearchOptions};
use utoipa::ToSchema;

use super::documents::{check_id, check_text};
use super::hits::{Include, SearchResponse};
use super::problems::{BodyProblems, DocumentProblems, EngineProblems};
use crate::app::App;
use crate::config::Limits;
use crate::error::{ApiError, ErrorCode};
use crate::extract::{ApiJson, CollectionName, present};
use crate::service::{SearchedFor, search};

const DEFAULT_TOP_K: usize = 10;

/// A question to the index: exactly one of `query`, `vector` and `id`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SearchRequest {
    /// Text to search for by meaning.
    #[serde(default, deserialize_with = "present")]
    #[schema(
        nullable = false,
        min_length = 1,
        pattern = r"\S",
        example = "I cannot sign in any more"
    )]
    query: Option<String>,
    /// An embedding of the encoder's dimensions, not all zero.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, min_items = 1)]
    vector: Option<Vec<f32>>,
    /// A stored document to find more like; it is left out itself.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, min_length = 1, max_length = 512)]
    id: Option<String>,
    /// Hits to return; at most `limits.max_top_k`.
    #[schema(minimum = 1, maximum = 1000, default = 10)]
    top_k: Option<usize>,
    /// Hits to skip; at most `limits.max_offset`.
    #[schema(minimum = 0, maximum = 10000, default = 0)]
    offset: Option<usize>,
    /// Leave out documents that score less, -1 to 1.
    #[schema(minimum = -1, maximum = 1)]
    min_score: Option<f32>,
    /// Score every vector instead of those that the index leads to: slower, and never misses.
    #[serde(default)]
    #[schema(default = false)]
    exact: bool,
    /// Candidates that the walk over the index keeps; more find more and take longer. Without it,
    /// the collection's `ef_search`.
    #[schema(minimum = 1, maximum = 10000)]
    ef: Option<usize>,
    /// Parts of the hits; without it, the metadata.
    #[schema(max_items = 4)]
    include: Option<Vec<Include>>,
}

/// Search by meaning.
///
/// Hits are documents, ranked by their best passage.
#[utoipa::path(
    post, path = "/search", operation_id = "search", tag = "search",
    request_body = SearchRequest,
    responses(
        (status = 200, body = SearchResponse),
        BodyProblems, DocumentProblems, EngineProblems
    )
)]
pub(crate) async fn post(
    State(app): State<App>,
    collection: CollectionName,
    ApiJson(request): ApiJson<SearchRequest>,
) -> Result<Json<SearchResponse>, ApiError> {
    let started_at = Instant::now();
    let question = request.checked(app.limits())?;
    let engine = app.engine()?;
    let collection = engine.collection(&collection)?;
    let pointer = question.pointer();
    let (results, timings) = search(engine, &collection, question.searched_for, question.options)
        .await
        .map_err(|error| match error.code() {
            ErrorCode::InvalidRequest => error.at(pointer),
            _ => error,
        })?;
    Ok(Json(SearchResponse::new(
        results,
        question.offset,
        &question.include,
        timings,
        started_at.elapsed(),
    )))
}

/// A request that has passed its checks.
struct Question {
    searched_for: SearchedFor,
    options: SearchOptions,
    offset: usize,
    include: Vec<Include>,
}

impl Question {
    fn pointer(&self) -> &'static str {
        match self.searched_for {
            SearchedFor::Text(_) => "/query",
            SearchedFor::Vector(_) => "/vector",
            SearchedFor::Document(_) => "/id",
        }
    }
}

impl SearchRequest {
    fn checked(self, limits: &Limits) -> Result<Question, ApiError> {
        let top_k = self.top_k.unwrap_or(DEFAULT_TOP_K.min(limits.max_top_k));
        in_range("/top_k", top_k, 1, limits.max_top_k, "limits.max_top_k")?;
        let offset = self.offset.unwrap_or(0);
        in_range("/offset", offset, 0, limits.max_offset, "limits.max_offset")?;
        if let Some(score) = self.min_score
            && !(-1.0..=1.0).contains(&score)
        {
            let detail = format!("min_score is {score}; -1 to 1 are allowed");
            return Err(ApiError::invalid("/min_score", detail));
        }
        if let Some(ef) = self.ef {
            GraphSettings::check_ef(ef)
                .map_err(|error| ApiError::invalid("/ef", error.to_string()))?;
        }
        let options = SearchOptions {
            limit: top_k + offset,
            min_score: self.min_score,
            exact: self.exact,
            ef: self.ef,
            ..SearchOptions::default()
        };
        let include = self.include.unwrap_or_else(|| vec![Include::Metadata]);
        let searched_for = searched_for(self.query, self.vector, self.id, limits)?;
        Ok(Question {
            searched_for,
            options,
            offset,
            include,
        })
    }
}

fn searched_for(
    query: Option<String>,
    vector: Option<Vec<f32>>,
    id: Option<String>,
    limits: &Limits,
) -> Result<SearchedFor, ApiError> {
    match (query, vector, id) {
        (Some(text), None, None) => {
            check_text(&text, limits.max_query_bytes, "limits.max_query_bytes")
                .map_err(|error| error.at("/query"))?;
            Ok(SearchedFor::Text(text))
        }
        (None, Some(vector), None) => Ok(SearchedFor::Vector(vector)),
        (None, None, Some(id)) => {
            check_id(&id).map_err(|error| error.at("/id"))?;
            Ok(SearchedFor::Document(id))
        }
        _ => Err(ApiError::invalid(
            "",
            "give exactly one of query, vector and id",
        )),
    }
}

fn in_range(
    pointer: &str,
    value: usize,
    min: usize,
    max: usize,
    limit: &str,
) -> Result<(), ApiError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    let detail = format!(
        "{} is {value}; {min} to {limit} = {max} are allowed",
        &pointer[1..]
    );
    Err(ApiError::invalid(pointer, detail))
}
