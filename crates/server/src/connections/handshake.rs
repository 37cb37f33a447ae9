//! The beginning of a connection that speaks TLS.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::connection::{Connection, Purpose};
use super::watched_stream::WatchedStream;
use crate::metrics::{self, ConnectionEnd, Handshake};
use crate::tls::Certificates;

/// The service's end of TLS.
#[derive(Debug, Clone)]
pub(crate) struct Tls {
    pub(crate) certificates: Certificates,
    /// `server.tls.handshake_timeout_ms`.
    pub(crate) handshake_timeout: Duration,
}

impl Tls {
    /// Shakes hands with the other side; nothing when nothing comes of it in time.
    ///
    /// A connection that does not say anything is as dispensable as one without TLS, and has to send the head of its
    /// first request in the time that one has, the handshake included.
    pub(super) async fn shake_hands(
        &self,
        stream: WatchedStream,
        connection: &Arc<Connection>,
        head_deadline: Option<Instant>,
    ) -> Option<TlsStream<WatchedStream>> {
        let handshakes = self.certificates.handshakes();
        let config = match connection.purpose {
            Purpose::Everything => handshakes.all,
            Purpose::Probes => handshakes.http1,
        };
        let deadline = Instant::now() + self.handshake_timeout;
        let deadline = head_deadline.map_or(deadline, |head| head.min(deadline));
        // Signing takes a core for up to some milliseconds, so that handshakes take turns.
        let _shaking = connection.begin_handshake();
        let shaken = TlsAcceptor::from(config).accept(stream);
        let outcome = tokio::select! {
            shaken = shaken => shaken,
            () = connection.close.notified() => return None,
            () = tokio::time::sleep_until(deadline.into()) => {
                metrics::tls_handshake(Handshake::TimedOut);
                metrics::connection_ended(ConnectionEnd::HandshakeTimeout);
                return None;
            }
        };
        match outcome {
            Ok(stream) => {
                metrics::tls_handshake(Handshake::Done);
                Some(stream)
            }
            Err(error) => {
                metrics::tls_handshake(Handshake::Failed);
                tracing::debug!(peer = %connection.address(), %error, "no handshake");
                None
            }
        }
    }
}
