//! The queries that a collection was told to keep.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::problems::{AnswerProblems, CollectionProblems, EngineProblems, ParameterProblems};
use crate::access::CollectionName;
use crate::answer;
use crate::app::App;
use crate::error::ApiError;
use crate::service::blocking_steps;

/// What was searched for last.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RecentQueryList {
    /// Each once, the newest first. Only texts of up to 1024 bytes are kept.
    queries: Vec<String>,
}

/// List the queries that a collection has kept, as its setting `keep_queries` says. They are in memory only, and gone
/// after a restart.
#[utoipa::path(
    get, path = "/collections/{collection}/queries", operation_id = "list_queries", tag = "collections",
    params(("collection" = String, Path, pattern = "^[A-Za-z0-9_-]{1,64}$")),
    responses(
        (status = 200, body = RecentQueryList),
        CollectionProblems, ParameterProblems, AnswerProblems, EngineProblems
    )
)]
pub(crate) async fn list(
    State(app): State<App>,
    name: CollectionName,
) -> Result<Response, ApiError> {
    let engine = app.engine()?;
    let queries = engine.recent_queries.of(&*engine.reader(&name)?);
    let room = app.room();
    blocking_steps(move |cancel| answer::json(room.until(cancel), &RecentQueryList { queries }))
        .await
}

/// Forget the queries that a collection has kept.
#[utoipa::path(
    delete, path = "/collections/{collection}/queries", operation_id = "delete_queries", tag = "collections",
    params(("collection" = String, Path, pattern = "^[A-Za-z0-9_-]{1,64}$")),
    responses(
        (status = 204, description = "Forgotten"),
        CollectionProblems, ParameterProblems, EngineProblems
    )
)]
pub(crate) async fn delete(
    State(app): State<App>,
    name: CollectionName,
) -> Result<StatusCode, ApiError> {
    let engine = app.engine()?;
    engine
        .recent_queries
        .forget(engine.reader(&name)?.name(), 0);
    Ok(StatusCode::NO_CONTENT)
}
