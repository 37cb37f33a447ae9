//! Snapshots of the whole data folder: take, list, download, delete.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use siamese_index::{EncoderIdentity, Index, Progress, SnapshotInfo, SnapshotManifest};
use utoipa::ToSchema;

use super::jobs::{PreferHeader, StartedJob, started};
use super::problems::{
    BackendProblems, BodyProblems, ConflictProblems, EngineProblems, ParameterProblems,
    SnapshotProblems, WriteProblems,
};
use super::timestamp::rfc3339;
use crate::access::Principal;
use crate::app::App;
use crate::backend::Capability;
use crate::config::Limits;
use crate::error::ApiError;
use crate::extract::{
    ApiPath, JsonBody, OptionalJson, RespondAsync, from_object_only, require_json,
};
use crate::jobs::{JobKind, NewJob};
use crate::service::{blocking, file_stream};

/// A snapshot: all collections at one moment, in one file.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SnapshotDescription {
    /// Its name.
    #[schema(example = "2026-01-31T08-15-30.250Z.snapshot")]
    name: String,
    /// Size of its file.
    bytes: u64,
    /// What it holds; absent when the file is damaged.
    #[serde(skip_serializing_if = "Option::is_none")]
    contents: Option<SnapshotContents>,
    /// What is wrong with the file, when something is.
    #[serde(skip_serializing_if = "Option::is_none")]
    damage: Option<String>,
}

/// What a snapshot holds.
#[derive(Debug, Serialize, ToSchema)]
pub struct SnapshotContents {
    /// The moment that it shows. RFC 3339, UTC.
    #[schema(format = DateTime)]
    created_at: String,
    /// Format of the data inside.
    data_format: u32,
    encoder: SnapshotEncoder,
    /// Documents of all collections.
    documents: u64,
    /// Passages of all collections; each has one vector.
    passages: u64,
    /// Ordered by name.
    collections: Vec<SnapshotCollection>,
}

/// The encoder whose vectors are in a snapshot.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SnapshotEncoder {
    /// Collections of it need an encoder of the same identity.
    id: String,
    /// The model's name.
    model: String,
    /// Length of every vector.
    dimensions: usize,
}

/// How much of a collection is in a snapshot.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SnapshotCollection {
    /// Its name.
    name: String,
    /// What made its vectors; absent in snapshots of older versions, where one encoder made all.
    #[serde(skip_serializing_if = "Option::is_none")]
    encoder: Option<SnapshotEncoder>,
    /// Its documents.
    documents: u64,
    /// Their passages.
    passages: u64,
}

/// All snapshots.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SnapshotList {
    /// The oldest first.
    snapshots: Vec<SnapshotDescription>,
}

impl From<SnapshotInfo> for SnapshotDescription {
    fn from(snapshot: SnapshotInfo) -> Self {
        let (contents, damage) = match snapshot.manifest {
            Ok(manifest) => (Some(manifest.into()), None),
            Err(error) => (None, Some(error.to_string())),
        };
        Self {
            name: snapshot.name,
            bytes: snapshot.bytes,
            contents,
            damage,
        }
    }
}

impl From<EncoderIdentity> for SnapshotEncoder {
    fn from(encoder: EncoderIdentity) -> Self {
        Self {
            id: encoder.id,
            model: encoder.name,
            dimensions: encoder.dimensions,
        }
    }
}

impl From<SnapshotManifest> for SnapshotContents {
    fn from(manifest: SnapshotManifest) -> Self {
        let (documents, passages) = (manifest.documents(), manifest.passages());
        let collections = manifest.collections.into_iter();
        Self {
            created_at: rfc3339(manifest.created_at_ms),
            data_format: manifest.data_format,
            encoder: manifest.encoder.into(),
            documents,
            passages,
            collections: collections
                .map(|counts| SnapshotCollection {
                    name: counts.name,
                    encoder: counts.encoder.map(Into::into),
                    documents: counts.documents,
                    passages: counts.passages,
                })
                .collect(),
        }
    }
}

/// A snapshot to take; there is nothing to choose.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct SnapshotRequest {}

from_object_only!(SnapshotRequest);

impl JsonBody for SnapshotRequest {
    type Checked = Self;

    fn check(self, _limits: &Limits) -> Result<Self, ApiError> {
        Ok(self)
    }
}

