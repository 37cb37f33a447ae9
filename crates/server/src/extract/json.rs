//! JSON bodies: content type, size, numbers of things, syntax, shape and fields, each refused with its
//! own words.

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use serde::de::DeserializeOwned;

use super::body::read_body;
use super::census::{CensusLimits, ListLimit, census};
use super::json_value::parse_json;
use crate::app::App;
use crate::blocking::{blocking, blocking_long};
use crate::body_budget::{SharedShare, held_share, resize};
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

/// Reads a body of JSON that somebody else parses, on the worker that it comes to, and counts what will be made of it.
/// It may have so many bytes, and so many keys and values, or what the settings allow if that is less.
///
/// # Errors
/// As for a body.
pub(crate) async fn read_counted(
    request: Request,
    app: &App,
    max_bytes: usize,
    max_values: usize,
) -> Result<Vec<u8>, ApiError> {
    let (app, share) = (app.clone(), held_share());
    let max_body_bytes = app.limits().max_body_bytes;
    let read = read_body(request, max_bytes.min(max_body_bytes)).await;
    let bytes = read.map_err(|error| match error.code() {
        ErrorCode::PayloadTooLarge if max_bytes < max_body_bytes => {
            let detail = format!("the body is over {max_bytes} bytes; send it in parts");
            ApiError::new(ErrorCode::PayloadTooLarge, detail)
        }
        _ => error,
    })?;
    let length = bytes.len();
    let count = move || {
        let limits = CensusLimits::new(app.limits(), Vec::new()).with_values(max_values);
        let parsed_bytes = census(&bytes, &limits)?;
        resize(share.as_ref(), bytes.len() + parsed_bytes)?;
        Ok(bytes)
    };
    if length <= MAX_PARSED_AT_ONCE_BYTES {
        return count();
    }
    parse_on_thread(length, count).await
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_is_passed_over_once() {
        assert_eq!(without_byte_order_mark(b"\xef\xbb\xbf{}"), b"{}");
        assert_eq!(without_byte_order_mark(b"{}"), b"{}");
        let twice = "\u{feff}\u{feff}".as_bytes();
        assert_eq!(without_byte_order_mark(twice), "\u{feff}".as_bytes());
    }
}
