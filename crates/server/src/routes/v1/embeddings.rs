//! `POST /v1/embeddings`.

use axum::extract::State;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use siamese_encoder::InputKind;
use utoipa::ToSchema;

use crate::answer;
use crate::app::App;
use crate::config::Limits;
use crate::error::ApiError;
use crate::extract::{ApiJson, JsonBody, ListLimit, from_object_only, whole_number};
use crate::routes::problems::{AnswerProblems, BodyProblems, EngineProblems};
use crate::routes::text_list::TextList;
use crate::service::{EmbedTask, OverWindow, Prompt, TextEmbedding, blocking_steps, embed_texts};

/// Texts to encode, as clients of OpenAI send them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct EmbeddingsRequest {
    /// A text or a list of texts. What passes the encoder's window is cut.
    input: TextList,
    /// Any name: there is one encoder, and the answer names it.
    #[serde(rename = "model")]
    _model: Option<String>,
    /// How vectors are written; `float` when absent.
    #[schema(inline)]
    encoding_format: Option<EncodingFormat>,
    /// Keep only the first values of each vector; at most as many as the encoder has.
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(minimum = 1)]
    dimensions: Option<usize>,
    /// Taken, and not used.
    #[serde(rename = "user")]
    _user: Option<String>,
    /// What the texts are, for models that treat the two differently; `document` when absent. Not
    /// in OpenAI's API.
    #[schema(inline)]
    input_type: Option<InputType>,
}

from_object_only!(EmbeddingsRequest);

impl JsonBody for EmbeddingsRequest {
    type Checked = (EmbedTask, EncodingFormat);

    fn lists(limits: &Limits) -> Vec<ListLimit> {
        vec![TextList::limit("/input", limits)]
    }

    fn check(self, limits: &Limits) -> Result<Self::Checked, ApiError> {
        let kind = match self.input_type {
            Some(InputType::Query) => InputKind::Query,
            Some(InputType::Document) | None => InputKind::Document,
        };
        let task = EmbedTask {
            texts: self.input.checked(limits, "/input")?,
            prompt: Prompt::Of(kind),
            dimensions: self.dimensions,
            normalize: true,
            over_window: OverWindow::Cut,
            pointer: "/input",
        };
        Ok((task, self.encoding_format.unwrap_or_default()))
    }
}

/// How a vector is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EncodingFormat {
    /// A list of numbers.
    #[default]
    Float,
    /// Base64 of the numbers as 32-bit floats, little-endian.
    Base64,
}

/// What a text is.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum InputType {
    /// A question.
    Query,
    /// Something to be found.
    Document,
}

/// Vectors, in the order of the texts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EmbeddingsResponse {
    /// Always `list`.
    #[schema(example = "list")]
    object: &'static str,
    data: Vec<EmbeddingShape>,
    /// The encoder's name.
    #[schema(example = "all-MiniLM-L6-v2")]
    model: String,
    usage: Usage,
}

/// One text's vector.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EmbeddingShape {
    /// Always `embedding`.
    #[schema(example = "embedding")]
    object: &'static str,
    /// The text's place in the request.
    index: usize,
    embedding: VectorShape,
}

/// A vector of length 1, as `encoding_format` says.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum VectorShape {
    /// A list of numbers.
    Float(Vec<f32>),
    /// Base64 of the numbers as 32-bit floats, little-endian.
    Base64(String),
}

/// What the request took.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Usage {
    /// Tokens that were encoded, special tokens included.
    prompt_tokens: usize,
    /// The same.
    total_tokens: usize,
}

/// Encode texts, as OpenAI does.
///
/// Nothing is stored.
#[utoipa::path(
    post, path = "/v1/embeddings", operation_id = "v1_embeddings", tag = "compatible",
    request_body = EmbeddingsRequest,
    responses((status = 200, body = EmbeddingsResponse), BodyProblems, AnswerProblems, EngineProblems)
)]
pub(crate) async fn post(
    State(app): State<App>,
    ApiJson((task, format)): ApiJson<EmbeddingsRequest>,
) -> Result<Response, ApiError> {
    let engine = app.engine()?;
    let embeddings = embed_texts(engine, task).await?;
    let tokens = embeddings.iter().map(|embedding| embedding.tokens).sum();
    let model = engine.encoder.info().model.clone();
    let room = app.room();
    blocking_steps(move |cancel| {
        let data = embeddings.into_iter().enumerate();
        let data = data.map(|(index, embedding)| EmbeddingShape::new(index, embedding, format));
        let response = EmbeddingsResponse {
            object: "list",
            data: data.collect(),
            model,
            usage: Usage {
                prompt_tokens: tokens,
                total_tokens: tokens,
            },
        };
        answer::json(room.until(cancel), &response)
    })
    .await
}

impl EmbeddingShape {
    fn new(index: usize, embedding: TextEmbedding, format: EncodingFormat) -> Self {
        let vector = embedding.vector;
        Self {
            object: "embedding",
            index,
            embedding: match format {
                EncodingFormat::Float => VectorShape::Float(vector),
                EncodingFormat::Base64 => VectorShape::Base64(base64(&vector)),
            },
        }
    }
}

fn base64(vector: &[f32]) -> String {
    let bytes: Vec<u8> = vector
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_holds_little_endian_floats() {
        assert_eq!(base64(&[1.0, -2.5]), "AACAPwAAIMA=");
        assert_eq!(base64(&[]), "");
    }
}
