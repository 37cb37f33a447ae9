//! `POST /`: what clients of text-embeddings-inference send when they know an address and no route.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use super::embed;
use super::embed_input::EmbedInput;
use super::problems::{AnswerProblems, BodyProblems, EngineProblems, RerankerProblems};
use super::rerank::{self, RerankRequest};
use super::similarity::{self, Comparison, Inputs};
use super::truncation::TruncationDirection;
use crate::access::Principal;
use crate::app::App;
use crate::config::Limits;
use crate::error::ApiError;
use crate::extract::{
    ApiJson, DEFAULT_COLLECTION, JsonBody, ListLimit, from_object_only, whole_number,
};
use crate::service::{EmbedTask, Prompt};

/// One of three forms: `inputs` with texts to encode; `inputs` with one sentence to compare with others;
/// `query` and `texts` to put into order. Fields of other names are passed over.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self")]
pub(crate) struct MainTaskRequest {
    inputs: Option<MainInputs>,
    /// Cut a text at the window of the model; with `false` it is refused. The default is true.
    truncate: Option<bool>,
    /// Which end of a text over the window is left out; `right` when absent.
    #[schema(inline)]
    truncation_direction: Option<TruncationDirection>,
    /// As of `/embed`.
    prompt_name: Option<String>,
    /// As of `/embed`.
    normalize: Option<bool>,
    /// As of `/embed`.
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(minimum = 1)]
    dimensions: Option<usize>,
    /// As of `/rerank`.
    #[schema(min_length = 1, pattern = r"\S")]
    query: Option<String>,
    /// As of `/rerank`.
    #[schema(min_items = 1, max_items = 200)]
    texts: Option<Vec<String>>,
    /// As of `/rerank`.
    #[serde(default)]
    raw_scores: bool,
    /// As of `/rerank`.
    #[serde(default)]
    return_text: bool,
}

/// Texts to encode, or to compare.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(
    untagged,
    expecting = "expected a string, a list of strings, token ids, or an object with source_sentence and sentences"
)]
pub(crate) enum MainInputs {
    /// One sentence against many.
    Sentences(Inputs),
    /// Texts to encode.
    Texts(EmbedInput),
}

/// What is asked for.
#[derive(Debug)]
pub(crate) enum MainTask {
    Embed(EmbedTask),
    Compare(Comparison),
    Rerank(RerankRequest),
}

from_object_only!(MainTaskRequest);

impl JsonBody for MainTaskRequest {
    type Checked = MainTask;

    fn lists(limits: &Limits) -> Vec<ListLimit> {
        let sentences = limits.max_similarity_items;
        vec![
            EmbedInput::limit("/inputs", limits),
            ListLimit::new(
                "/inputs/sentences",
                "items",
                sentences,
                "limits.max_similarity_items",
            ),
            ListLimit::new(
                "/texts",
                "texts",
                limits.max_rerank_candidates,
                "limits.max_rerank_candidates",
            ),
        ]
    }

    fn check(self, limits: &Limits) -> Result<MainTask, ApiError> {
        let over_window =
            TruncationDirection::over_window(self.truncation_direction, self.truncate);
        match (self.inputs, self.query, self.texts) {
            (Some(MainInputs::Texts(texts)), None, None) => Ok(MainTask::Embed(EmbedTask {
                model: None,
                texts: texts.checked(limits, "/inputs")?,
                prompt: self.prompt_name.map_or(Prompt::Default, Prompt::Named),
                dimensions: self.dimensions,
                normalize: self.normalize.unwrap_or(true),
                over_window,
                pointer: "/inputs",
            })),
            (Some(MainInputs::Sentences(inputs)), None, None) => {
                inputs.checked(limits).map(MainTask::Compare)
            }
            (None, Some(query), Some(texts)) => RerankRequest {
                model: None,
                query,
                texts,
                truncate: self.truncate,
                truncation_direction: self.truncation_direction,
                raw_scores: self.raw_scores,
                return_text: self.return_text,
            }
            .check(limits)
            .map(MainTask::Rerank),
            _ => Err(ApiError::invalid(
                "",
                "give one of: inputs with texts to encode; inputs with source_sentence and sentences; \
                 query and texts",
            )),
        }
    }
}

/// Encode, compare or rerank, as text-embeddings-inference does.
///
/// `InferenceClient` of `huggingface_hub` sends this: `inputs` is answered as by `/embed`, or with
/// `source_sentence` as by `/similarity`; `query` and `texts` are answered as by `/rerank`.
#[utoipa::path(
    post, path = "/", operation_id = "main_task", tag = "compatible",
    request_body = MainTaskRequest,
    responses(
        (status = 200, description = "As of `/embed`, `/similarity` or `/rerank`", body = Vec<serde_json::Value>),
        BodyProblems, AnswerProblems, RerankerProblems, EngineProblems
    )
)]
pub(crate) async fn post(
    State(app): State<App>,
    principal: Principal,
    ApiJson(task): ApiJson<MainTaskRequest>,
) -> Result<Response, ApiError> {
    match task {
        MainTask::Embed(task) => embed::answer(&app, task).await,
        MainTask::Compare(comparison) => {
            let collection = principal.collection(DEFAULT_COLLECTION)?;
            similarity::compare(&app, &collection, comparison, false).await
        }
        MainTask::Rerank(request) => rerank::answer(&app, request).await,
    }
}
