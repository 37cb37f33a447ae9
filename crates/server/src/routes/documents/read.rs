//! `GET /documents/{id}` and `GET /documents`.

#![expect(
    unused_qualifications,
    reason = "utoipa writes parameter types with a path"
)]

use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::response::Response;
use serde::ser::{self, SerializeSeq};
use serde::{Deserialize, Serialize, Serializer};
use siamese_index::{StoredDocument, StoredPassage};
use utoipa::{IntoParams, ToSchema};

use super::{DocumentDescription, PassageDescription};
use crate::access::CollectionName;
use crate::answer;
use crate::app::App;
use crate::backend::Reader;
use crate::error::{ApiError, ErrorCode};
use crate::extract::{ApiQuery, DocumentId};
use crate::routes::page_limit::page_limit;
use crate::routes::problems::{
    AnswerProblems, DocumentProblems, EngineProblems, ParameterProblems,
};
use crate::service::blocking_steps;

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
        DocumentProblems, ParameterProblems, AnswerProblems, EngineProblems
    )
)]
pub(crate) async fn get(
    State(app): State<App>,
    collection: CollectionName,
    DocumentId(id): DocumentId,
    ApiQuery(query): ApiQuery<DocumentQuery>,
) -> Result<Response, ApiError> {
    let with_vectors = query.include == Some(DocumentInclude::Vectors);
    read_one(&app, &collection, id, with_vectors).await
}

/// A document, with the embeddings of its passages or without them.
async fn read_one(
    app: &App,
    collection: &CollectionName,
    id: String,
    with_vectors: bool,
) -> Result<Response, ApiError> {
    let collection = app.engine()?.reader(collection)?;
    let (room, dimensions) = (app.room(), collection.dimensions());
    blocking_steps(move |cancel| {
        let document = collection
            .get(&id)?
            .ok_or_else(|| ApiError::document_not_found(&id))?;
        // What the answer is made from.
        let vector_bytes = if with_vectors {
            dimensions * size_of::<f32>()
        } else {
            0
        };
        let bytes = document.passages * (size_of::<PassageDescription>() + vector_bytes);
        let mut room = room.until(cancel);
        room.hold(bytes)?;
        let mut description = DocumentDescription::new(document);
        description.passages = passages(&*collection, &id, with_vectors)?;
        answer::json(room.another().until(cancel), &description)
    })
    .await
}

fn passages(
    collection: &Reader,
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
    /// `text` adds the texts; beside `id`, `vectors` adds each passage's embedding.
    #[param(inline)]
    include: Option<PageInclude>,
    /// The document of this id instead of a page: the answer is that of `/documents/{id}`. For ids that a
    /// path cannot carry, such as `..`, which clients take for a step up.
    #[param(min_length = 1)]
    id: Option<String>,
}

/// Parts of a page's documents that are left out unless asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PageInclude {
    /// The texts.
    Text,
    /// The embeddings of the passages of one document.
    Vectors,
}

/// A page of documents, ordered by id.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DocumentPage {
    #[schema(value_type = Vec<DocumentDescription>)]
    documents: Documents,
    /// Where the next page begins; absent on the last.
    #[serde(skip_serializing_if = "NextCursor::is_none")]
    #[schema(value_type = Option<String>)]
    next_cursor: NextCursor,
}

/// The id of the last document of a page, when there may be more. It is known once all are written.
#[derive(Debug, Clone, Default)]
struct NextCursor(Arc<Mutex<Option<String>>>);

impl NextCursor {
    fn set(&self, id: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(id);
    }

    fn is_none(&self) -> bool {
        let cursor = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cursor.is_none()
    }
}

impl Serialize for NextCursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let cursor = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cursor.serialize(serializer)
    }
}

/// Documents of which each is read when it is written, so that one is in memory at a time.
#[derive(Debug)]
struct Documents {
    collection: Arc<Reader>,
    after: Option<String>,
    limit: usize,
    with_text: bool,
    next_cursor: NextCursor,
    failed: Mutex<Option<ApiError>>,
}

impl Serialize for Documents {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut documents = serializer.serialize_seq(None)?;
        let (mut count, mut not_written) = (0, None);
        let mut write = |document: StoredDocument| {
            count += 1;
            let is_last = count == self.limit;
            if is_last {
                self.next_cursor.set(document.id.clone());
            }
            let mut description = DocumentDescription::new(document);
            description.text = description.text.filter(|_| self.with_text);
            not_written = documents.serialize_element(&description).err();
            not_written.is_none() && !is_last
        };
        let after = self.after.as_deref();
        let visited = self
            .collection
            .visit_documents(after, self.with_text, &mut write);
        match (visited, not_written) {
            (Ok(()), None) => documents.end(),
            (Ok(()), Some(error)) => Err(error),
            (Err(error), _) => {
                let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
                *failed = Some(error.into());
                Err(ser::Error::custom("a document could not be read"))
            }
        }
    }
}

/// A page of documents, or one of them.
#[derive(Debug, ToSchema)]
#[serde(untagged)]
#[expect(
    dead_code,
    reason = "describes an answer that is written as it is read"
)]
pub(crate) enum DocumentPageOrOne {
    /// Without `id`.
    Page(DocumentPage),
    /// With `id`.
    One(DocumentDescription),
}

/// List documents, ordered by id, or read one by its id.
#[utoipa::path(
    get, path = "/documents", operation_id = "list_documents", tag = "documents",
    params(PageQuery),
    responses(
        (status = 200, body = DocumentPageOrOne),
        DocumentProblems, ParameterProblems, AnswerProblems, EngineProblems
    )
)]
pub(crate) async fn list(
    State(app): State<App>,
    collection: CollectionName,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Response, ApiError> {
    if let Some(id) = query.id {
        if query.limit.is_some() || query.cursor.is_some() {
            let detail = "limit and cursor are for pages, and do not go with id";
            return Err(ApiError::new(ErrorCode::InvalidRequest, detail));
        }
        let with_vectors = query.include == Some(PageInclude::Vectors);
        return read_one(&app, &collection, id, with_vectors).await;
    }
    if query.include == Some(PageInclude::Vectors) {
        let detail = "include=vectors goes with id; on a page, include=text is possible";
        return Err(ApiError::new(ErrorCode::InvalidRequest, detail));
    }
    let limit = page_limit(query.limit, app.limits())?;
    let collection = app.engine()?.reader(&collection)?;
    let room = app.room();
    blocking_steps(move |cancel| {
        let next_cursor = NextCursor::default();
        let page = DocumentPage {
            documents: Documents {
                collection,
                after: query.cursor,
                limit,
                with_text: query.include.is_some(),
                next_cursor: next_cursor.clone(),
                failed: Mutex::new(None),
            },
            next_cursor,
        };
        let answer = answer::json(room.until(cancel), &page);
        let failed = page.documents.failed.into_inner();
        match failed.unwrap_or_else(PoisonError::into_inner) {
            Some(failed) => Err(failed),
            None => answer,
        }
    })
    .await
}
