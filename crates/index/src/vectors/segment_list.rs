//! Which segments a collection has, in one version after the other.

use std::sync::Arc;

use roaring::RoaringBitmap;

use super::segment::Segment;

/// The segments of a collection. A new version never brings back what an older one has dropped.
#[derive(Debug, Clone, Default)]
pub(crate) struct SegmentList {
    /// Counts the versions.
    pub(crate) version: u64,
    /// Every living passage below this number is in a segment.
    pub(crate) end: u32,
    pub(crate) segments: Vec<Arc<Segment>>,
}

impl SegmentList {
    /// All passages that a segment holds, dead ones included.
    pub(crate) fn passages(&self) -> RoaringBitmap {
        let mut all = RoaringBitmap::new();
        for segment in &self.segments {
            all |= segment.passages();
        }
        all
    }

    pub(super) fn contains(&self, passage: u32) -> bool {
        let mut segments = self.segments.iter();
        segments.any(|segment| segment.passages().contains(passage))
    }

    /// The next version: some segments out, perhaps one in, and perhaps more covered.
    pub(crate) fn next(&self, out: &[Arc<Segment>], new: Option<Arc<Segment>>, end: u32) -> Self {
        let is_out = |segment: &Arc<Segment>| out.iter().any(|gone| Arc::ptr_eq(gone, segment));
        let kept = self.segments.iter().filter(|segment| !is_out(segment));
        Self {
            version: self.version + 1,
            end: self.end.max(end),
            segments: kept.cloned().chain(new).collect(),
        }
    }
}
