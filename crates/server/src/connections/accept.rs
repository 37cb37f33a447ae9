//! The accept loop, and the task of each connection.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Request, Response, Version, header};
use hyper::body::{Body as HttpBody, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::bodies::{AnswerBody, Exchange, PacedBody};
use super::connection::Purpose;
use super::handshake::Tls;
use super::served_stream::ServedStream;
use super::table::{Connections, Place};
use super::turns_of_bulk::InTurns;
use super::watched_stream::WatchedStream;
use crate::extract::media_type;
use crate::metrics::{self, ConnectionEnd};
use crate::routes::documents::is_ndjson;

/// Size of a request's head, and of the pieces in which bodies are read and written. With hyper's
/// default of 400 kB, a thousand half heads would take 400 MB.
const MAX_BUFFER_BYTES: usize = 64 << 10;
/// Requests in progress on one connection of HTTP/2; the client sends further ones when one is done.
const MAX_STREAMS: u32 = 32;
/// Bytes of bodies that a connection of HTTP/2 may have sent and nobody has read.
const CONNECTION_WINDOW_BYTES: u32 = 128 << 10;
/// Time between two looks at whether answers on streams are read.
const STREAM_LOOK_PERIOD: Duration = Duration::from_secs(1);
/// Pauses after the system could not accept a connection.
const MIN_ACCEPT_PAUSE: Duration = Duration::from_millis(10);
const MAX_ACCEPT_PAUSE: Duration = Duration::from_secs(1);
/// Such trouble is logged once in this time.
const ACCEPT_LOG_PERIOD: Duration = Duration::from_secs(60);

/// Time for answers that say that the service is stopping.
const LAST_ANSWERS: Duration = Duration::from_millis(100);

/// The HTTP server: a listener, a router, and the open connections.
#[derive(Debug, Clone)]
pub(crate) struct HttpServer {
    router: Router,
    connections: Connections,
    tls: Option<Tls>,
    tasks: TaskTracker,
}

impl HttpServer {
    pub(crate) fn new(router: Router, connections: Connections, tls: Option<Tls>) -> Self {
        Self {
            router,
            connections,
            tls,
            tasks: TaskTracker::new(),
        }
    }

    /// Accepts connections until `stopping` becomes true, which also closes the port.
    pub(crate) async fn accept(self, listener: TcpListener, mut stopping: watch::Receiver<bool>) {
        let mut trouble = AcceptTrouble::default();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = stopping.wait_for(|stopping| *stopping) => return,
            };
            match accepted {
                Ok((socket, peer)) => {
                    trouble.is_over();
                    self.spawn(socket, self.connections.enter(peer.ip()));
                }
                Err(error) if concerns_one_connection(&error) => {}
                Err(error) => {
                    // With no open file left, one that nobody needs makes room for the next caller.
                    self.connections.close_idle();
                    tokio::select! {
                        () = tokio::time::sleep(trouble.pause(&error)) => {}
                        _ = stopping.wait_for(|stopping| *stopping) => return,
                    }
                }
            }
        }
    }

    /// Closes idle connections at once, and the others after their requests. Returns whether all
    /// have ended by `deadline`.
    pub(crate) async fn drain(&self, deadline: Instant) -> bool {
        self.tasks.close();
        self.connections.drain();
        self.wait_until(deadline).await
    }

    /// Closes all connections, after a moment in which last answers are sent. Returns how many
    /// there were after it.
    pub(crate) async fn close_all(&self) -> usize {
        self.wait_until(Instant::now() + LAST_ANSWERS).await;
        let late = self.connections.close_all();
        // A task that has not ended then blocks its worker; nobody may wait for it.
        self.wait_until(Instant::now() + LAST_ANSWERS).await;
        late
    }

    async fn wait_until(&self, deadline: Instant) -> bool {
        let ended = tokio::time::timeout_at(deadline.into(), self.tasks.wait());
        ended.await.is_ok()
    }

    fn spawn(&self, socket: TcpStream, place: Place) {
        let (router, connections) = (self.router.clone(), self.connections.clone());
        let (tasks, connection) = (self.tasks.clone(), Arc::clone(&place));
        let tls = self.tls.clone();
        let driven = async move {
            // Only how soon small answers leave depends on it.
            drop(socket.set_nodelay(true));
            let limits = connections.limits();
            let intake = Arc::clone(connections.intake());
            let stream = WatchedStream::new(socket, Arc::clone(&place), limits.download, intake);
            let stream = match tls {
                None => ServedStream::Plain(stream),
                Some(tls) => {
                    let head_deadline = place.deadline(limits).map(|(deadline, _)| deadline);
                    match tls.shake_hands(stream, &place, head_deadline).await {
                        Some(stream) => ServedStream::Tls(Box::new(stream)),
                        None => return,
                    }
                }
            };
            drive(stream, router, &connections, &tasks, place).await;
        };
        self.tasks.spawn(InTurns::new(driven, connection));
    }
}

