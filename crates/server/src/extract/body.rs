//! A whole body: its size, whatever its header says, and what went wrong on the way.

use axum::extract::Request;
use axum::http::{HeaderMap, header};
use futures_util::StreamExt;

use crate::body_budget::{held_share, resize};
use crate::body_encoding::Undecodable;
use crate::error::{ApiError, ErrorCode};
use crate::telemetry::{Clock, Step};

/// Reads a whole body. Memory is taken from the budget as bytes arrive, whatever the header says.
pub(super) async fn read_body(request: Request, max_bytes: usize) -> Result<Vec<u8>, ApiError> {
    let announced = announced_bytes(request.headers());
    if announced.is_some_and(|bytes| bytes > max_bytes as u64) {
        return Err(too_large(max_bytes));
    }
    let _clock = Clock::start(Step::Body);
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
