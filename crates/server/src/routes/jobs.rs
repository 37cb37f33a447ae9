//! Jobs: start, list, look at, end, and read what they have found.

#![expect(
    unused_qualifications,
    reason = "utoipa writes parameter types with a path"
)]

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use siamese_index::Index;
use utoipa::{IntoParams, ToSchema};

use super::lines::{NDJSON, wants_lines};
use super::problems::{
    BodyProblems, ConflictProblems, EngineProblems, JobProblems, ParameterProblems, WriteProblems,
};
use super::timestamp::rfc3339;
use crate::answer;
use crate::app::App;
use crate::config::Limits;
use crate::error::{ApiError, ErrorCode};
use crate::extract::{ApiJson, ApiPath, ApiQuery, JsonBody, RESPOND_ASYNC, from_object_only};
use crate::jobs::{JobFailure, JobKind, JobRecord, JobState, NewJob};
use crate::service::{blocking, blocking_steps, blocking_write, file_stream};

/// Lines of a page unless the client says otherwise.
const DEFAULT_PAGE_LINES: usize = 100;
/// Most lines of a page.
const MAX_PAGE_LINES: usize = 10_000;
/// Bytes of a page after which it ends, and the longest line.
const MAX_PAGE_BYTES: usize = 1 << 20;

/// Work that goes on without a request.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobDescription {
    /// Its id.
    #[schema(example = "019c0f2e-4b1a-7c3d-9e5f-2a6b8c0d1e2f")]
    id: String,
    kind: JobKind,
    /// The collection that it is about, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    collection: Option<String>,
    state: JobState,
    progress: JobProgress,
    /// What else is known of how far it is; depends on its kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    details: Option<Value>,
    /// How long it will take by its pace so far, seconds; while it runs and that can be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    eta_s: Option<u64>,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    created_at: String,
    /// RFC 3339, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    started_at: Option<String>,
    /// RFC 3339, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    finished_at: Option<String>,
    /// What it has found, in short; of a job that is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    result: Option<Value>,
    /// Size of what `GET /jobs/{id}/result` returns line by line, bytes; 0 when there is nothing more than
    /// `result`.
    result_bytes: u64,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<JobFailure>,
}

/// How far a job is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobProgress {
    /// How much is done.
    done: u64,
    /// How much there is to do, once that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
    /// Tokens that were encoded, of a job that encodes texts.
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<u64>,
    /// Tokens a second that were encoded, since the job began.
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens_per_s: Option<f64>,
    /// What both are counted in.
    #[schema(example = "bytes")]
    unit: String,
}

/// All jobs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobList {
    /// The newest first.
    jobs: Vec<JobDescription>,
}

/// A job that was started.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StartedJob {
    /// Its id; `GET /jobs/{id}` says how far it is.
    job: String,
}

/// A job to start.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub(crate) struct JobRequest {
    kind: StartableKind,
}

/// A kind of job that nothing but itself is said about.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StartableKind {
    /// Rewrites the store while it is in use, so that it takes no more room than its data needs. That
    /// happens by itself when too much is wasted (`storage.compact_over_ratio`).
    Compaction,
}

from_object_only!(JobRequest);

impl JsonBody for JobRequest {
    type Checked = StartableKind;

    fn check(self, _limits: &Limits) -> Result<StartableKind, ApiError> {
        Ok(self.kind)
    }
}

impl From<JobRecord> for JobDescription {
    fn from(record: JobRecord) -> Self {
        let tokens_per_s = tokens_per_s(&record);
        Self {
            eta_s: eta_s(&record),
            id: record.id,
            kind: record.kind,
            collection: record.collection,
            state: record.state,
            progress: JobProgress {
                tokens: (record.tokens > 0).then_some(record.tokens),
                tokens_per_s,
                done: record.done,
                total: record.total,
                unit: record.unit,
            },
            details: record.details,
            created_at: rfc3339(record.created_at_ms),
            started_at: record.started_at_ms.map(rfc3339),
            finished_at: record.finished_at_ms.map(rfc3339),
            result: record.summary,
            result_bytes: record.result_bytes,
            error: record.failure,
        }
    }
}

/// The rest of the work at the pace so far. What had been done before says nothing of the pace.
fn eta_s(record: &JobRecord) -> Option<u64> {
    let total = record.total?;
    let done = record.done.saturating_sub(record.skipped);
    if record.state != JobState::Running || done == 0 {
        return None;
    }
    let rest = total.saturating_sub(record.done) as f64;
    Some((taken_s(record)? * rest / done as f64).ceil() as u64)
}

fn tokens_per_s(record: &JobRecord) -> Option<f64> {
    let taken_s = taken_s(record).filter(|taken_s| *taken_s > 0.0)?;
    (record.tokens > 0).then(|| record.tokens as f64 / taken_s)
}

/// Time since the job was begun, or that it took.
fn taken_s(record: &JobRecord) -> Option<f64> {
    let until_ms = match record.finished_at_ms {
        Some(finished_at_ms) => finished_at_ms,
        None => u64::try_from(jiff::Timestamp::now().as_millisecond()).ok()?,
    };
    Some(until_ms.saturating_sub(record.started_at_ms?) as f64 / 1000.0)
}

/// How the answer may come.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes a header that an extractor reads")]
pub(crate) struct PreferHeader {
    /// `respond-async` starts a job and answers 202 with its id at once.
    #[param(rename = "Prefer", inline, example = "respond-async")]
    prefer: Option<String>,
}

