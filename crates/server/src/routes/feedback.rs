//! `/feedback`: which documents were useful for which queries.

#![expect(
    unused_qualifications,
    reason = "utoipa writes parameter types with a path"
)]

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use siamese_index::{
    Error, FeedbackLimits, FeedbackOutcome, Judgement, MAX_JUDGED_QUERY_BYTES, Reader,
    StoredJudgement,
};
use utoipa::{IntoParams, ToSchema};

use super::documents::{check_id, check_text};
use super::lines::{LineSource, streamed, wants_lines, written};
use super::page_limit::page_limit;
use super::problems::{
    BodyProblems, CollectionProblems, ConflictProblems, DocumentProblems, EngineProblems,
    ParameterProblems, WriteProblems,
};
use super::timestamp::rfc3339;
use crate::access::CollectionName;
use crate::answer::{self, Room, WrittenPieces};
use crate::app::App;
use crate::backend::Capability;
use crate::config::Limits;
use crate::error::{ApiError, ErrorCode};
use crate::extract::{ApiJson, ApiQuery, JsonBody, ListLimit, from_object_only, present};
use crate::service::{blocking_steps, blocking_write};

/// Judgements that are read at once for lines.
const JUDGEMENTS_PER_READ: usize = 256;

/// Feedback: `query`, `document` and `useful`, or a list of such.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct FeedbackRequest {
    /// What was searched for, up to 3072 bytes.
    #[serde(default, deserialize_with = "present")]
    #[schema(
        nullable = false,
        min_length = 1,
        max_length = 3072,
        pattern = r"\S",
        example = "I cannot sign in"
    )]
    query: Option<String>,
    /// The id of a stored document.
    #[serde(default, deserialize_with = "present")]
    #[schema(
        nullable = false,
        min_length = 1,
        max_length = 512,
        example = "ticket-1042"
    )]
    document: Option<String>,
    /// Whether it was what was searched for.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    useful: Option<bool>,
    /// At most `limits.max_feedback_per_request`, stored all or none.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, max_items = 1000)]
    feedback: Option<Vec<JudgementShape>>,
}

/// Whether a document was useful for a query.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct JudgementShape {
    /// What was searched for, up to 3072 bytes.
    #[schema(min_length = 1, max_length = 3072, pattern = r"\S")]
    query: String,
    /// The id of a stored document.
    #[schema(min_length = 1, max_length = 512)]
    document: String,
    /// Whether it was what was searched for.
    useful: bool,
    /// Passed over, so that what was listed can be given again as it is. When it is stored is what counts.
    #[serde(default, rename = "at")]
    _at: Option<String>,
}

from_object_only!(FeedbackRequest, JudgementShape);

/// Checked judgements.
#[derive(Debug)]
pub(crate) struct Given {
    judgements: Vec<Judgement>,
    is_list: bool,
}

impl JsonBody for FeedbackRequest {
    type Checked = Given;

    fn lists(limits: &Limits) -> Vec<ListLimit> {
        vec![ListLimit::new(
            "/feedback",
            "judgements",
            limits.max_feedback_per_request,
            "limits.max_feedback_per_request",
        )]
    }

    fn check(self, _limits: &Limits) -> Result<Given, ApiError> {
        let (given, is_list) = match (self.query, self.document, self.useful, self.feedback) {
            (Some(query), Some(document), Some(useful), None) => {
                let one = JudgementShape {
                    query,
                    document,
                    useful,
                    _at: None,
                };
                (vec![one], false)
            }
            (None, None, None, Some(feedback)) => (feedback, true),
            _ => {
                let detail = "give query, document and useful, or feedback, a list of such";
                return Err(ApiError::invalid("", detail));
            }
        };
        let judgements = given.into_iter().enumerate().map(|(place, judgement)| {
            let judgement = judgement.checked();
            judgement.map_err(|error| error.within(&prefix(place, is_list)))
        });
        Ok(Given {
            judgements: judgements.collect::<Result<_, _>>()?,
            is_list,
        })
    }
}

impl JudgementShape {
    fn checked(self) -> Result<Judgement, ApiError> {
        let max = MAX_JUDGED_QUERY_BYTES;
        if self.query.len() > max {
            let detail = format!(
                "the query has {} bytes; up to {max} are allowed",
                self.query.len()
            );
            return Err(ApiError::invalid("/query", detail));
        }
        check_text(&self.query, max, "").map_err(|error| error.at("/query"))?;
        check_id(&self.document).map_err(|error| error.at("/document"))?;
        Ok(Judgement {
            query: self.query,
            document: self.document,
            is_useful: self.useful,
        })
    }
}

