//! The limits on connections, resolved from the settings and from what the system allows.

use std::net::IpAddr;
use std::num::NonZeroU64;
use std::time::Duration;

use super::pace::PaceLimit;
use super::peer::PeerNetwork;
use crate::config::ServerSettings;

/// The limits on connections.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionLimits {
    pub(super) max_connections: usize,
    pub(super) max_per_peer: usize,
    pub(super) uncounted_peers: Vec<PeerNetwork>,
    pub(super) header_timeout: Duration,
    pub(super) keep_alive_timeout: Duration,
    pub(super) upload: PaceLimit,
    pub(super) download: PaceLimit,
    /// Of bodies of requests, all together.
    pub(super) max_bytes_per_second: NonZeroU64,
}

impl ConnectionLimits {
    /// Those of the settings, with room left among `max_open_files` for the store.
    pub(crate) fn new(settings: &ServerSettings, max_open_files: Option<u64>) -> Self {
        // The store and the segments need open files as well; half is theirs.
        let possible = max_open_files.map_or(usize::MAX, |files| {
            usize::try_from(files / 2).unwrap_or(usize::MAX).max(1)
        });
        let wanted = settings.max_connections.get();
        if possible < wanted {
            tracing::warn!(
                max_connections = possible,
                "server.max_connections = {wanted} is more than half of the files that the \
                 system lets this process open; raise that limit (ulimit -n)"
            );
        }
        let pace = |window| PaceLimit {
            min_bytes_per_second: settings.min_body_bytes_per_second.get(),
            window,
        };
        Self {
            max_connections: wanted.min(possible),
            max_per_peer: settings.max_connections_per_peer.get(),
            uncounted_peers: settings.uncounted_peers.clone(),
            header_timeout: settings.header_timeout,
            keep_alive_timeout: settings.keep_alive_timeout,
            upload: pace(settings.body_grace),
            download: pace(settings.write_stall_timeout),
            max_bytes_per_second: settings.max_body_bytes_per_second,
        }
    }

    /// Returns whether connections from this address are counted against its limit.
    pub(super) fn counts(&self, address: IpAddr) -> bool {
        let is_uncounted = |network: &PeerNetwork| network.contains(address);
        !address.to_canonical().is_loopback() && !self.uncounted_peers.iter().any(is_uncounted)
    }
}
