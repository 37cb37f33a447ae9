//! From rows to a segment: codes, graph, order, file.

use std::path::Path;

use super::code_matrix::CodeMatrix;
use super::graft::graft;
use super::graph::Graph;
use super::hnsw::{self, BuildFailure, BuildOptions};
use super::row::HeldRow;
use super::segment::{self, Damage, SegmentContent, VectorSegment};
use super::two_level::Values;

/// Rows whose graph hnsw_rs builds; the others are added to it. As many as a head has.
const SEED_ROWS: usize = 4096;

/// Why rows did not become a segment.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FreezeFailure {
    #[error(transparent)]
    Build(#[from] BuildFailure),
    #[error(transparent)]
    Room(#[from] crate::Error),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("the segment does not read back: {0}")]
    Damage(#[from] Damage),
}

/// Makes a segment of rows, which are in the order of their passages, and opens it.
pub(crate) fn freeze(
    path: &Path,
    collection: u32,
    dimensions: usize,
    rows: &[HeldRow<'_>],
    options: &BuildOptions<'_>,
) -> Result<VectorSegment, FreezeFailure> {
    let mut codes = CodeMatrix::new(dimensions);
    for row in rows {
        match row.values {
            Values::Exact(vector) => codes.push(vector),
            Values::Coded(row) => codes.push_codes(row.coarse, row.step),
        }
    }
    let seeded = rows.len().min(SEED_ROWS);
    let seed = hnsw::build(&codes, seeded, options)?;
    let graph = Graph::ordered(graft(&seed, seeded, &codes, options)?);
    let content = SegmentContent {
        collection,
        dimensions,
        settings: options.settings,
        rows,
        codes: &codes,
        graph: &graph,
    };
    segment::write(path, &content)?;
    Ok(VectorSegment::open(path)?)
}
