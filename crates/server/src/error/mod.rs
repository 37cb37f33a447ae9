//! Every way a request can fail, and how that looks on the wire (RFC 9457).
//!
//! Handlers return [`ApiError`]. Its code decides title and status, in the tables of [`ErrorCode`].
//! What the caller cannot act on becomes a fixed 500 body; the cause goes to the log, once.

mod code;

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

pub(crate) use self::code::ErrorCode;
use crate::routes::dialect::{Dialect, Members};

/// The longest sentence or pointer of a problem document, bytes. What quotes more of the request than
/// this is cut in its middle.
const MAX_QUOTING_BYTES: usize = 2048;
/// How a caller without a key is told to bring one.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Bearer realm=\"siamese\"");
/// What `Retry-After` says while a write makes no progress: the disk may come back, or a restart.
const STALL_RETRY_AFTER_S: u64 = 10;
/// What `Retry-After` says while a cluster does not answer, seconds.
const CLUSTER_RETRY_AFTER_S: u64 = 2;

/// A problem document, RFC 9457, media type `application/problem+json`.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// Always `about:blank`: `code` tells problems apart.
    #[serde(rename = "type")]
    #[schema(example = "about:blank")]
    pub(crate) kind: &'static str,
    /// The same sentence for every problem of this code.
    pub(crate) title: &'static str,
    /// The HTTP status.
    #[schema(example = 422, minimum = 400, maximum = 599)]
    pub(crate) status: u16,
    /// What happened this time: names the field and the limit.
    pub(crate) detail: String,
    /// One of a dozen words to act on.
    pub(crate) code: ErrorCode,
    /// JSON pointer to the offending field of the body, when there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "/documents/0/text")]
    pub(crate) pointer: Option<String>,
    /// The request's id, as in the `x-request-id` header and in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) request_id: Option<String>,
}

/// A problem document with the members that clients of another service read.
#[derive(Serialize)]
struct ProblemWithMembers {
    #[serde(flatten)]
    problem: Problem,
    #[serde(flatten)]
    members: Option<Members>,
}

/// A failed request.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    code: ErrorCode,
    detail: String,
    pointer: Option<String>,
    /// Which of several searches it is about.
    search: Option<usize>,
    retry_after_s: Option<u64>,
}

