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
use crate::routes::embed_input::EmbedInput;
use crate::routes::problems::{AnswerProblems, BodyProblems, EngineProblems};
use crate::service::{EmbedTask, OverWindow, Prompt, TextEmbedding, blocking_steps, embed_texts};

/// How the names of OpenAI's encoders begin.
const OPENAI_MODELS: &str = "text-embedding-";

/// Texts to encode, as clients of OpenAI send them. Fields of other names, such as `user`, are passed over.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self")]
pub(crate) struct EmbeddingsRequest {
    /// A text or a list of texts. What passes the encoder's window is cut.
    input: EmbedInput,
    /// A model as `GET /models` names it. With one encoder, any name means it, and the answer names it.
    model: Option<String>,
    /// How vectors are written; `float` when absent.
    #[schema(inline)]
    encoding_format: Option<EncodingFormat>,
    /// Keep only the first values of each vector; at most as many as the encoder has.
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(minimum = 1)]
    dimensions: Option<usize>,
    /// What the texts are, for models that treat the two differently; `document` when absent. Not
    /// in OpenAI's API.
    #[schema(inline)]
    input_type: Option<InputType>,
}

from_object_only!(EmbeddingsRequest);

impl JsonBody for EmbeddingsRequest {
    type Checked = (EmbedTask, EncodingFormat);

    fn lists(limits: &Limits) -> Vec<ListLimit> {
        vec![EmbedInput::limit("/input", limits)]
    }

    fn check(self, limits: &Limits) -> Result<Self::Checked, ApiError> {
        let kind = match self.input_type {
            Some(InputType::Query) => InputKind::Query,
            Some(InputType::Document) | None => InputKind::Document,
        };
        check_whose_tokens(self.model.as_deref(), &self.input)?;
        let task = EmbedTask {
            model: self.model,
            texts: self.input.checked(limits, "/input")?,
            prompt: Prompt::Of(kind),
            dimensions: self.dimensions,
            normalize: true,
            over_window: OverWindow::default(),
            pointer: "/input",
        };
        Ok((task, self.encoding_format.unwrap_or_default()))
    }
}

/// Clients that send token ids to a model of OpenAI have made them with OpenAI's tokenizers. Many of the
/// ids exist here, too, and mean other words.
///
/// # Errors
/// 422 for token ids beside the name of such a model.
fn check_whose_tokens(model: Option<&str>, input: &EmbedInput) -> Result<(), ApiError> {
    let openai = model.filter(|model| model.starts_with(OPENAI_MODELS));
    match openai {
        Some(model) if input.has_ids() => Err(ApiError::invalid(
            "/input",
            format!(
                "these are the ids of tokens of {model}, whose tokenizer is not that of this encoder. Send \
                 texts instead: LangChain does so with check_embedding_ctx_length=False"
            ),
        )),
        _ => Ok(()),
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
    /// A query.
    #[serde(alias = "search_query")]
    Query,
    /// Something to be found.
    #[serde(alias = "search_document", alias = "passage")]
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
    answer(&app, task, format).await
}

/// As `/v1/embeddings`, for clients whose base URL has no `/v1`.
#[utoipa::path(
    post, path = "/embeddings", operation_id = "embeddings", tag = "compatible",
    request_body = EmbeddingsRequest,
    responses((status = 200, body = EmbeddingsResponse), BodyProblems, AnswerProblems, EngineProblems)
)]
pub(crate) async fn post_without_version(
    State(app): State<App>,
    ApiJson((task, format)): ApiJson<EmbeddingsRequest>,
) -> Result<Response, ApiError> {
    answer(&app, task, format).await
}

async fn answer(app: &App, task: EmbedTask, format: EncodingFormat) -> Result<Response, ApiError> {
    let engine = app.engine()?;
    let (encoder, embeddings) = embed_texts(engine, task).await?;
    let tokens = embeddings.iter().map(|embedding| embedding.tokens).sum();
    let model = encoder.info().model.clone();
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

/// Base64 of numbers as 32-bit floats, little-endian.
pub(crate) fn base64(vector: &[f32]) -> String {
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
