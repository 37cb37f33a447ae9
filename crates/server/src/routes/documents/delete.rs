//! `DELETE /documents/{id}` and `POST /documents/delete`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::input::check_id;
use crate::app::App;
use crate::error::ApiError;
use crate::extract::{ApiJson, CollectionName, DocumentId};
use crate::metrics;
use crate::routes::problems::{
    BodyProblems, CollectionProblems, DocumentProblems, EngineProblems, WriteProblems,
};
use crate::service::blocking;

/// Delete a document.
#[utoipa::path(
    delete, path = "/documents/{id}", operation_id = "delete_document", tag = "documents",
    params(("id" = String, Path, min_length = 1)),
    responses(
        (status = 204, description = "Deleted, durably"),
        DocumentProblems, WriteProblems, EngineProblems
    )
)]
pub(crate) async fn one(
    State(app): State<App>,
    collection: CollectionName,
    DocumentId(id): DocumentId,
) -> Result<StatusCode, ApiError> {
    let collection = app.engine()?.collection(&collection)?;
    blocking(move || {
        let deleted = collection.delete(std::slice::from_ref(&id))?;
        if !deleted.contains(&true) {
            return Err(ApiError::document_not_found(&id));
        }
        metrics::documents_deleted(1);
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// Which documents to delete.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeleteRequest {
    /// At most `limits.max_ids_per_request`. An id that is not stored is passed over.
    #[schema(max_items = 10000)]
    #[schema(value_type = Vec<IdShape>)]
    ids: Vec<String>,
    /// Count what would be deleted, and delete nothing.
    #[serde(default)]
    dry_run: bool,
}

/// A document's id.
#[derive(Debug, ToSchema)]
#[schema(value_type = String, min_length = 1, max_length = 512)]
#[expect(
    dead_code,
    reason = "describes the items of a list in the API description"
)]
pub(crate) struct IdShape(String);

/// How many were deleted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeleteResponse {
    /// Documents deleted, or that would be.
    deleted: usize,
}

/// Delete documents by id.
#[utoipa::path(
    post, path = "/documents/delete", operation_id = "delete_documents", tag = "documents",
    request_body = DeleteRequest,
    responses(
        (status = 200, body = DeleteResponse),
        CollectionProblems, BodyProblems, WriteProblems, EngineProblems
    )
)]
pub(crate) async fn many(
    State(app): State<App>,
    collection: CollectionName,
    ApiJson(request): ApiJson<DeleteRequest>,
) -> Result<Json<DeleteResponse>, ApiError> {
    check_ids(&request.ids, app.limits().max_ids_per_request)?;
    let collection = app.engine()?.collection(&collection)?;
    blocking(move || {
        let mut ids = request.ids;
        ids.sort_unstable();
        ids.dedup();
        let deleted = if request.dry_run {
            let mut stored = 0;
            for id in &ids {
                stored += usize::from(collection.get(id)?.is_some());
            }
            stored
        } else {
            let deleted = collection
                .delete(&ids)?
                .into_iter()
                .filter(|was_there| *was_there)
                .count();
            metrics::documents_deleted(deleted);
            deleted
        };
        Ok(Json(DeleteResponse { deleted }))
    })
    .await
}

fn check_ids(ids: &[String], max: usize) -> Result<(), ApiError> {
    if ids.len() > max {
        let detail = format!(
            "there are {} ids, over limits.max_ids_per_request = {max}",
            ids.len()
        );
        return Err(ApiError::invalid("/ids", detail));
    }
    for (place, id) in ids.iter().enumerate() {
        check_id(id).map_err(|error| error.at(format!("/ids/{place}")))?;
    }
    Ok(())
}