impl ApiError {
    /// An error of `code` with a sentence about this case.
    pub(crate) fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: shortened(detail.into()),
            pointer: None,
            search: None,
            retry_after_s: None,
        }
    }

    /// A 422 that points at a field; `pointer` is a JSON pointer such as `/documents/0/text`.
    pub(crate) fn invalid(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            pointer: Some(shortened(pointer.into())),
            ..Self::new(ErrorCode::InvalidRequest, detail)
        }
    }

    /// The document `id` is not in the collection.
    pub(crate) fn document_not_found(id: &str) -> Self {
        Self::new(
            ErrorCode::DocumentNotFound,
            format!("no document has the id {id:?}"),
        )
    }

    /// Too much is waiting; `what` names the limit.
    pub(crate) fn overloaded(what: impl Into<String>, retry_after_s: u64) -> Self {
        Self {
            retry_after_s: Some(retry_after_s),
            ..Self::new(ErrorCode::Overloaded, what)
        }
    }

    /// What a key may ask for in a minute is used up, until `wait` is over.
    pub(crate) fn budget_exceeded(detail: impl Into<String>, wait: Duration) -> Self {
        Self {
            retry_after_s: Some(wait.as_secs_f64().ceil().max(1.0) as u64),
            ..Self::new(ErrorCode::BudgetExceeded, detail)
        }
    }

    /// Nothing is written for now, since an earlier write makes no progress.
    pub(crate) fn storage_stalled(detail: impl Into<String>) -> Self {
        Self {
            retry_after_s: Some(STALL_RETRY_AFTER_S),
            ..Self::new(ErrorCode::StorageStalled, detail)
        }
    }

    /// The cluster that keeps the documents cannot be asked.
    pub(crate) fn cluster_unavailable(detail: impl Into<String>) -> Self {
        Self {
            retry_after_s: Some(CLUSTER_RETRY_AFTER_S),
            ..Self::new(ErrorCode::ClusterUnavailable, detail)
        }
    }

    /// A model cannot be used; with a time after which that may be different.
    pub(crate) fn model_unavailable(detail: impl Into<String>, retry_after_s: Option<u64>) -> Self {
        Self {
            retry_after_s,
            ..Self::new(ErrorCode::ModelUnavailable, detail)
        }
    }

    /// The service is starting or stopping.
    pub(crate) fn not_ready(detail: impl Into<String>) -> Self {
        Self {
            retry_after_s: Some(1),
            ..Self::new(ErrorCode::NotReady, detail)
        }
    }

    /// A fault that the caller cannot mend. The cause is logged here and stays here.
    pub(crate) fn internal(cause: impl std::fmt::Display) -> Self {
        tracing::error!(%cause, "a request failed");
        Self::new(
            ErrorCode::Internal,
            "an internal error; the server's log has the cause",
        )
    }

    /// Writing an answer was stopped by whoever knows why and says so: a document that is no longer what was
    /// found, most often, and then it is searched again. So nothing is logged as an error.
    pub(crate) fn stopped(cause: impl std::fmt::Display) -> Self {
        tracing::debug!(%cause, "an answer was stopped");
        Self::new(
            ErrorCode::Internal,
            "an internal error; the server's log has the cause",
        )
    }

    /// The same error, pointing at a field.
    #[must_use]
    pub(crate) fn at(mut self, pointer: impl Into<String>) -> Self {
        self.pointer = Some(shortened(pointer.into()));
        self
    }

    /// The same error of a request whose fields are not in a body.
    #[must_use]
    pub(crate) fn without_pointer(mut self) -> Self {
        self.pointer = None;
        self
    }

    /// The same error, pointing at a field unless it does already.
    #[must_use]
    pub(crate) fn or_at(self, pointer: impl Into<String>) -> Self {
        match self.pointer {
            Some(_) => self,
            None => self.at(pointer),
        }
    }

    /// The same error, pointing at the same field of a request that holds this one at `prefix`.
    #[must_use]
    pub(crate) fn within(mut self, prefix: &str) -> Self {
        if let Some(pointer) = &mut self.pointer {
            pointer.insert_str(0, prefix);
        }
        self
    }

    /// The same error, pointing at the same field of the part of the request at `prefix`.
    #[must_use]
    pub(crate) fn below(mut self, prefix: &str) -> Self {
        let below = self
            .pointer
            .as_deref()
            .and_then(|pointer| pointer.strip_prefix(prefix));
        if let Some(below) = below {
            self.pointer = Some(below.to_owned());
        }
        self
    }

    /// The same error, about one of several searches.
    #[must_use]
    pub(crate) fn of_search(self, nth: usize) -> Self {
        Self {
            search: Some(nth),
            ..self
        }
    }

    /// The same error of a request that has a list of searches at `list`.
    #[must_use]
    pub(crate) fn of_searches(self, list: &str) -> Self {
        match self.search {
            Some(nth) => self.within(&format!("{list}/{nth}")),
            None => self,
        }
    }

    /// The field at fault.
    pub(crate) fn pointer(&self) -> Option<&str> {
        self.pointer.as_deref()
    }

    /// The code.
    pub(crate) fn code(&self) -> ErrorCode {
        self.code
    }

    /// What happened, as a client reads it.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// The problem document of this error.
    pub(crate) fn problem(&self, request_id: Option<String>) -> Problem {
        Problem {
            kind: "about:blank",
            title: self.code.title(),
            status: self.code.status().as_u16(),
            detail: self.detail.clone(),
            code: self.code,
            pointer: self.pointer.clone(),
            request_id,
        }
    }

    /// The whole answer. The error itself rides along as an extension, so that the outermost
    /// layer, which knows the request's id and path, can render it again for them.
    pub(crate) fn render(self, request_id: Option<String>, dialect: Option<Dialect>) -> Response {
        let problem = self.problem(request_id);
        let members = dialect.map(|dialect| dialect.members(&problem));
        let body = ProblemWithMembers { problem, members };
        let mut response = (self.code.status(), Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if self.code.status() == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, CHALLENGE);
        }
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// The text, cut in its middle when it is long: it may quote the request.
fn shortened(mut text: String) -> String {
    if text.len() > MAX_QUOTING_BYTES {
        let end = text.floor_char_boundary(MAX_QUOTING_BYTES / 2);
        let start = text.ceil_char_boundary(text.len() - MAX_QUOTING_BYTES / 2);
        text.replace_range(end..start, "…");
        text.shrink_to_fit();
    }
    text
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.render(None, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_quotes_no_more_than_its_share_of_a_request() {
        let long = "é".repeat(1 << 20);
        let error = ApiError::invalid(format!("/{long}/end"), format!("begin {long} end"));
        let problem = error
            .at(format!("/{long}"))
            .within("/searches/1")
            .problem(None);
        for text in [&problem.detail, problem.pointer.as_ref().unwrap()] {
            assert!(text.len() < MAX_QUOTING_BYTES + 20, "{}", text.len());
        }
        assert!(problem.detail.starts_with("begin") && problem.detail.ends_with("end"));
        let limit = "x".repeat(MAX_QUOTING_BYTES);
        assert_eq!(
            ApiError::new(ErrorCode::Internal, limit.clone()).detail,
            limit
        );
    }

    #[test]
    fn a_caller_without_a_key_is_told_how_to_show_one_and_one_over_its_budget_when_to_come_back() {
        let response = ApiError::new(ErrorCode::KeyMissing, "a key").into_response();
        assert_eq!(response.status(), 401);
        assert_eq!(
            response.headers()[header::WWW_AUTHENTICATE],
            "Bearer realm=\"siamese\""
        );
        for (wait_ms, seconds) in [(0, "1"), (1000, "1"), (1001, "2")] {
            let wait = Duration::from_millis(wait_ms);
            let response = ApiError::budget_exceeded("used up", wait).into_response();
            assert_eq!(response.status(), 429);
            assert_eq!(response.headers()[header::RETRY_AFTER], seconds);
        }
    }

    #[test]
    fn an_overload_tells_when_to_come_back() {
        let response = ApiError::overloaded("queue full", 2).into_response();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
    }
}
