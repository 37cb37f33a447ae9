//! Address, timeouts, concurrency.

use std::net::SocketAddr;
use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use serde::Deserialize;

use super::tls::TlsSettings;
use super::values::{any_time_ms, time_ms};
use crate::connections::PeerNetwork;
use crate::listen_address;

/// `[server]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerSettings {
    /// Address and port to listen on.
    #[serde(deserialize_with = "listen_address::deserialize")]
    pub listen: SocketAddr,
    /// Names that the service answers to beside loopback and its address.
    pub allowed_hosts: Vec<String>,
    /// Other origins whose pages may change something.
    pub allowed_origins: Vec<String>,
    /// Time a request may take until its answer begins.
    #[serde(rename = "request_timeout_ms", deserialize_with = "time_ms")]
    pub request_timeout: Duration,
    /// Time a request that encodes or deletes as much as it likes may take until its answer begins.
    #[serde(rename = "bulk_timeout_ms", deserialize_with = "time_ms")]
    pub bulk_timeout: Duration,
    /// Time a streamed ingest may stay silent.
    #[serde(rename = "stream_idle_timeout_ms", deserialize_with = "time_ms")]
    pub stream_idle_timeout: Duration,
    /// Requests in progress at the same time.
    pub max_concurrent_requests: NonZeroUsize,
    /// Connections open at the same time.
    pub max_connections: NonZeroUsize,
    /// Connections open at the same time from one address.
    pub max_connections_per_peer: NonZeroUsize,
    /// Addresses that the limit above does not count.
    pub uncounted_peers: Vec<PeerNetwork>,
    /// Time for the head of a request.
    #[serde(rename = "header_timeout_ms", deserialize_with = "time_ms")]
    pub header_timeout: Duration,
    /// Time for which a connection is kept open for a next request.
    #[serde(rename = "keep_alive_timeout_ms", deserialize_with = "time_ms")]
    pub keep_alive_timeout: Duration,
    /// Bytes of a body that must move in each second of waiting for them.
    pub min_body_bytes_per_second: NonZeroU64,
    /// Bytes of all bodies together that are read in a second.
    pub max_body_bytes_per_second: NonZeroU64,
    /// Time of waiting after which the pace of a request's body is looked at.
    #[serde(rename = "body_grace_ms", deserialize_with = "time_ms")]
    pub body_grace: Duration,
    /// Time after which an answer that nobody reads is given up.
    #[serde(rename = "write_stall_timeout_ms", deserialize_with = "time_ms")]
    pub write_stall_timeout: Duration,
    /// Time within which the process ends after it was told to.
    #[serde(rename = "shutdown_grace_ms", deserialize_with = "any_time_ms")]
    pub shutdown_grace: Duration,
    /// Certificate and key.
    pub tls: TlsSettings,
}
