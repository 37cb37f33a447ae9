//! JSON bodies: content type, size, UTF-8, syntax and shape, each refused with its own words.

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_path_to_error::Segment;

use crate::app::App;
use crate::error::{ApiError, ErrorCode};

/// A JSON body, at most `limits.max_body_bytes` long.
#[derive(Debug)]
pub(crate) struct ApiJson<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<App> for ApiJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        require_json(request.headers())?;
        let bytes = read_body(request.into_body(), app.limits().max_body_bytes).await?;
        parse_json(&bytes).map(Self)
    }
}

/// A JSON body that may be absent; an empty body is the default.
#[derive(Debug)]
pub(crate) struct OptionalJson<T>(pub(crate) T);

impl<T: DeserializeOwned + Default> FromRequest<App> for OptionalJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let content_type = require_json(request.headers());
        let bytes = read_body(request.into_body(), app.limits().max_body_bytes).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        content_type?;
        parse_json(&bytes).map(Self)
    }
}

fn require_json(headers: &HeaderMap) -> Result<(), ApiError> {
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

async fn read_body(body: Body, max_body_bytes: usize) -> Result<Bytes, ApiError> {
    axum::body::to_bytes(body, max_body_bytes)
        .await
        .map_err(|error| {
            if is_over_limit(&error) {
                ApiError::new(
                    ErrorCode::PayloadTooLarge,
                    format!("the body is over limits.max_body_bytes = {max_body_bytes}"),
                )
            } else {
                ApiError::new(
                    ErrorCode::MalformedJson,
                    "the body ended before it was complete",
                )
            }
        })
}

fn is_over_limit(error: &axum::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if inner.is::<http_body_util::LengthLimitError>() {
            return true;
        }
        source = inner.source();
    }
    false
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
    if !error.is_data() {
        return syntax_error(&error);
    }
    ApiError::invalid(pointer, without_position(&error.to_string()))
}

fn syntax_error(error: &serde_json::Error) -> ApiError {
    ApiError::new(ErrorCode::MalformedJson, error.to_string())
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
    fn bytes_that_are_not_utf_8_are_malformed() {
        let (code, _, detail) = refusal(b"{\"items\":[{\"text\":\"\xff\"}]}");
        assert_eq!(code, ErrorCode::MalformedJson);
        assert!(detail.contains("UTF-8"));
    }
}
