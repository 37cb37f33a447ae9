//! `POST /embed`.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use super::embed_input::EmbedInput;
use super::problems::{AnswerProblems, BodyProblems, EngineProblems};
use super::truncation::TruncationDirection;
use crate::answer;
use crate::app::App;
use crate::config::Limits;
use crate::error::ApiError;
use crate::extract::{ApiJson, JsonBody, ListLimit, from_object_only, whole_number};
use crate::service::{EmbedTask, Prompt, blocking_steps, embed_texts};

/// Texts to encode, as text-embeddings-inference takes them. Fields of other names are passed over.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self")]
pub(crate) struct EmbedRequest {
    /// A text or a list of texts.
    inputs: EmbedInput,
    /// The encoder, as `GET /models` names it; the default one when absent. Not in text-embeddings-inference.
    model: Option<String>,
    /// Cut a text at the encoder's window; with `false` it is refused. The default is true.
    truncate: Option<bool>,
    /// Which end of a text over the window is left out; `right` when absent.
    #[schema(inline)]
    truncation_direction: Option<TruncationDirection>,
    /// Name of one of the model's prompts; the model's default prompt when absent, if it has one.
    prompt_name: Option<String>,
    /// Scale vectors to length 1, which some models do by themselves. The default is true.
    normalize: Option<bool>,
    /// Keep only the first values of each vector; at most as many as the encoder has.
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(minimum = 1)]
    dimensions: Option<usize>,
}

from_object_only!(EmbedRequest);

impl JsonBody for EmbedRequest {
    type Checked = EmbedTask;

    fn lists(limits: &Limits) -> Vec<ListLimit> {
        vec![EmbedInput::limit("/inputs", limits)]
    }

    fn check(self, limits: &Limits) -> Result<Self::Checked, ApiError> {
        Ok(EmbedTask {
            model: self.model,
            texts: self.inputs.checked(limits, "/inputs")?,
            prompt: self.prompt_name.map_or(Prompt::Default, Prompt::Named),
            dimensions: self.dimensions,
            normalize: self.normalize.unwrap_or(true),
            over_window: TruncationDirection::over_window(self.truncation_direction, self.truncate),
            pointer: "/inputs",
        })
    }
}

/// Encode texts, as text-embeddings-inference does.
///
/// The answer is a list of vectors, also for one text. Nothing is stored.
#[utoipa::path(
    post, path = "/embed", operation_id = "embed", tag = "compatible",
    request_body = EmbedRequest,
    responses((status = 200, body = Vec<Vec<f32>>), BodyProblems, AnswerProblems, EngineProblems)
)]
pub(crate) async fn post(
    State(app): State<App>,
    ApiJson(task): ApiJson<EmbedRequest>,
) -> Result<Response, ApiError> {
    answer(&app, task).await
}

/// A list of vectors, one for each text.
///
/// # Errors
/// As [`embed_texts`].
pub(super) async fn answer(app: &App, task: EmbedTask) -> Result<Response, ApiError> {
    let (_, embeddings) = embed_texts(app.engine()?, task).await?;
    let room = app.room();
    blocking_steps(move |cancel| {
        let vectors = embeddings.into_iter().map(|embedding| embedding.vector);
        answer::json(room.until(cancel), &vectors.collect::<Vec<_>>())
    })
    .await
}
