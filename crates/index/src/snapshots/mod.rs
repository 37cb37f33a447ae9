//! Snapshots: the whole record at one moment, in one file that can be checked and restored.
//!
//! A file holds the entries of the store as they are, in the order of their keys, so it does not
//! depend on sled. `docs/storage-format.md` describes it. Graphs are not in it: they are made anew.

mod census;
mod entry;
mod folder;
mod manifest;
mod reader;
mod restore;
mod writer;

pub use folder::{SnapshotInfo, SnapshotOptions};
pub use manifest::{CollectionCounts, SnapshotManifest};
pub use restore::{restore_snapshot, verify_snapshot};

pub(crate) use folder::SnapshotFolder;

/// Where snapshots lie in a data folder, unless they are kept elsewhere.
pub(crate) const SNAPSHOTS_FOLDER: &str = "snapshots";
