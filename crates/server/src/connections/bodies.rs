//! The bodies of a request and of its answer, which tell the connection how far they are.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::http::Version;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep};

use super::connection::{Connection, StreamEnd};
use super::intake::{FREE_BYTES, Intake};
use super::pace::{PaceLimit, Verdict};
use crate::metrics::{self, ConnectionEnd};

/// Bytes that are given to a stream of HTTP/2 at once. They are kept until its window has room for them,
/// beyond the end of the request.
const MAX_PIECE_BYTES: usize = 8 << 10;

/// The service waited long enough for a request's body.
#[derive(Debug, thiserror::Error)]
#[error("the body came more slowly than server.min_body_bytes_per_second")]
struct UploadTooSlow;

/// A request's body, given up when it comes too slowly.
#[derive(Debug)]
pub(super) struct PacedBody {
    body: Incoming,
    connection: Arc<Connection>,
    limit: PaceLimit,
    /// Whether a slow body is given up. Otherwise its pace is noted only, for the case that others
    /// need its place.
    is_bound: bool,
    intake: Arc<Intake>,
    /// What may still be read as it comes.
    free_bytes: u64,
    /// Whether it is read no further before `alarm`.
    is_held: bool,
    /// The end of patience with a sender, or of being held.
    alarm: Pin<Box<Sleep>>,
}

impl PacedBody {
    pub(super) fn new(
        body: Incoming,
        connection: Arc<Connection>,
        limit: PaceLimit,
        is_bound: bool,
        intake: Arc<Intake>,
    ) -> Self {
        Self {
            body,
            connection,
            limit,
            is_bound,
            intake,
            free_bytes: FREE_BYTES,
            is_held: false,
            alarm: Box::pin(tokio::time::sleep(limit.window)),
        }
    }

    /// Takes the time for a piece. Returns the moment at which the next one may be read, unless that is now.
    fn time_of(&mut self, bytes: u64) -> Option<Instant> {
        let free = bytes.min(self.free_bytes);
        self.free_bytes -= free;
        let counted = bytes - free;
        let moment = (counted > 0).then(|| self.intake.take(counted, Instant::now().into()));
        moment.flatten().map(Into::into)
    }

    fn poll_patience(&mut self, context: &mut Context<'_>) -> Poll<UploadTooSlow> {
        loop {
            match self.connection.await_upload(&self.limit) {
                Verdict::TooSlow if self.is_bound => {
                    self.connection.give_up_upload();
                    metrics::connection_ended(ConnectionEnd::SlowBody);
                    return Poll::Ready(UploadTooSlow);
                }
                Verdict::TooSlow => return Poll::Pending,
                Verdict::LookAgainIn(pause) => {
                    self.alarm.as_mut().reset(Instant::now() + pause);
                    ready!(self.alarm.as_mut().poll(context));
                }
            }
        }
    }
}

impl Drop for PacedBody {
    fn drop(&mut self) {
        self.connection.leave_rest_unread();
    }
}