/// Speaks HTTP on one connection until it ends, is closed, or has been silent for too long.
async fn drive(
    stream: ServedStream,
    router: Router,
    connections: &Connections,
    tasks: &TaskTracker,
    place: Place,
) {
    let limits = connections.limits();
    let connection = Arc::clone(&place);
    let service = {
        let connection = Arc::clone(&connection);
        let (upload, download) = (limits.upload, limits.download);
        let intake = Arc::clone(connections.intake());
        service_fn(move |request: Request<Incoming>| {
            let has_body = !request.body().is_end_stream();
            let exchange = Exchange::begin(&connection, request.version(), has_body, download);
            let is_bound = !is_ndjson(&media_type(request.headers()));
            let of = Arc::clone(exchange.connection());
            let intake = Arc::clone(&intake);
            let paced = |body| PacedBody::new(body, of, upload, is_bound, intake);
            let request = request.map(|body| Body::new(paced(body)));
            answer(router.clone(), request, exchange)
        })
    };
    let http = http_of(place.purpose, tasks);
    let conversation = http.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(conversation);
    loop {
        if connection.has_stalled_stream(&limits.download) {
            return metrics::connection_ended(ConnectionEnd::WriteStall);
        }
        let next_look = match connection.deadline(limits) {
            Some((deadline, end)) if deadline <= Instant::now() => {
                return metrics::connection_ended(end);
            }
            Some((deadline, _)) => deadline,
            None if connection.has_streams() => Instant::now() + STREAM_LOOK_PERIOD,
            None => Instant::now() + limits.header_timeout,
        };
        tokio::select! {
            // How it ended is of no interest: callers hang up at every moment.
            _ = conversation.as_mut() => return,
            () = connection.close.notified() => return,
            () = connection.drain.notified() => conversation.as_mut().graceful_shutdown(),
            () = tokio::time::sleep_until(next_look.into()) => {}
        }
    }
}

/// HTTP/1.1, or HTTP/2 when the client begins with it. One over the limits on connections is there for
/// one request.
fn http_of(purpose: Purpose, tasks: &TaskTracker) -> auto::Builder<Tracked> {
    let mut http = auto::Builder::new(Tracked(tasks.clone()));
    http.http1()
        .max_buf_size(MAX_BUFFER_BYTES)
        .keep_alive(purpose == Purpose::Everything);
    http.http2()
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_BUFFER_BYTES as u32)
        .initial_stream_window_size(MAX_BUFFER_BYTES as u32)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(MAX_BUFFER_BYTES)
        .max_pending_accept_reset_streams(MAX_STREAMS as usize);
    match purpose {
        Purpose::Everything => http,
        Purpose::Probes => http.http1_only(),
    }
}

/// Tasks of streams, which are waited for as those of connections are.
#[derive(Debug, Clone)]
struct Tracked(TaskTracker);

impl<F> hyper::rt::Executor<F> for Tracked
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    fn execute(&self, task: F) {
        self.0.spawn(task);
    }
}

async fn answer(
    router: Router,
    mut request: Request<Body>,
    exchange: Exchange,
) -> Result<Response<AnswerBody>, Infallible> {
    let of = Arc::clone(exchange.connection());
    request.extensions_mut().insert(Arc::clone(&of));
    let has_streams = request.version() >= Version::HTTP_2;
    let mut response = router.oneshot(request).await?;
    let is_refused = response.status().is_client_error() || response.status().is_server_error();
    let will_not_read = is_refused && of.has_unread_request() || of.has_unwanted_rest();
    if will_not_read && !has_streams {
        // The connection ends then, and a client that is not told would send its next request on it.
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    Ok(response.map(|body| AnswerBody::new(body, exchange)))
}

/// Whether only the caller that was to be accepted is concerned, who is gone.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// The system's refusals to accept, such as "too many open files".
#[derive(Debug, Default)]
struct AcceptTrouble {
    pause: Duration,
    logged_at: Option<Instant>,
    since_log: u64,
}

impl AcceptTrouble {
    fn is_over(&mut self) {
        self.pause = Duration::ZERO;
    }

    /// Counts and logs an error. Returns how long to wait before the next try.
    fn pause(&mut self, error: &io::Error) -> Duration {
        metrics::accept_failed();
        self.since_log += 1;
        if self
            .logged_at
            .is_none_or(|at| at.elapsed() >= ACCEPT_LOG_PERIOD)
        {
            tracing::warn!(%error, times = self.since_log, "a connection could not be accepted");
            self.logged_at = Some(Instant::now());
            self.since_log = 0;
        }
        self.pause = (self.pause * 2).clamp(MIN_ACCEPT_PAUSE, MAX_ACCEPT_PAUSE);
        self.pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_while_nothing_can_be_accepted_and_end_with_the_trouble() {
        let error = io::Error::from_raw_os_error(24);
        assert!(!concerns_one_connection(&error));
        let mut trouble = AcceptTrouble::default();
        let first = trouble.pause(&error);
        assert!(trouble.pause(&error) > first);
        for _ in 0..20 {
            assert!(trouble.pause(&error) <= MAX_ACCEPT_PAUSE);
        }
        assert_eq!(trouble.since_log, 21, "logged once, and counted since");
        trouble.is_over();
        assert_eq!(trouble.pause(&error), first);
    }
}
