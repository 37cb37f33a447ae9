//! A request body as lines, in bounded memory.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use bytes::{Buf, Bytes, BytesMut};
use futures_util::StreamExt;
use tokio::sync::watch;

use crate::body_budget::BodyShare;
use crate::extract::undecodable;

/// How long a stream waits for memory that other requests hold.
pub(super) const ROOM_PATIENCE: Duration = Duration::from_secs(10);
/// The largest buffer that is used again for the next line.
const MAX_KEPT_BUFFER_BYTES: usize = 64 << 10;

/// One line of the body, without its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// The bytes of line `number`, counted from 1.
    Text { number: u64, bytes: Bytes },
    /// Line `number` was longer than allowed and has been skipped.
    TooLong { number: u64 },
}

/// Why no more lines come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The client sent everything.
    Complete,
    /// The client hung up or broke the protocol.
    Broken,
    /// What came is not compressed as the client says.
    Undecodable,
    /// Nothing came for the idle timeout.
    Idle,
    /// The server is stopping.
    Stopping,
    /// Other requests have held all memory for bodies for too long.
    NoRoom,
}

/// Reads lines; cancelling [`Self::next`] loses nothing.
#[derive(Debug)]
pub(crate) struct LineReader {
    body: BodyDataStream,
    buffer: BytesMut,
    /// How much of the buffer is known to hold no line end.
    searched: usize,
    number: u64,
    skipping: bool,
    end: Option<End>,
    max_line_bytes: usize,
    idle_timeout: Duration,
    stopping: watch::Receiver<bool>,
    /// What the buffer takes of the memory for bodies.
    share: BodyShare,
}

impl LineReader {
    pub(crate) fn new(
        body: Body,
        max_line_bytes: usize,
        idle_timeout: Duration,
        stopping: watch::Receiver<bool>,
        share: BodyShare,
    ) -> Self {
        Self {
            body: body.into_data_stream(),
            buffer: BytesMut::new(),
            searched: 0,
            number: 0,
            skipping: false,
            end: None,
            max_line_bytes,
            idle_timeout,
            stopping,
            share,
        }
    }

    /// The next line that is not blank.
    pub(crate) async fn next(&mut self) -> Result<Line, End> {
        loop {
            if let Some(line) = self.buffered_line() {
                return Ok(line);
            }
            if let Some(end) = self.end {
                return self.last_line().ok_or(end);
            }
            match self.read().await {
                Ok(chunk) => self.buffer.extend_from_slice(&chunk),
                Err(end) => self.end = Some(end),
            }
        }
    }

    async fn read(&mut self) -> Result<Bytes, End> {
        // For what has come already, so that giving up this wait loses nothing.
        let room = self.share.resize_in(self.buffer.len(), ROOM_PATIENCE);
        room.await.map_err(|_| End::NoRoom)?;
        if *self.stopping.borrow() {
            return Err(End::Stopping);
        }
        tokio::select! {
            chunk = self.body.next() => match chunk {
                None => Err(End::Complete),
                Some(Ok(chunk)) => Ok(chunk),
                Some(Err(error)) if undecodable(&error).is_some() => Err(End::Undecodable),
                Some(Err(_)) => Err(End::Broken),
            },
            _ = self.stopping.changed() => Err(End::Stopping),
            () = tokio::time::sleep(self.idle_timeout) => Err(End::Idle),
        }
    }

    fn buffered_line(&mut self) -> Option<Line> {
        loop {
            let Some(offset) = memchr::memchr(b'\n', &self.buffer[self.searched..]) else {
                self.shorten_overlong();
                return None;
            };
            let end = self.searched + offset;
            self.searched = 0;
            // A body may hold millions of blank lines, so they are not taken out of the buffer one by one.
            if !self.skipping && is_blank(&self.buffer[..end]) {
                self.number += 1;
                self.buffer.advance(end + 1);
                continue;
            }
            let bytes = self.buffer.split_to(end).freeze();
            self.buffer.advance(1);
            if bytes.len() > MAX_KEPT_BUFFER_BYTES {
                // The rest would keep the memory of the whole line.
                self.buffer = BytesMut::from(&self.buffer[..]);
            }
            if let Some(line) = self.line(bytes) {
                return Some(line);
            }
        }
    }

