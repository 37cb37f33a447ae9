//! Probes and metrics.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use siamese_index::HealthCondition;
use utoipa::ToSchema;

use super::problems::EngineProblems;
use crate::app::App;
use crate::error::ApiError;
use crate::service::metrics_text;

/// The answer of a probe.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// `ok`.
    #[schema(example = "ok")]
    status: &'static str,
}

/// The answer of the readiness probe.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Readiness {
    status: ReadyStatus,
    /// What keeps the service from a part of its work, which it does again by itself when that is over.
    /// Empty when the status is `ok`.
    conditions: Vec<ConditionShape>,
    /// What is stored.
    record: RecordState,
    /// By meaning.
    index: IndexState,
    /// By words.
    words: IndexState,
}

/// How much of its work a service that is ready does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReadyStatus {
    /// All of it.
    Ok,
    /// Some requests are refused, for example writes on a full disk; `conditions` says why.
    Degraded,
}

/// Something that keeps the service from a part of its work.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConditionShape {
    /// `disk_full`, `memory_full` or `background_stopped`.
    #[schema(example = "disk_full")]
    name: &'static str,
    /// What that means, and what ends it.
    detail: &'static str,
}

impl From<HealthCondition> for ConditionShape {
    fn from(condition: HealthCondition) -> Self {
        Self {
            name: condition.name(),
            detail: condition.explanation(),
        }
    }
}

/// Whether all that is stored has been compared with what should be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RecordState {
    /// It has.
    Checked,
    /// It is being read since the start. Reads are answered, writes and snapshots wait for the end of it.
    Checking,
}

/// Whether searches go at their usual speed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum IndexState {
    /// They do.
    Ready,
    /// Parts of the index are being made anew. Answers are complete and exact, and may be slow.
    Rebuilding,
}

impl IndexState {
    /// The state of what is being rebuilt or not.
    pub(super) fn of(is_rebuilding: bool) -> Self {
        if is_rebuilding {
            Self::Rebuilding
        } else {
            Self::Ready
        }
    }
}

/// Is the process alive?
#[utoipa::path(get, path = "/livez", tag = "operations", responses((status = 200, body = Health)))]
pub(crate) async fn livez() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// Should requests be sent here?
///
/// 503 (`not_ready`) while the model and the index are being loaded, while the server is stopping, and
/// when writes are impossible until somebody steps in: `writes_stopped` after a write or fsync that
/// failed, `storage_damaged` when not all is there that was stored, `writes_stalled` when one makes no progress, `data_folder_moved`; and `cluster_unavailable` while the
/// cluster that keeps the documents does not answer. `detail` names which.
/// Otherwise 200, with the status `degraded` while the service can do only a part of its work.
#[utoipa::path(
    get, path = "/readyz", tag = "operations",
    responses((status = 200, body = Readiness), EngineProblems)
)]
pub(crate) async fn readyz(State(app): State<App>) -> Result<Json<Readiness>, ApiError> {
    let engine = app.engine()?;
    if *app.stopping().borrow() {
        return Err(ApiError::not_ready("the server is stopping"));
    }
    // From memory: a probe must not wait for a disk that does not answer.
    let conditions = engine.backend.conditions();
    if let Some(fatal) = conditions.iter().find(|condition| condition.is_fatal()) {
        let detail = format!("{}: {}", fatal.name(), fatal.explanation());
        return Err(ApiError::not_ready(detail));
    }
    if let Some(trouble) = engine.backend.trouble() {
        return Err(ApiError::not_ready(format!(
            "cluster_unavailable: {trouble}"
        )));
    }
    let index = engine.backend.index();
    let collections = index.map(|index| index.collections()).unwrap_or_default();
    let stats = collections.iter().map(|collection| collection.stats());
    let stats: Vec<_> = stats.collect();
    Ok(Json(Readiness {
        status: match conditions.is_empty() {
            true => ReadyStatus::Ok,
            false => ReadyStatus::Degraded,
        },
        conditions: conditions.into_iter().map(Into::into).collect(),
        record: match index.is_some_and(|index| index.is_unchecked()) {
            true => RecordState::Checking,
            false => RecordState::Checked,
        },
        index: IndexState::of(stats.iter().any(|stats| stats.is_rebuilding)),
        words: IndexState::of(stats.iter().any(|stats| stats.is_rebuilding_words)),
    }))
}

/// Is the service ready? As text-embeddings-inference answers it: as `/readyz`, without saying more.
#[utoipa::path(
    get, path = "/health", operation_id = "health", tag = "compatible",
    responses((status = 200, body = Health), EngineProblems)
)]
pub(crate) async fn health(state: State<App>) -> Result<Json<Health>, ApiError> {
    let Json(_) = readyz(state).await?;
    Ok(Json(Health { status: "ok" }))
}

/// As `/health`, as text-embeddings-inference and Amazon SageMaker call it.
#[utoipa::path(
    get, path = "/ping", operation_id = "ping", tag = "compatible",
    responses((status = 200, body = Health), EngineProblems)
)]
pub(crate) async fn ping(state: State<App>) -> Result<Json<Health>, ApiError> {
    health(state).await
}

/// Whether a path is that of a probe, which is always answered.
pub(crate) fn is_probe(path: &str) -> bool {
    matches!(path, "/livez" | "/readyz" | "/health" | "/ping")
}

/// Metrics in the Prometheus text format.
#[utoipa::path(
    get, path = "/metrics", tag = "operations",
    responses((status = 200, body = String, content_type = "text/plain"), EngineProblems)
)]
pub(crate) async fn metrics(State(app): State<App>) -> Result<Response, ApiError> {
    let text = metrics_text(&app).await?;
    let headers = [(
        header::CONTENT_TYPE,
        "text/plain; version=0.0.4; charset=utf-8",
    )];
    Ok((headers, text).into_response())
}
