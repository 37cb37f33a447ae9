//! Answers of a stream that its client has not read yet.
//!
//! A client may send everything before it reads anything. If its lines were not read on because their
//! answers are not, both sides would wait for each other. So answers wait in a buffer, and when that is full,
//! lines are counted instead of answered.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use futures_util::{Stream, StreamExt, stream};
use serde::Serialize;
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use crate::access::metered;
use crate::connections::{Connection, InTurns};
use crate::service::{StreamEvent, WriteStatus};

/// Answers that wait, bytes; the sockets hold more on their way. `server.max_concurrent_requests` bounds
/// how many of these there are.
const MAX_UNREAD_BYTES: usize = 64 << 10;
/// The same for answers that say that a line failed, which are of more use.
const MAX_UNREAD_FAILURES_BYTES: usize = 128 << 10;

/// Lines whose answers were left out, because the client did not read those before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Omitted {
    first_line: u64,
    last_line: u64,
    created: u64,
    updated: u64,
    unchanged: u64,
    rejected: u64,
    failed: u64,
}

impl Omitted {
    fn count(&mut self, line: u64, status: Option<WriteStatus>) {
        if self.first_line == 0 {
            self.first_line = line;
        }
        self.last_line = line;
        *match status {
            Some(WriteStatus::Created) => &mut self.created,
            Some(WriteStatus::Updated) => &mut self.updated,
            Some(WriteStatus::Unchanged) => &mut self.unchanged,
            Some(WriteStatus::Rejected) => &mut self.rejected,
            None => &mut self.failed,
        } += 1;
    }
}

/// The buffer between who makes answers and who sends them.
#[derive(Debug, Default)]
struct Unread {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<Bytes>,
    bytes: usize,
    /// What comes after `lines`.
    omitted: Option<Omitted>,
    is_over: bool,
}

/// What is next to be sent.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Line(Bytes),
    Omitted(Omitted),
    Nothing,
    End,
}

impl Unread {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self) {
        self.lock().is_over = true;
        self.changed.notify_one();
    }
}

impl State {
    /// Takes an answer, or counts its line when too many wait.
    fn push(
        &mut self,
        event: StreamEvent,
        line: fn(StreamEvent) -> Bytes,
        omitted_line: fn(Omitted) -> Bytes,
    ) {
        let (number, status, max_bytes) = match &event {
            StreamEvent::Stored { line, outcome } => {
                (*line, Some(outcome.status), MAX_UNREAD_BYTES)
            }
            StreamEvent::Failed { line, .. } => (*line, None, MAX_UNREAD_FAILURES_BYTES),
            // There is one of each.
            StreamEvent::Interrupted(_) | StreamEvent::Summary(_) => (0, None, usize::MAX),
        };
        if self.bytes >= max_bytes {
            let omitted = self.omitted.get_or_insert_default();
            return omitted.count(number, status);
        }
        if let Some(omitted) = self.omitted.take() {
            self.add(omitted_line(omitted));
        }
        self.add(line(event));
    }

    fn add(&mut self, line: Bytes) {
        self.bytes += line.len();
        self.lines.push_back(line);
    }

    fn pop(&mut self) -> Next {
        if let Some(line) = self.lines.pop_front() {
            self.bytes -= line.len();
            return Next::Line(line);
        }
        match (self.omitted.take(), self.is_over) {
            (Some(omitted), _) => Next::Omitted(omitted),
            (None, true) => Next::End,
            (None, false) => Next::Nothing,
        }
    }
}

/// Has `events` go on whether their answers are read or not, in turns of what moves much. Ends them when it is dropped.
pub(super) fn buffered(
    connection: Option<Arc<Connection>>,
    events: impl Stream<Item = StreamEvent> + Send + 'static,
    line: fn(StreamEvent) -> Bytes,
    omitted_line: fn(Omitted) -> Bytes,
) -> impl Stream<Item = Bytes> + Send + 'static {
    let unread = Arc::new(Unread::default());
    let filling = fill(Arc::clone(&unread), events, line, omitted_line);
    let filling = metered(filling).instrument(tracing::Span::current());
    let filling = match connection {
        Some(connection) => tokio::spawn(InTurns::always(filling, connection)),
        None => tokio::spawn(filling),
    };
    let state = (unread, AbortOnDropHandle::new(filling));
    stream::unfold(state, move |(unread, filling)| async move {
        loop {
            let next = unread.lock().pop();
            let bytes = match next {
                Next::Line(line) => line,
                Next::Omitted(omitted) => omitted_line(omitted),
                Next::End => return None,
                Next::Nothing => {
                    unread.changed.notified().await;
                    continue;
                }
            };
            return Some((bytes, (unread, filling)));
        }
    })
}

async fn fill(
    unread: Arc<Unread>,
    events: impl Stream<Item = StreamEvent> + Send + 'static,
    line: fn(StreamEvent) -> Bytes,
    omitted_line: fn(Omitted) -> Bytes,
) {
    // Also when this panics.
    let _end = EndOnDrop(Arc::clone(&unread));
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        unread.lock().push(event, line, omitted_line);
        unread.changed.notify_one();
    }
}

struct EndOnDrop(Arc<Unread>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{ApiError, ErrorCode};

    fn failed(line: u64) -> StreamEvent {
        let error = ApiError::new(ErrorCode::InvalidRequest, "no");
        StreamEvent::Failed { line, error }
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "as the function that it stands for"
    )]
    fn line_of(event: StreamEvent) -> Bytes {
        match event {
            StreamEvent::Failed { line, .. } => Bytes::from(format!("{line:1000}")),
            _ => Bytes::from_static(b"end"),
        }
    }

    fn omitted_line(omitted: Omitted) -> Bytes {
        Bytes::from(format!("{}-{}", omitted.first_line, omitted.last_line))
    }

    #[tokio::test]
    async fn all_lines_are_taken_though_nobody_reads_and_all_are_answered_or_counted() {
        let events = (1..=1000)
            .map(failed)
            .chain([StreamEvent::Interrupted(ApiError::not_ready("x"))]);
        let answers = buffered(None, stream::iter(events), line_of, omitted_line);
        let mut answers = std::pin::pin!(answers);
        tokio::task::yield_now().await;
        let mut answered = 0;
        while let Some(line) = answers.next().await {
            let line = String::from_utf8(line.to_vec()).unwrap();
            let line = line.trim();
            match line.split_once('-') {
                None if line == "end" => assert_eq!(answered, 1000),
                None => {
                    answered += 1;
                    assert_eq!(line, answered.to_string());
                }
                Some((first, last)) => {
                    assert_eq!(first, (answered + 1).to_string());
                    answered = last.parse().unwrap();
                }
            }
        }
        assert_eq!(answered, 1000);
    }

    #[test]
    fn who_reads_gets_an_answer_for_each_line() {
        let mut state = State::default();
        for line in 1..=1000 {
            state.push(failed(line), line_of, omitted_line);
            assert!(matches!(state.pop(), Next::Line(_)));
        }
        assert_eq!(state.pop(), Next::Nothing);
        for line in 1..=200 {
            state.push(failed(line), line_of, omitted_line);
        }
        assert!(
            state.bytes < MAX_UNREAD_FAILURES_BYTES + 2000,
            "{}",
            state.bytes
        );
        let omitted = state.omitted.unwrap();
        assert_eq!(
            (omitted.last_line, omitted.failed),
            (200, 201 - omitted.first_line)
        );
    }
}
