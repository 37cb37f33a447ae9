//! Pairs of vectors that are alike, out of all pairs that there are.
//!
//! Blocks of products in f32 are computed as for a forward pass and dropped again, so memory is that of
//! the vectors and of one block for each thread. What a product in f32 lets through is scored again, so
//! that the pairs are those of comparing every two by themselves.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use siamese_kernels::{AlignedVec, Kernels};

use super::all_pairs::{BLOCK_COLUMNS, BLOCK_ROWS, is_comparable, packed};
use super::cosine::{Cosines, ROUNDING};
use crate::Error;

/// Two vectors by their places, and how alike they are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// The place of the first.
    pub left: usize,
    /// The place of the other, which is larger.
    pub right: usize,
    /// Their [`cosine`](fn@crate::cosine).
    pub score: f32,
}

/// All that threads share.
struct Search<'a> {
    vectors: &'a [Vec<f32>],
    min_score: f32,
    /// Blocks of columns that nobody has taken yet; the last one is taken first, since it is compared
    /// with the most rows.
    blocks_left: AtomicUsize,
    is_cancelled: &'a (dyn Fn() -> bool + Sync),
    found: Mutex<&'a mut (dyn FnMut(Pair) + Send)>,
}

/// Calls `found` once with each pair of `vectors` whose cosine is at least `min_score`, in no order, by
/// comparing all of them on so many threads. They must have length 1, or be zero. Takes time quadratic in their number. Once
/// `is_cancelled` returns true it ends within milliseconds, without the rest.
///
/// # Errors
/// Vectors of different lengths, or threads that cannot be started.
pub fn alike_pairs(
    vectors: &[Vec<f32>],
    min_score: f32,
    threads: NonZeroUsize,
    is_cancelled: &(dyn Fn() -> bool + Sync),
    found: &mut (dyn FnMut(Pair) + Send),
) -> Result<(), Error> {
    if vectors.len() < 2 {
        return Ok(());
    }
    if !is_comparable(vectors) {
        return Err(Error::NotComparable);
    }
    let search = Search {
        vectors,
        min_score,
        blocks_left: AtomicUsize::new(vectors.len().div_ceil(BLOCK_COLUMNS)),
        is_cancelled,
        found: Mutex::new(found),
    };
    thread::scope(|scope| {
        for _ in 1..threads.get() {
            thread::Builder::new().spawn_scoped(scope, || search.run())?;
        }
        search.run();
        Ok(())
    })
}

