//! `GET /info`.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::problems::EngineProblems;
use crate::app::App;
use crate::error::ApiError;

/// The service in the words of text-embeddings-inference. What has no meaning here is null.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Info {
    /// The encoder's name.
    #[schema(example = "all-MiniLM-L6-v2")]
    model_id: String,
    model_sha: Option<String>,
    /// The type of vectors' values.
    #[schema(example = "float32")]
    model_dtype: &'static str,
    served_model_name: String,
    model_type: ModelType,
    /// `server.max_concurrent_requests`.
    max_concurrent_requests: usize,
    /// The encoder's window, tokens.
    max_input_length: usize,
    /// `queue.max_batch_tokens`.
    max_batch_tokens: usize,
    max_batch_requests: Option<usize>,
    /// `limits.max_embed_texts`.
    max_client_batch_size: usize,
    /// Always true: texts over the window are cut unless a request says otherwise.
    auto_truncate: bool,
    /// Threads that tokenise.
    tokenization_workers: usize,
    /// The version of siamese.
    version: &'static str,
    sha: Option<String>,
    docker_label: Option<String>,
}

/// What the model is for.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ModelType {
    embedding: EmbeddingModel,
}

/// An encoder.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EmbeddingModel {
    /// How token states become one vector; several are joined by `+`.
    #[schema(example = "mean")]
    pooling: String,
}

/// Describe the service, as text-embeddings-inference does.
#[utoipa::path(
    get, path = "/info", operation_id = "info", tag = "compatible",
    responses((status = 200, body = Info), EngineProblems)
)]
pub(crate) async fn info(State(app): State<App>) -> Result<Json<Info>, ApiError> {
    let encoder = app.engine()?.models.encoder().info();
    let settings = app.settings();
    let pooling: Vec<String> = encoder.pooling.iter().map(ToString::to_string).collect();
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    Ok(Json(Info {
        model_id: encoder.model.clone(),
        model_sha: None,
        model_dtype: "float32",
        served_model_name: encoder.model.clone(),
        model_type: ModelType {
            embedding: EmbeddingModel {
                pooling: pooling.join("+"),
            },
        },
        max_concurrent_requests: settings.server.max_concurrent_requests.get(),
        max_input_length: encoder.max_tokens,
        max_batch_tokens: settings.queue.max_batch_tokens.get(),
        max_batch_requests: None,
        max_client_batch_size: settings.limits.max_embed_texts,
        auto_truncate: true,
        tokenization_workers: settings.encoder.threads.map_or_else(cores, Into::into),
        version: env!("CARGO_PKG_VERSION"),
        sha: None,
        docker_label: None,
    }))
}
