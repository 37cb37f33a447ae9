//! Probes and metrics.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::problems::EngineProblems;
use crate::app::App;
use crate::error::ApiError;
use crate::metrics;
use crate::queue::Lane;
use crate::service::blocking;

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
    /// `ok`.
    #[schema(example = "ok")]
    status: &'static str,
    /// By meaning.
    index: IndexState,
    /// By words.
    words: IndexState,
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

/// Are the model and the index loaded?
#[utoipa::path(
    get, path = "/readyz", tag = "operations",
    responses((status = 200, body = Readiness), EngineProblems)
)]
pub(crate) async fn readyz(State(app): State<App>) -> Result<Json<Readiness>, ApiError> {
    let engine = app.engine()?;
    if *app.stopping().borrow() {
        return Err(ApiError::not_ready("the server is stopping"));
    }
    let collections = engine.index.collections();
    let stats = collections.iter().map(|collection| collection.stats());
    let stats: Vec<_> = stats.collect();
    Ok(Json(Readiness {
        status: "ok",
        index: IndexState::of(stats.iter().any(|stats| stats.is_rebuilding)),
        words: IndexState::of(stats.iter().any(|stats| stats.is_rebuilding_words)),
    }))
}

/// Metrics in the Prometheus text format.
#[utoipa::path(
    get, path = "/metrics", tag = "operations",
    responses((status = 200, body = String, content_type = "text/plain"), EngineProblems)
)]
pub(crate) async fn metrics(State(app): State<App>) -> Result<Response, ApiError> {
    let exporter =
        metrics::exporter().ok_or_else(|| ApiError::internal("there is no metrics recorder"))?;
    refresh_gauges(&app).await?;
    let headers = [(
        header::CONTENT_TYPE,
        "text/plain; version=0.0.4; charset=utf-8",
    )];
    Ok((headers, exporter.render()).into_response())
}

/// Sizes are read when somebody asks, not on every write.
async fn refresh_gauges(app: &App) -> Result<(), ApiError> {
    metrics::ready(app.engine().is_ok());
    let Ok(engine) = app.engine() else {
        return Ok(());
    };
    for lane in Lane::ALL {
        metrics::queue_tokens(lane, engine.queue.waiting_tokens(lane));
    }
    let index = std::sync::Arc::clone(&engine.index);
    blocking(move || {
        for collection in index.collections() {
            let stats = collection.stats();
            metrics::collection(collection.name(), &stats);
        }
        metrics::disk_bytes(index.disk_bytes()?);
        Ok(())
    })
    .await
}
