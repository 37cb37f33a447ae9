//! Which segments a collection has, in one version after the other.

use std::ops::Range;
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::segment::LexicalSegment;

/// The segments of a collection in the order of their passages. A new version never brings back
/// what an older one has dropped.
#[derive(Debug, Clone, Default)]
pub(crate) struct LexicalSegmentList {
    /// Counts the versions.
    pub(crate) version: u64,
    /// Every living passage below this number is in a segment.
    pub(crate) end: u32,
    pub(crate) segments: Vec<Arc<LexicalSegment>>,
}

impl LexicalSegmentList {
    /// All passages that a segment holds, dead ones included.
    pub(crate) fn passages(&self) -> RoaringBitmap {
        let rows = self.segments.iter().flat_map(|segment| segment.rows());
        rows.map(|row| row.passage).collect()
    }

    /// The next version: some neighbours become one or none, and perhaps more is covered.
    pub(crate) fn next(
        &self,
        replaced: Range<usize>,
        new: Option<Arc<LexicalSegment>>,
        end: u32,
    ) -> Self {
        let mut segments = self.segments.clone();
        segments.splice(replaced, new);
        Self {
            version: self.version + 1,
            end: self.end.max(end),
            segments,
        }
    }
}
