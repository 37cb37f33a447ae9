//! An answer in pieces.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use futures_util::{Stream, StreamExt, stream};
use memmap2::MmapMut;
use serde::Serialize;

use super::Room;
use super::budget::FREE_BYTES;
use crate::error::ApiError;

/// Bytes of a full piece. An answer of one piece needs no room in the budget.
const PIECE_BYTES: usize = FREE_BYTES;

/// What has been written of an answer.
#[derive(Debug)]
pub(crate) struct Pieces {
    full: VecDeque<Bytes>,
    last: Piece,
    room: Room,
    /// Why no more was taken.
    refused: Option<ApiError>,
}

impl Pieces {
    /// Nothing yet.
    pub(crate) fn new(room: Room) -> Self {
        Self {
            full: VecDeque::new(),
            last: Piece::Small(Vec::new()),
            room,
            refused: None,
        }
    }

    /// Writes a value.
    ///
    /// # Errors
    /// Over `limits.max_response_bytes` or `limits.max_responses_in_flight_bytes`.
    pub(crate) fn write_json<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ApiError> {
        serde_json::to_writer(&mut *self, value).map_err(|error| match self.refused.take() {
            Some(refused) => refused,
            None => ApiError::stopped(error),
        })
    }

    /// Ends a line.
    ///
    /// # Errors
    /// As [`Self::write_json`].
    pub(crate) fn end_line(&mut self) -> Result<(), ApiError> {
        self.push(b"\n")
    }

    fn push(&mut self, mut bytes: &[u8]) -> Result<(), ApiError> {
        self.room.count(bytes.len())?;
        while !bytes.is_empty() {
            if self.last.as_ref().len() == PIECE_BYTES {
                // Room for the piece that is full, and in the end for all but one.
                self.room.grow(PIECE_BYTES)?;
                let full = std::mem::replace(&mut self.last, Piece::mapped()?);
                self.full.push_back(full.into_bytes());
            }
            bytes = self.last.fill(bytes);
        }
        Ok(())
    }

    /// The answer with everything that was written.
    pub(crate) fn into_json(self) -> Response {
        let body = if self.full.is_empty() {
            // The usual case says how long it is.
            Body::from(self.last.into_bytes())
        } else {
            Body::from_stream(sent(self.into_pieces()))
        };
        let mut response = Response::new(body);
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        response
    }

    /// The pieces, to be sent one by one.
    pub(crate) fn into_pieces(mut self) -> WrittenPieces {
        self.full.push_back(self.last.into_bytes());
        WrittenPieces {
            pieces: self.full,
            room: self.room,
        }
    }
}

/// Pieces one by one. Between them the worker does something else: a caller that reads as fast as it is
/// written to, or an answer that is compressed, would keep it for the whole answer.
fn sent(pieces: WrittenPieces) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream::unfold(pieces, |mut pieces| async {
        let piece = pieces.next()?;
        tokio::task::yield_now().await;
        Some((Ok(piece), pieces))
    })
    // Whoever compresses an answer asks again after its end.
    .fuse()
}

impl io::Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.push(bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(refused) => {
                self.refused = Some(refused);
                Err(io::Error::other("the answer is refused"))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A part of an answer. Those of large answers are mapped, so that they go back to the system when they
/// have been sent: an allocator keeps what it has once had for tens of thousands of pieces.
#[derive(Debug)]
enum Piece {
    Small(Vec<u8>),
    Mapped { map: MmapMut, length: usize },
}

impl Piece {
    fn mapped() -> Result<Self, ApiError> {
        let map = MmapMut::map_anon(PIECE_BYTES).map_err(ApiError::internal)?;
        Ok(Self::Mapped { map, length: 0 })
    }

    /// Takes as much as fits, and returns the rest.
    fn fill<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let room = PIECE_BYTES - self.as_ref().len();
        let (now, later) = bytes.split_at(bytes.len().min(room));
        match self {
            Self::Small(small) => small.extend_from_slice(now),
            Self::Mapped { map, length } => {
                map[*length..*length + now.len()].copy_from_slice(now);
                *length += now.len();
            }
        }
        later
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::Small(small) => small.into(),
            mapped @ Self::Mapped { .. } => Bytes::from_owner(mapped),
        }
    }
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Small(small) => small,
            Self::Mapped { map, length } => &map[..*length],
        }
    }
}

/// Pieces on their way out; each gives its room back when it has been taken.
#[derive(Debug)]
pub(crate) struct WrittenPieces {
    pieces: VecDeque<Bytes>,
    room: Room,
}

impl Iterator for WrittenPieces {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let piece = self.pieces.pop_front()?;
        self.room.shrink(PIECE_BYTES);
        Some(piece)
    }
}
