//! Which segments an index has, in one version after the other.

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::manifest::Manifest;
use super::merge_policy::SegmentSize;

/// An immutable part of an index, in a file or a folder whose name is a number.
pub(crate) trait Segment: Sized {
    /// What is remembered about all segments of an index.
    type Manifest: Manifest;
    /// What is wrong with a segment that cannot be opened.
    type Damage: Display;
    /// What follows the number in the name; empty when nothing does.
    const EXTENSION: &str;

    /// Opens the segment that a manifest names at an index, if it is as it was written.
    fn reopen(path: &Path, manifest: &Self::Manifest, place: usize) -> Result<Self, Self::Damage>;

    fn path(&self) -> &Path;

    /// The number in its name.
    fn number(&self) -> Option<u64> {
        number_of(self.path())
    }

    /// Size of its files, bytes.
    fn bytes(&self) -> u64;

    /// Passages in it, dead ones included.
    fn passages(&self) -> &RoaringBitmap;
}

/// The number in the name of a segment.
pub(super) fn number_of(path: &Path) -> Option<u64> {
    path.file_stem()?.to_str()?.parse().ok()
}

/// The segments of an index. A new version never brings back what an older one has dropped.
#[derive(Debug)]
pub(crate) struct SegmentList<S> {
    /// Counts the versions.
    pub(crate) version: u64,
    /// Every living passage below this number is in a segment.
    pub(crate) end: u32,
    pub(crate) segments: Vec<Arc<S>>,
}

impl<S> Default for SegmentList<S> {
    fn default() -> Self {
        Self {
            version: 0,
            end: 0,
            segments: Vec::new(),
        }
    }
}

impl<S: Segment> SegmentList<S> {
    /// The first version in this run, of segments that an earlier one has written.
    pub(crate) fn found(segments: Vec<Arc<S>>, end: u32) -> Self {
        Self {
            version: 1,
            end,
            segments,
        }
    }

    /// All passages that a segment holds, dead ones included.
    pub(crate) fn passages(&self) -> RoaringBitmap {
        let mut all = RoaringBitmap::new();
        for segment in &self.segments {
            all |= segment.passages();
        }
        all
    }

    /// Returns whether the segments stand in the order of their passages.
    pub(crate) fn is_in_order(&self) -> bool {
        let segments = &self.segments;
        segments.is_sorted_by(|a, b| a.passages().max() < b.passages().min())
    }

    /// What is alive and what is dead in each segment.
    pub(crate) fn sizes(&self, dead: &RoaringBitmap) -> Vec<SegmentSize> {
        let segments = self.segments.iter();
        let segments = segments.map(|segment| {
            let dead = dead.intersection_len(segment.passages());
            let living = segment.passages().len() - dead;
            SegmentSize { living, dead }
        });
        segments.collect()
    }

    /// Size of all files, bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes()).sum()
    }

    /// The segments with these indexes.
    pub(crate) fn at(&self, places: &[usize]) -> Vec<Arc<S>> {
        let places = places.iter();
        places
            .map(|place| Arc::clone(&self.segments[*place]))
            .collect()
    }

    /// The next version: some segments become one or none, in the place of the first of them, and
    /// perhaps more is covered. A segment in the place of none is the last.
    pub(crate) fn next(&self, replaced: &[usize], new: Option<S>, end: u32) -> Self {
        let place = replaced.iter().min().copied();
        let place = place.unwrap_or(self.segments.len());
        let mut segments: Vec<_> = (0..self.segments.len())
            .filter(|place| !replaced.contains(place))
            .map(|place| Arc::clone(&self.segments[place]))
            .collect();
        segments.splice(place..place, new.map(Arc::new));
        Self {
            version: self.version + 1,
            end: self.end.max(end),
            segments,
        }
    }
}
