//! `GET /documents/{id}` and `GET /documents`.

#![expect(
    unused_qualifications,
    reason = "utoipa writes parameter types with a path"
)]

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use siamese_index::{Collection, StoredPassage};
use utoipa::{IntoParams, ToSchema};

use super::{DocumentDescription, PassageDescription};
use crate::app::App;
use crate::error::{ApiError, ErrorCode};
use crate::extract::{ApiQuery, CollectionName, DocumentId};
use crate::routes::problems::{
    CollectionProblems, DocumentProblems, EngineProblems, ParameterProblems,
};
use crate::service::blocking;

const DEFAULT_PAGE_DOCUMENTS: usize = 100;

/// What to add to a document.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DocumentQuery {
    /// `vectors` adds each passage's embedding.
    #[param(inline)]
    include: Option<DocumentInclude>,
}

/// Parts of a document that are left out unless asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DocumentInclude {
    /// The embeddings of the passages.
    Vectors,
}

/// Read a document.
#[utoipa::path(
    get, path = "/documents/{id}", operation_id = "get_document", tag = "documents",
    params(("id" = String, Path, min_length = 1), DocumentQuery),
    responses(
        (status = 200, body = DocumentDescription),
        DocumentProblems, ParameterProblems, EngineProblems
    )
)]
pub(crate) async fn get(
    State(app): State<App>,
    collection: CollectionName,
    DocumentId(id): DocumentId,
    ApiQuery(query): ApiQuery<DocumentQuery>,
) -> Result<Json<DocumentDescription>, ApiError> {
    let collection = app.engine()?.collection(&collection)?;
    let with_vectors = query.include == Some(DocumentInclude::Vectors);
    blocking(move || {
        let document = collection
            .get(&id)?
            .ok_or_else(|| ApiError::document_not_found(&id))?;
        let mut description = DocumentDescription::new(document);
        description.passages = passages(&collection, &id, with_vectors)?;
        Ok(Json(description))
    })
    .await
}

fn passages(
    collection: &Collection,
    id: &str,
    with_vectors: bool,
) -> Result<Option<Vec<PassageDescription>>, ApiError> {
    let passages = collection.passages(id, with_vectors)?;
    let describe = |passage: StoredPassage| PassageDescription {
        start: passage.start,
        end: passage.end,
        vector: passage.vector,
    };
    Ok(passages.map(|passages| passages.into_iter().map(describe).collect()))
}

/// Which page of documents.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// Documents on the page; at most `limits.max_page_documents`.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<usize>,
    /// `next_cursor` of the page before: documents after it are listed.
    cursor: Option<String>,
    /// `text` adds the texts.
    #[param(inline)]
    include: Option<PageInclude>,
}

/// Parts of a page's documents that are left out unless asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PageInclude {
    /// The texts.
    Text,
}

/// A page of documents, ordered by id.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DocumentPage {
    documents: Vec<DocumentDescription>,
    /// Where the next page begins; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// List documents, ordered by id.
#[utoipa::path(
    get, path = "/documents", operation_id = "list_documents", tag = "documents",
    params(PageQuery),
    responses(
        (status = 200, body = DocumentPage),
        CollectionProblems, ParameterProblems, EngineProblems
    )
)]
pub(crate) async fn list(
    State(app): State<App>,
    collection: CollectionName,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<DocumentPage>, ApiError> {
    let limit = checked_limit(query.limit, app.limits().max_page_documents)?;
    let collection = app.engine()?.collection(&collection)?;
    blocking(move || {
        let documents = collection.list(query.cursor.as_deref(), limit)?;
        let next_cursor = match documents.last() {
            Some(last) if documents.len() == limit => Some(last.id.clone()),
            _ => None,
        };
        let describe = |document| {
            let mut description = DocumentDescription::new(document);
            description.text = description.text.filter(|_| query.include.is_some());
            description
        };
        Ok(Json(DocumentPage {
            documents: documents.into_iter().map(describe).collect(),
            next_cursor,
        }))
    })
    .await
}

fn checked_limit(limit: Option<usize>, max: usize) -> Result<usize, ApiError> {
    let limit = limit.unwrap_or(DEFAULT_PAGE_DOCUMENTS.min(max));
    if (1..=max).contains(&limit) {
        return Ok(limit);
    }
    Err(ApiError::new(
        ErrorCode::InvalidRequest,
        format!("limit is {limit}; 1 to limits.max_page_documents = {max} are allowed"),
    ))
}
