//! `POST /v1/embed` and `POST /v2/embed`.

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use siamese_encoder::{InputKind, Truncation};
use utoipa::ToSchema;
use uuid::Uuid;

use super::Meta;
use crate::answer;
use crate::app::App;
use crate::config::Limits;
use crate::error::ApiError;
use crate::extract::{ApiJson, JsonBody, ListLimit, from_object_only, whole_number};
use crate::routes::documents::check_text;
use crate::routes::item::PlainText;
use crate::routes::problems::{AnswerProblems, BodyProblems, EngineProblems};
use crate::routes::v1::embeddings::base64;
use crate::service::{
    EmbedTask, OverWindow, Prompt, TextEmbedding, TextInput, blocking_steps, embed_texts,
};

/// Texts to encode, as Cohere takes them. Fields of other names are passed over.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self")]
pub(crate) struct CohereEmbedRequest {
    /// A model as `GET /models` names it; with one encoder, any name means it.
    model: Option<String>,
    /// At most `limits.max_embed_texts`.
    #[schema(min_items = 1, max_items = 2048)]
    texts: Vec<PlainText>,
    /// What the texts are, for models that treat queries differently; the default is
    /// `search_document`.
    #[schema(inline)]
    input_type: Option<CohereInputType>,
    /// How vectors are written. Without it version 1 of the API returns numbers alone, and version 2
    /// those as `float`.
    #[schema(inline)]
    embedding_types: Option<Vec<EmbeddingType>>,
    /// Keep only the first values of each vector; at most as many as the encoder has.
    #[serde(default, deserialize_with = "whole_number")]
    #[schema(minimum = 1)]
    output_dimension: Option<usize>,
    /// What becomes of a text over the encoder's window; the default is `END`.
    #[schema(inline)]
    truncate: Option<CohereTruncate>,
}

/// What a text is.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CohereInputType {
    /// Something to be found.
    SearchDocument,
    /// A query.
    SearchQuery,
    /// As `search_document`.
    Classification,
    /// As `search_document`.
    Clustering,
}

/// How a vector is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EmbeddingType {
    /// Numbers.
    Float,
    /// Base64 of the numbers as 32-bit floats, little-endian.
    Base64,
    /// A bit for each number, set when it is over 0; eight of them as a number of 0 to 255.
    Ubinary,
    /// The same, less 128.
    Binary,
}

/// What becomes of a text over the encoder's window.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum CohereTruncate {
    /// It is refused.
    None,
    /// Its start is left out.
    Start,
    /// Its end is left out.
    End,
}

from_object_only!(CohereEmbedRequest);

/// Texts to encode, checked.
#[derive(Debug)]
pub(crate) struct Embedding {
    task: EmbedTask,
    /// Absent when numbers alone are wanted.
    types: Option<Vec<EmbeddingType>>,
}

impl JsonBody for CohereEmbedRequest {
    type Checked = Embedding;

    fn lists(limits: &Limits) -> Vec<ListLimit> {
        let (max, limit) = (limits.max_embed_texts, "limits.max_embed_texts");
        vec![ListLimit::new("/texts", "texts", max, limit)]
    }

    fn check(self, limits: &Limits) -> Result<Embedding, ApiError> {
        if self.texts.is_empty() {
            return Err(ApiError::invalid("/texts", "there are no texts"));
        }
        let texts = self.texts.into_iter().enumerate().map(|(place, text)| {
            let text = String::from(text);
            check_text(&text, limits.max_text_bytes, "limits.max_text_bytes")
                .map_err(|error| error.at(format!("/texts/{place}")))?;
            Ok(TextInput::Text(text))
        });
        let task = EmbedTask {
            model: self.model,
            texts: texts.collect::<Result<_, ApiError>>()?,
            prompt: Prompt::Of(match self.input_type {
                Some(CohereInputType::SearchQuery) => InputKind::Query,
                _ => InputKind::Document,
            }),
            dimensions: self.output_dimension,
            normalize: true,
            over_window: match self.truncate {
                Some(CohereTruncate::None) => OverWindow::Refuse,
                Some(CohereTruncate::Start) => OverWindow::Cut(Truncation::Start),
                Some(CohereTruncate::End) | None => OverWindow::Cut(Truncation::End),
            },
            pointer: "/texts",
        };
        let types = self.embedding_types.filter(|types| !types.is_empty());
        Ok(Embedding { task, types })
    }
}

/// Vectors, in the order of the texts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CohereEmbedResponse {
    /// New for each answer.
    id: String,
    /// `embeddings_by_type`, or `embeddings_floats` for numbers alone.
    #[schema(example = "embeddings_by_type")]
    response_type: &'static str,
    embeddings: CohereEmbeddings,
    /// Those of the request.
    texts: Vec<String>,
    meta: Meta,
}

/// Vectors as they were asked for.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum CohereEmbeddings {
    /// Numbers alone.
    Floats(Vec<Vec<f32>>),
    /// As `embedding_types` says.
    ByType(EmbeddingsByType),
}

