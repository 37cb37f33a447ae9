//! JSON bodies: content type, size, numbers of things, UTF-8, syntax, shape and fields, each refused
//! with its own words.

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_path_to_error::Segment;

use super::census::{CensusLimits, ListLimit, census};
use crate::app::App;
use crate::blocking::{blocking, blocking_long};
use crate::body_budget::{SharedShare, held_share, resize};
use crate::body_encoding::Undecodable;
use crate::config::Limits;
use crate::error::{ApiError, ErrorCode};

/// Bodies up to this size are parsed where they are read; it takes less than to hand them over.
const MAX_PARSED_AT_ONCE_BYTES: usize = 16 << 10;
/// Larger ones are long work.
const MAX_SHORT_BYTES: usize = 128 << 10;

/// What a route reads as its body.
pub(crate) trait JsonBody: DeserializeOwned + Send + 'static {
    /// What the handler gets.
    type Checked: Send + 'static;

    /// Lists with limits of their own. A body that goes over one is refused before its items are
    /// made; `check` still says how few there may be.
    fn lists(_limits: &Limits) -> Vec<ListLimit> {
        Vec::new()
    }

    /// Checks the fields; runs beside the parsing, so it may take its time.
    ///
    /// # Errors
    /// 422 with a pointer to the field that does not fit.
    fn check(self, limits: &Limits) -> Result<Self::Checked, ApiError>;
}

/// A checked JSON body, at most `limits.max_body_bytes` long.
#[derive(Debug)]
pub(crate) struct ApiJson<T: JsonBody>(pub(crate) T::Checked);

impl<T: JsonBody> FromRequest<App> for ApiJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        require_json(request.headers())?;
        let bytes = read_body(request, app.limits().max_body_bytes).await?;
        parse_body::<T>(bytes, app).await.map(Self)
    }
}

/// A JSON body that may be absent; an empty body is the default.
#[derive(Debug)]
pub(crate) struct OptionalJson<T: JsonBody>(pub(crate) T::Checked);

impl<T: JsonBody + Default> FromRequest<App> for OptionalJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let content_type = require_json(request.headers());
        let bytes = read_body(request, app.limits().max_body_bytes).await?;
        if bytes.is_empty() {
            return T::default().check(app.limits()).map(Self);
        }
        content_type?;
        parse_body::<T>(bytes, app).await.map(Self)
    }
}

/// Counts, parses and checks what stands for a body; a large one on a blocking thread.
///
/// # Errors
/// As for a body.
pub(crate) async fn parse_body<T: JsonBody>(
    bytes: Vec<u8>,
    app: &App,
) -> Result<T::Checked, ApiError> {
    let share = held_share();
    if bytes.len() <= MAX_PARSED_AT_ONCE_BYTES {
        return parse_and_check::<T>(bytes, app.limits(), share.as_ref());
    }
    let (app, length) = (app.clone(), bytes.len());
    let parse = move || parse_and_check::<T>(bytes, app.limits(), share.as_ref());
    parse_on_thread(length, parse).await
}

/// Parses JSON of so many bytes on a blocking thread.
///
/// # Errors
/// [`blocking_long`]'s.
pub(crate) async fn parse_on_thread<T, F>(bytes: usize, parse: F) -> Result<T, ApiError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, ApiError> + Send + 'static,
{
    if bytes <= MAX_SHORT_BYTES {
        blocking(parse).await
    } else {
        blocking_long(parse).await
    }
}

fn parse_and_check<T: JsonBody>(
    bytes: Vec<u8>,
    limits: &Limits,
    share: Option<&SharedShare>,
) -> Result<T::Checked, ApiError> {
    let json = without_byte_order_mark(&bytes);
    let parsed_bytes = census(json, &CensusLimits::new(limits, T::lists(limits)))?;
    resize(share, bytes.len() + parsed_bytes)?;
    let parsed = parse_json::<T>(json)?;
    drop(bytes);
    resize(share, parsed_bytes)?;
    parsed.check(limits)
}

/// Files that Windows made may begin with one, and parsers may pass over it (RFC 8259, section 8.1).
fn without_byte_order_mark(json: &[u8]) -> &[u8] {
    json.strip_prefix("\u{feff}".as_bytes()).unwrap_or(json)
}

/// Counts, parses and checks one line of a stream. Returns what it is, and the memory that it may
/// take, bytes.
///
/// # Errors
/// As for a body.
pub(crate) fn parse_line<T: JsonBody>(
    line: &[u8],
    limits: &Limits,
) -> Result<(T::Checked, usize), ApiError> {
    let line = without_byte_order_mark(line);
    let bytes = census(line, &CensusLimits::new(limits, T::lists(limits)))?;
    Ok((parse_json::<T>(line)?.check(limits)?, bytes))
}

