//! `POST /documents`: a JSON request, all or nothing, or a stream of lines.

#![expect(
    unused_qualifications,
    reason = "utoipa writes parameter types with a path"
)]

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequest, Request, State};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use siamese_index::DocumentDraft;
use std::time::Instant;
use utoipa::{IntoParams, ToSchema};

use super::input::DocumentInput;
use super::stream;
use crate::access::CollectionName;
use crate::app::App;
use crate::config::Limits;
use crate::error::{ApiError, ErrorCode};
use crate::extract::{
    ApiJson, ApiQuery, JsonBody, ListLimit, from_object_only, media_type, present,
};
use crate::queue::Admission;
use crate::routes::on_duplicate::{OnDuplicateShape, rule};
use crate::routes::problems::{
    BodyProblems, CollectionProblems, ConflictProblems, EngineProblems, WriteProblems,
};
use crate::service::{DocumentOutcome, Drafts, DuplicateRule, Warning, WriteStatus, ingest};

/// Documents to store together. Without `on_duplicate`, the setting of the collection counts.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct DocumentsRequest {
    /// At most `limits.max_documents_per_request`, with distinct ids.
    #[schema(min_items = 1, max_items = 1000)]
    documents: Vec<DocumentInput>,
    #[serde(default, deserialize_with = "present")]
    #[schema(inline, nullable = false)]
    on_duplicate: Option<OnDuplicateShape>,
    /// The least cosine of two documents that resemble each other; goes with `on_duplicate`.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, minimum = -1, maximum = 1, example = 0.95)]
    min_score: Option<f32>,
}

/// What a stream says of all its lines.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct StreamQuery {
    /// With `application/x-ndjson`, what a JSON body says in its field.
    #[param(inline)]
    on_duplicate: Option<OnDuplicateShape>,
    /// The least cosine of two documents that resemble each other; goes with `on_duplicate`.
    #[param(inline, minimum = -1, maximum = 1)]
    min_score: Option<f32>,
}

from_object_only!(DocumentsRequest);

impl JsonBody for DocumentsRequest {
    type Checked = (Drafts, DuplicateRule);

    fn lists(limits: &Limits) -> Vec<ListLimit> {
        vec![ListLimit::new(
            "/documents",
            "documents",
            limits.max_documents_per_request,
            "limits.max_documents_per_request",
        )]
    }

    fn check(self, limits: &Limits) -> Result<Self::Checked, ApiError> {
        let on_duplicate = rule(self.on_duplicate, self.min_score)?;
        Ok((drafts(self, limits)?, on_duplicate))
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
    /// With `on_duplicate`: the document that it resembles most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) duplicate_of: Option<ResemblanceShape>,
}

/// A document that another one resembles.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ResemblanceShape {
    /// Its id.
    id: String,
    /// Their cosine.
    score: f32,
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
    /// It resembles another one, and was not stored.
    Rejected,
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
                WriteStatus::Rejected => DocumentStatus::Rejected,
            },
            passages: outcome.passages,
            warnings: outcome.warnings.into_iter().map(Into::into).collect(),
            duplicate_of: outcome.duplicate_of.map(|other| ResemblanceShape {
                id: other.id,
                score: other.score,
            }),
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
    params(StreamQuery),
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
    ApiQuery(query): ApiQuery<StreamQuery>,
    request: Request,
) -> Result<Response, ApiError> {
    if stream::is_ndjson(&media_type(request.headers())) {
        let on_duplicate = rule(query.on_duplicate, query.min_score);
        let on_duplicate = on_duplicate.map_err(ApiError::without_pointer)?;
        return stream::write(app, &collection, on_duplicate, request).await;
    }
    if query.on_duplicate.is_some() || query.min_score.is_some() {
        let detail = "with a JSON body, on_duplicate and min_score are fields of the body";
        return Err(ApiError::new(ErrorCode::InvalidRequest, detail));
    }
    let ApiJson((drafts, on_duplicate)) =
        ApiJson::<DocumentsRequest>::from_request(request, &app).await?;
    let started_at = Instant::now();
    let engine = app.engine()?;
    let collection = engine.writer(&collection)?;
    let on_duplicate = on_duplicate.in_collection(&*collection.reader());
    let outcomes = ingest(engine, &collection, drafts, on_duplicate, Admission::Refuse).await?;
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
