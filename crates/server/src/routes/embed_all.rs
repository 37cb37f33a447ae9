//! `POST /embed_all`.

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize, Serializer};
use utoipa::ToSchema;

use super::embed_input::EmbedInput;
use super::problems::{AnswerProblems, BodyProblems, EngineProblems};
use super::truncation::TruncationDirection;
use crate::answer;
use crate::app::App;
use crate::config::Limits;
use crate::error::ApiError;
use crate::extract::{ApiJson, JsonBody, ListLimit, from_object_only};
use crate::service::{EmbedTask, Prompt, TokenStates, blocking_steps, token_states};

/// Texts of which every token is encoded, as text-embeddings-inference takes them. Fields of other names
/// are passed over.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self")]
pub(crate) struct EmbedAllRequest {
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
}

from_object_only!(EmbedAllRequest);

impl JsonBody for EmbedAllRequest {
    type Checked = EmbedTask;

    fn lists(limits: &Limits) -> Vec<ListLimit> {
        vec![EmbedInput::limit("/inputs", limits)]
    }

    fn check(self, limits: &Limits) -> Result<Self::Checked, ApiError> {
        Ok(EmbedTask {
            model: self.model,
            texts: self.inputs.checked(limits, "/inputs")?,
            prompt: self.prompt_name.map_or(Prompt::Default, Prompt::Named),
            dimensions: None,
            normalize: false,
            over_window: TruncationDirection::over_window(self.truncation_direction, self.truncate),
            pointer: "/inputs",
        })
    }
}

/// The states of each text's tokens.
struct States(TokenStates);

impl Serialize for States {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let TokenStates { texts, width } = &self.0;
        serializer.collect_seq(texts.iter().map(|states| Rows(states, *width)))
    }
}

struct Rows<'a>(&'a [f32], usize);

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.chunks(self.1))
    }
}

/// Encode every token of texts, as text-embeddings-inference does.
///
/// The answer has a list for each text, of the backbone's last states of its tokens, special tokens
/// included, neither pooled nor scaled. Nothing is stored.
#[utoipa::path(
    post, path = "/embed_all", operation_id = "embed_all", tag = "compatible",
    request_body = EmbedAllRequest,
    responses(
        (status = 200, body = Vec<Vec<Vec<f32>>>), BodyProblems, AnswerProblems, EngineProblems
    )
)]
pub(crate) async fn post(
    State(app): State<App>,
    ApiJson(task): ApiJson<EmbedAllRequest>,
) -> Result<Response, ApiError> {
    let engine = app.engine()?;
    let mut room = app.room();
    let states = token_states(engine, task, &mut room, app.limits().max_response_bytes).await?;
    blocking_steps(move |cancel| answer::json(room.another().until(cancel), &States(states))).await
}