/// Where a judgement stands in the body.
fn prefix(place: usize, is_list: bool) -> String {
    match is_list {
        true => format!("/feedback/{place}"),
        false => String::new(),
    }
}

impl Given {
    /// An error that points at the judgement that it is about.
    fn pointed(&self, error: Error) -> ApiError {
        let unknown = match &error {
            Error::DocumentNotFound { id } => Some(id.clone()),
            _ => None,
        };
        let mut judgements = self.judgements.iter();
        let place = unknown.and_then(|id| judgements.position(|it| it.document == id));
        let error = ApiError::from(error);
        match place {
            Some(place) => error.at(format!("{}/document", prefix(place, self.is_list))),
            None => error,
        }
    }
}

/// What became of feedback.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FeedbackResponse {
    /// Judgements about a document and a query of which nothing was known.
    created: u64,
    /// Judgements that say the opposite of what was known, and take its place.
    updated: u64,
}

impl From<FeedbackOutcome> for FeedbackResponse {
    fn from(outcome: FeedbackOutcome) -> Self {
        Self {
            created: outcome.created,
            updated: outcome.changed,
        }
    }
}

/// Say which documents were useful for which queries. What is said last about a document and a query counts. It
/// is durable when the answer arrives, and is deleted with the document.
#[utoipa::path(
    post, path = "/feedback", operation_id = "give_feedback", tag = "training",
    request_body = FeedbackRequest,
    responses(
        (status = 200, body = FeedbackResponse),
        DocumentProblems, BodyProblems, ConflictProblems, WriteProblems, EngineProblems
    )
)]
pub(crate) async fn post(
    State(app): State<App>,
    collection: CollectionName,
    ApiJson(given): ApiJson<FeedbackRequest>,
) -> Result<Json<FeedbackResponse>, ApiError> {
    let engine = app.engine()?;
    let collection = engine.reader(&collection)?;
    let index = Arc::clone(engine.index(Capability::Feedback)?);
    let limits = FeedbackLimits {
        max_judgements: app.limits().max_feedback_per_collection as u64,
        max_bytes: app.limits().max_feedback_bytes_per_collection as u64,
    };
    blocking_write(move || {
        let outcome = index.put_feedback(collection.name(), &given.judgements, &limits);
        let outcome = outcome.map_err(|error| given.pointed(error))?;
        Ok(Json(outcome.into()))
    })
    .await
}

/// Which part of the feedback.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct FeedbackQuery {
    /// Judgements on the page; at most `limits.max_page_documents`.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Only what was said about this document.
    #[param(min_length = 1)]
    document: Option<String>,
}

/// A page of feedback.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FeedbackPage {
    /// Judgements about the same document stand together; the order is always the same.
    feedback: Vec<JudgementDescription>,
    /// Judgements that the collection has, on this page or not.
    total: u64,
    /// Where the next page begins; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// What was said about a document and a query.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JudgementDescription {
    /// What was searched for.
    query: String,
    /// The document's id.
    document: String,
    /// Whether it was what was searched for.
    useful: bool,
    /// When that was said; RFC 3339, UTC.
    #[schema(format = DateTime)]
    at: String,
}

impl From<StoredJudgement> for JudgementDescription {
    fn from(stored: StoredJudgement) -> Self {
        Self {
            query: stored.judgement.query,
            document: stored.judgement.document,
            useful: stored.judgement.is_useful,
            at: rfc3339(stored.at_ms),
        }
    }
}

