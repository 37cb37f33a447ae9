//! Answers of lines of JSON that are made while they are sent.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use serde::Serialize;

use crate::answer::{Pieces, Room, WrittenPieces};
use crate::app::App;
use crate::error::{ApiError, ErrorCode, Problem};
use crate::service::blocking_steps;

pub(super) const NDJSON: &str = "application/x-ndjson";

/// How long lines wait for room among the answers in flight before they break off, and how often that is
/// looked at.
const ROOM_WAITS: usize = 600;
const ROOM_WAIT: Duration = Duration::from_millis(100);

/// The last line of an answer that breaks off.
#[derive(Serialize)]
struct Failed {
    error: Problem,
}

/// What makes lines, some at a time.
pub(super) trait LineSource: Send + 'static {
    /// The next lines; `None` after the last. It has not gone on when there is no room for them.
    ///
    /// # Errors
    /// What the lines were made of cannot be read, or there is no room.
    fn next(&mut self, room: Room) -> Result<Option<WrittenPieces>, ApiError>;
}

/// Whether the client would have lines rather than one document.
pub(super) fn wants_lines(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).into_iter();
    let accepted = accepted.filter_map(|line| line.to_str().ok());
    let mut types = accepted.flat_map(|line| line.split(','));
    types.any(|one| {
        let name = one.split(';').next().unwrap_or_default().trim();
        name.eq_ignore_ascii_case(NDJSON)
    })
}

/// Sends lines as they are made.
pub(super) fn streamed(app: &App, source: impl LineSource) -> Response {
    let sending = Sending {
        app: app.clone(),
        source: Some(source),
        pieces: None,
    };
    let lines = stream::unfold(sending, |mut sending| async move {
        let piece = sending.next().await?;
        Some((Ok::<_, Infallible>(piece), sending))
    })
    .fuse();
    ([(header::CONTENT_TYPE, NDJSON)], Body::from_stream(lines)).into_response()
}

/// Writes lines of these values.
///
/// # Errors
/// There is no room.
pub(super) fn written<T: Serialize>(room: Room, lines: &[T]) -> Result<WrittenPieces, ApiError> {
    let mut pieces = Pieces::new(room);
    for line in lines {
        pieces.write_json(line)?;
        pieces.end_line()?;
    }
    Ok(pieces.into_pieces())
}

/// Lines on their way out. What has been made keeps its room among the answers in flight until it is
/// taken.
struct Sending<L> {
    app: App,
    source: Option<L>,
    pieces: Option<WrittenPieces>,
}

impl<L: LineSource> Sending<L> {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(piece) = self.pieces.as_mut().and_then(Iterator::next) {
                // As between the pieces of any answer, the worker does something else.
                tokio::task::yield_now().await;
                return Some(piece);
            }
            let source = self.source.take()?;
            self.write(source).await;
        }
    }

    /// Writes the next lines. They wait for room instead of being refused.
    async fn write(&mut self, mut source: L) {
        for wait in 0..=ROOM_WAITS {
            let room = self.app.stream_room();
            let next = blocking_steps(move |cancel| {
                // Each takes some milliseconds. Too many long jobs are as no room: the lines go on later.
                let lines = cancel
                    .long_step()
                    .and_then(|()| source.next(room.until(cancel)));
                Ok((lines, source))
            })
            .await;
            let Ok((lines, same)) = next else {
                return;
            };
            source = same;
            match lines {
                Ok(None) => return,
                Ok(Some(lines)) => {
                    (self.pieces, self.source) = (Some(lines), Some(source));
                    return;
                }
                Err(error) if error.code() == ErrorCode::Overloaded && wait < ROOM_WAITS => {
                    tokio::time::sleep(ROOM_WAIT).await;
                }
                Err(error) => {
                    let error = error.problem(None);
                    self.pieces = written(self.app.stream_room(), &[Failed { error }]).ok();
                    return;
                }
            }
        }
    }
}
