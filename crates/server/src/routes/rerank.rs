//! `POST /rerank`, and the wish of a search to be reranked.

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::documents::check_text;
use super::problems::{AnswerProblems, BodyProblems, EngineProblems, RerankerProblems};
use super::truncation::TruncationDirection;
use crate::answer;
use crate::app::App;
use crate::config::Limits;
use crate::error::ApiError;
use crate::extract::{ApiJson, JsonBody, ListLimit, from_object_only, whole_number};
use crate::service::{
    Choice, OverWindow, PairScore, Rerank, RerankTask, RerankTexts, Search, blocking_steps,
};

const DEFAULT_TOP_N: usize = 50;

/// How a search's hits are scored again.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct RerankWish {
    /// Hits of the first stage that are scored again: at least `offset` and `top_k` together, which
    /// is also the default if that is more than 50; at most `limits.max_rerank_candidates`.
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(minimum = 1, maximum = 200, default = 50)]
    top_n: Option<usize>,
}

/// A query and texts to put into order, as text-embeddings-inference takes them. Fields of other names are
/// passed over.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self")]
pub(crate) struct RerankRequest {
    /// The reranker, as `GET /models` names it; the default one when absent. Not in text-embeddings-inference.
    pub(super) model: Option<String>,
    /// What the texts should answer.
    #[schema(min_length = 1, pattern = r"\S", example = "I cannot sign in any more")]
    pub(super) query: String,
    /// At most `limits.max_rerank_candidates`.
    #[schema(min_items = 1, max_items = 200)]
    pub(super) texts: Vec<String>,
    /// Cut a pair of query and text at the reranker's window; with `false` it is refused. The
    /// default is true.
    pub(super) truncate: Option<bool>,
    /// Which end of query and text is left out over the window; `right` when absent.
    #[schema(inline)]
    pub(super) truncation_direction: Option<TruncationDirection>,
    /// Return the model's logits instead of their logistic function.
    #[serde(default)]
    pub(super) raw_scores: bool,
    /// Return the texts, too.
    #[serde(default)]
    pub(super) return_text: bool,
}

from_object_only!(RerankWish, RerankRequest);

impl JsonBody for RerankRequest {
    type Checked = Self;

    fn lists(limits: &Limits) -> Vec<ListLimit> {
        vec![ListLimit::new(
            "/texts",
            "texts",
            limits.max_rerank_candidates,
            "limits.max_rerank_candidates",
        )]
    }

    fn check(self, limits: &Limits) -> Result<Self, ApiError> {
        self.check_texts(limits).map(|()| self)
    }
}

/// One of the texts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RankedText {
    /// Its place in the request.
    index: usize,
    /// How well it answers the query; higher is better. 0 to 1, unless `raw_scores` is true.
    score: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

/// Put texts into order by how well they answer a query.
///
/// The best comes first. Nothing is stored.
#[utoipa::path(
    post, path = "/rerank", operation_id = "rerank", tag = "reranker",
    request_body = RerankRequest,
    responses(
        (status = 200, body = [RankedText]),
        BodyProblems, AnswerProblems, RerankerProblems, EngineProblems
    )
)]
pub(crate) async fn post(
    State(app): State<App>,
    ApiJson(request): ApiJson<RerankRequest>,
) -> Result<Response, ApiError> {
    answer(&app, request).await
}

/// The texts of a request in their order.
///
/// # Errors
/// As [`ranked`].
pub(super) async fn answer(app: &App, request: RerankRequest) -> Result<Response, ApiError> {
    let over_window =
        TruncationDirection::over_window(request.truncation_direction, request.truncate);
    let mut texts = if request.return_text {
        request.texts.clone()
    } else {
        Vec::new()
    };
    let task = RerankTask {
        query: request.query,
        texts: RerankTexts::Given(request.texts),
    };
    let scores = ranked(app, request.model.as_deref(), task, over_window).await?;
    let ranked = move |(index, pair): (usize, PairScore)| RankedText {
        index,
        score: match request.raw_scores {
            true => pair.logit,
            false => logistic(pair.logit),
        },
        text: texts.get_mut(index).map(std::mem::take),
    };
    let room = app.room();
    blocking_steps(move |cancel| {
        let ranked: Vec<RankedText> = scores.into_iter().map(ranked).collect();
        answer::json(room.until(cancel), &ranked)
    })
    .await
}

