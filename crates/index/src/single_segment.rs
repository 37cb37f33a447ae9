//! Vectors alone, without documents and without the record: for benchmarks.

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;

use roaring::RoaringBitmap;

use crate::segments::{Segment, SegmentList};
use crate::vectors::{
    BuildOptions, ExactVectors, HeldRow, Scan, Survivors, Values, VectorSegment, VectorSpace,
    freeze, normalized,
};
use crate::{Cancel, Error, GraphSettings};

/// One segment over vectors that are numbered from 0, in a file. It is what a collection is made
/// of, and is searched by the same code.
#[derive(Debug)]
pub struct SingleSegment {
    space: VectorSpace,
    bytes: u64,
    exact: HeldVectors,
}

/// Vectors in memory, in the place of a record; there may be none.
#[derive(Debug, Default)]
struct HeldVectors(Vec<Vec<f32>>);

impl ExactVectors for HeldVectors {
    type Error = Infallible;

    fn vector(&self, passage: u32) -> Result<Option<Vec<f32>>, Infallible> {
        Ok(self.0.get(passage as usize).cloned())
    }
}

/// What a search of a [`SingleSegment`] wants.
#[derive(Debug, Clone, Copy)]
pub struct VectorQuery<'a> {
    /// Of any length but 0, with as many values as those of the segment.
    pub vector: &'a [f32],
    /// Vectors to return.
    pub limit: usize,
    /// Candidates that a walk over the graph keeps, 1 to 10000.
    pub ef: usize,
    /// Keep more for a query that needs it, as a collection does unless a search says `ef`.
    pub widens: bool,
    /// Score every vector.
    pub exact: bool,
    /// Numbers that may be found; `None` for all.
    pub allowed: Option<&'a RoaringBitmap>,
}

impl SingleSegment {
    /// Builds one in a file, which is overwritten.
    ///
    /// # Errors
    /// Settings out of their range, a disk that fails, or a graph that cannot be built.
    pub fn build(
        file: &Path,
        vectors: &[Vec<f32>],
        settings: GraphSettings,
        threads: usize,
    ) -> Result<(), Error> {
        settings.check()?;
        let dimensions = vectors.first().map_or(1, Vec::len);
        for vector in vectors {
            crate::document::check_vector(vector, dimensions)?;
        }
        let vectors: Vec<Vec<f32>> = vectors.iter().map(|vector| normalized(vector)).collect();
        let row = |(number, vector)| HeldRow {
            values: Values::Exact(vector),
            passage: number,
            document: number,
        };
        let rows: Vec<HeldRow<'_>> = (0..)
            .zip(vectors.iter().map(Vec::as_slice))
            .map(row)
            .collect();
        let stop = Cancel::default();
        let options = BuildOptions {
            settings,
            threads: threads.max(1),
            stop: &stop,
        };
        match freeze(file, 0, dimensions, &rows, &options) {
            Ok(_) => Ok(()),
            Err(failure) => Err(std::io::Error::other(failure).into()),
        }
    }

    /// Opens a file that was built.
    ///
    /// # Errors
    /// A file that is not as it was written.
    pub fn open(file: &Path) -> Result<Self, Error> {
        let segment = VectorSegment::open(file).map_err(std::io::Error::other)?;
        let passages = segment.passages().clone();
        let (dimensions, bytes) = (segment.dimensions(), segment.bytes());
        let end = passages.max().map_or(0, |last| last + 1);
        let list = SegmentList::found(vec![Arc::new(segment)], end);
        let survivors = Survivors {
            documents: passages,
            ..Survivors::default()
        };
        Ok(Self {
            space: VectorSpace::of_segments(dimensions, list, survivors),
            bytes,
            exact: HeldVectors::default(),
        })
    }

    /// Gives a compact segment the vectors that it was built of, from which scores are then made. Without them, scores are
    /// those of codes.
    #[must_use]
    pub fn with_vectors(mut self, vectors: &[Vec<f32>]) -> Self {
        let vectors = vectors.iter().map(|vector| normalized(vector));
        self.exact = HeldVectors(vectors.collect());
        self
    }

