//! `PATCH /documents/{id}`: change metadata, encode nothing.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::input::check_metadata;
use super::{DocumentDescription, IdQuery};
use crate::access::CollectionName;
use crate::app::App;
use crate::config::Limits;
use crate::error::ApiError;
use crate::extract::{ApiJson, ApiQuery, DocumentId, JsonBody, from_object_only};
use crate::routes::problems::{BodyProblems, DocumentProblems, EngineProblems, WriteProblems};
use crate::service::blocking_write;

/// A change of metadata.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct PatchRequest {
    /// Merged into the stored metadata by RFC 7396: `null` removes a key.
    #[schema(value_type = Object, example = json!({"status": "solved", "assignee": null}))]
    metadata: Map<String, Value>,
}

from_object_only!(PatchRequest);

impl JsonBody for PatchRequest {
    type Checked = Map<String, Value>;

    fn check(self, limits: &Limits) -> Result<Self::Checked, ApiError> {
        check_metadata(&self.metadata, limits).map_err(|error| error.at("/metadata"))?;
        Ok(self.metadata)
    }
}

/// Merge metadata into a document's.
#[utoipa::path(
    patch, path = "/documents/{id}", operation_id = "patch_document", tag = "documents",
    params(("id" = String, Path, min_length = 1)),
    request_body = PatchRequest,
    responses(
        (status = 200, body = DocumentDescription),
        DocumentProblems, BodyProblems, WriteProblems, EngineProblems
    )
)]
pub(crate) async fn patch(
    State(app): State<App>,
    collection: CollectionName,
    DocumentId(id): DocumentId,
    ApiJson(metadata): ApiJson<PatchRequest>,
) -> Result<Json<DocumentDescription>, ApiError> {
    merge(&app, &collection, id, metadata).await
}

/// Merge metadata into that of a document whose id is a parameter.
#[utoipa::path(
    patch, path = "/documents", operation_id = "patch_document_by_id", tag = "documents",
    params(IdQuery),
    request_body = PatchRequest,
    responses(
        (status = 200, body = DocumentDescription),
        DocumentProblems, BodyProblems, WriteProblems, EngineProblems
    )
)]
pub(crate) async fn patch_by_query(
    State(app): State<App>,
    collection: CollectionName,
    ApiQuery(IdQuery { id }): ApiQuery<IdQuery>,
    ApiJson(metadata): ApiJson<PatchRequest>,
) -> Result<Json<DocumentDescription>, ApiError> {
    merge(&app, &collection, id, metadata).await
}

async fn merge(
    app: &App,
    collection: &CollectionName,
    id: String,
    metadata: Map<String, Value>,
) -> Result<Json<DocumentDescription>, ApiError> {
    let writer = app.engine()?.writer(collection)?;
    let max = app.limits().max_metadata_bytes;
    blocking_write(move || {
        let document = writer
            .patch_metadata(&id, &metadata, max)
            .map_err(too_large)?
            .ok_or_else(|| ApiError::document_not_found(&id))?;
        Ok(Json(DocumentDescription::new(document)))
    })
    .await
}

/// The patch may fit, and the metadata that it leads to may not.
fn too_large(error: siamese_index::Error) -> ApiError {
    match error {
        siamese_index::Error::MetadataSize { bytes, max_bytes } => {
            let detail = format!(
                "the metadata would have {bytes} bytes with the patch, over limits.max_metadata_bytes = {max_bytes}"
            );
            ApiError::invalid("/metadata", detail)
        }
        error => error.into(),
    }
}