/// Take a snapshot while reads and writes go on. The answer comes when it is complete and durable,
/// however long that takes; with `Prefer: respond-async` at once, and a job takes it. One at a time, and up to `storage.max_snapshots`.
///
/// The content type must be that of JSON, with or without a body, so that a form of a foreign web page
/// cannot take one.
#[utoipa::path(
    post, path = "/snapshots", operation_id = "create_snapshot", tag = "operations",
    params(PreferHeader),
    request_body = SnapshotRequest,
    responses(
        (status = 201, body = SnapshotDescription),
        (status = 202, body = StartedJob, description = "A job takes it; its `result` is the snapshot"),
        BodyProblems, ConflictProblems, WriteProblems, EngineProblems
    )
)]
pub(crate) async fn create(
    State(app): State<App>,
    principal: Principal,
    headers: HeaderMap,
    RespondAsync(is_wanted_later): RespondAsync,
    OptionalJson(SnapshotRequest {}): OptionalJson<SnapshotRequest>,
) -> Result<Response, ApiError> {
    require_json(&headers)?;
    let index = Arc::clone(app.engine()?.index(Capability::Snapshots)?);
    if is_wanted_later {
        return started(&app, &principal, job(index), true).await;
    }
    let ending = app.ending().clone();
    blocking(move || {
        let snapshot = index.create_snapshot(&ending, &Progress::default())?;
        let snapshot = SnapshotDescription::from(snapshot);
        Ok((StatusCode::CREATED, Json(snapshot)).into_response())
    })
    .await
}

/// A job that takes a snapshot.
fn job(index: Arc<Index>) -> NewJob {
    NewJob {
        kind: JobKind::Snapshot,
        collection: None,
        unit: "bytes",
        on_cancel: None,
        work: Box::new(move |run| {
            let snapshot = index.create_snapshot(run.cancel, run.progress)?;
            serde_json::to_value(SnapshotDescription::from(snapshot)).map_err(ApiError::internal)
        }),
    }
}

/// List all snapshots.
#[utoipa::path(
    get, path = "/snapshots", operation_id = "list_snapshots", tag = "operations",
    responses((status = 200, body = SnapshotList), BackendProblems, EngineProblems)
)]
pub(crate) async fn list(State(app): State<App>) -> Result<Json<SnapshotList>, ApiError> {
    let index = Arc::clone(app.engine()?.index(Capability::Snapshots)?);
    blocking(move || {
        let snapshots = index.snapshots()?.into_iter().map(Into::into).collect();
        Ok(Json(SnapshotList { snapshots }))
    })
    .await
}

/// Download a snapshot. `siamese snapshot verify` checks the file that arrives.
#[utoipa::path(
    get, path = "/snapshots/{name}", operation_id = "get_snapshot", tag = "operations",
    params(("name" = String, Path, min_length = 1)),
    responses(
        (status = 200, description = "The file", content_type = "application/octet-stream"),
        SnapshotProblems, ParameterProblems, EngineProblems
    )
)]
pub(crate) async fn download(
    State(app): State<App>,
    ApiPath(name): ApiPath<String>,
) -> Result<Response, ApiError> {
    let index = Arc::clone(app.engine()?.index(Capability::Snapshots)?);
    let opened = blocking(move || {
        let file = index.snapshot_file(&name)?;
        let bytes = file.metadata().map_err(ApiError::internal)?.len();
        Ok((file, bytes))
    });
    let (file, bytes) = opened.await?;
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, bytes.to_string()),
    ];
    Ok((headers, Body::from_stream(file_stream(file))).into_response())
}

/// Delete a snapshot.
#[utoipa::path(
    delete, path = "/snapshots/{name}", operation_id = "delete_snapshot", tag = "operations",
    params(("name" = String, Path, min_length = 1)),
    responses(
        (status = 204, description = "Deleted"),
        SnapshotProblems, ParameterProblems, EngineProblems
    )
)]
pub(crate) async fn delete(
    State(app): State<App>,
    ApiPath(name): ApiPath<String>,
) -> Result<StatusCode, ApiError> {
    let index = Arc::clone(app.engine()?.index(Capability::Snapshots)?);
    blocking(move || {
        index.delete_snapshot(&name)?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}