    /// Size of the file, which is all that is mapped to memory, bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Numbers and cosines of the nearest vectors, best first.
    pub fn search(&self, query: &VectorQuery<'_>) -> Vec<(u32, f32)> {
        let vector = normalized(query.vector);
        let scan = Scan {
            query: &vector,
            limit: query.limit,
            min_score: None,
            collects_reaching: false,
            allowed: query.allowed,
            exact: query.exact,
            ef: query.ef.max(1),
            widens: query.widens,
        };
        let Ok(scanned) = self.space.search(&scan, &self.exact);
        let best = scanned.best.into_iter();
        best.map(|best| (best.passage, best.score)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Directions without any order, the same in every run (a linear congruential generator).
    fn scattered(vectors: usize) -> Vec<Vec<f32>> {
        scattered_in(12, vectors)
    }

    fn scattered_in(dimensions: usize, vectors: usize) -> Vec<Vec<f32>> {
        let mut state = 7_u32;
        let mut value = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..vectors)
            .map(|_| (0..dimensions).map(|_| value()).collect())
            .collect()
    }

    fn space(vectors: &[Vec<f32>]) -> (tempfile::TempDir, SingleSegment) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("space.segment");
        SingleSegment::build(&file, vectors, GraphSettings::default(), 2).unwrap();
        let space = SingleSegment::open(&file).unwrap();
        (folder, space)
    }

    fn query<'a>(vector: &'a [f32], exact: bool, allowed: &'a RoaringBitmap) -> VectorQuery<'a> {
        VectorQuery {
            vector,
            limit: 10,
            ef: 64,
            widens: false,
            exact,
            allowed: Some(allowed),
        }
    }

    /// The share of the nearest that a search finds which does not score everything.
    fn recall(space: &SingleSegment, queries: &[Vec<f32>], allowed: &RoaringBitmap) -> f64 {
        let (mut found, mut wanted) = (0, 0);
        for vector in queries {
            let exact = space.search(&query(vector, true, allowed));
            let walked = space.search(&query(vector, false, allowed));
            assert_eq!(exact.len(), allowed.len().min(10) as usize);
            assert_eq!(walked.len(), exact.len());
            assert!(walked.iter().all(|(number, _)| allowed.contains(*number)));
            found += exact.iter().filter(|exact| walked.contains(exact)).count();
            wanted += exact.len();
        }
        found as f64 / wanted as f64
    }

    #[test]
    fn filters_of_every_size_are_honoured_and_little_is_missed() {
        let vectors = scattered(6000);
        let (_folder, space) = space(&vectors);
        for step in [1, 2, 3, 10, 100, 1000, 5999, 6000] {
            let allowed: RoaringBitmap = (0..6000).step_by(step).collect();
            let recall = recall(&space, &vectors[..100], &allowed);
            assert!(recall > 0.97, "every {step}th: {recall}");
        }
    }

    #[test]
    fn a_filter_that_is_far_from_the_query_is_searched_all_the_same() {
        let vectors = scattered(8000);
        let (_folder, space) = space(&vectors);
        for at in (0..8000).step_by(500) {
            // Only what points away from the query.
            let away = |number: &u32| {
                let other = &vectors[*number as usize];
                let pairs = other.iter().zip(&vectors[at]);
                pairs.map(|(a, b)| a * b).sum::<f32>() < 0.0
            };
            let allowed: RoaringBitmap = (0..8000).filter(away).collect();
            let recall = recall(&space, &vectors[at..=at], &allowed);
            assert!(recall > 0.7, "{at}: {recall}");
        }
    }

    #[test]
    fn a_walk_is_widened_for_queries_whose_nearest_are_scattered() {
        let vectors = scattered_in(64, 8100);
        let (_folder, space) = space(&vectors[..8000]);
        let all: RoaringBitmap = (0..8000).collect();
        let share_found = |widens| {
            let found = vectors[8000..].iter().map(|vector| {
                let exact = space.search(&query(vector, true, &all));
                let narrow = VectorQuery {
                    ef: 16,
                    widens,
                    allowed: None,
                    ..query(vector, false, &all)
                };
                let walked = space.search(&narrow);
                exact.iter().filter(|exact| walked.contains(exact)).count()
            });
            found.sum::<usize>() as f64 / 1000.0
        };
        let (narrow, widened) = (share_found(false), share_found(true));
        assert!(narrow < 0.8, "{narrow}");
        assert!(widened > 0.95, "{widened}");
    }

    #[test]
    fn the_nearest_of_vectors_that_codes_do_not_tell_apart_are_found() {
        // They differ by less than a step of their codes.
        let noise = scattered_in(64, 40).into_iter();
        let vectors: Vec<Vec<f32>> = noise
            .map(|noise| noise.iter().map(|value| 1.0 + value / 500.0).collect())
            .collect();
        let (_folder, space) = space(&vectors);
        let all: RoaringBitmap = (0..40).collect();
        assert_eq!(recall(&space, &vectors, &all), 1.0);
    }

    #[test]
    fn an_empty_filter_finds_nothing() {
        let vectors = scattered(50);
        let (_folder, space) = space(&vectors);
        let nothing = RoaringBitmap::new();
        for exact in [false, true] {
            assert!(
                space
                    .search(&query(&vectors[0], exact, &nothing))
                    .is_empty()
            );
        }
    }
}
