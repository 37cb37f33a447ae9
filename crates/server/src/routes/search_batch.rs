//! `POST /search/batch`: several questions, one answer.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::hits::{HitReader, Layout, SearchResponse};
use super::problems::{BodyProblems, CursorProblems, EngineProblems, SearchProblems};
use super::rerank::check_together;
use super::search::SearchRequest;
use crate::answer;
use crate::app::App;
use crate::config::Limits;
use crate::error::ApiError;
use crate::extract::{ApiJson, CollectionName, JsonBody, ListLimit, from_object_only};
use crate::service::{self, Attempt, Found, Search};

/// Questions that are answered together, all or none.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct SearchBatchRequest {
    /// At most `limits.max_searches_per_batch`; together they may ask for `limits.max_batch_hits`
    /// hits, and to score `limits.max_rerank_candidates` hits again.
    #[schema(min_items = 1, max_items = 100)]
    searches: Vec<SearchRequest>,
}

from_object_only!(SearchBatchRequest);

impl JsonBody for SearchBatchRequest {
    type Checked = (Vec<Search>, Vec<Layout>);

    fn lists(limits: &Limits) -> Vec<ListLimit> {
        let searches = ListLimit::new(
            "/searches",
            "searches",
            limits.max_searches_per_batch,
            "limits.max_searches_per_batch",
        );
        let pointers = [
            "/searches/*/positive",
            "/searches/*/negative",
            "/searches/*/facets",
        ];
        let mut lists = SearchRequest::lists_at(pointers, limits);
        lists.push(searches);
        lists
    }

    fn check(self, limits: &Limits) -> Result<Self::Checked, ApiError> {
        self.check_size(limits)?;
        let questions = self.searches.into_iter().enumerate();
        let questions = questions
            .map(|(place, request)| request.checked(limits, &format!("/searches/{place}")))
            .collect::<Result<Vec<_>, _>>()?;
        let (searches, layouts): (Vec<_>, Vec<_>) = questions.into_iter().unzip();
        check_together(&searches, limits)?;
        Ok((searches, layouts))
    }
}

/// The answers, in the order of the questions.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SearchBatchResponse {
    results: Vec<SearchResponse>,
}

/// Search by several questions at once.
///
/// Their texts go through the encoder together. One question that cannot be answered fails the
/// request; `pointer` says which one.
#[utoipa::path(
    post, path = "/search/batch", operation_id = "search_batch", tag = "search",
    request_body = SearchBatchRequest,
    responses(
        (status = 200, body = SearchBatchResponse),
        BodyProblems, SearchProblems, CursorProblems, EngineProblems
    )
)]
pub(crate) async fn post(
    State(app): State<App>,
    collection: CollectionName,
    ApiJson((searches, layouts)): ApiJson<SearchBatchRequest>,
) -> Result<Response, ApiError> {
    let started_at = Instant::now();
    let engine = app.engine()?;
    let collection = engine.collection(&collection)?;
    let (answering, of) = (app.clone(), Arc::clone(&collection));
    let render = move |found: Vec<Found>, attempt: Attempt| {
        let room = answering.room().until(&attempt.cancel);
        let reader = HitReader::new(&of, attempt);
        let results = found.into_iter().zip(&layouts);
        let results = results.map(|(found, layout)| {
            SearchResponse::new(found, layout.clone(), reader.clone(), started_at)
        });
        let results = results.collect();
        reader.finish(answer::json(room, &SearchBatchResponse { results }))
    };
    service::search(engine, &collection, searches, app.room(), render).await
}

impl SearchBatchRequest {
    fn check_size(&self, limits: &Limits) -> Result<(), ApiError> {
        if self.searches.is_empty() {
            return Err(ApiError::invalid("/searches", "the list is empty"));
        }
        let tops = self.searches.iter().map(SearchRequest::top_k);
        let hits = tops.fold(0_usize, usize::saturating_add);
        let max = limits.max_batch_hits;
        if hits > max {
            let detail =
                format!("the searches ask for {hits} hits, over limits.max_batch_hits = {max}");
            return Err(ApiError::invalid("/searches", detail));
        }
        Ok(())
    }
}
