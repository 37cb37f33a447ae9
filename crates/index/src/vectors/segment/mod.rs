//! Immutable parts of a collection: a graph with its vectors, in a file that is mapped to memory.
//!
//! A segment never changes. It is written whole under another name and renamed; when it does not
//! read back as it was written, it does not exist.

mod header;
mod layout;
mod mapped_file;
mod upgrade;
mod view;
mod walk;
mod writer;

use std::path::{Path, PathBuf};

use roaring::RoaringBitmap;

pub(crate) use header::Damage;
use header::Header;
pub(crate) use view::View;
pub(crate) use walk::{Walk, Walked};
pub(crate) use writer::{SegmentContent, write};

use super::manifest::VectorManifest;
use super::row::HeldRow;
use crate::segments::Segment;
use crate::{GraphSettings, VectorPrecision};
use layout::Layout;
use mapped_file::MappedFile;

/// An open segment.
#[derive(Debug)]
pub(crate) struct VectorSegment {
    file: MappedFile,
    path: PathBuf,
    header: Header,
    layout: Layout,
    passages: RoaringBitmap,
}

impl VectorSegment {
    /// Opens a file and checks everything that a search relies on.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub(crate) fn open(path: &Path) -> Result<Self, Damage> {
        let file = MappedFile::open(path)?;
        let header = Header::read(file.bytes())?;
        let layout = Layout::of(&header);
        header.check_body(file.bytes(), layout.end)?;
        let mut segment = Self {
            file,
            path: path.to_owned(),
            header,
            layout,
            passages: RoaringBitmap::new(),
        };
        segment.view().check()?;
        segment.passages = segment.checked_passages()?;
        Ok(segment)
    }

    /// Bytes that a segment of so many rows takes, upper levels aside.
    pub(crate) fn expected_bytes(rows: usize, dimensions: usize, graph: &GraphSettings) -> u64 {
        let mut header = Header {
            dimensions: dimensions as u32,
            m: graph.m as u32,
            precision: graph.precision,
            ..Header::default()
        };
        header.level_rows[0] = rows as u32;
        Layout::of(&header).end as u64
    }

    /// Returns whether it is a segment of this collection with vectors of this length.
    pub(crate) fn fits(&self, collection: u32, dimensions: usize) -> bool {
        (self.header.collection, self.header.dimensions as usize) == (collection, dimensions)
    }

    /// What it holds of vectors.
    pub(crate) fn precision(&self) -> VectorPrecision {
        self.header.precision
    }

    pub(crate) fn dimensions(&self) -> usize {
        self.header.dimensions as usize
    }

    /// All rows in the order of passages.
    pub(crate) fn rows(&self) -> impl Iterator<Item = HeldRow<'_>> {
        let view = self.view();
        view.by_passage.iter().map(move |row| view.held_row(*row))
    }

    pub(crate) fn view(&self) -> View<'_> {
        View::new(self.file.bytes(), &self.header, &self.layout)
    }

    fn checked_passages(&self) -> Result<RoaringBitmap, Damage> {
        let passages = self.view().ordered_passages.iter().copied();
        let mut passages =
            RoaringBitmap::from_sorted_iter(passages).map_err(|_| Damage::Content("passages"))?;
        passages.optimize();
        // The last number of all has no next one, and none was ever given.
        if passages.contains(u32::MAX) {
            return Err(Damage::Content("passages"));
        }
        Ok(passages)
    }
}

impl Segment for VectorSegment {
    type Manifest = VectorManifest;
    type Damage = Damage;
    const EXTENSION: &str = "segment";

    fn reopen(path: &Path, _: &VectorManifest, _: usize) -> Result<Self, Damage> {
        match Self::open(path) {
            Err(Damage::Header) => {
                upgrade::upgrade(path)?;
                Self::open(path)
            }
            opened => opened,
        }
    }

    fn path(&self) -> &Path {
        &self.path
    }

    fn bytes(&self) -> u64 {
        self.file.bytes().len() as u64
    }

    fn passages(&self) -> &RoaringBitmap {
        &self.passages
    }
}
