//! An index over passages that consists of segments and a head.

use std::path::PathBuf;
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::folder::SegmentFolder;
use super::layers::{Head, Layers};
use super::list::{Segment, SegmentList};
use super::merge_policy::MergePolicy;
use crate::{Cancel, CollectionSettings, Error};

/// One kind of index over the passages of a collection, at one moment. Older passages are in segments, the
/// newest in a head in memory.
pub(crate) trait SegmentedIndex: Sized {
    type Segment: Segment;
    type Head: Head;
    /// Why a segment could not be made.
    type Failure: From<Error> + From<std::io::Error>;

    fn layers(&self) -> &Layers<Self::Segment, Self::Head>;

    /// The same content in other layers.
    fn with_layers(&self, layers: Layers<Self::Segment, Self::Head>) -> Self;

    fn segments(&self) -> &Arc<SegmentList<Self::Segment>> {
        &self.layers().segments
    }

    /// Passages in segments or in the head that count no more.
    fn dead(&self) -> &RoaringBitmap {
        &self.layers().dead
    }

    /// Counts the passages of the head, dead ones included.
    fn head_passages(&self) -> usize {
        self.layers().head.len()
    }

    /// One more than the last passage of the head; 0 when it is empty.
    fn head_end(&self) -> u32 {
        self.layers().head.end()
    }

    /// The same content with newer segments.
    fn adopting(&self, segments: &Arc<SegmentList<Self::Segment>>) -> Self {
        self.with_layers(self.layers().adopting(segments))
    }

    /// What is to be remembered about its segments.
    fn manifest(&self) -> <Self::Segment as Segment>::Manifest;

    /// When its segments are merged; idle collections get fewer.
    fn merge_policy(is_idle: bool) -> MergePolicy;

    /// Makes a segment of what is alive in the head; none when nothing is.
    fn freeze_head(
        &self,
        site: &BuildSite<'_, Self::Segment>,
    ) -> Result<Option<Self::Segment>, Self::Failure>;

    /// Makes one segment of what is alive in several; none when nothing is.
    fn merge(
        &self,
        merged: &[Arc<Self::Segment>],
        site: &BuildSite<'_, Self::Segment>,
    ) -> Result<Option<Self::Segment>, Self::Failure>;
}

/// Where and how a segment is made.
pub(crate) struct BuildSite<'a, S> {
    pub(crate) folder: &'a SegmentFolder<S>,
    pub(crate) settings: &'a CollectionSettings,
    /// At least 1.
    pub(crate) threads: usize,
    /// Ends the build early.
    pub(crate) stop: &'a Cancel,
    /// Refuses files of so many bytes when there is no room for them.
    pub(crate) check_room: &'a dyn Fn(u64) -> Result<(), Error>,
}

impl<S: Segment> BuildSite<'_, S> {
    /// Where a segment of so many bytes goes.
    pub(crate) fn path_for(&self, bytes: u64) -> Result<PathBuf, Error> {
        (self.check_room)(bytes)?;
        Ok(self.folder.new_segment_path()?)
    }
}
