//! `GET /v1/models` and `GET /v1/models/{id}`.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::{App, Engine};
use crate::error::{ApiError, ErrorCode};
use crate::extract::ApiPath;
use crate::routes::problems::{EngineProblems, ModelProblems};

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
    Ok(Json(ModelList {
        object: "list",
        data: vec![ModelShape::of(app.engine()?)],
    }))
}

/// As `/v1/models`, for clients whose base URL has no `/v1`.
#[utoipa::path(
    get, path = "/models", operation_id = "models", tag = "compatible",
    responses((status = 200, body = ModelList), EngineProblems)
)]
pub(crate) async fn list_without_version(state: State<App>) -> Result<Json<ModelList>, ApiError> {
    list(state).await
}

/// Describe a model, as OpenAI does.
///
/// The id is that of `GET /v1/models`, or that of `encoder.model` in the settings; slashes in it may stand
/// as they are.
#[utoipa::path(
    get, path = "/v1/models/{*id}", operation_id = "v1_model", tag = "compatible",
    params(("id" = String, Path, min_length = 1)),
    responses((status = 200, body = ModelShape), ModelProblems, EngineProblems)
)]
pub(crate) async fn get(
    State(app): State<App>,
    ApiPath(id): ApiPath<String>,
) -> Result<Json<ModelShape>, ApiError> {
    let engine = app.engine()?;
    let model = ModelShape::of(engine);
    let configured = &app.settings().encoder.model;
    if id != model.id && id != *configured {
        let detail = format!("no model is called {id:?}; this service has {:?}", model.id);
        return Err(ApiError::new(ErrorCode::ModelNotFound, detail));
    }
    Ok(Json(ModelShape { id, ..model }))
}

/// As `/v1/models/{id}`, for clients whose base URL has no `/v1`.
#[utoipa::path(
    get, path = "/models/{*id}", operation_id = "model", tag = "compatible",
    params(("id" = String, Path, min_length = 1)),
    responses((status = 200, body = ModelShape), ModelProblems, EngineProblems)
)]
pub(crate) async fn get_without_version(
    state: State<App>,
    id: ApiPath<String>,
) -> Result<Json<ModelShape>, ApiError> {
    get(state, id).await
}

impl ModelShape {
    fn of(engine: &Engine) -> Self {
        Self {
            id: engine.models.encoder().info().model.clone(),
            object: "model",
            created: engine.loaded_at.as_second(),
            owned_by: "siamese",
        }
    }
}
