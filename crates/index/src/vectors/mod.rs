//! Vectors in memory: immutable snapshots, searched exactly.
//!
//! A writer makes a new snapshot and publishes it; a search holds on to the one it began with.
//! Nothing here reads or writes a file.

mod chunk;
mod kernel;
mod snapshot;
mod top_k;

pub(crate) use kernel::normalized;
pub(crate) use snapshot::{Candidate, NewRow, Scan, Snapshot};
