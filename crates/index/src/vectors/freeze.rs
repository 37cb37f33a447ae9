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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{Values, normalized};
    use crate::{Cancel, GraphSettings, VectorPrecision};

    fn options(precision: VectorPrecision, stop: &Cancel) -> BuildOptions<'_> {
        BuildOptions {
            settings: GraphSettings {
                precision,
                ..GraphSettings::default()
            },
            threads: 1,
            stop,
        }
    }

    #[test]
    fn codes_are_those_of_the_vectors_however_often_segments_are_merged() {
        let folder = tempfile::tempdir().unwrap();
        let value = |row: u32, place: u32| ((row * 31 + place * row * 17) % 101) as f32 - 49.7;
        let vector = |row| normalized(&(0..70).map(|place| value(row, place)).collect::<Vec<_>>());
        let vectors: Vec<Vec<f32>> = (0..200).map(vector).collect();
        let row = |(passage, vector)| HeldRow {
            values: Values::Exact(vector),
            passage,
            document: passage,
        };
        let rows: Vec<_> = (0..)
            .zip(vectors.iter().map(Vec::as_slice))
            .map(row)
            .collect();
        let stop = Cancel::default();
        let compact = options(VectorPrecision::Compact, &stop);
        let path = |name: &str| folder.path().join(name);
        let mut segment = freeze(&path("0"), 0, 70, &rows, &compact).unwrap();
        for name in ["1", "2", "3"] {
            // Some have died, so that the centre is another each time.
            let rows = segment.rows().skip(7).collect::<Vec<_>>();
            segment = freeze(&path(name), 0, 70, &rows, &compact).unwrap();
        }
        assert_eq!(segment.rows().count(), 179);
        for row in segment.rows() {
            let Values::Coded(codes) = row.values else {
                panic!("a vector");
            };
            assert!(codes.is_of(&vectors[row.passage as usize]));
        }
        let rows = segment.rows().collect::<Vec<_>>();
        let full = options(VectorPrecision::Full, &stop);
        assert!(freeze(&path("4"), 0, 70, &rows, &full).is_err());
    }
}
