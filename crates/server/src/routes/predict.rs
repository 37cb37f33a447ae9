//! `POST /predict`.

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::problems::{AnswerProblems, BodyProblems, EngineProblems, RerankerProblems};
use super::rerank::{check_query_and_texts, logistic};
use super::truncation::TruncationDirection;
use crate::answer;
use crate::app::App;
use crate::config::Limits;
use crate::error::ApiError;
use crate::extract::{ApiJson, JsonBody, ListLimit, from_object_only};
use crate::service::{OverWindow, PairScore, RerankTask, RerankTexts, blocking_steps};

/// The name of the only class of a cross-encoder with one logit, as transformers gives it.
const LABEL: &str = "LABEL_0";

/// Pairs to score, as text-embeddings-inference takes them. Fields of other names are passed over.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self")]
pub(crate) struct PredictRequest {
    /// A pair of a query and a text, or a list of pairs.
    inputs: PredictInput,
    /// Cut a pair at the reranker's window; with `false` it is refused. The default is true.
    truncate: Option<bool>,
    /// Which end of both texts is left out over the window; `right` when absent.
    #[schema(inline)]
    truncation_direction: Option<TruncationDirection>,
    /// Return the model's logits instead of their logistic function.
    #[serde(default)]
    raw_scores: bool,
}

/// A pair of texts, or a list of pairs.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(
    untagged,
    expecting = "expected a pair of strings, [query, text], or a list of pairs; a reranker reads pairs"
)]
pub(crate) enum PredictInput {
    /// One pair.
    One((String, String)),
    /// At most `limits.max_rerank_candidates` pairs.
    Many(Vec<(String, String)>),
}

from_object_only!(PredictRequest);

impl JsonBody for PredictRequest {
    type Checked = Predicting;

    fn lists(limits: &Limits) -> Vec<ListLimit> {
        // A pair of strings is shorter than any limit but 1.
        let max = limits.max_rerank_candidates.max(2);
        let limit = "limits.max_rerank_candidates";
        vec![ListLimit::new("/inputs", "pairs", max, limit)]
    }

    fn check(self, limits: &Limits) -> Result<Predicting, ApiError> {
        let (pairs, is_list) = match self.inputs {
            PredictInput::One(pair) => (vec![pair], false),
            PredictInput::Many(pairs) => (pairs, true),
        };
        if pairs.is_empty() {
            return Err(ApiError::invalid("/inputs", "there are no pairs"));
        }
        let mut tasks = Vec::with_capacity(pairs.len());
        for (place, (query, text)) in pairs.into_iter().enumerate() {
            let texts = vec![text];
            check_query_and_texts(&query, &texts, "/text", limits).map_err(|error| {
                error.at(match is_list {
                    true => format!("/inputs/{place}"),
                    false => "/inputs".to_owned(),
                })
            })?;
            tasks.push(RerankTask {
                query,
                texts: RerankTexts::Given(texts),
            });
        }
        Ok(Predicting {
            tasks,
            is_list,
            raw_scores: self.raw_scores,
            over_window: TruncationDirection::over_window(self.truncation_direction, self.truncate),
        })
    }
}

/// Pairs to score, checked.
#[derive(Debug)]
pub(crate) struct Predicting {
    tasks: Vec<RerankTask>,
    is_list: bool,
    raw_scores: bool,
    over_window: OverWindow,
}

/// How much a pair belongs to a class.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Prediction {
    /// Always `LABEL_0`: a reranker has one class.
    #[schema(example = "LABEL_0")]
    label: &'static str,
    /// How well the text answers the query; 0 to 1, unless `raw_scores` is true.
    score: f32,
}

/// Predictions of one pair, or of each pair of a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Predictions {
    /// Of one pair.
    One([Prediction; 1]),
    /// Of each pair, in the order of the request.
    Many(Vec<[Prediction; 1]>),
}

/// Score pairs with the reranker, as text-embeddings-inference does.
#[utoipa::path(
    post, path = "/predict", operation_id = "predict", tag = "reranker",
    request_body = PredictRequest,
    responses(
        (status = 200, body = Predictions),
        BodyProblems, AnswerProblems, RerankerProblems, EngineProblems
    )
)]
pub(crate) async fn post(
    State(app): State<App>,
    ApiJson(request): ApiJson<PredictRequest>,
) -> Result<Response, ApiError> {
    let Predicting {
        tasks,
        is_list,
        raw_scores,
        over_window,
    } = request;
    let scores = app.engine()?.rerank(None, tasks, over_window).await?;
    let room = app.room();
    blocking_steps(move |cancel| {
        let prediction = |pair: PairScore| {
            let score = match raw_scores {
                true => pair.logit,
                false => logistic(pair.logit),
            };
            let label = LABEL;
            [Prediction { label, score }]
        };
        let mut scores = scores.into_iter().flatten().map(prediction);
        let predictions = if is_list {
            Predictions::Many(scores.collect())
        } else {
            let no_score = || ApiError::internal("a pair has no score");
            Predictions::One(scores.next().ok_or_else(no_score)?)
        };
        answer::json(room.until(cancel), &predictions)
    })
    .await
}