/// List feedback: a page of it, or with `Accept: application/x-ndjson` all of it, a line for each judgement.
#[utoipa::path(
    get, path = "/feedback", operation_id = "list_feedback", tag = "training",
    params(FeedbackQuery),
    responses(
        (status = 200, content((FeedbackPage = "application/json"), (String = "application/x-ndjson"))),
        CollectionProblems, ParameterProblems, EngineProblems
    )
)]
pub(crate) async fn list(
    State(app): State<App>,
    collection: CollectionName,
    ApiQuery(query): ApiQuery<FeedbackQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    if let Some(document) = &query.document {
        check_id(document).map_err(ApiError::without_pointer)?;
    }
    let collection = app.engine()?.reader(&collection)?;
    let collection = collection.embedded_arc(Capability::Feedback)?;
    if wants_lines(&headers) {
        let lines = FeedbackLines {
            collection,
            document: query.document,
            after: None,
            is_ended: false,
        };
        return Ok(streamed(&app, lines));
    }
    let limit = page_limit(query.limit, app.limits())?;
    let after = query.cursor.as_deref().map(place_of).transpose()?;
    let room = app.room();
    blocking_steps(move |cancel| {
        let document = query.document.as_deref();
        let found = collection.feedback(document, after.as_deref(), limit)?;
        let found = found.ok_or_else(foreign_cursor)?;
        let last = found.last().filter(|_| found.len() == limit);
        let page = FeedbackPage {
            next_cursor: last.map(|last| URL_SAFE_NO_PAD.encode(&last.place)),
            total: collection.feedback_stats()?.judgements,
            feedback: found.into_iter().map(Into::into).collect(),
        };
        let mut held = room.until(cancel);
        held.hold(limit * (MAX_JUDGED_QUERY_BYTES + size_of::<JudgementDescription>()))?;
        answer::json(held.another().until(cancel), &page)
    })
    .await
}

fn place_of(cursor: &str) -> Result<Vec<u8>, ApiError> {
    let place = URL_SAFE_NO_PAD.decode(cursor);
    place.map_err(|_| foreign_cursor())
}

fn foreign_cursor() -> ApiError {
    let detail = "cursor is not a next_cursor of this list";
    ApiError::new(ErrorCode::InvalidRequest, detail)
}

/// All feedback, a line for each judgement.
struct FeedbackLines {
    collection: Arc<Reader>,
    document: Option<String>,
    after: Option<Vec<u8>>,
    is_ended: bool,
}

impl LineSource for FeedbackLines {
    fn next(&mut self, room: Room) -> Result<Option<WrittenPieces>, ApiError> {
        if self.is_ended {
            return Ok(None);
        }
        let (document, after) = (self.document.as_deref(), self.after.as_deref());
        let found = self
            .collection
            .feedback(document, after, JUDGEMENTS_PER_READ)?;
        // Nothing is left of a collection that was deleted meanwhile.
        let found = found.unwrap_or_default();
        let last = found.last().map(|last| last.place.clone());
        let is_ended = found.len() < JUDGEMENTS_PER_READ;
        let lines: Vec<JudgementDescription> = found.into_iter().map(Into::into).collect();
        let lines = written(room, &lines)?;
        (self.after, self.is_ended) = (last, is_ended);
        Ok(Some(lines))
    }
}

/// Which feedback to delete: that about a document, that about a query, that about both, or all.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct FeedbackSelection {
    /// What was said about this document.
    #[param(min_length = 1)]
    document: Option<String>,
    /// What was said about this query, letter by letter.
    #[param(min_length = 1)]
    query: Option<String>,
    /// `true` for all of it.
    all: Option<bool>,
}

/// How much was deleted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FeedbackDeleted {
    /// Judgements deleted.
    deleted: u64,
}

/// Delete feedback. It goes in batches, so what is said meanwhile may stay.
#[utoipa::path(
    delete, path = "/feedback", operation_id = "delete_feedback", tag = "training",
    params(FeedbackSelection),
    responses(
        (status = 200, body = FeedbackDeleted),
        CollectionProblems, ParameterProblems, WriteProblems, EngineProblems
    )
)]
pub(crate) async fn delete(
    State(app): State<App>,
    collection: CollectionName,
    ApiQuery(selection): ApiQuery<FeedbackSelection>,
) -> Result<Json<FeedbackDeleted>, ApiError> {
    let FeedbackSelection {
        document,
        query,
        all,
    } = selection;
    let is_all = all.unwrap_or(false);
    if is_all == (document.is_some() || query.is_some()) {
        let detail = "give document, query or both, or all=true for all feedback";
        return Err(ApiError::new(ErrorCode::InvalidRequest, detail));
    }
    if let Some(document) = &document {
        check_id(document).map_err(ApiError::without_pointer)?;
    }
    if query.as_deref() == Some("") {
        let detail = "query is empty; leave it out, or say which";
        return Err(ApiError::new(ErrorCode::InvalidRequest, detail));
    }
    let collection = app.engine()?.writer(&collection)?;
    blocking_write(move || {
        let collection = collection.embedded(Capability::Feedback)?;
        let deleted = collection.delete_feedback(document.as_deref(), query.as_deref())?;
        Ok(Json(FeedbackDeleted { deleted }))
    })
    .await
}
