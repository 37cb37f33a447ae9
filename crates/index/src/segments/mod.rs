//! Segments: the immutable parts of an index over passages, whatever kind of index it is.
//!
//! They are listed in versions, kept in a folder with a manifest, and merged by a policy. Files are
//! a cache of the record, which this folder does not know.

mod folder;
mod layers;
mod list;
mod manifest;
mod merge_policy;
mod segmented_index;

pub(crate) use folder::{FoundSegments, SegmentFolder};
pub(crate) use layers::{Head, Layers};
pub(crate) use list::{Segment, SegmentList};
#[cfg(test)]
pub(crate) use manifest::assert_only_whole_is_read;
pub(crate) use manifest::{MAX_SEGMENTS, Manifest};
pub(crate) use merge_policy::{MergePolicy, MergedWith};
pub(crate) use segmented_index::{BuildSite, SegmentedIndex};
