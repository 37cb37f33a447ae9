//! Pairs of vectors that are alike, out of all pairs that there are.
//!
//! Blocks of products in f32 are computed as for a forward pass and dropped again, so memory is that of
//! the vectors and of one block for each thread. What a product in f32 lets through is scored again, so
//! that the pairs are those of comparing every two by themselves.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use siamese_kernels::{AlignedVec, Kernels};

use super::all_pairs::{BLOCK_COLUMNS, BLOCK_ROWS, is_comparable, packed};
use super::cosine::{Cosines, ROUNDING};
use crate::{Cancel, Error, Progress, Workers};

/// Rows of a block that are multiplied between two moments at which others may have the core: about a tenth of a
/// millisecond.
const ROWS_PER_STEP: usize = 48;

/// Two vectors by their indexes, and how alike they are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// The index of the first.
    pub left: usize,
    /// The index of the other, which is larger where both are of one set.
    pub right: usize,
    /// Their [`cosine`](fn@crate::cosine).
    pub score: f32,
}

/// Which vectors are compared with which, and from which score on they are alike. All must have length 1,
/// or be zero.
#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "a function cannot be shown")]
pub struct AllPairs<'a, V> {
    /// Each of these is compared ..
    pub left: &'a [V],
    /// .. with each of these, or without them with each other of its own set, once.
    pub right: Option<&'a [V]>,
    /// The least score of a pair, -1 to 1.
    pub min_score: f32,
    /// Says whether the vectors with two indexes may be a pair at all. Asked of those that are alike, or
    /// nearly.
    pub admits: &'a (dyn Fn(usize, usize) -> bool + Sync),
    /// Threads that compare.
    pub workers: Workers,
}

/// Where pairs go.
pub trait PairSink: Send {
    /// Returns the score below which pairs are only counted.
    fn floor(&self) -> f32 {
        f32::NEG_INFINITY
    }

    /// Returns whether no more pairs are wanted.
    fn is_full(&self) -> bool {
        false
    }

    /// Takes pairs, and counts so many more.
    fn take(&mut self, pairs: &[Pair], uncounted: u64);
}

impl PairSink for Vec<Pair> {
    fn take(&mut self, pairs: &[Pair], _uncounted: u64) {
        self.extend_from_slice(pairs);
    }
}

/// All that threads share.
struct Search<'a, V, S> {
    compared: &'a AllPairs<'a, V>,
    columns: &'a [V],
    /// Blocks of columns that nobody has taken yet; the last one is taken first, since it is compared
    /// with the most rows.
    blocks_left: AtomicUsize,
    cancel: &'a Cancel,
    progress: &'a Progress,
    /// Only these threads ever wait for it.
    sink: Mutex<&'a mut S>,
}

/// Gives `sink` each pair of vectors that is alike, once and in no order, by comparing all of them. Takes
/// time quadratic in their number; its progress is counted in comparisons.
///
/// # Errors
/// Vectors of different lengths, threads that cannot be started, or [`Error::Cancelled`] within
/// milliseconds of being told; some pairs have been taken then.
pub fn alike_pairs<V: AsRef<[f32]> + Sync, S: PairSink>(
    compared: &AllPairs<'_, V>,
    cancel: &Cancel,
    progress: &Progress,
    sink: &mut S,
) -> Result<(), Error> {
    let columns = compared.right.unwrap_or(compared.left);
    progress.set_total(compared.count());
    if compared.count() == 0 {
        return Ok(());
    }
    if !is_comparable(compared.left, columns) {
        return Err(Error::NotComparable);
    }
    let search = Search {
        compared,
        columns,
        blocks_left: AtomicUsize::new(columns.len().div_ceil(BLOCK_COLUMNS)),
        cancel,
        progress,
        sink: Mutex::new(sink),
    };
    compared.workers.share(|| search.run())?;
    cancel.check()
}

impl<V> AllPairs<'_, V> {
    /// How many pairs of vectors are compared.
    fn count(&self) -> u64 {
        let left = self.left.len() as u64;
        match self.right {
            Some(right) => left * right.len() as u64,
            None => left * left.saturating_sub(1) / 2,
        }
    }
}

