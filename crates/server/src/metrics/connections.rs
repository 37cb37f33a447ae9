//! Metrics of connections and of TLS.

use metrics::{counter, describe_counter, describe_gauge, gauge};

const OPEN_CONNECTIONS: &str = "siamese_connections";
const CONNECTION_ENDS: &str = "siamese_connections_closed_total";
const ACCEPT_FAILURES: &str = "siamese_accept_failures_total";
const HANDSHAKES: &str = "siamese_tls_handshakes_total";
const TLS_RELOADS: &str = "siamese_tls_reloads_total";
const TLS_STALE: &str = "siamese_tls_files_unusable";

/// Why the service closed a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectionEnd {
    /// No next request came.
    Idle,
    /// The head of a request did not come, or not to its end.
    HeaderTimeout,
    /// The body of a request came too slowly.
    SlowBody,
    /// An answer was not read.
    WriteStall,
    /// The handshake of TLS did not come to its end.
    HandshakeTimeout,
    /// Another one needed its place.
    Evicted,
    /// It was over the limits, and another one came.
    OverLimit,
}

impl ConnectionEnd {
    const ALL: [Self; 7] = [
        Self::Idle,
        Self::HeaderTimeout,
        Self::SlowBody,
        Self::WriteStall,
        Self::HandshakeTimeout,
        Self::Evicted,
        Self::OverLimit,
    ];

    fn label(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::HeaderTimeout => "header_timeout",
            Self::SlowBody => "slow_body",
            Self::WriteStall => "write_stall",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::Evicted => "evicted",
            Self::OverLimit => "over_limit",
        }
    }
}

/// What has become of a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handshake {
    /// The two sides speak TLS.
    Done,
    /// They have nothing in common, or one of them has no certificate that the other takes.
    Failed,
    /// It took too long.
    TimedOut,
}

impl Handshake {
    const ALL: [Self; 3] = [Self::Done, Self::Failed, Self::TimedOut];

    fn label(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
        }
    }
}

pub(super) fn describe() {
    describe_gauge!(OPEN_CONNECTIONS, "Open connections");
    describe_counter!(
        CONNECTION_ENDS,
        "Connections closed by the service, by reason"
    );
    describe_counter!(
        ACCEPT_FAILURES,
        "Times the system could not accept a connection"
    );
    describe_counter!(HANDSHAKES, "Handshakes of TLS, by result");
    describe_counter!(
        TLS_RELOADS,
        "Times the files for TLS were read again, by result"
    );
    describe_gauge!(
        TLS_STALE,
        "1 while the files for TLS cannot be used and the certificate from before is shown"
    );
}

pub(super) fn start_at_zero() {
    for end in ConnectionEnd::ALL {
        counter!(CONNECTION_ENDS, "reason" => end.label()).absolute(0);
    }
    counter!(ACCEPT_FAILURES).absolute(0);
    gauge!(OPEN_CONNECTIONS).set(0.0);
    for handshake in Handshake::ALL {
        counter!(HANDSHAKES, "result" => handshake.label()).absolute(0);
    }
    for result in ["done", "failed"] {
        counter!(TLS_RELOADS, "result" => result).absolute(0);
    }
    gauge!(TLS_STALE).set(0.0);
}

/// A connection that the service closed.
pub(crate) fn connection_ended(end: ConnectionEnd) {
    counter!(CONNECTION_ENDS, "reason" => end.label()).increment(1);
}

/// The number of open connections.
pub(crate) fn open_connections(connections: usize) {
    gauge!(OPEN_CONNECTIONS).set(connections as f64);
}

/// The system could not accept a connection.
pub(crate) fn accept_failed() {
    counter!(ACCEPT_FAILURES).increment(1);
}

/// A handshake has ended.
pub(crate) fn tls_handshake(handshake: Handshake) {
    counter!(HANDSHAKES, "result" => handshake.label()).increment(1);
}

/// The files for TLS were read again.
pub(crate) fn tls_reloaded(is_usable: bool) {
    let result = if is_usable { "done" } else { "failed" };
    counter!(TLS_RELOADS, "result" => result).increment(1);
    gauge!(TLS_STALE).set(if is_usable { 0.0 } else { 1.0 });
}
