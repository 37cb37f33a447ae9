//! `DELETE /documents/{id}` and `POST /documents/delete`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use siamese_index::Filter;
use utoipa::ToSchema;

use super::IdQuery;
use super::duplicates::Duplicates;
use super::input::check_id;
use crate::access::{CollectionName, Principal};
use crate::app::{App, Engine};
use crate::backend::{Capability, Reader, Writer};
use crate::config::Limits;
use crate::error::ApiError;
use crate::extract::{
    ApiJson, ApiQuery, DocumentId, JsonBody, ListLimit, from_object_only, present,
};
use crate::metrics;
use crate::routes::filter::FilterShape;
use crate::routes::jobs::visible;
use crate::routes::problems::{
    BodyProblems, CollectionProblems, DocumentProblems, EngineProblems, ParameterProblems,
    WriteProblems,
};
use crate::service::blocking_write;

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
    delete_one(&app, &collection, id).await
}

/// Delete a document whose id is a parameter.
#[utoipa::path(
    delete, path = "/documents", operation_id = "delete_document_by_id", tag = "documents",
    params(IdQuery),
    responses(
        (status = 204, description = "Deleted, durably"),
        DocumentProblems, ParameterProblems, WriteProblems, EngineProblems
    )
)]
pub(crate) async fn one_by_query(
    State(app): State<App>,
    collection: CollectionName,
    ApiQuery(IdQuery { id }): ApiQuery<IdQuery>,
) -> Result<StatusCode, ApiError> {
    delete_one(&app, &collection, id).await
}

async fn delete_one(
    app: &App,
    collection: &CollectionName,
    id: String,
) -> Result<StatusCode, ApiError> {
    let writer = app.engine()?.writer(collection)?;
    blocking_write(move || {
        let deleted = writer.delete(std::slice::from_ref(&id))?;
        if !deleted.contains(&true) {
            return Err(ApiError::document_not_found(&id));
        }
        metrics::documents_deleted(1);
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// Which documents to delete: exactly one of `ids`, `filter` and `clusters`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct DeleteRequest {
    /// At most `limits.max_ids_per_request`. An id that is not stored is passed over.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, max_items = 10000)]
    #[schema(value_type = Option<Vec<IdShape>>)]
    ids: Option<Vec<String>>,
    /// Every document that passes; it must not be empty. The documents go in batches, so one that
    /// is written meanwhile may stay.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    filter: Option<FilterShape>,
    /// Of each group that a job of `POST /clusters` has found, all documents but the medoid. What has been
    /// written since the job began stays.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, inline)]
    clusters: Option<ClustersOfJob>,
    /// Count what would be deleted, and delete nothing.
    #[serde(default)]
    dry_run: bool,
}

from_object_only!(DeleteRequest);

/// Groups that were found.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClustersOfJob {
    /// The job's id.
    job: String,
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
    deleted: u64,
}

/// Delete documents by id, by filter, or those that others stand for.
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
    principal: Principal,
    collection: CollectionName,
    ApiJson((selection, dry_run)): ApiJson<DeleteRequest>,
) -> Result<Json<DeleteResponse>, ApiError> {
    let engine = app.engine()?;
    let writer = engine.writer(&collection)?;
    let kept = app.clone();
    blocking_write(move || {
        let collection = writer.reader();
        let selection = selection.read(collection.name(), &principal, kept.engine()?)?;
        if dry_run {
            let deleted = selection.count(&*collection)?;
            return Ok(Json(DeleteResponse { deleted }));
        }
        let deleted = selection.delete(&*writer)?;
        metrics::documents_deleted(deleted as usize);
        Ok(Json(DeleteResponse { deleted }))
    })
    .await
}

/// Documents to delete, checked.
#[derive(Debug)]
pub(crate) enum Selection {
    /// Sorted, without repetition.
    Ids(Vec<String>),
    Filter(Filter),
    Duplicates(Duplicates),
}

/// What a request selects, before the job that it may name is looked at.
#[derive(Debug)]
pub(crate) enum Selected {
    Now(Selection),
    ClustersOf(String),
}

impl Selected {
    fn read(
        self,
        collection: &str,
        principal: &Principal,
        engine: &Engine,
    ) -> Result<Selection, ApiError> {
        match self {
            Self::Now(selection) => Ok(selection),
            Self::ClustersOf(job) => found_by(&job, collection, principal, engine)
                .map(Selection::Duplicates)
                .map_err(|error| error.or_at("/clusters/job")),
        }
    }
}

/// What a job has found in a collection.
fn found_by(
    job: &str,
    collection: &str,
    principal: &Principal,
    engine: &Engine,
) -> Result<Duplicates, ApiError> {
    let index = engine.index(Capability::Clusters)?;
    let job = visible(engine.jobs()?, principal, job)?;
    Duplicates::of_job(&job, collection, index)
}

impl JsonBody for DeleteRequest {
    /// What to delete, and whether only to count it.
    type Checked = (Selected, bool);

    fn lists(limits: &Limits) -> Vec<ListLimit> {
        vec![ListLimit::new(
            "/ids",
            "ids",
            limits.max_ids_per_request,
            "limits.max_ids_per_request",
        )]
    }

    fn check(self, limits: &Limits) -> Result<Self::Checked, ApiError> {
        let dry_run = self.dry_run;
        Ok((self.selection(limits)?, dry_run))
    }
}

impl DeleteRequest {
    fn selection(self, limits: &Limits) -> Result<Selected, ApiError> {
        match (self.ids, self.filter, self.clusters) {
            (Some(mut ids), None, None) => {
                check_ids(&ids)?;
                ids.sort_unstable();
                ids.dedup();
                Ok(Selected::Now(Selection::Ids(ids)))
            }
            (None, Some(filter), None) => {
                let filter = filter.read(limits, "/filter")?;
                if filter.is_empty() {
                    let detail = "an empty filter would delete every document; to delete them \
                                  all, delete the collection";
                    return Err(ApiError::invalid("/filter", detail));
                }
                Ok(Selected::Now(Selection::Filter(filter)))
            }
            (None, None, Some(clusters)) => Ok(Selected::ClustersOf(clusters.job)),
            _ => Err(ApiError::invalid(
                "",
                "give exactly one of ids, filter and clusters",
            )),
        }
    }
}

impl Selection {
    fn count(self, collection: &Reader) -> Result<u64, ApiError> {
        match self {
            Self::Ids(ids) => {
                let mut stored = 0;
                for id in ids {
                    stored += u64::from(collection.get(&id)?.is_some());
                }
                Ok(stored)
            }
            Self::Filter(filter) => Ok(collection.count_matching(&filter)?),
            Self::Duplicates(duplicates) => duplicates.count(collection),
        }
    }

    fn delete(self, writer: &Writer) -> Result<u64, ApiError> {
        match self {
            Self::Ids(ids) => {
                let were_there = writer.delete(&ids)?;
                Ok(were_there.iter().filter(|was_there| **was_there).count() as u64)
            }
            Self::Filter(filter) => Ok(writer.delete_matching(&filter)?),
            Self::Duplicates(duplicates) => duplicates.delete(writer),
        }
    }
}

fn check_ids(ids: &[String]) -> Result<(), ApiError> {
    for (place, id) in ids.iter().enumerate() {
        check_id(id).map_err(|error| error.at(format!("/ids/{place}")))?;
    }
    Ok(())
}
