//! What an index over passages consists of, whatever kind of index it is.

use std::sync::Arc;

use roaring::RoaringBitmap;

use super::list::{Segment, SegmentList};

/// The newest passages of an index, in memory. Cloning copies pointers only.
pub(crate) trait Head: Clone {
    /// Counts the passages, dead ones included.
    fn len(&self) -> usize;

    /// One more than the last passage; 0 when there is none.
    fn end(&self) -> u32;

    /// Only the passages from `first` on. What is left whole is shared.
    fn since(&self, first: u32) -> Self;

    /// All passages, dead ones included.
    fn passages(&self) -> impl Iterator<Item = u32>;
}

/// Segments, a head with newer passages, and the dead of both. Cloning copies pointers and a bitmap.
#[derive(Debug)]
pub(crate) struct Layers<S, H> {
    pub(crate) segments: Arc<SegmentList<S>>,
    pub(crate) head: H,
    /// Passages that are in a segment or in the head and count no more.
    pub(crate) dead: RoaringBitmap,
}

impl<S, H: Clone> Clone for Layers<S, H> {
    fn clone(&self) -> Self {
        Self {
            segments: Arc::clone(&self.segments),
            head: self.head.clone(),
            dead: self.dead.clone(),
        }
    }
}

impl<S, H> Layers<S, H> {
    /// Nothing but a head.
    pub(crate) fn of_head(head: H) -> Self {
        Self {
            segments: Arc::default(),
            head,
            dead: RoaringBitmap::new(),
        }
    }
}

impl<S: Segment, H: Head> Layers<S, H> {
    /// The same passages with newer segments: the head loses what they hold, and the dead are those that are
    /// still somewhere.
    pub(super) fn adopting(&self, segments: &Arc<SegmentList<S>>) -> Self {
        let head = self.head.since(segments.end);
        let mut dead = &self.dead & segments.passages();
        dead.extend(
            head.passages()
                .filter(|passage| self.dead.contains(*passage)),
        );
        Self {
            segments: Arc::clone(segments),
            head,
            dead,
        }
    }
}
