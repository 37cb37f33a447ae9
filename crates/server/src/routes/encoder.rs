//! What encodes the texts here.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::problems::EngineProblems;
use crate::app::App;
use crate::error::ApiError;

/// The encoder that is used where none is named.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EncoderDescription {
    /// The model's name.
    #[schema(example = "all-MiniLM-L6-v2")]
    model: String,
    /// SHA-256 over weights, tokenizer, pooling, prompts and dimensions. Stored with the vectors
    /// of each collection: those of two encoders never meet.
    encoder_id: String,
    /// The backbone's architecture.
    #[schema(example = "bert")]
    model_type: String,
    /// Length of every vector.
    #[schema(example = 384)]
    dimensions: usize,
    /// The window: tokens of a text that are read, special tokens included.
    #[schema(example = 256)]
    max_tokens: usize,
    /// How token states become one vector.
    #[schema(example = json!(["mean"]))]
    pooling: Vec<String>,
    /// Texts put before a query or a document, by name.
    prompts: BTreeMap<String, String>,
    /// The similarity the model was trained for.
    #[schema(example = "cosine")]
    similarity: String,
    /// Where the forward pass runs.
    #[schema(example = "cpu")]
    device: String,
    /// Which implementation of the forward pass runs, and with which instructions.
    #[schema(example = "packed avx2")]
    path: String,
}

/// Describe the encoder that is used where none is named; `GET /models` lists all.
#[utoipa::path(
    get, path = "/encoder", tag = "encoder",
    responses((status = 200, body = EncoderDescription), EngineProblems)
)]
pub(crate) async fn encoder(State(app): State<App>) -> Result<Json<EncoderDescription>, ApiError> {
    let info = app.engine()?.models.encoder().info();
    Ok(Json(EncoderDescription {
        model: info.model.clone(),
        encoder_id: info.id.to_string(),
        model_type: info.model_type.clone(),
        dimensions: info.dimensions,
        max_tokens: info.max_tokens,
        pooling: info.pooling.iter().map(ToString::to_string).collect(),
        prompts: info.prompts.clone(),
        similarity: info.similarity.to_string(),
        device: info.device.clone(),
        path: info.path.clone(),
    }))
}
