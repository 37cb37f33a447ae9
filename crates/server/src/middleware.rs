//! What every request passes through, beside what tower-http brings.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower_http::request_id::{MakeRequestId, RequestId};
use tracing::Span;
use uuid::Uuid;

use crate::access::{RATE_LIMIT, RATE_LIMIT_POLICY, logged_path};
use crate::config::ServerSettings;
use crate::connections::{Connection, Connections, HoldingBody};
use crate::error::{ApiError, ErrorCode};
use crate::host::AllowedHosts;
use crate::metrics;
use crate::origin::AllowedOrigins;
use crate::routes::dialect::Dialect;
use crate::routes::docs::DOCS_POLICY;
use crate::routes::health::is_probe;

/// The header with the id of a request.
pub(crate) const REQUEST_ID: &str = "x-request-id";
/// Longer ids than this are replaced, so that a log line stays a line.
const MAX_REQUEST_ID_BYTES: usize = 128;
/// What `Retry-After` says when too many requests are in progress.
const ADMISSION_RETRY_AFTER_S: u64 = 1;
/// Time in which a connection that is closed for another request gives its permit back.
const CLOSING_TIME: Duration = Duration::from_secs(1);

/// Request ids that sort by time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MakeRequestUuidV7;

impl MakeRequestId for MakeRequestUuidV7 {
    fn make_request_id<B>(&mut self, _request: &axum::http::Request<B>) -> Option<RequestId> {
        HeaderValue::try_from(Uuid::now_v7().to_string())
            .ok()
            .map(RequestId::new)
    }
}

/// Drops a caller's request id that does not fit into a log line; the next layer makes one.
pub(crate) async fn plain_request_id(mut request: Request, next: Next) -> Response {
    let is_plain = |value: &HeaderValue| {
        (1..=MAX_REQUEST_ID_BYTES).contains(&value.len())
            && value.as_bytes().iter().all(u8::is_ascii_graphic)
    };
    if !request.headers().get(REQUEST_ID).is_some_and(is_plain) {
        request.headers_mut().remove(REQUEST_ID);
    }
    next.run(request).await
}

fn request_id(headers: &HeaderMap) -> Option<String> {
    headers
        .get(REQUEST_ID)?
        .to_str()
        .ok()
        .map(ToOwned::to_owned)
}

/// The span of a request; every log line inside it carries the id.
pub(crate) fn request_span(request: &Request) -> Span {
    tracing::info_span!(
        "request",
        method = %request.method(),
        path = logged_path(request.uri().path()),
        request_id = request_id(request.headers()).unwrap_or_default(),
        trace_id = tracing::field::Empty,
    )
}

/// One line for each answer: faults as warnings, the rest, refusals under load included, at debug
/// level.
pub(crate) fn log_response<B>(response: &axum::http::Response<B>, latency: Duration, _span: &Span) {
    let (status, latency_ms) = (response.status().as_u16(), latency.as_millis() as u64);
    if response.status().is_server_error() && status != 503 {
        tracing::warn!(status, latency_ms, "answered");
    } else {
        tracing::debug!(status, latency_ms, "answered");
    }
}

/// Every error leaves as a problem document with the request's id, whoever made it, and with what
/// clients of other services read on their routes.
pub(crate) async fn problem_documents(request: Request, next: Next) -> Response {
    let id = request_id(request.headers());
    let path = request.uri().path().to_owned();
    let response = next.run(request).await;
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    if !is_error || response.extensions().get::<KeepsItsBody>().is_some() {
        return response;
    }
    let error = match response.extensions().get::<ApiError>() {
        Some(error) => error.clone(),
        None => bare_error(status, &path),
    };
    let mut rendered = error.render(id, Dialect::of(&path));
    for name in KEPT_HEADERS {
        for value in response.headers().get_all(&name) {
            rendered.headers_mut().append(&name, value.clone());
        }
    }
    rendered
}

/// Marks an answer that says what is wrong in the words of another protocol.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeepsItsBody;

/// What an error says beside its document: what may be asked for instead, and what is left of a key's budgets.
const KEPT_HEADERS: [HeaderName; 4] = [
    header::ALLOW,
    header::ACCEPT_ENCODING,
    RATE_LIMIT,
    RATE_LIMIT_POLICY,
];

/// An error for a status that a router or a layer made without one.
fn bare_error(status: StatusCode, path: &str) -> ApiError {
    let code = ErrorCode::for_status(status);
    let detail = match code {
        ErrorCode::NotFound => format!("no route is called {path}"),
        ErrorCode::MethodNotAllowed => {
            "the header Allow names the methods of this route".to_owned()
        }
        ErrorCode::PayloadTooLarge => "the body is over limits.max_body_bytes".to_owned(),
        ErrorCode::Timeout => "the answer took longer than server.request_timeout_ms".to_owned(),
        _ => status
            .canonical_reason()
            .unwrap_or("the request failed")
            .to_owned(),
    };
    ApiError::new(code, detail)
}

