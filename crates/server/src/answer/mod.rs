//! Answers as JSON, made off the async workers and bounded in bytes while they are made.
//!
//! An answer is written into pieces, so that nothing is copied when it grows and what has been sent is
//! free. Answers of more than one piece take room in a budget that all share, from the first byte that
//! is written to the last that is sent.

mod budget;
mod pieces;

pub(crate) use budget::{AnswerBudget, Room};
pub(crate) use pieces::{Pieces, WrittenPieces};

use axum::response::Response;
use serde::Serialize;

use crate::error::ApiError;

/// A whole answer.
///
/// # Errors
/// [`Room::grow`]'s, or whatever stopped `value` from being written.
pub(crate) fn json<T: Serialize>(room: Room, value: &T) -> Result<Response, ApiError> {
    let mut pieces = Pieces::new(room);
    pieces.write_json(value)?;
    Ok(pieces.into_json())
}
