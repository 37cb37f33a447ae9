//! `GET /v1/models`.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::error::ApiError;
use crate::routes::problems::EngineProblems;

/// The models of this service: its encoder.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ModelList {
    /// Always `list`.
    #[schema(example = "list")]
    object: &'static str,
    data: Vec<ModelShape>,
}

/// A model that makes embeddings.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ModelShape {
    /// Its name.
    #[schema(example = "all-MiniLM-L6-v2")]
    id: String,
    /// Always `model`.
    #[schema(example = "model")]
    object: &'static str,
    /// When this service loaded it, seconds since 1970.
    created: i64,
    /// Always `siamese`.
    #[schema(example = "siamese")]
    owned_by: &'static str,
}

/// List the models, as OpenAI does.
#[utoipa::path(
    get, path = "/v1/models", operation_id = "v1_models", tag = "compatible",
    responses((status = 200, body = ModelList), EngineProblems)
)]
pub(crate) async fn list(State(app): State<App>) -> Result<Json<ModelList>, ApiError> {
    let engine = app.engine()?;
    Ok(Json(ModelList {
        object: "list",
        data: vec![ModelShape {
            id: engine.encoder.info().model.clone(),
            object: "model",
            created: engine.loaded_at.as_second(),
            owned_by: "siamese",
        }],
    }))
}
