//! Jobs: start, list, look at, end.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::problems::{
    BackendProblems, BodyProblems, EngineProblems, JobProblems, ParameterProblems, WriteProblems,
};
use super::timestamp::rfc3339;
use crate::access::Principal;
use crate::answer;
use crate::app::App;
use crate::backend::Capability;
use crate::config::Limits;
use crate::error::ApiError;
use crate::extract::{ApiJson, ApiPath, JsonBody, RESPOND_ASYNC, from_object_only};
use crate::jobs::{JobFailure, JobKind, JobRecord, JobState, Jobs, NewJob, job_not_found};
use crate::service::{blocking, blocking_steps, blocking_write};

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
    principal: &Principal,
    new: NewJob,
    is_preferred: bool,
) -> Result<Response, ApiError> {
    let jobs = app.engine()?.jobs()?.clone();
    let owner = principal.id().map(ToOwned::to_owned);
    let record = blocking_write(move || jobs.start(new, owner)).await?;
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
    principal: Principal,
    ApiJson(kind): ApiJson<JobRequest>,
) -> Result<Response, ApiError> {
    let index = Arc::clone(app.engine()?.index(Capability::Compaction)?);
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
    started(&app, &principal, new, false).await
}

/// List the jobs, the newest first: those that wait or run, and up to `jobs.max_finished` that have ended.
/// With a key, only those that it has started or administers.
#[utoipa::path(
    get, path = "/jobs", operation_id = "list_jobs", tag = "operations",
    responses((status = 200, body = JobList), BackendProblems, EngineProblems)
)]
pub(crate) async fn list(
    State(app): State<App>,
    principal: Principal,
) -> Result<Response, ApiError> {
    let (jobs, room) = (app.engine()?.jobs()?.clone(), app.room());
    blocking_steps(move |cancel| {
        let jobs = jobs.list().into_iter();
        let jobs = jobs.filter(|job| principal.sees_job(job));
        let jobs = jobs.map(Into::into).collect();
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
    principal: Principal,
    ApiPath(id): ApiPath<String>,
) -> Result<Json<JobDescription>, ApiError> {
    let jobs = app.engine()?.jobs()?.clone();
    blocking(move || Ok(Json(visible(&jobs, &principal, &id)?.into()))).await
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
    principal: Principal,
    ApiPath(id): ApiPath<String>,
) -> Result<Response, ApiError> {
    let jobs = app.engine()?.jobs()?.clone();
    let ending = blocking_write(move || {
        visible(&jobs, &principal, &id)?;
        jobs.delete(&id)
    });
    let ending = ending.await?;
    Ok(match ending {
        Some(record) => (StatusCode::ACCEPTED, Json(JobDescription::from(record))).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    })
}

/// A job that the caller may know of.
///
/// # Errors
/// 404 when there is none, and the same for one that is others'.
pub(super) fn visible(jobs: &Jobs, principal: &Principal, id: &str) -> Result<JobRecord, ApiError> {
    let job = jobs.get(id)?;
    match principal.sees_job(&job) {
        true => Ok(job),
        false => Err(job_not_found(id)),
    }
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
            owner: None,
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
