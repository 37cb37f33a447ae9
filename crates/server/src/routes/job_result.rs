//! What a job has found: page by page, or all of it as lines.

#![expect(
    unused_qualifications,
    reason = "utoipa writes parameter types with a path"
)]

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use siamese_index::Index;
use utoipa::{IntoParams, ToSchema};

use super::jobs::visible;
use super::lines::{NDJSON, wants_lines};
use super::problems::{ConflictProblems, EngineProblems, JobProblems, ParameterProblems};
use crate::access::Principal;
use crate::answer;
use crate::app::App;
use crate::backend::Capability;
use crate::error::{ApiError, ErrorCode};
use crate::extract::{ApiPath, ApiQuery};
use crate::jobs::{JobRecord, JobState};
use crate::service::{blocking, blocking_steps, file_stream};

/// Lines of a page unless the client says otherwise.
const DEFAULT_PAGE_LINES: usize = 100;
/// Most lines of a page.
const MAX_PAGE_LINES: usize = 10_000;
/// Bytes of a page after which it ends, and the longest line.
const MAX_PAGE_BYTES: usize = 1 << 20;

/// Which part of a result.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ResultQuery {
    /// Most lines of the page, 1 to 10000. A page of long lines ends after 1 MiB.
    #[param(inline, minimum = 1, maximum = 10_000, default = 100)]
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    #[param(inline)]
    cursor: Option<String>,
}

/// A part of what a job has found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ResultPage {
    /// What it has found, best first; what an item holds depends on the kind of the job.
    #[schema(value_type = Vec<Object>)]
    items: Vec<Box<RawValue>>,
    /// What gives the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Read what a job has found: a page of it, or with `Accept: application/x-ndjson` all of it, a line for
/// each item.
#[utoipa::path(
    get, path = "/jobs/{id}/result", operation_id = "get_job_result", tag = "operations",
    params(("id" = String, Path, min_length = 1), ResultQuery),
    responses(
        (status = 200, content((ResultPage = "application/json"), (String = "application/x-ndjson"))),
        JobProblems, ConflictProblems, ParameterProblems, EngineProblems
    )
)]
pub(crate) async fn get(
    State(app): State<App>,
    principal: Principal,
    ApiPath(id): ApiPath<String>,
    ApiQuery(query): ApiQuery<ResultQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let limit = query.limit.unwrap_or(DEFAULT_PAGE_LINES);
    if !(1..=MAX_PAGE_LINES).contains(&limit) {
        let detail = format!("limit is {limit}, and must be 1 to {MAX_PAGE_LINES}");
        return Err(ApiError::new(ErrorCode::InvalidRequest, detail));
    }
    let engine = app.engine()?;
    let jobs = engine.jobs()?.clone();
    let index = Arc::clone(engine.index(Capability::Jobs)?);
    if wants_lines(&headers) {
        let (file, bytes) =
            blocking(move || found(&index, &visible(&jobs, &principal, &id)?)).await?;
        let headers = [
            (header::CONTENT_TYPE, NDJSON.to_owned()),
            (header::CONTENT_LENGTH, bytes.to_string()),
        ];
        return Ok((headers, Body::from_stream(file_stream(file))).into_response());
    }
    let room = app.room();
    blocking_steps(move |cancel| {
        cancel.step()?;
        let (file, bytes) = found(&index, &visible(&jobs, &principal, &id)?)?;
        let page = page(file, bytes, limit, query.cursor.as_deref())?;
        answer::json(room.until(cancel), &page)
    })
    .await
}

/// The file of what a job has found, and its size.
///
/// # Errors
/// 409 for a job without a result.
pub(super) fn found(index: &Index, record: &JobRecord) -> Result<(File, u64), ApiError> {
    let conflict = |detail: String| Err(ApiError::new(ErrorCode::Conflict, detail));
    match record.state {
        JobState::Done => {}
        JobState::Queued | JobState::Running => {
            return conflict(
                "the job has not ended yet; GET /jobs/{id} says how far it is".to_owned(),
            );
        }
        JobState::Failed | JobState::Cancelled | JobState::Interrupted => {
            return conflict("the job has ended without a result".to_owned());
        }
    }
    match index.jobs().result(&record.id)? {
        Some(found) => Ok(found),
        None => conflict("a job of this kind says all it has to say in GET /jobs/{id}".to_owned()),
    }
}

/// The lines from a place on, which `cursor` names.
fn page(
    file: File,
    bytes: u64,
    limit: usize,
    cursor: Option<&str>,
) -> Result<ResultPage, ApiError> {
    let mut at = start_of_page(&file, bytes, cursor)?;
    let mut reader = BufReader::new(file);
    reader
        .seek(SeekFrom::Start(at))
        .map_err(ApiError::internal)?;
    let (first, mut items) = (at, Vec::new());
    while items.len() < limit && at < bytes && at - first < MAX_PAGE_BYTES as u64 {
        let mut line = String::new();
        let read = reader.read_line(&mut line).map_err(ApiError::internal)?;
        if read == 0 {
            break;
        }
        at += read as u64;
        items.push(RawValue::from_string(line.trim_end().to_owned()).map_err(ApiError::internal)?);
    }
    let next_cursor = (at < bytes).then(|| at.to_string());
    Ok(ResultPage { items, next_cursor })
}

/// A cursor is the place of a line's first byte, so it is checked that a line begins there.
fn start_of_page(mut file: &File, bytes: u64, cursor: Option<&str>) -> Result<u64, ApiError> {
    let Some(cursor) = cursor else {
        return Ok(0);
    };
    let begins_a_line = |at: u64, file: &mut &File| {
        let mut before = [0];
        at == 0
            || (file.seek(SeekFrom::Start(at - 1)).is_ok()
                && file.read_exact(&mut before).is_ok()
                && before == *b"\n")
    };
    cursor
        .parse()
        .ok()
        .filter(|at| *at <= bytes && begins_a_line(*at, &mut file))
        .ok_or_else(|| {
            let detail = "cursor is not a next_cursor of this result";
            ApiError::new(ErrorCode::InvalidRequest, detail)
        })
}