    /// Forgets the start of a line that is too long already, so that memory stays bounded.
    fn shorten_overlong(&mut self) {
        if self.buffer.len() > self.max_line_bytes {
            self.skipping = true;
            self.buffer = BytesMut::new();
        }
        self.searched = self.buffer.len();
    }

    /// What follows the last line end, when the client ended its body properly.
    fn last_line(&mut self) -> Option<Line> {
        let bytes = self.buffer.split().freeze();
        self.searched = 0;
        if self.end == Some(End::Complete) && (self.skipping || !bytes.is_empty()) {
            self.line(bytes)
        } else {
            None
        }
    }

    fn line(&mut self, bytes: Bytes) -> Option<Line> {
        self.number += 1;
        let number = self.number;
        if std::mem::take(&mut self.skipping) || bytes.len() > self.max_line_bytes {
            Some(Line::TooLong { number })
        } else if is_blank(&bytes) {
            None
        } else {
            Some(Line::Text { number, bytes })
        }
    }
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body_budget::BodyBudget;

    async fn lines_of(chunks: Vec<&'static str>, max_line_bytes: usize) -> (Vec<Line>, End) {
        let chunks = futures_util::stream::iter(chunks.into_iter().map(Ok::<_, std::io::Error>));
        let stopping = watch::Sender::new(false);
        let idle = Duration::from_secs(5);
        let body = Body::from_stream(chunks);
        let mut reader = LineReader::new(body, max_line_bytes, idle, stopping.subscribe(), share());
        let mut lines = Vec::new();
        loop {
            match reader.next().await {
                Ok(line) => lines.push(line),
                Err(end) => return (lines, end),
            }
        }
    }

    fn share() -> BodyShare {
        BodyBudget::new(1 << 20).share()
    }

    fn text(number: u64, text: &'static str) -> Line {
        Line::Text {
            number,
            bytes: Bytes::from_static(text.as_bytes()),
        }
    }

    #[tokio::test]
    async fn lines_are_found_across_chunks_and_the_last_needs_no_end() {
        let (lines, end) = lines_of(vec!["a", "b\nc\r\n", "\n", "d"], 10).await;
        assert_eq!(lines, [text(1, "ab"), text(2, "c\r"), text(4, "d")]);
        assert_eq!(end, End::Complete);
    }

    #[tokio::test]
    async fn an_overlong_line_is_reported_alone_and_not_kept() {
        let (lines, _) = lines_of(vec!["0123456789", "0123456789", "01\nok\n"], 8).await;
        assert_eq!(lines, [Line::TooLong { number: 1 }, text(2, "ok")]);
    }

    #[tokio::test]
    async fn a_line_of_exactly_the_limit_is_read() {
        let (lines, _) = lines_of(vec!["01234567\n012345678\n"], 8).await;
        assert_eq!(lines, [text(1, "01234567"), Line::TooLong { number: 2 }]);
    }

    #[tokio::test]
    async fn a_stopping_server_reads_no_further() {
        let stopping = watch::Sender::new(true);
        let body = Body::from("a\n");
        let idle = Duration::from_secs(5);
        let mut reader = LineReader::new(body, 10, idle, stopping.subscribe(), share());
        assert_eq!(reader.next().await, Err(End::Stopping));
    }

    #[tokio::test]
    async fn a_silent_client_is_given_up() {
        let stopping = watch::Sender::new(false);
        let body =
            Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
        let idle = Duration::from_millis(10);
        let mut reader = LineReader::new(body, 10, idle, stopping.subscribe(), share());
        assert_eq!(reader.next().await, Err(End::Idle));
    }
}
