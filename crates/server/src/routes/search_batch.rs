//! `POST /search/batch`: several searches, one answer.

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
use crate::access::CollectionName;
use crate::answer;
use crate::app::{App, Engine};
use crate::config::Limits;
use crate::error::ApiError;
use crate::extract::{ApiJson, JsonBody, ListLimit, from_object_only};
use crate::service::{self, Attempt, Page, Search, SearchIn};

/// Where the searches stand in the request.
const SEARCHES: &str = "/searches";

/// Searches that are answered together, all or none.
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
            SEARCHES,
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
        let searches = self.searches.into_iter().enumerate();
        let checked = searches
            .map(|(nth, request)| {
                let checked = request.check(limits).and_then(without_explanations);
                checked.map_err(|error| error.within(&format!("{SEARCHES}/{nth}")))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let (searches, layouts): (Vec<_>, Vec<_>) = checked.into_iter().unzip();
        check_together(&searches, limits)?;
        Ok((searches, layouts))
    }
}

/// The answers, in the order of the searches.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SearchBatchResponse {
    results: Vec<SearchResponse>,
}

/// Several searches at once.
///
/// Their texts go through the encoder together. One search that cannot be answered fails the
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
    let searches = placed(engine, &collection, searches)?;
    let of = searches.iter().map(|search| Arc::clone(&search.collection));
    let (answering, of) = (app.clone(), of.collect::<Vec<_>>());
    let render = move |pages: Vec<Page>, attempt: Attempt| {
        let room = answering.room().until(&attempt.cancel);
        let Some(first) = of.first() else {
            return Err(ApiError::internal("a batch has no search"));
        };
        let reader = HitReader::new(first, attempt);
        let results = pages.into_iter().zip(&layouts).zip(&of);
        let results = results.map(|((page, layout), of)| {
            SearchResponse::new(page, layout.clone(), reader.of(of), started_at)
        });
        let results = results.collect();
        reader.finish(answer::json(room, &SearchBatchResponse { results }))
    };
    let answer = service::search(engine, searches, app.room(), render).await;
    answer.map_err(|error| error.of_searches(SEARCHES))
}

impl SearchBatchRequest {
    fn check_size(&self, limits: &Limits) -> Result<(), ApiError> {
        if self.searches.is_empty() {
            return Err(ApiError::invalid(SEARCHES, "the list is empty"));
        }
        let tops = self.searches.iter().map(SearchRequest::top_k);
        let hits = tops.fold(0_usize, usize::saturating_add);
        let max = limits.max_batch_hits;
        if hits > max {
            let detail =
                format!("the searches ask for {hits} hits, over limits.max_batch_hits = {max}");
            return Err(ApiError::invalid(SEARCHES, detail));
        }
        Ok(())
    }
}

/// The searches, each with the generation that it is about.
fn placed(
    engine: &Engine,
    name: &CollectionName,
    searches: Vec<Search>,
) -> Result<Vec<SearchIn>, ApiError> {
    engine.reader(name)?;
    let called: Arc<str> = (**name).into();
    let searches = searches.into_iter().enumerate();
    let placed = searches.map(|(nth, search)| {
        let collection = engine.reader_of(name, search.generation);
        Ok(SearchIn {
            collection: collection
                .map_err(|error| error.at(format!("{SEARCHES}/{nth}/generation")))?,
            called: Arc::clone(&called),
            search,
        })
    });
    placed.collect()
}

/// Each explanation is an encoding of its own, so there would be thousands.
fn without_explanations(checked: (Search, Layout)) -> Result<(Search, Layout), ApiError> {
    if checked.0.explain.is_none() {
        return Ok(checked);
    }
    let detail = "explanations go with POST /search, one search at a time";
    Err(ApiError::invalid("/include", detail))
}
