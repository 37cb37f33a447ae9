//! The socket of a connection, which notes what moves and gives up a reader that does not read.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use super::connection::Connection;
use super::intake::Intake;
use super::pace::{PaceLimit, Verdict};
use crate::metrics::{self, ConnectionEnd};

/// Time for the answer to a client that has closed its sending side. It cannot be told from one that
/// has hung up, for which work should end soon.
const HALF_CLOSE_GRACE: Duration = Duration::from_secs(1);

/// Bytes that a connection may read or write before its worker does something else. Whoever sends or
/// reads as fast as the service does would keep it for megabytes.
const MAX_BURST_BYTES: usize = 128 << 10;
/// Time in which a client that is still sending can read that its request was refused.
const LINGER: Duration = Duration::from_secs(5);
/// What is read of the rest of its request at once, and thrown away.
const LINGER_BUFFER_BYTES: usize = 8 << 10;

/// A socket, watched.
#[derive(Debug)]
pub(super) struct WatchedStream {
    socket: TcpStream,
    connection: Arc<Connection>,
    limit: PaceLimit,
    intake: Arc<Intake>,
    /// The end of patience with the other side, or of being held.
    alarm: Pin<Box<Sleep>>,
    /// Whether nothing more is thrown away before `alarm`.
    is_held: bool,
    /// The other side has said that it sends no more; the time it still gets.
    after_half_close: Option<Pin<Box<Sleep>>>,
    /// The time the other side still gets to read a refusal.
    lingering: Option<Pin<Box<Sleep>>>,
    /// The other side did not read for too long.
    is_given_up: bool,
    /// Bytes since the worker did something else.
    burst: usize,
}

impl WatchedStream {
    pub(super) fn new(
        socket: TcpStream,
        connection: Arc<Connection>,
        limit: PaceLimit,
        intake: Arc<Intake>,
    ) -> Self {
        Self {
            socket,
            connection,
            limit,
            intake,
            alarm: Box::pin(tokio::time::sleep(limit.window)),
            is_held: false,
            after_half_close: None,
            lingering: None,
            is_given_up: false,
            burst: 0,
        }
    }

    /// Pending, once, when it is time for others; the connection goes on after them.
    fn poll_burst(&mut self, context: &Context<'_>) -> Poll<()> {
        if self.burst < MAX_BURST_BYTES {
            return Poll::Ready(());
        }
        self.burst = 0;
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Ready when the end of what the other side sends means that it is gone. While an answer is owed
    /// it may also have closed its sending side only; then it gets some time to be answered.
    fn poll_hang_up(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if !self.connection.owes_answer() {
            return Poll::Ready(());
        }
        let after_half_close = self
            .after_half_close
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(HALF_CLOSE_GRACE)));
        after_half_close.as_mut().poll(context)
    }

    /// Ready when the other side has hung up, or had time to. It may be sending a request that was refused,
    /// and a socket that is closed before that was read takes the refusal with it.
    fn poll_linger(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let lingering = self
            .lingering
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER)));
        if lingering.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        let mut unread = [0; LINGER_BUFFER_BYTES];
        loop {
            if self.is_held {
                ready!(self.alarm.as_mut().poll(context));
                self.is_held = false;
            }
            ready!(self.poll_burst(context));
            let mut buffer = ReadBuf::new(&mut unread);
            let read = ready!(Pin::new(&mut self.socket).poll_read(context, &mut buffer));
            let bytes = buffer.filled().len();
            if read.is_err() || bytes == 0 {
                return Poll::Ready(());
            }
            self.burst += bytes;
            self.connection.has_thrown_away(bytes);
            if let Some(moment) = self.intake.take(bytes as u64, Instant::now().into()) {
                self.is_held = true;
                self.alarm.as_mut().reset(moment.into());
            }
        }
    }

    /// Notes what was written, or how long nothing could be.
    fn watch(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(written) = written {
            let bytes = written.as_ref().copied().unwrap_or_default();
            self.burst += bytes;
            self.connection.has_sent(bytes);
            return Poll::Ready(written);
        }
        self.burst = 0;
        loop {
            let verdict = match self.connection.is_receiving() {
                true => Verdict::LookAgainIn(self.limit.window),
                false => self.connection.await_download(&self.limit),
            };
            let Verdict::LookAgainIn(pause) = verdict else {
                if !std::mem::replace(&mut self.is_given_up, true) {
                    metrics::connection_ended(ConnectionEnd::WriteStall);
                }
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            };
            self.alarm.as_mut().reset(Instant::now() + pause);
            ready!(self.alarm.as_mut().poll(context));
        }
    }
}

impl AsyncRead for WatchedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_burst(context));
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.socket).poll_read(context, buffer);
        let bytes = buffer.filled().len() - before;
        self.burst = if polled.is_ready() {
            self.burst + bytes
        } else {
            0
        };
        if bytes > 0 {
            self.connection.has_read(bytes);
        } else if matches!(polled, Poll::Ready(Ok(()))) {
            ready!(self.poll_hang_up(context));
        }
        polled
    }
}

impl AsyncWrite for WatchedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_burst(context));
        let written = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.watch(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_burst(context));
        let written = Pin::new(&mut self.socket).poll_write_vectored(context, buffers);
        self.watch(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes the socket only when everything that it holds has been written to it.
        let flushed = Pin::new(&mut self.socket).poll_flush(context);
        if matches!(flushed, Poll::Ready(Ok(()))) {
            self.connection.has_flushed();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.socket).poll_shutdown(context))?;
        if self.connection.has_unread_request() {
            ready!(self.poll_linger(context));
        }
        Poll::Ready(Ok(()))
    }
}