/// Whether the body is said to be JSON.
///
/// # Errors
/// 415 when it is not.
pub(crate) fn require_json(headers: &HeaderMap) -> Result<(), ApiError> {
    let essence = media_type(headers);
    if essence == "application/json" || essence.ends_with("+json") {
        return Ok(());
    }
    Err(ApiError::new(
        ErrorCode::UnsupportedMediaType,
        if essence.is_empty() {
            "the header Content-Type: application/json is missing".to_owned()
        } else {
            format!("the content type is {essence:?}, this route reads application/json")
        },
    ))
}

/// The media type of a request without parameters, lower case; empty when there is none.
pub(crate) fn media_type(headers: &HeaderMap) -> String {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(|essence| essence.trim().to_ascii_lowercase())
        .unwrap_or_default()
}

/// Reads a whole body. Memory is taken from the budget as bytes arrive, whatever the header says.
async fn read_body(request: Request, max_bytes: usize) -> Result<Vec<u8>, ApiError> {
    let announced = announced_bytes(request.headers());
    if announced.is_some_and(|bytes| bytes > max_bytes as u64) {
        return Err(too_large(max_bytes));
    }
    let share = held_share();
    let mut chunks = request.into_body().into_data_stream();
    let mut body = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| broken(&error, max_bytes))?;
        let bytes = body.len() + chunk.len();
        if bytes > max_bytes {
            return Err(too_large(max_bytes));
        }
        resize(share.as_ref(), bytes)?;
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// How long the body is said to be.
pub(crate) fn announced_bytes(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// The body is longer than may be.
pub(crate) fn too_large(max_bytes: usize) -> ApiError {
    let detail = format!("the body is over limits.max_body_bytes = {max_bytes}");
    ApiError::new(ErrorCode::PayloadTooLarge, detail)
}

fn broken(error: &axum::Error, max_bytes: usize) -> ApiError {
    if is_over_limit(error) {
        return too_large(max_bytes);
    }
    if let Some(undecodable) = undecodable(error) {
        return ApiError::new(ErrorCode::MalformedJson, undecodable.to_string());
    }
    ApiError::new(
        ErrorCode::MalformedJson,
        "the body ended before it was complete",
    )
}

fn is_over_limit(error: &axum::Error) -> bool {
    causes(error).any(|cause| cause.is::<http_body_util::LengthLimitError>())
}

/// Why a body could not be decompressed, if that is what is wrong with it.
pub(crate) fn undecodable(error: &axum::Error) -> Option<&Undecodable> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

fn causes(error: &axum::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(std::error::Error::source(error), |cause| cause.source())
}

/// Reads one JSON value of a known shape.
///
/// # Errors
/// 400 for bytes that are no JSON, 422 with a pointer for JSON of another shape.
pub(crate) fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        ApiError::new(
            ErrorCode::MalformedJson,
            format!(
                "the body is not valid UTF-8 after byte {}",
                error.valid_up_to()
            ),
        )
    })?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(shape_error)?;
    deserializer.end().map_err(|error| syntax_error(&error))?;
    Ok(value)
}

/// Reads an optional field that may be left out but is not `null`.
///
/// # Errors
/// When the value is `null` or of another type.
pub(crate) fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

fn shape_error(error: serde_path_to_error::Error<serde_json::Error>) -> ApiError {
    let pointer = json_pointer(error.path());
    let error = error.into_inner();
    let message = without_position(&error.to_string());
    // To serde_json that is a mistake of syntax, like a missing bracket.
    if message == "number out of range" {
        let detail = "the number is larger than the numbers that are kept here";
        return ApiError::invalid(pointer, detail);
    }
    if !error.is_data() {
        let syntax = syntax_error(&error);
        return match pointer.as_str() {
            "" => syntax,
            pointer => syntax.at(pointer),
        };
    }
    ApiError::invalid(pointer, message)
}

fn syntax_error(error: &serde_json::Error) -> ApiError {
    let mut detail = error.to_string();
    if detail.contains("surrogate") || detail.contains("hex escape") {
        detail.push_str(
            "; an escape from \\ud800 to \\udfff is half of a character, and two halves stand together",
        );
    }
    ApiError::new(ErrorCode::MalformedJson, detail)
}