/// Starts a job and answers where it is.
///
/// # Errors
/// 503 when as many jobs wait as may.
pub(super) async fn started(
    app: &App,
    new: NewJob,
    is_preferred: bool,
) -> Result<Response, ApiError> {
    let jobs = app.engine()?.jobs.clone();
    let record = blocking_write(move || jobs.start(new)).await?;
    let mut headers = HeaderMap::new();
    let location = HeaderValue::from_str(&format!("/jobs/{}", record.id));
    headers.insert(header::LOCATION, location.map_err(ApiError::internal)?);
    if is_preferred {
        headers.insert(
            HeaderName::from_static("preference-applied"),
            HeaderValue::from_static(RESPOND_ASYNC),
        );
    }
    Ok((
        StatusCode::ACCEPTED,
        headers,
        Json(StartedJob { job: record.id }),
    )
        .into_response())
}

/// Start a job that needs nothing but its kind. Other jobs are started by what they are about, with
/// `Prefer: respond-async`.
#[utoipa::path(
    post, path = "/jobs", operation_id = "start_job", tag = "operations",
    request_body = JobRequest,
    responses((status = 202, body = StartedJob), BodyProblems, WriteProblems, EngineProblems)
)]
pub(crate) async fn start(
    State(app): State<App>,
    ApiJson(kind): ApiJson<JobRequest>,
) -> Result<Response, ApiError> {
    let index = std::sync::Arc::clone(&app.engine()?.index);
    let new = match kind {
        StartableKind::Compaction => NewJob {
            kind: JobKind::Compaction,
            collection: None,
            unit: "bytes",
            on_cancel: None,
            work: Box::new(move |run| {
                let report = index.compact(run.cancel, run.progress)?;
                Ok(serde_json::json!({
                    "before_bytes": report.before_bytes,
                    "after_bytes": report.after_bytes,
                }))
            }),
        },
    };
    started(&app, new, false).await
}

/// List all jobs, the newest first: those that wait or run, and up to `jobs.max_finished` that have ended.
#[utoipa::path(
    get, path = "/jobs", operation_id = "list_jobs", tag = "operations",
    responses((status = 200, body = JobList), EngineProblems)
)]
pub(crate) async fn list(State(app): State<App>) -> Result<Response, ApiError> {
    let (jobs, room) = (app.engine()?.jobs.clone(), app.room());
    blocking_steps(move |cancel| {
        let jobs = jobs.list().into_iter().map(Into::into).collect();
        answer::json(room.until(cancel), &JobList { jobs })
    })
    .await
}

/// Say how far a job is.
#[utoipa::path(
    get, path = "/jobs/{id}", operation_id = "get_job", tag = "operations",
    params(("id" = String, Path, min_length = 1)),
    responses((status = 200, body = JobDescription), JobProblems, ParameterProblems, EngineProblems)
)]
pub(crate) async fn get(
    State(app): State<App>,
    ApiPath(id): ApiPath<String>,
) -> Result<Json<JobDescription>, ApiError> {
    let jobs = app.engine()?.jobs.clone();
    blocking(move || Ok(Json(jobs.get(&id)?.into()))).await
}

/// End a job that waits or runs, which is kept as `cancelled`; or remove one that has ended, with what it
/// has found.
#[utoipa::path(
    delete, path = "/jobs/{id}", operation_id = "delete_job", tag = "operations",
    params(("id" = String, Path, min_length = 1)),
    responses(
        (status = 202, body = JobDescription, description = "It is being ended"),
        (status = 204, description = "Removed"),
        JobProblems, ParameterProblems, EngineProblems
    )
)]
pub(crate) async fn delete(
    State(app): State<App>,
    ApiPath(id): ApiPath<String>,
) -> Result<Response, ApiError> {
    let jobs = app.engine()?.jobs.clone();
    let ending = blocking_write(move || jobs.delete(&id)).await?;
    Ok(match ending {
        Some(record) => (StatusCode::ACCEPTED, Json(JobDescription::from(record))).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    })
}

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
pub(crate) async fn result(
    State(app): State<App>,
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
    let (jobs, index) = (engine.jobs.clone(), std::sync::Arc::clone(&engine.index));
    if wants_lines(&headers) {
        let (file, bytes) = blocking(move || found(&index, &jobs.get(&id)?)).await?;
        let headers = [
            (header::CONTENT_TYPE, NDJSON.to_owned()),
            (header::CONTENT_LENGTH, bytes.to_string()),
        ];
        return Ok((headers, Body::from_stream(file_stream(file))).into_response());
    }
    let room = app.room();
    blocking_steps(move |cancel| {
        cancel.step()?;
        let (file, bytes) = found(&index, &jobs.get(&id)?)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_had_been_done_before_says_nothing_of_the_pace() {
        let now_ms = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap();
        let mut record = JobRecord {
            id: "j".to_owned(),
            kind: JobKind::Generation,
            collection: None,
            state: JobState::Running,
            unit: "documents".to_owned(),
            created_at_ms: 0,
            started_at_ms: Some(now_ms - 10_000),
            finished_at_ms: None,
            done: 600,
            total: Some(1000),
            details: None,
            skipped: 500,
            tokens: 4000,
            failure: None,
            summary: None,
            result_bytes: 0,
        };
        // 100 in ten seconds, and 400 are left.
        let eta = eta_s(&record).unwrap();
        assert!((40..50).contains(&eta), "{eta}");
        let pace = tokens_per_s(&record).unwrap();
        assert!((300.0..=400.0).contains(&pace), "{pace}");
        record.finished_at_ms = Some(now_ms - 6_000);
        assert_eq!(tokens_per_s(&record), Some(1000.0));
        record.done = record.skipped;
        assert_eq!(eta_s(&record), None);
        record.tokens = 0;
        assert_eq!(tokens_per_s(&record), None);
    }
}