/// Vectors in each of the ways that were asked for.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct EmbeddingsByType {
    #[serde(skip_serializing_if = "Option::is_none")]
    float: Option<Vec<Vec<f32>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ubinary: Option<Vec<Vec<u8>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    binary: Option<Vec<Vec<i8>>>,
}

impl EmbeddingsByType {
    fn new(vectors: Vec<Vec<f32>>, types: &[EmbeddingType]) -> Self {
        let has = |wanted| types.contains(&wanted);
        let bits = || vectors.iter().map(|vector| packed_signs(vector));
        let signed = |bytes: Vec<u8>| {
            let bytes = bytes.into_iter();
            bytes.map(|byte| (byte ^ 0x80).cast_signed()).collect()
        };
        Self {
            base64: has(EmbeddingType::Base64)
                .then(|| vectors.iter().map(|vector| base64(vector)).collect()),
            ubinary: has(EmbeddingType::Ubinary).then(|| bits().collect()),
            binary: has(EmbeddingType::Binary).then(|| bits().map(signed).collect()),
            float: has(EmbeddingType::Float).then_some(vectors),
        }
    }
}

/// A bit for each number, the first one in the highest place of the first byte.
fn packed_signs(vector: &[f32]) -> Vec<u8> {
    let byte = |values: &[f32]| {
        let bits = values.iter().enumerate();
        bits.fold(0, |byte, (place, value)| {
            byte | (u8::from(*value > 0.0) << (7 - place))
        })
    };
    vector.chunks(8).map(byte).collect()
}

/// Encode texts, as version 1 of Cohere's API does.
///
/// Nothing is stored.
#[utoipa::path(
    post, path = "/v1/embed", operation_id = "v1_embed", tag = "compatible",
    request_body = CohereEmbedRequest,
    responses((status = 200, body = CohereEmbedResponse), BodyProblems, AnswerProblems, EngineProblems)
)]
pub(crate) async fn post_v1(
    State(app): State<App>,
    ApiJson(Embedding { task, types }): ApiJson<CohereEmbedRequest>,
) -> Result<Response, ApiError> {
    answer(&app, task, types, "1").await
}

/// Encode texts, as version 2 of Cohere's API does.
///
/// Nothing is stored.
#[utoipa::path(
    post, path = "/v2/embed", operation_id = "v2_embed", tag = "compatible",
    request_body = CohereEmbedRequest,
    responses((status = 200, body = CohereEmbedResponse), BodyProblems, AnswerProblems, EngineProblems)
)]
pub(crate) async fn post_v2(
    State(app): State<App>,
    ApiJson(Embedding { task, types }): ApiJson<CohereEmbedRequest>,
) -> Result<Response, ApiError> {
    let types = types.unwrap_or_else(|| vec![EmbeddingType::Float]);
    answer(&app, task, Some(types), "2").await
}

async fn answer(
    app: &App,
    task: EmbedTask,
    types: Option<Vec<EmbeddingType>>,
    version: &'static str,
) -> Result<Response, ApiError> {
    let texts = task.texts.clone();
    let (_, embeddings) = embed_texts(app.engine()?, task)
        .await
        .map_err(renamed_dimensions)?;
    let room = app.room();
    blocking_steps(move |cancel| {
        let tokens = embeddings.iter().map(|embedding| embedding.tokens).sum();
        let vectors = embeddings.into_iter();
        let vectors = vectors.map(|TextEmbedding { vector, .. }| vector).collect();
        let response = CohereEmbedResponse {
            id: Uuid::now_v7().to_string(),
            response_type: match types {
                Some(_) => "embeddings_by_type",
                None => "embeddings_floats",
            },
            embeddings: match types {
                Some(types) => CohereEmbeddings::ByType(EmbeddingsByType::new(vectors, &types)),
                None => CohereEmbeddings::Floats(vectors),
            },
            texts: texts.into_iter().filter_map(TextInput::into_text).collect(),
            meta: Meta::of_tokens(version, tokens),
        };
        answer::json(room.until(cancel), &response)
    })
    .await
}

/// The field has another name here than elsewhere.
fn renamed_dimensions(error: ApiError) -> ApiError {
    match error.pointer() {
        Some("/dimensions") => error.at("/output_dimension"),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_packed_from_the_highest() {
        let vector = [1.0, -1.0, 0.0, 0.5, -0.0, 2.0, -3.0, 1.0, 4.0];
        assert_eq!(packed_signs(&vector), [0b1001_0101, 0b1000_0000]);
        let types = [EmbeddingType::Binary, EmbeddingType::Ubinary];
        let written = EmbeddingsByType::new(vec![vector.to_vec()], &types);
        assert_eq!(written.ubinary, Some(vec![vec![149, 128]]));
        assert_eq!(written.binary, Some(vec![vec![21, 0]]));
        assert!(written.float.is_none() && written.base64.is_none());
    }
}