impl HttpBody for PacedBody {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.is_held {
            ready!(self.alarm.as_mut().poll(context));
            self.is_held = false;
        }
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else {
            let error = ready!(self.poll_patience(context));
            return Poll::Ready(Some(Err(error.into())));
        };
        let data = frame
            .as_ref()
            .and_then(|frame| frame.as_ref().ok()?.data_ref());
        let bytes = data.map_or(0, Bytes::len);
        self.connection.has_received(bytes);
        let may_go_on_at = self.time_of(bytes as u64);
        if frame.is_none() || self.body.is_end_stream() {
            self.connection.complete_request();
        } else if let Some(moment) = may_go_on_at {
            self.is_held = true;
            self.alarm.as_mut().reset(moment);
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer's body. When it is dropped, nothing more of it will be made.
#[derive(Debug)]
pub(super) struct AnswerBody {
    // What the body holds is given back to the exchange before that ends.
    body: Body,
    /// In HTTP/2, what is left of a large piece.
    rest: Bytes,
    exchange: Exchange,
}

/// A request and its answer; it ends when this is dropped.
#[derive(Debug)]
pub(super) enum Exchange {
    /// The only one of its connection at this time.
    Alone(Arc<Connection>),
    /// One of several.
    Beside(Stream),
}

/// A stream of an HTTP/2 connection, while it has a request in progress.
#[derive(Debug)]
pub(super) struct Stream {
    stream: Arc<Connection>,
    connection: Arc<Connection>,
    limit: PaceLimit,
    /// Bytes of the answer that the other side has not asked to go on after.
    offered: Option<usize>,
    is_over: bool,
}

impl Exchange {
    /// Notes the begin of a request.
    pub(super) fn begin(
        connection: &Arc<Connection>,
        version: Version,
        has_body: bool,
        download: PaceLimit,
    ) -> Self {
        if version != Version::HTTP_2 {
            connection.begin_exchange(has_body);
            return Self::Alone(Arc::clone(connection));
        }
        Self::Beside(Stream {
            stream: connection.open_stream(has_body),
            connection: Arc::clone(connection),
            limit: download,
            offered: None,
            is_over: false,
        })
    }

    /// What is noted about the request.
    pub(super) fn connection(&self) -> &Arc<Connection> {
        match self {
            Self::Alone(connection) => connection,
            Self::Beside(stream) => &stream.stream,
        }
    }
}

impl Exchange {
    /// The frame, for which the other side is waited for in HTTP/2.
    fn offered(&mut self, frame: Frame<Bytes>) -> Frame<Bytes> {
        if let Self::Beside(stream) = self {
            stream.offer(&frame);
        }
        frame
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let end = match self.is_over {
            true => StreamEnd::Answered,
            false => StreamEnd::GivenUp,
        };
        self.connection.close_stream(&self.stream, end);
    }
}

impl Stream {
    /// The window has room for more: what was offered before has been taken.
    fn wants_more(&mut self) {
        if let Some(bytes) = self.offered.take() {
            self.stream.has_sent(bytes);
        }
    }

    /// Waits for the other side until it wants more.
    fn offer(&mut self, frame: &Frame<Bytes>) {
        self.offered = Some(frame.data_ref().map_or(0, Bytes::len));
        self.stream.await_download(&self.limit);
    }
}

impl AnswerBody {
    pub(super) fn new(body: Body, mut exchange: Exchange) -> Self {
        if let Exchange::Beside(stream) = &mut exchange {
            stream.is_over = body.is_end_stream();
        }
        Self {
            body,
            rest: Bytes::new(),
            exchange,
        }
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        if let Exchange::Alone(connection) = &self.exchange {
            connection.end_answer();
        }
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        if let Exchange::Beside(stream) = &mut this.exchange {
            stream.wants_more();
        }
        if !this.rest.is_empty() {
            let piece = this.rest.split_to(this.rest.len().min(MAX_PIECE_BYTES));
            return Poll::Ready(Some(Ok(this.exchange.offered(Frame::data(piece)))));
        }
        let mut polled = Pin::new(&mut this.body).poll_frame(context);
        if let (Exchange::Beside(_), Poll::Ready(Some(Ok(frame)))) = (&this.exchange, &mut polled)
            && let Some(data) = frame.data_mut()
            && data.len() > MAX_PIECE_BYTES
        {
            this.rest = data.split_off(MAX_PIECE_BYTES);
        }
        if let (Exchange::Beside(stream), Poll::Ready(frame)) = (&mut this.exchange, &polled) {
            match frame {
                Some(Ok(frame)) => stream.offer(frame),
                Some(Err(_)) | None => stream.is_over = true,
            }
        }
        polled
    }

    /// In HTTP/2, what is after the last byte is asked for when the window has had room for it; only
    /// then has the answer been taken.
    fn is_end_stream(&self) -> bool {
        match &self.exchange {
            Exchange::Beside(stream) => stream.is_over,
            Exchange::Alone(_) => self.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer's body that keeps a permit until its last byte has been sent, or, without a
/// connection, made.
#[derive(Debug)]
pub(crate) struct HoldingBody {
    body: Body,
    permit: Option<OwnedSemaphorePermit>,
    connection: Option<Arc<Connection>>,
}

impl HoldingBody {
    pub(crate) fn new(
        body: Body,
        permit: OwnedSemaphorePermit,
        connection: Option<Arc<Connection>>,
    ) -> Self {
        Self {
            body,
            permit: Some(permit),
            connection,
        }
    }
}

impl Drop for HoldingBody {
    fn drop(&mut self) {
        if let (Some(permit), Some(connection)) = (self.permit.take(), &self.connection) {
            connection.hold(permit);
        }
    }
}

impl HttpBody for HoldingBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