/// Texts of a task by their place, the best first.
///
/// # Errors
/// 404 without a reranker, 422 for a pair over the window that may not be cut, 503 when too much waits.
pub(super) async fn ranked(
    app: &App,
    model: Option<&str>,
    task: RerankTask,
    over_window: OverWindow,
) -> Result<Vec<(usize, PairScore)>, ApiError> {
    let scores = app.engine()?.rerank(model, vec![task], over_window).await?;
    let mut scores: Vec<_> = scores.into_iter().flatten().enumerate().collect();
    // Large logits have equal logistic functions.
    scores.sort_by(|(_, left), (_, right)| right.logit.total_cmp(&left.logit));
    Ok(scores)
}

/// What text-embeddings-inference makes of a logit, whatever activation the model asks for.
pub(super) fn logistic(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

impl RerankRequest {
    fn check_texts(&self, limits: &Limits) -> Result<(), ApiError> {
        check_query_and_texts(&self.query, &self.texts, "/texts", limits)
    }
}

/// Whether a query and the texts at `pointer` are within their limits.
///
/// # Errors
/// 422.
pub(super) fn check_query_and_texts(
    query: &str,
    texts: &[String],
    pointer: &str,
    limits: &Limits,
) -> Result<(), ApiError> {
    check_text(query, limits.max_query_bytes, "limits.max_query_bytes")
        .map_err(|error| error.at("/query"))?;
    if texts.is_empty() {
        return Err(ApiError::invalid(pointer, "there are no texts"));
    }
    let max = limits.max_text_bytes;
    let over = texts.iter().position(|text| text.len() > max);
    over.map_or(Ok(()), |place| {
        let bytes = texts[place].len();
        let detail = format!("it has {bytes} bytes, over limits.max_text_bytes = {max}");
        Err(ApiError::invalid(format!("{pointer}/{place}"), detail))
    })
}

impl RerankWish {
    /// The wish within its limits; `wanted` hits are skipped or returned.
    ///
    /// # Errors
    /// 422 when it is out of range or does not go with how hits are chosen.
    pub(super) fn checked(
        self,
        wanted: usize,
        choice: &Choice,
        limits: &Limits,
    ) -> Result<Rerank, ApiError> {
        if choice.diversity.is_some() {
            let detail = "rerank orders hits by score alone, which undoes diversity";
            return Err(ApiError::invalid("/rerank", detail));
        }
        let max = limits.max_rerank_candidates;
        let top_n = self
            .top_n
            .unwrap_or_else(|| wanted.max(DEFAULT_TOP_N.min(max)));
        if !(wanted..=max).contains(&top_n) {
            let detail = format!(
                "rerank.top_n is {top_n}; offset and top_k together = {wanted} to limits.max_rerank_candidates = {max} are allowed"
            );
            return Err(ApiError::invalid("/rerank/top_n", detail));
        }
        Ok(Rerank { top_n })
    }
}

/// Passages are read for every hit that is scored again.
///
/// # Errors
/// 422 when there are more of them than may have passages.
pub(super) fn check_passages(rerank: Rerank, limits: &Limits) -> Result<(), ApiError> {
    let (top_n, max) = (rerank.top_n, limits.max_hits_with_passages);
    if top_n <= max {
        return Ok(());
    }
    let detail = format!(
        "rerank.top_n is {top_n}; with include passages, up to limits.max_hits_with_passages = {max} are allowed"
    );
    Err(ApiError::invalid("/rerank/top_n", detail))
}

/// The limit of one search holds for a batch of them, too.
///
/// # Errors
/// 422 when they ask for more.
pub(super) fn check_together(searches: &[Search], limits: &Limits) -> Result<(), ApiError> {
    let wishes = searches.iter().filter_map(|search| search.rerank);
    let hits: usize = wishes.map(|rerank| rerank.top_n).sum();
    let max = limits.max_rerank_candidates;
    if hits <= max {
        return Ok(());
    }
    let detail = format!(
        "the searches ask to score {hits} hits again, over limits.max_rerank_candidates = {max}"
    );
    Err(ApiError::invalid("/searches", detail))
}
