//! The bodies of a request and of its answer, which tell the connection how far they are.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep};

use super::connection::Connection;
use super::pace::{PaceLimit, Verdict};
use crate::metrics::{self, ConnectionEnd};

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
    patience: Pin<Box<Sleep>>,
}

impl PacedBody {
    pub(super) fn new(
        body: Incoming,
        connection: Arc<Connection>,
        limit: PaceLimit,
        is_bound: bool,
    ) -> Self {
        Self {
            body,
            connection,
            limit,
            is_bound,
            patience: Box::pin(tokio::time::sleep(limit.window)),
        }
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
                    self.patience.as_mut().reset(Instant::now() + pause);
                    ready!(self.patience.as_mut().poll(context));
                }
            }
        }
    }
}

impl HttpBody for PacedBody {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else {
            let error = ready!(self.poll_patience(context));
            return Poll::Ready(Some(Err(error.into())));
        };
        let data = frame
            .as_ref()
            .and_then(|frame| frame.as_ref().ok()?.data_ref());
        self.connection.has_received(data.map_or(0, Bytes::len));
        if frame.is_none() || self.body.is_end_stream() {
            self.connection.complete_request();
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
    body: Body,
    connection: Arc<Connection>,
}

impl AnswerBody {
    pub(super) fn new(body: Body, connection: Arc<Connection>) -> Self {
        Self { body, connection }
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        self.connection.end_answer();
    }
}

impl HttpBody for AnswerBody {
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
