//! `GET /v1/models` and `GET /v1/models/{id}`.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use siamese_index::DEFAULT_ENCODER;
use utoipa::ToSchema;

use crate::app::{App, Engine};
use crate::error::{ApiError, ErrorCode};
use crate::extract::ApiPath;
use crate::models::{ModelAccount, ModelKind, OpenModel};
use crate::routes::problems::{EngineProblems, ModelProblems};

/// The models of this service: its encoders and rerankers, the default ones first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ModelList {
    /// Always `list`.
    #[schema(example = "list")]
    object: &'static str,
    data: Vec<ModelShape>,
}

/// A model. The first four fields are OpenAI's.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ModelShape {
    /// What requests call it in `model`: its name in the settings, or of a default one the model's own.
    #[schema(example = "all-MiniLM-L6-v2")]
    id: String,
    /// Always `model`.
    #[schema(example = "model")]
    object: &'static str,
    /// When this service started, seconds since 1970.
    created: i64,
    /// Always `siamese`.
    #[schema(example = "siamese")]
    owned_by: &'static str,
    /// Its name in the settings, `default` for `[encoder]` and `[reranker]`; collections name their encoder by it.
    #[schema(example = "default")]
    name: String,
    #[schema(inline)]
    kind: KindShape,
    /// Whether it is open. One that is not is opened by its first use.
    open: bool,
    /// Of an encoder that has been open: its identity, as `GET /encoder` has it.
    encoder_id: Option<String>,
    /// Of an encoder that has been open: length of every vector.
    #[schema(example = 384)]
    dimensions: Option<usize>,
    /// While it is open: bytes of its weights' files, which count for `models.max_memory_bytes`.
    bytes: Option<u64>,
    /// While it is open: which implementation of the forward pass runs, and with which instructions.
    #[schema(example = "packed avx2")]
    path: Option<String>,
    /// Why it could not be opened, the last time. The next use tries again.
    last_error: Option<String>,
}

/// What a model is for.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum KindShape {
    /// Makes vectors of texts.
    Encoder,
    /// Scores pairs of texts.
    Reranker,
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
        data: shapes(engine),
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
    let accounts = engine.models.accounts();
    let found = accounts.iter().position(|account| account.model == id);
    let mut shapes = shapes(engine);
    let found = shapes.iter().position(|shape| shape.id == id).or(found);
    match found {
        Some(place) => Ok(Json(ModelShape {
            id,
            ..shapes.swap_remove(place)
        })),
        None => {
            let ids: Vec<String> = shapes
                .iter()
                .map(|shape| format!("{:?}", shape.id))
                .collect();
            let detail = format!(
                "no model is called {id:?}; this service has {}",
                ids.join(", ")
            );
            Err(ApiError::new(ErrorCode::ModelNotFound, detail))
        }
    }
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

/// All models, the default ones first.
fn shapes(engine: &Engine) -> Vec<ModelShape> {
    let created = engine.loaded_at.as_second();
    let accounts = engine.models.accounts().into_iter();
    accounts
        .map(|account| ModelShape::of(account, created))
        .collect()
}

impl ModelShape {
    fn of(account: ModelAccount, created: i64) -> Self {
        let (own_name, path) = match &account.open {
            Some(OpenModel::Encoder(model)) => {
                (model.info().model.clone(), Some(&model.info().path))
            }
            Some(OpenModel::Reranker(model)) => {
                (model.info().model.clone(), Some(&model.info().path))
            }
            None => (account.name.clone(), None),
        };
        let is_default = account.name == DEFAULT_ENCODER;
        Self {
            id: if is_default {
                own_name
            } else {
                account.name.clone()
            },
            object: "model",
            created,
            owned_by: "siamese",
            kind: match account.kind {
                ModelKind::Encoder => KindShape::Encoder,
                ModelKind::Reranker => KindShape::Reranker,
            },
            open: account.open.is_some(),
            path: path.cloned(),
            bytes: account.bytes,
            encoder_id: account
                .identity
                .as_ref()
                .map(|identity| identity.id.clone()),
            dimensions: account.identity.map(|identity| identity.dimensions),
            last_error: account.failure.map(|failure| failure.to_string()),
            name: account.name,
        }
    }
}