/// A panic in a handler is a 500 for its caller alone.
#[expect(clippy::needless_pass_by_value, reason = "the layer's signature")]
pub(crate) fn panic_answer(panic: Box<dyn Any + Send>) -> Response {
    let cause = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without a message");
    ApiError::internal(cause).into_response()
}

/// The room for requests, and the connections that they come through.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    requests: Arc<Semaphore>,
    connections: Connections,
}

impl Room {
    pub(crate) fn new(max_concurrent_requests: usize, connections: Connections) -> Self {
        Self {
            requests: Arc::new(Semaphore::new(max_concurrent_requests)),
            connections,
        }
    }

    /// A permit for a request. When there is none, a request that crawls is given up for it.
    async fn take(&self) -> Option<OwnedSemaphorePermit> {
        let requests = Arc::clone(&self.requests);
        if let Ok(permit) = Arc::clone(&requests).try_acquire_owned() {
            return Some(permit);
        }
        if !self.connections.close_slowest() {
            return None;
        }
        let freed = tokio::time::timeout(CLOSING_TIME, requests.acquire_owned());
        freed.await.ok()?.ok()
    }
}

/// Refuses requests over `server.max_concurrent_requests`, and requests on a connection over
/// `server.max_connections`. Probes always pass.
pub(crate) async fn admit(State(room): State<Room>, request: Request, next: Next) -> Response {
    if is_probe(request.uri().path()) || request.uri().path() == "/metrics" {
        return next.run(request).await;
    }
    let connection = request.extensions().get::<Arc<Connection>>().cloned();
    if connection.as_deref().is_some_and(Connection::is_for_probes) {
        return refused("server.max_connections or server.max_connections_per_peer are open");
    }
    match room.take().await {
        Some(permit) => {
            let response = next.run(request).await;
            response.map(|body| Body::new(HoldingBody::new(body, permit, connection)))
        }
        None => refused("server.max_concurrent_requests are in progress"),
    }
}

fn refused(why: &'static str) -> Response {
    ApiError::overloaded(why, ADMISSION_RETRY_AFTER_S).into_response()
}

/// Says so when an answer is what became of a request whose body came too slowly.
pub(crate) async fn slow_uploads(request: Request, next: Next) -> Response {
    let connection = request.extensions().get::<Arc<Connection>>().cloned();
    let response = next.run(request).await;
    let is_too_slow = connection.is_some_and(|connection| connection.is_upload_over());
    if is_too_slow && !response.status().is_success() {
        return ApiError::new(
            ErrorCode::BodyTooSlow,
            "the body came more slowly than server.min_body_bytes_per_second",
        )
        .into_response();
    }
    response
}

/// What requests are looked at for before anything is done for them.
#[derive(Debug)]
pub(crate) struct Doors {
    hosts: AllowedHosts,
    origins: AllowedOrigins,
}

impl Doors {
    pub(crate) fn new(settings: &ServerSettings) -> Self {
        Self {
            hosts: AllowedHosts::new(settings.listen, &settings.allowed_hosts),
            origins: AllowedOrigins::new(&settings.allowed_origins),
        }
    }
}

/// Refuses requests for hosts that the service does not answer to, and changes by foreign pages.
/// Probes tell nothing that anyone could want, and those who ask do not always choose the name.
pub(crate) async fn guard_doors(
    State(doors): State<Arc<Doors>>,
    request: Request,
    next: Next,
) -> Response {
    let (method, uri, headers) = (request.method(), request.uri(), request.headers());
    if !is_probe(uri.path()) {
        let host = doors.hosts.check(uri, request.version(), headers);
        let checked = host.and_then(|()| doors.origins.check(method, uri, headers));
        if let Err(error) = checked {
            metrics::door_closed(error.code());
            return error.into_response();
        }
    }
    next.run(request).await
}

/// Tells browsers what they may do with an answer: nothing but show it.
pub(crate) async fn security_headers(request: Request, next: Next) -> Response {
    let is_docs = request.uri().path().starts_with("/docs");
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    headers.insert(
        "cross-origin-resource-policy",
        HeaderValue::from_static("same-origin"),
    );
    let policy = if is_docs { DOCS_POLICY } else { ANSWER_POLICY };
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static(policy));
    response
}

/// An answer that is no page has nothing to load.
const ANSWER_POLICY: &str =
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Counts and times answers by route, not by address, so that series stay few.
pub(crate) async fn measure(request: Request, next: Next) -> Response {
    let method = metrics::method_label(request.method());
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(String::new, |matched| matched.as_str().to_owned());
    let started_at = Instant::now();
    let response = next.run(request).await;
    metrics::http_request(
        method,
        &route,
        response.status().as_u16(),
        started_at.elapsed(),
    );
    response
}