/// Memory of one thread.
struct Block {
    rows: AlignedVec<f32>,
    products: AlignedVec<f32>,
    pairs: Vec<Pair>,
}

impl<'a, V: AsRef<[f32]> + Sync, S: PairSink> Search<'a, V, S> {
    /// Compares blocks until none is left.
    fn run(&self) {
        let dimensions = self.columns[0].as_ref().len();
        let widest = BLOCK_COLUMNS.next_multiple_of(Kernels::detected().panel);
        let mut block = Block {
            rows: AlignedVec::zeros(BLOCK_ROWS * dimensions),
            products: AlignedVec::zeros(BLOCK_ROWS * widest),
            pairs: Vec::new(),
        };
        while let Some(taken) = self.next_block() {
            self.compare(taken * BLOCK_COLUMNS, &mut block);
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

    /// Compares the block of columns that begins at `start` with all rows that they are to be compared
    /// with.
    fn compare(&self, start: usize, block: &mut Block) {
        let kernels = Kernels::detected();
        let end = self.columns.len().min(start + BLOCK_COLUMNS);
        let columns = packed(&self.columns[start..end], kernels);
        let width = columns.panels() * kernels.panel;
        let dimensions = columns.depth();
        let rows_end = match self.compared.right {
            Some(_) => self.compared.left.len(),
            None => end,
        };
        for first in (0..rows_end).step_by(BLOCK_ROWS) {
            if self.cancel.is_cancelled() || self.sink().is_full() {
                return;
            }
            let vectors = &self.compared.left[first..rows_end.min(first + BLOCK_ROWS)];
            for (row, vector) in block.rows.chunks_exact_mut(dimensions).zip(vectors) {
                row.copy_from_slice(vector.as_ref());
            }
            let rows = &block.rows[..vectors.len() * dimensions];
            let products = &mut block.products[..vectors.len() * width];
            let steps = rows.chunks(ROWS_PER_STEP * dimensions);
            for (rows, products) in steps.zip(products.chunks_mut(ROWS_PER_STEP * width)) {
                kernels.multiply_rows(rows, &columns, products);
                self.compared.workers.give_way();
            }
            self.take_survivors(first..first + vectors.len(), start..end, width, block);
        }
    }

    /// Gives away those pairs of a block whose products say that they may be alike.
    fn take_survivors(
        &self,
        rows: Range<usize>,
        columns: Range<usize>,
        width: usize,
        block: &mut Block,
    ) {
        let floor = self.sink().floor();
        let (mut compared, mut uncounted) = (0, 0);
        block.pairs.clear();
        for (row, products) in rows.zip(block.products.chunks_exact(width)) {
            // Of one set, each pair once: the columns after the row.
            let begin = match self.compared.right {
                Some(_) => columns.start,
                None => columns.start.max(row + 1).min(columns.end),
            };
            let products = &products[begin - columns.start..columns.end - columns.start];
            compared += products.len() as u64;
            uncounted += self.survivors(row, begin, products, floor, &mut block.pairs);
        }
        self.progress.add(compared);
        if !block.pairs.is_empty() || uncounted > 0 {
            self.sink().take(&block.pairs, uncounted);
        }
    }

    /// Scores those of a row's products that may be over the threshold. Returns how many more are over it,
    /// but below the floor.
    fn survivors(
        &self,
        row: usize,
        begin: usize,
        products: &[f32],
        floor: f32,
        pairs: &mut Vec<Pair>,
    ) -> u64 {
        let min_score = self.compared.min_score;
        let (mut cosines, mut uncounted) = (None, 0);
        for (column, product) in (begin..).zip(products) {
            if *product < min_score - ROUNDING || !(self.compared.admits)(row, column) {
                continue;
            }
            if *product > min_score + ROUNDING && *product < floor - ROUNDING {
                uncounted += 1;
                continue;
            }
            let vector = self.compared.left[row].as_ref();
            let cosines = cosines.get_or_insert_with(|| Cosines::with(vector));
            let score = cosines.of(self.columns[column].as_ref());
            if score >= min_score {
                pairs.push(Pair {
                    left: row,
                    right: column,
                    score,
                });
            }
        }
        uncounted
    }

    fn sink(&self) -> MutexGuard<'_, &'a mut S> {
        self.sink.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use proptest::prelude::*;

    use super::super::{cosine, normalized};
    use super::*;

    fn workers(threads: usize) -> Workers {
        Workers::new(NonZeroUsize::new(threads).unwrap())
    }

    fn of_one_set(vectors: &[Vec<f32>], min_score: f32) -> AllPairs<'_, Vec<f32>> {
        AllPairs {
            left: vectors,
            right: None,
            min_score,
            admits: &|_, _| true,
            workers: workers(1),
        }
    }

    fn pairs(vectors: &[Vec<f32>], min_score: f32, threads: usize) -> Vec<Pair> {
        let mut pairs = Vec::new();
        let compared = AllPairs {
            workers: workers(threads),
            ..of_one_set(vectors, min_score)
        };
        let progress = Progress::default();
        alike_pairs(&compared, &Cancel::default(), &progress, &mut pairs).unwrap();
        assert_eq!(progress.done(), compared.count());
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
        let (cancel, progress) = Default::default();
        let compared = of_one_set(&uneven, 0.0);
        let refused = alike_pairs(&compared, &cancel, &progress, &mut Vec::new());
        assert!(matches!(refused, Err(Error::NotComparable)));
    }

    #[test]
    fn of_two_sets_every_vector_of_one_meets_every_vector_of_the_other() {
        let vectors = vectors(900, 24, 70);
        let (left, right) = vectors.split_at(301);
        let compared = AllPairs {
            right: Some(right),
            workers: workers(2),
            admits: &|left, right| left != right,
            ..of_one_set(left, 0.7)
        };
        let mut found = Vec::new();
        let (cancel, progress) = Default::default();
        alike_pairs(&compared, &cancel, &progress, &mut found).unwrap();
        found.sort_by_key(|pair| (pair.left, pair.right));
        let mut expected = Vec::new();
        for (place, vector) in left.iter().enumerate() {
            for (other, column) in right.iter().enumerate() {
                let score = cosine(vector, column);
                if score >= 0.7 && place != other {
                    expected.push(Pair {
                        left: place,
                        right: other,
                        score,
                    });
                }
            }
        }
        assert!(expected.len() > 100);
        assert_eq!(found, expected);
        assert_eq!(progress.done(), 301 * 599);
    }

    /// Keeps nothing that is under a half, and counts.
    #[derive(Default)]
    struct OverHalf {
        pairs: Vec<Pair>,
        uncounted: u64,
    }

    impl PairSink for OverHalf {
        fn floor(&self) -> f32 {
            0.5
        }

        fn take(&mut self, pairs: &[Pair], uncounted: u64) {
            self.pairs.extend(pairs);
            self.uncounted += uncounted;
        }
    }

    #[test]
    fn pairs_below_the_floor_are_counted_and_those_above_it_scored() {
        let vectors = vectors(700, 24, 300);
        let all = by_brute_force(&vectors, 0.1);
        let mut sink = OverHalf::default();
        let (cancel, progress) = Default::default();
        alike_pairs(&of_one_set(&vectors, 0.1), &cancel, &progress, &mut sink).unwrap();
        assert!(sink.uncounted > 0);
        assert_eq!(sink.uncounted + sink.pairs.len() as u64, all.len() as u64);
        for pair in all.iter().filter(|pair| pair.score >= 0.5) {
            assert!(sink.pairs.contains(pair));
        }
    }

    #[test]
    fn a_search_that_is_cancelled_ends_without_the_rest() {
        struct UntilFirst(Cancel, usize);
        impl PairSink for UntilFirst {
            fn take(&mut self, pairs: &[Pair], _uncounted: u64) {
                self.0.cancel();
                self.1 += pairs.len();
            }
        }
        let vectors = vectors(2000, 8, 1);
        let cancel = Cancel::default();
        let mut sink = UntilFirst(cancel.clone(), 0);
        let compared = of_one_set(&vectors, 0.5);
        let ended = alike_pairs(&compared, &cancel, &Progress::default(), &mut sink);
        assert!(matches!(ended, Err(Error::Cancelled)));
        assert!(sink.1 > 0 && sink.1 < 2000 * 1999 / 2 / 4, "{}", sink.1);
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
