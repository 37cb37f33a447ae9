//! What scores pairs of texts here.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::problems::{EngineProblems, RerankerProblems};
use crate::app::App;
use crate::error::ApiError;

/// The loaded reranker.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RerankerDescription {
    /// The model's name.
    #[schema(example = "ms-marco-MiniLM-L6-v2")]
    model: String,
    /// The class of the model.
    #[schema(example = "BertForSequenceClassification")]
    architecture: String,
    /// The window: tokens of query and text together that are read, special tokens included.
    #[schema(example = 512)]
    max_tokens: usize,
    /// What makes a score of the model's logit.
    #[schema(example = "sigmoid")]
    activation: &'static str,
    /// Where the forward pass runs.
    #[schema(example = "cpu")]
    device: String,
    /// Which implementation of the forward pass runs, and with which instructions.
    #[schema(example = "packed avx2 f32")]
    path: String,
}

/// Describe the reranker.
#[utoipa::path(
    get, path = "/reranker", tag = "reranker",
    responses((status = 200, body = RerankerDescription), RerankerProblems, EngineProblems)
)]
pub(crate) async fn reranker(
    State(app): State<App>,
) -> Result<Json<RerankerDescription>, ApiError> {
    let info = app.engine()?.models.reranker()?.info();
    Ok(Json(RerankerDescription {
        model: info.model.clone(),
        architecture: info.architecture.clone(),
        max_tokens: info.max_tokens,
        activation: info.activation,
        device: info.device.clone(),
        path: info.path.clone(),
    }))
}
