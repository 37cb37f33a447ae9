//! Comparing all vectors with each other: what a siamese network turns a cross-encoder's
//! `n * (n - 1) / 2` forward passes into.

use std::sync::{Mutex, PoisonError};

use siamese_kernels::{AlignedVec, Kernels, PackedMatrix, Precision};

use crate::{Error, Workers};

/// Vectors that are compared with a block of others: the rows and the columns of a product that
/// stays in the second-level cache.
pub(super) const BLOCK_ROWS: usize = 192;
pub(super) const BLOCK_COLUMNS: usize = 256;

/// Another vector, and how near it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MostAlike {
    /// Its index.
    pub place: usize,
    /// The dot product; the cosine, of vectors of length 1.
    pub score: f32,
}

/// For each vector the other one that it has the largest dot product with, by comparing all of
/// them; the first of equals. Takes time quadratic in their number.
///
/// # Errors
/// Fewer than two vectors, vectors of different lengths, or threads that cannot be started.
pub fn most_alike(vectors: &[Vec<f32>], workers: Workers) -> Result<Vec<MostAlike>, Error> {
    if vectors.len() < 2 || !is_comparable(vectors, &[]) {
        return Err(Error::NotComparable);
    }
    let kernels = Kernels::detected();
    let columns: Vec<PackedMatrix> = vectors
        .chunks(BLOCK_COLUMNS)
        .map(|block| packed(block, kernels))
        .collect();
    let mut best = vec![MostAlike::NONE; vectors.len()];
    let blocks = vectors
        .chunks(BLOCK_ROWS)
        .zip(best.chunks_mut(BLOCK_ROWS))
        .enumerate();
    let blocks = Mutex::new(blocks);
    let next = || blocks.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        while let Some((block, (rows, best))) = next() {
            find_best(rows, block * BLOCK_ROWS, &columns, kernels, best);
        }
    };
    workers.share(work)?;
    Ok(best)
}

/// Returns whether all of both sets have one length, above 0.
pub(super) fn is_comparable<V: AsRef<[f32]>>(left: &[V], right: &[V]) -> bool {
    let mut vectors = left.iter().chain(right).map(AsRef::as_ref);
    let dimensions = vectors.clone().next().map_or(0, <[f32]>::len);
    dimensions > 0 && vectors.all(|vector| vector.len() == dimensions)
}

/// Vectors as the columns of a matrix.
pub(super) fn packed<V: AsRef<[f32]>>(vectors: &[V], kernels: &Kernels) -> PackedMatrix {
    let dimensions = vectors.first().map_or(0, |vector| vector.as_ref().len());
    let mut columns = PackedMatrix::zeros(kernels, Precision::F32, dimensions, vectors.len());
    for (column, vector) in vectors.iter().enumerate() {
        for (step, value) in vector.as_ref().iter().enumerate() {
            columns.set(step, column, *value);
        }
    }
    columns
}

/// Finds the best of all columns for each of these rows, the first of which is vector number `first`.
fn find_best(
    vectors: &[Vec<f32>],
    first: usize,
    columns: &[PackedMatrix],
    kernels: &Kernels,
    best: &mut [MostAlike],
) {
    let dimensions = vectors.first().map_or(0, Vec::len);
    let mut rows: AlignedVec<f32> = AlignedVec::zeros(vectors.len() * dimensions);
    for (row, vector) in rows.chunks_exact_mut(dimensions).zip(vectors) {
        row.copy_from_slice(vector);
    }
    let widest = BLOCK_COLUMNS.next_multiple_of(kernels.panel);
    let mut scores: AlignedVec<f32> = AlignedVec::zeros(vectors.len() * widest);
    for (block, columns) in columns.iter().enumerate() {
        let width = columns.panels() * kernels.panel;
        let scores = &mut scores[..vectors.len() * width];
        kernels.multiply_rows(&rows, columns, scores);
        for ((row, best), scores) in best.iter_mut().enumerate().zip(scores.chunks_exact(width)) {
            let scores = &scores[..columns.columns()];
            best.improve(scores, block * BLOCK_COLUMNS, first + row);
        }
    }
}

impl MostAlike {
    const NONE: Self = Self {
        place: 0,
        score: f32::NEG_INFINITY,
    };

    /// Takes the best of these scores, which begin at index `start`, without the index `own`.
    fn improve(&mut self, scores: &[f32], start: usize, own: usize) {
        for (place, score) in (start..).zip(scores) {
            if *score > self.score && place != own {
                *self = Self {
                    place,
                    score: *score,
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;

    const WORKERS: Workers = Workers::new(NonZeroUsize::new(2).unwrap());

    fn vectors(count: usize, dimensions: usize) -> Vec<Vec<f32>> {
        let value = |at: usize| ((at * 7919 + at * at % 101) % 211) as f32 / 211.0 - 0.5;
        let vector =
            |place: usize| (0..dimensions).map(move |step| value(place * dimensions + step));
        (0..count).map(|place| vector(place).collect()).collect()
    }

    #[test]
    fn every_vector_is_compared_with_every_other() {
        for (count, dimensions) in [(2, 3), (70, 17), (500, 24)] {
            let vectors = vectors(count, dimensions);
            for (place, found) in most_alike(&vectors, WORKERS).unwrap().iter().enumerate() {
                let dot = |other: &Vec<f32>| -> f32 {
                    other.iter().zip(&vectors[place]).map(|(a, b)| a * b).sum()
                };
                let others = (0..count).filter(|other| *other != place);
                let largest = others
                    .map(|other| dot(&vectors[other]))
                    .fold(f32::MIN, f32::max);
                assert!(found.place != place);
                assert!((dot(&vectors[found.place]) - largest).abs() < 1e-4);
                assert!((found.score - largest).abs() < 1e-4);
            }
        }
    }

    #[test]
    fn one_vector_and_vectors_of_different_lengths_are_refused() {
        for vectors in [vec![vec![1.0]], vec![vec![1.0], vec![1.0, 2.0]], Vec::new()] {
            assert!(matches!(
                most_alike(&vectors, WORKERS),
                Err(Error::NotComparable)
            ));
        }
    }
}