/// serde_json ends its messages with a position, which a pointer says better.
fn without_position(message: &str) -> String {
    message
        .split(" at line ")
        .next()
        .unwrap_or(message)
        .to_owned()
}

/// The path of an error as a JSON pointer (RFC 6901).
fn json_pointer(path: &serde_path_to_error::Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } => pointer.push_str(&format!("/{}", pointer_token(key))),
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    pointer
}

/// A key as a part of a JSON pointer.
pub(crate) fn pointer_token(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[expect(dead_code, reason = "read by the derived code only")]
        items: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[expect(dead_code, reason = "read by the derived code only")]
        text: String,
    }

    fn refusal(body: &[u8]) -> (ErrorCode, Option<String>, String) {
        let error = parse_json::<Outer>(body).unwrap_err();
        let problem = error.problem(None);
        (problem.code, problem.pointer, problem.detail)
    }

    #[test]
    fn a_wrong_type_is_pointed_at() {
        let (code, pointer, _) = refusal(br#"{"items":[{"text":"a"},{"text":1}]}"#);
        assert_eq!(code, ErrorCode::InvalidRequest);
        assert_eq!(pointer.as_deref(), Some("/items/1/text"));
    }

    #[test]
    fn an_unknown_field_is_pointed_at_and_named() {
        let (code, pointer, detail) = refusal(br#"{"items":[{"text":"a","tex~t":1}]}"#);
        assert_eq!(code, ErrorCode::InvalidRequest);
        assert_eq!(pointer.as_deref(), Some("/items/0/tex~0t"));
        assert!(detail.contains("tex~t"));
    }

    #[test]
    fn broken_json_and_trailing_text_are_malformed() {
        assert_eq!(refusal(b"{").0, ErrorCode::MalformedJson);
        assert_eq!(refusal(br#"{"items":[]} x"#).0, ErrorCode::MalformedJson);
        assert_eq!(refusal(b"").0, ErrorCode::MalformedJson);
    }

    #[test]
    fn a_byte_order_mark_is_passed_over_once() {
        assert_eq!(without_byte_order_mark(b"\xef\xbb\xbf{}"), b"{}");
        assert_eq!(without_byte_order_mark(b"{}"), b"{}");
        let twice = "\u{feff}\u{feff}".as_bytes();
        assert_eq!(without_byte_order_mark(twice), "\u{feff}".as_bytes());
    }

    #[test]
    fn a_number_beyond_its_range_is_pointed_at() {
        let body = br#"{"items": [1e400]}"#;
        let refused = parse_json::<HashMap<String, Vec<f64>>>(body).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::InvalidRequest);
        assert_eq!(refused.problem(None).pointer.unwrap(), "/items/0");
    }

    #[test]
    fn half_a_character_is_pointed_at() {
        for half in [
            r"\ud800",
            r"\udc00",
            r"\ud800x",
            r"\ud800\n",
            r"\ud800\u0041",
        ] {
            let body = format!(r#"{{"items":[{{"text":"a"}},{{"text":"{half}"}}]}}"#);
            let (code, pointer, detail) = refusal(body.as_bytes());
            assert_eq!(code, ErrorCode::MalformedJson);
            assert_eq!(pointer.as_deref(), Some("/items/1/text"), "{half}");
            assert!(detail.contains("half of a character"), "{detail}");
        }
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_malformed() {
        let (code, _, detail) = refusal(b"{\"items\":[{\"text\":\"\xff\"}]}");
        assert_eq!(code, ErrorCode::MalformedJson);
        assert!(detail.contains("UTF-8"));
    }
}

/// Through the router, without models: a body that passes is answered 503, as they are not loaded.
#[cfg(test)]
mod router_tests {
    use axum::Router;
    use axum::body::{Body, Bytes};
    use axum::http::Response;
    use futures_util::stream;
    use serde_json::Value;
    use tokio::sync::oneshot;
    use tower::ServiceExt;

    use super::*;
    use crate::config::{Overrides, Settings};
    use crate::connections::ConnectionLimits;

    const MIB: usize = 1 << 20;

    fn app(change: impl FnOnce(&mut Limits)) -> Router {
        let mut settings = Settings::load(&Overrides::default()).unwrap();
        change(&mut settings.limits);
        let connections = ConnectionLimits::new(&settings.server, None);
        crate::router(App::new(settings, connections))
    }

    async fn answer(app: &Router, path: &str, body: impl Into<Body>) -> (Value, Response<()>) {
        let request = Request::post(path)
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json");
        let request = request.body(body.into()).unwrap();
        let (head, body) = app.clone().oneshot(request).await.unwrap().into_parts();
        let body = axum::body::to_bytes(body, MIB).await.unwrap();
        (
            serde_json::from_slice(&body).unwrap(),
            Response::from_parts(head, ()),
        )
    }

    async fn problem(app: &Router, path: &str, body: impl Into<Body>) -> Value {
        answer(app, path, body).await.0
    }

    fn list(before: &str, item: &str, items: usize, after: &str) -> String {
        format!("{before}{}{after}", vec![item; items].join(","))
    }

    /// A body that begins and never ends, and tells when more of it is waited for.
    fn endless(bytes: usize) -> (Body, oneshot::Receiver<()>) {
        let (asked, is_asked) = oneshot::channel();
        let begin = Bytes::from(vec![b' '; bytes]);
        let begin = stream::iter([Ok::<_, std::io::Error>(begin)]);
        let rest = stream::once(async move {
            asked.send(()).unwrap();
            std::future::pending().await
        });
        (Body::from_stream(begin.chain(rest)), is_asked)
    }

    /// Route, what stands before the items of a list, an item, what stands after them, where the list
    /// is, and its limit.
    const LISTS: &[(&str, &str, &str, &str, &str, &str)] = &[
        (
            "/search/batch",
            r#"{"searches":["#,
            r#"{"query":"a","top_k":1}"#,
            "]}",
            "/searches",
            "searches_per_batch",
        ),
        (
            "/search",
            r#"{"positive":["#,
            r#""a""#,
            "]}",
            "/positive",
            "search_examples",
        ),
        (
            "/search",
            r#"{"positive":["a"],"negative":["#,
            r#""a""#,
            "]}",
            "/negative",
            "search_examples",
        ),
        (
            "/search/batch",
            r#"{"searches":[{"positive":["#,
            r#""a""#,
            "]}]}",
            "/searches/0/positive",
            "search_examples",
        ),
        (
            "/search",
            r#"{"query":"a","facets":["#,
            r#""a""#,
            "]}",
            "/facets",
            "facets",
        ),
        (
            "/documents/delete",
            r#"{"ids":["#,
            r#""a""#,
            "]}",
            "/ids",
            "ids_per_request",
        ),
        (
            "/similarity",
            r#"{"left":["#,
            r#""a""#,
            "]}",
            "/left",
            "similarity_items",
        ),
        (
            "/similarity",
            r#"{"left":["a"],"right":["#,
            r#""a""#,
            "]}",
            "/right",
            "similarity_items",
        ),
        (
            "/similarity",
            r#"{"source":"a","targets":["#,
            r#""a""#,
            "]}",
            "/targets",
            "similarity_items",
        ),
        (
            "/similarity",
            r#"{"pairs":["#,
            r#"["a","b"]"#,
            "]}",
            "/pairs",
            "similarity_items",
        ),
        (
            "/similarity",
            r#"{"pairs":[["#,
            r#""a""#,
            "]]}",
            "/pairs/0",
            "similarity_items",
        ),
        (
            "/embed",
            r#"{"inputs":["#,
            r#""a""#,
            "]}",
            "/inputs",
            "embed_texts",
        ),
        (
            "/v1/embeddings",
            r#"{"input":["#,
            r#""a""#,
            "]}",
            "/input",
            "embed_texts",
        ),
        (
            "/rerank",
            r#"{"query":"a","texts":["#,
            r#""a""#,
            "]}",
            "/texts",
            "rerank_candidates",
        ),
        (
            "/documents",
            r#"{"documents":["#,
            r#"{"text":"a"}"#,
            "]}",
            "/documents",
            "documents_per_request",
        ),
    ];

    #[tokio::test]
    async fn every_list_is_read_up_to_its_limit_and_no_further() {
        let app = app(|limits| {
            limits.max_documents_per_request = 3;
            limits.max_searches_per_batch = 3;
            limits.max_search_examples = 3;
            limits.max_facets = 3;
            limits.max_ids_per_request = 3;
            limits.max_similarity_items = 3;
            limits.max_embed_texts = 3;
            limits.max_rerank_candidates = 3;
        });
        for &(path, before, item, after, pointer, limit) in LISTS {
            let limit = format!("limits.max_{limit} = 3");
            let within = problem(&app, path, list(before, item, 3, after)).await;
            assert!(
                !within["detail"]
                    .as_str()
                    .unwrap()
                    .contains("there are more"),
                "{within}"
            );
            // What follows the item too many is not looked at, so it may be anything.
            let over = list(before, item, 4, "#");
            let over = problem(&app, path, over).await;
            assert_eq!(over["status"], 422, "{path} {over}");
            assert_eq!(over["pointer"], pointer, "{path} {over}");
            let detail = over["detail"].as_str().unwrap();
            assert!(
                detail.starts_with("there are more") && detail.contains(&limit),
                "{detail}"
            );
        }
    }

    #[tokio::test]
    async fn metadata_and_filters_are_counted_by_the_values_of_the_body() {
        let app = app(|limits| limits.max_json_values = 12);
        for (path, before, after) in [
            (
                "/documents",
                r#"{"documents":[{"text":"a","metadata":{"k":["#,
                "]}}]}",
            ),
            (
                "/search",
                r#"{"query":"a","top_k":1,"filter":{"f":{"$in":["#,
                "]}}}",
            ),
        ] {
            let used = if path == "/search" { 11 } else { 10 };
            let passes = problem(&app, path, list(before, "1", 12 - used, after)).await;
            assert_eq!(passes["code"], "not_ready", "{passes}");
            let over = problem(&app, path, list(before, "1", 13 - used, after)).await;
            assert_eq!(over["status"], 422, "{over}");
            let detail = over["detail"].as_str().unwrap();
            assert!(detail.contains("limits.max_json_values = 12"), "{detail}");
        }
    }

    #[tokio::test]
    async fn a_body_that_announces_too_much_is_refused_before_it_comes() {
        let app = app(|limits| limits.max_body_bytes = 1000);
        for path in ["/documents", "/search", "/embed"] {
            let request = Request::post(path)
                .header(header::HOST, "localhost")
                .header(header::CONTENT_TYPE, "application/json")
                .header(header::CONTENT_LENGTH, "1001");
            let request = request.body(endless(1).0).unwrap();
            let answer = app.clone().oneshot(request).await.unwrap();
            assert_eq!(answer.status(), 413, "{path}");
            let over = problem(&app, path, endless(1001).0).await;
            assert_eq!(over["code"], "payload_too_large", "{over}");
            let within = problem(&app, path, " ".repeat(1000)).await;
            assert_eq!(within["code"], "malformed_json", "{within}");
        }
    }

    #[tokio::test]
    async fn large_bodies_share_a_budget_that_small_ones_do_not_need() {
        let app = app(|limits| limits.max_bodies_in_flight_bytes = MIB);
        let (body, is_read) = endless(MIB);
        let slow = tokio::spawn({
            let app = app.clone();
            async move { problem(&app, "/search", body).await }
        });
        is_read.await.unwrap();
        let large = || format!(r#"{{"query":"a"}}{}"#, " ".repeat(200 << 10));
        let refused = answer(&app, "/search", large()).await;
        assert_eq!(refused.0["code"], "overloaded", "{}", refused.0);
        assert_eq!(refused.1.headers()[header::RETRY_AFTER], "2");
        let detail = refused.0["detail"].as_str().unwrap();
        assert!(
            detail.contains("limits.max_bodies_in_flight_bytes = 1048576"),
            "{detail}"
        );
        let small = problem(&app, "/search", r#"{"query":"a"}"#).await;
        assert_eq!(small["code"], "not_ready", "{small}");
        slow.abort();
        assert!(slow.await.is_err());
        let after = problem(&app, "/search", large()).await;
        assert_eq!(after["code"], "not_ready", "{after}");
    }

    #[tokio::test]
    async fn what_a_body_is_made_into_counts_as_well() {
        let app = app(|limits| limits.max_bodies_in_flight_bytes = MIB);
        let maps = |count| {
            list(
                r#"{"query":"a","filter":{"f":{"$in":["#,
                r#"{"":1}"#,
                count,
                "]}}}",
            )
        };
        // 7 bytes each, which become a map of 640.
        let refused = problem(&app, "/search", maps(3000)).await;
        assert_eq!(refused["code"], "overloaded", "{refused}");
        let passes = problem(&app, "/search", maps(500)).await;
        assert_eq!(passes["status"], 422, "{passes}");
    }

    #[tokio::test]
    async fn no_error_repeats_a_large_part_of_the_request() {
        let app = app(|_| {});
        let long = "\u{feff}".repeat(MIB);
        for body in [
            format!(r#"{{"top_k":"{long}"}}"#),
            format!(r#"{{"{long}":1}}"#),
            format!(r#"{{"query":"a","filter":{{"{long}":{{"$x":1}}}}}}"#),
        ] {
            let problem = problem(&app, "/search", body).await;
            assert_eq!(problem["status"], 422);
            assert!(problem.to_string().len() < 10_000);
        }
    }
}