impl Search<'_> {
    /// Compares blocks until none is left.
    fn run(&self) {
        while let Some(block) = self.next_block() {
            self.compare(block * BLOCK_COLUMNS);
        }
    }

    fn next_block(&self) -> Option<usize> {
        let taken = self
            .blocks_left
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(1)
            });
        taken.ok().map(|left| left - 1)
    }

    /// Compares the block of columns that begins at `start` with all vectors before them.
    fn compare(&self, start: usize) {
        let kernels = Kernels::detected();
        let end = self.vectors.len().min(start + BLOCK_COLUMNS);
        let columns = packed(&self.vectors[start..end], kernels);
        let width = columns.panels() * kernels.panel;
        let dimensions = self.vectors[0].len();
        let mut rows: AlignedVec<f32> = AlignedVec::zeros(BLOCK_ROWS * dimensions);
        let mut products: AlignedVec<f32> = AlignedVec::zeros(BLOCK_ROWS * width);
        for first in (0..end).step_by(BLOCK_ROWS) {
            if (self.is_cancelled)() {
                return;
            }
            let vectors = &self.vectors[first..end.min(first + BLOCK_ROWS)];
            for (row, vector) in rows.chunks_exact_mut(dimensions).zip(vectors) {
                row.copy_from_slice(vector);
            }
            let products = &mut products[..vectors.len() * width];
            kernels.multiply_rows(&rows[..vectors.len() * dimensions], &columns, products);
            for (row, products) in (first..).zip(products.chunks_exact(width)) {
                self.survivors(row, start, &products[..end - start]);
            }
        }
    }

    /// Scores those of a row's products that may be over the threshold.
    fn survivors(&self, row: usize, start: usize, products: &[f32]) {
        let nearly = self.min_score - ROUNDING;
        let mut cosines = None;
        for (column, product) in (start..).zip(products) {
            if *product < nearly || column <= row {
                continue;
            }
            let cosines = cosines.get_or_insert_with(|| Cosines::with(&self.vectors[row]));
            let score = cosines.of(&self.vectors[column]);
            if score >= self.min_score {
                let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
                found(Pair {
                    left: row,
                    right: column,
                    score,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{cosine, normalized};
    use super::*;

    fn pairs(vectors: &[Vec<f32>], min_score: f32, threads: usize) -> Vec<Pair> {
        let mut pairs = Vec::new();
        let threads = NonZeroUsize::new(threads).unwrap();
        let mut found = |pair| pairs.push(pair);
        alike_pairs(vectors, min_score, threads, &|| false, &mut found).unwrap();
        pairs.sort_by_key(|pair| (pair.left, pair.right));
        pairs
    }

    fn by_brute_force(vectors: &[Vec<f32>], min_score: f32) -> Vec<Pair> {
        let mut pairs = Vec::new();
        for left in 0..vectors.len() {
            for right in left + 1..vectors.len() {
                let score = cosine(&vectors[left], &vectors[right]);
                if score >= min_score {
                    pairs.push(Pair { left, right, score });
                }
            }
        }
        pairs
    }

    /// Vectors that repeat, so that there are ties and copies.
    fn vectors(count: usize, dimensions: usize, distinct: usize) -> Vec<Vec<f32>> {
        let value = |at: usize| ((at * 7919 + at * at % 101) % 211) as f32 / 211.0 - 0.5;
        let vector = |place: usize| -> Vec<f32> {
            let first = place % distinct * dimensions;
            (first..first + dimensions).map(value).collect()
        };
        (0..count).map(|place| normalized(&vector(place))).collect()
    }

    #[test]
    fn the_pairs_are_those_of_brute_force_beyond_a_block() {
        for (count, dimensions, distinct) in [(700, 24, 700), (1000, 33, 90), (257, 8, 1)] {
            let vectors = vectors(count, dimensions, distinct);
            for min_score in [0.2, 0.9, 1.0] {
                let expected = by_brute_force(&vectors, min_score);
                assert_eq!(pairs(&vectors, min_score, 3), expected);
            }
        }
    }

    #[test]
    fn few_vectors_make_few_pairs_and_uneven_ones_none() {
        assert_eq!(pairs(&[], 0.0, 1), []);
        assert_eq!(pairs(&[vec![1.0]], 0.0, 1), []);
        let uneven = [vec![1.0], vec![1.0, 0.0]];
        let refused = alike_pairs(&uneven, 0.0, NonZeroUsize::MIN, &|| false, &mut |_| ());
        assert!(matches!(refused, Err(Error::NotComparable)));
    }

    #[test]
    fn a_search_that_is_cancelled_ends_without_the_rest() {
        let vectors = vectors(2000, 8, 1);
        let mut found = 0_usize;
        let looks = AtomicUsize::new(0);
        let is_cancelled = || looks.fetch_add(1, Ordering::Relaxed) >= 2;
        let threads = NonZeroUsize::MIN;
        alike_pairs(&vectors, 0.5, threads, &is_cancelled, &mut |_| found += 1).unwrap();
        assert!(found > 0 && found < 2000 * 1999 / 2 / 4, "{found}");
    }

    proptest! {
        #[test]
        fn a_threshold_at_a_pairs_own_score_lets_it_through(
            rows in prop::collection::vec(prop::collection::vec(-1.0..1.0_f32, 5), 2..40),
            at in any::<prop::sample::Index>(),
        ) {
            let vectors: Vec<Vec<f32>> = rows.iter().map(|row| normalized(row)).collect();
            let all = by_brute_force(&vectors, -1.0);
            let min_score = all[at.index(all.len())].score;
            prop_assert_eq!(pairs(&vectors, min_score, 2), by_brute_force(&vectors, min_score));
        }
    }
}
