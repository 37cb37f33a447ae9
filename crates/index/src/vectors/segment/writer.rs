//! Writing a segment: whole, under another name, fsynced, then renamed.

use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

use super::header::{HEADER_BYTES, Header};
use crate::durable_files;
use crate::settings::{GraphSettings, VectorPrecision};
use crate::vectors::code_matrix::{CodeMatrix, LINE_BYTES};
use crate::vectors::graph::{Graph, Level, MAX_LEVELS, NO_ROW};
use crate::vectors::row::HeldRow;
use crate::vectors::sketch::{self, Sketcher};
use crate::vectors::two_level::{Values, encode_fine};

/// Bytes gathered before they are written.
const BUFFER_BYTES: usize = 1 << 20;

/// What becomes a segment. Nodes of the graph are indexes into `rows` and `codes`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SegmentContent<'a> {
    pub(crate) collection: u32,
    pub(crate) dimensions: usize,
    pub(crate) settings: GraphSettings,
    /// In the order of their passages.
    pub(crate) rows: &'a [HeldRow<'a>],
    pub(crate) codes: &'a CodeMatrix,
    pub(crate) graph: &'a Graph,
}

/// Writes a segment's file. On return it would survive a power cut.
pub(crate) fn write(path: &Path, content: &SegmentContent<'_>) -> std::io::Result<()> {
    let header = content.header();
    replace(path, header, |body| body.write(content, &header))
}

/// Writes a file with this header, but for the checksum, and what comes behind it.
pub(super) fn replace(
    path: &Path,
    mut header: Header,
    write: impl FnOnce(&mut Body<'_>) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let write_into = |file: &mut fs_err::File| {
        let mut body = Body {
            file: BufWriter::with_capacity(BUFFER_BYTES, file),
            checksum: crc32fast::Hasher::new(),
            bytes: HEADER_BYTES,
        };
        body.file.write_all(&[0; HEADER_BYTES])?;
        write(&mut body)?;
        header.body_checksum = body.checksum.finalize();
        let file = body.file.into_inner()?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&header.to_bytes())
    };
    durable_files::replace(path, write_into).map(drop)
}

impl SegmentContent<'_> {
    fn header(&self) -> Header {
        let mut level_rows = [0; MAX_LEVELS];
        for (to, level) in level_rows.iter_mut().zip(&self.graph.levels) {
            *to = level.below.len() as u32;
        }
        Header {
            collection: self.collection,
            dimensions: self.dimensions as u32,
            m: self.settings.m as u32,
            ef_construction: self.settings.ef_construction as u32,
            precision: self.settings.precision,
            level_rows,
            islands: self.graph.islands.len() as u32,
            body_checksum: 0,
        }
    }

    /// Node numbers by row of the bottom.
    fn nodes(&self) -> &[u32] {
        self.graph
            .levels
            .first()
            .map_or(&[], |bottom| &bottom.below)
    }

    /// Rows of the bottom by node number.
    fn by_passage(&self) -> Vec<u32> {
        let mut rows = vec![NO_ROW; self.nodes().len()];
        for (node, row) in self.nodes().iter().zip(0..) {
            rows[*node as usize] = row;
        }
        rows
    }
}

/// The part of the file that the checksum covers.
pub(super) struct Body<'a> {
    file: BufWriter<&'a mut fs_err::File>,
    checksum: crc32fast::Hasher,
    bytes: usize,
}

impl Body<'_> {
    /// Writes all parts in the order of the layout.
    fn write(&mut self, content: &SegmentContent<'_>, header: &Header) -> std::io::Result<()> {
        let nodes = content.nodes();
        let row = |node: &u32| content.rows[*node as usize];
        let bottom: &[u32] = content
            .graph
            .levels
            .first()
            .map_or(&[], |level| &level.neighbours);
        self.words(bottom)?;
        for node in nodes {
            self.put(bytemuck::cast_slice(content.codes.row(*node as usize)))?;
        }
        self.align()?;
        let dimensions = content.dimensions;
        let vectors = content.rows.iter().map(|row| row.values.about(dimensions));
        let centre = sketch::centre(vectors, dimensions);
        let sketcher = Sketcher::new(&centre);
        for node in nodes {
            let step = content.codes.step(*node as usize);
            self.put(&sketcher.sketch(&row(node).values.about(dimensions), step))?;
        }
        self.align()?;
        self.words(
            &nodes
                .iter()
                .map(|node| row(node).passage)
                .collect::<Vec<_>>(),
        )?;
        self.words(
            &nodes
                .iter()
                .map(|node| row(node).document)
                .collect::<Vec<_>>(),
        )?;
        self.words(
            &content
                .rows
                .iter()
                .map(|row| row.passage)
                .collect::<Vec<_>>(),
        )?;
        self.words(&content.by_passage())?;
        self.words(&content.graph.islands)?;
        for Level { below, neighbours } in content.graph.levels.iter().skip(1) {
            self.words(below)?;
            self.words(neighbours)?;
        }
        match content.settings.precision {
            VectorPrecision::Full => self.vectors(content, header)?,
            VectorPrecision::Compact => self.fine_codes(content)?,
        }
        self.words(&centre)
    }

    fn vectors(&mut self, content: &SegmentContent<'_>, header: &Header) -> std::io::Result<()> {
        let filling = vec![0.0_f32; header.vector_stride() - content.dimensions];
        for node in content.nodes() {
            let Values::Exact(vector) = content.rows[*node as usize].values else {
                return Err(std::io::Error::other("codes are no vectors"));
            };
            self.put(bytemuck::cast_slice(vector))?;
            self.put(bytemuck::cast_slice(&filling))?;
        }
        self.align()
    }

    /// What a row's codes leave out. Of a row that has been in a segment it is copied, as its codes are: however often
    /// segments are merged, both are of the vector that is in the record.
    fn fine_codes(&mut self, content: &SegmentContent<'_>) -> std::io::Result<()> {
        let mut fine = vec![0; content.codes.stride()];
        let mut heads = Vec::with_capacity(content.rows.len());
        for node in content.nodes() {
            let node = *node as usize;
            let head = match content.rows[node].values {
                Values::Exact(vector) => {
                    let (codes, step) = (content.codes.row(node), content.codes.step(node));
                    encode_fine(vector, codes, step, &mut fine)
                }
                Values::Coded(codes) => {
                    fine.copy_from_slice(codes.fine);
                    codes.head
                }
            };
            self.put(bytemuck::cast_slice(&fine))?;
            heads.push(head.values());
        }
        self.align()?;
        self.words(&heads)
    }

    pub(super) fn words<T: bytemuck::NoUninit>(&mut self, words: &[T]) -> std::io::Result<()> {
        self.put(bytemuck::cast_slice(words))?;
        self.align()
    }

    pub(super) fn put(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.checksum.update(bytes);
        self.bytes += bytes.len();
        self.file.write_all(bytes)
    }

    fn align(&mut self) -> std::io::Result<()> {
        let missing = self.bytes.next_multiple_of(LINE_BYTES) - self.bytes;
        self.put(&[0; LINE_BYTES][..missing])
    }
}
