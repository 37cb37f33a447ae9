//! How a cluster is reached, and how it keeps collections.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::ClusterCall;

/// How a cluster is reached, and how it keeps collections.
#[derive(Debug, Clone)]
pub struct ClusterSettings {
    /// Addresses of its nodes, for gRPC; at least one. When one does not answer, the next is asked.
    pub urls: Vec<String>,
    /// Sent with every call.
    pub api_key: Option<String>,
    /// Begins the names of all collections, so that several services can share a cluster.
    pub prefix: String,
    /// Shards of a collection that is made.
    pub shards: NonZeroU32,
    /// Copies of each of its shards.
    pub replicas: NonZeroU32,
    /// Copies that must have taken a write before it is acknowledged.
    pub write_consistency: NonZeroU32,
    /// How long one call may take.
    pub call_timeout: Duration,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long a call that failed for want of a node is tried again.
    pub retry_for: Duration,
    /// Collections that there may be.
    pub max_collections: usize,
    /// Aliases that there may be.
    pub max_aliases: usize,
    /// Told of each call when it has ended.
    pub on_call: fn(&ClusterCall),
}
