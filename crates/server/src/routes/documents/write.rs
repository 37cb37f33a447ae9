//! `POST /documents`: a JSON request, all or nothing, or a stream of lines.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequest, Request, State};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use siamese_index::DocumentDraft;
use std::time::Instant;
use utoipa::ToSchema;

use super::input::DocumentInput;
use super::stream;
use crate::app::App;
use crate::config::Limits;
use crate::error::ApiError;
use crate::extract::{ApiJson, CollectionName, JsonBody, ListLimit, from_object_only, media_type};
use crate::queue::Admission;
use crate::routes::problems::{
    BodyProblems, CollectionProblems, ConflictProblems, EngineProblems, WriteProblems,
};
use crate::service::{DocumentOutcome, Drafts, Warning, WriteStatus, ingest};

/// Documents to store together.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct DocumentsRequest {
    /// At most `limits.max_documents_per_request`, with distinct ids.
    #[schema(min_items = 1, max_items = 1000)]
    documents: Vec<DocumentInput>,
}

from_object_only!(DocumentsRequest);

impl JsonBody for DocumentsRequest {
    type Checked = Drafts;

    fn lists(limits: &Limits) -> Vec<ListLimit> {
        vec![ListLimit::new(
            "/documents",
            "documents",
            limits.max_documents_per_request,
            "limits.max_documents_per_request",
        )]
    }

    fn check(self, limits: &Limits) -> Result<Self::Checked, ApiError> {
        drafts(self, limits)
    }
}

/// What became of each document, in the order of the request.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DocumentsResponse {
    results: Vec<DocumentResult>,
    /// Milliseconds.
    took_ms: f64,
}

/// What became of one document.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DocumentResult {
    /// The document's id, made by the server when none was given.
    pub(super) id: String,
    pub(super) status: DocumentStatus,
    /// Passages that have a vector.
    pub(super) passages: usize,
    /// What the caller should know although the document was stored.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) warnings: Vec<WarningShape>,
}

/// The outcome of a write.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DocumentStatus {
    /// The id is new.
    Created,
    /// The id was there with other content.
    Updated,
    /// The id was there with this content; nothing was encoded.
    Unchanged,
}

/// A warning.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WarningShape {
    /// `truncated`: the text is longer than the encoder's window. `title_truncated`: the title
    /// would take more than half of a passage. `unknown_to_model`: the model has no tokens for over half of
    /// the text, so its vector says little; searches by words find it.
    #[schema(example = "truncated")]
    code: &'static str,
    /// A sentence with the figures.
    detail: String,
}

impl From<Warning> for WarningShape {
    fn from(warning: Warning) -> Self {
        match warning {
            Warning::Truncated { seen, kept } => Self {
                code: "truncated",
                detail: format!(
                    "the text has {seen} tokens, of which the first {kept} were encoded"
                ),
            },
            Warning::TitleTruncated { seen, kept } => Self {
                code: "title_truncated",
                detail: format!(
                    "the title has {seen} tokens, of which the first {kept} stand before each passage"
                ),
            },
            Warning::UnknownToModel { tokens, unknown } => Self {
                code: "unknown_to_model",
                detail: format!(
                    "{unknown} of the text's {tokens} tokens are unknown to the model, which cannot tell \
                     them apart; search for such texts by words"
                ),
            },
        }
    }
}

impl From<DocumentOutcome> for DocumentResult {
    fn from(outcome: DocumentOutcome) -> Self {
        Self {
            id: outcome.id,
            status: match outcome.status {
                WriteStatus::Created => DocumentStatus::Created,
                WriteStatus::Updated => DocumentStatus::Updated,
                WriteStatus::Unchanged => DocumentStatus::Unchanged,
            },
            passages: outcome.passages,
            warnings: outcome.warnings.into_iter().map(Into::into).collect(),
        }
    }
}

/// Store documents.
///
/// A JSON body is stored all or nothing. `application/x-ndjson` is one document a line, of any
/// length, answered line by line in the same order; a bad line fails alone, and the last line is a
/// summary. What has been answered is durable and searchable. Of a client that does not read while it
/// sends, lines are stored as well; answers that find no room are left out, and a line `omitted` counts
/// them by outcome.
#[utoipa::path(
    post, path = "/documents", operation_id = "write_documents", tag = "documents",
    request_body(content(
        (DocumentsRequest = "application/json"),
        (String = "application/x-ndjson")
    )),
    responses(
        (status = 200, content(
            (DocumentsResponse = "application/json"),
            (String = "application/x-ndjson")
        )),
        BodyProblems, CollectionProblems, ConflictProblems, WriteProblems, EngineProblems
    )
)]
pub(crate) async fn write(
    State(app): State<App>,
    collection: CollectionName,
    request: Request,
) -> Result<Response, ApiError> {
    if stream::is_ndjson(&media_type(request.headers())) {
        return stream::write(app, &collection, request).await;
    }
    let ApiJson(drafts) = ApiJson::<DocumentsRequest>::from_request(request, &app).await?;
    let started_at = Instant::now();
    let engine = app.engine()?;
    let collection = engine.collection(&collection)?;
    let outcomes = ingest(engine, &collection, drafts, Admission::Refuse).await?;
    Ok(Json(DocumentsResponse {
        results: outcomes.into_iter().map(Into::into).collect(),
        took_ms: started_at.elapsed().as_secs_f64() * 1000.0,
    })
    .into_response())
}

fn drafts(request: DocumentsRequest, limits: &Limits) -> Result<Drafts, ApiError> {
    if request.documents.is_empty() {
        return Err(ApiError::invalid("/documents", "there are no documents"));
    }
    let inputs = request.documents.into_iter().enumerate();
    let drafts = inputs
        .map(|(place, input)| input.into_draft(limits, &format!("/documents/{place}")))
        .collect::<Result<Vec<_>, _>>()?;
    check_distinct(&drafts)?;
    Ok(drafts.into_iter().map(Arc::new).collect())
}

fn check_distinct(drafts: &[DocumentDraft]) -> Result<(), ApiError> {
    let mut first_places = HashMap::new();
    for (place, draft) in drafts.iter().enumerate() {
        if let Some(first) = first_places.insert(draft.id.as_str(), place) {
            return Err(ApiError::invalid(
                format!("/documents/{place}/id"),
                format!("the id {:?} is that of document {first} already", draft.id),
            ));
        }
    }
    Ok(())
}
