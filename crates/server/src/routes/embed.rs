//! `POST /embed`.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use super::problems::{AnswerProblems, BodyProblems, EngineProblems};
use super::similarity::TruncationDirection;
use super::text_list::TextList;
use crate::answer;
use crate::app::App;
use crate::config::Limits;
use crate::error::ApiError;
use crate::extract::{ApiJson, JsonBody, ListLimit, from_object_only, whole_number};
use crate::service::{EmbedTask, OverWindow, Prompt, blocking_steps, embed_texts};

/// Texts to encode, as text-embeddings-inference takes them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct EmbedRequest {
    /// A text or a list of texts.
    inputs: TextList,
    /// Cut a text at the encoder's window; with `false` it is refused. The default is true.
    truncate: Option<bool>,
    /// Texts are cut at the end.
    #[serde(rename = "truncation_direction")]
    #[schema(inline)]
    _truncation_direction: Option<TruncationDirection>,
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
        vec![TextList::limit("/inputs", limits)]
    }

    fn check(self, limits: &Limits) -> Result<Self::Checked, ApiError> {
        Ok(EmbedTask {
            texts: self.inputs.checked(limits, "/inputs")?,
            prompt: self.prompt_name.map_or(Prompt::Default, Prompt::Named),
            dimensions: self.dimensions,
            normalize: self.normalize.unwrap_or(true),
            over_window: match self.truncate {
                Some(false) => OverWindow::Refuse,
                Some(true) | None => OverWindow::Cut,
            },
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
    let embeddings = embed_texts(app.engine()?, task).await?;
    let room = app.room();
    blocking_steps(move |cancel| {
        let vectors = embeddings.into_iter().map(|embedding| embedding.vector);
        answer::json(room.until(cancel), &vectors.collect::<Vec<_>>())
    })
    .await
}
