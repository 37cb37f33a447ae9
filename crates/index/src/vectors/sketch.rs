//! Sketches of vectors: a bit for each value, which say about what a score is, and how far it may be from that.
//!
//! After RaBitQ (Gao and Long, SIGMOD 2024). Vectors have their common centre taken off and are turned at random, so
//! that what a direction has in common with the signs of its values is about the same for all. Of a row `r` with
//! signs `s` (1 and -1), the dot product with any `q` is then about `<q, s> * <r, r> / <r, s>`; what is left out is
//! `q`'s part at right angles to `r`, whose products with `s` have no preference.

use siamese_kernels::{BITS_TOGETHER, BitRows, Kernels, hadamard};

use super::code_matrix::LINE_BYTES;
use super::codes::encode;

/// What a sketch begins with, as four f32; its bits follow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct SketchHead {
    /// Of a product with signs, what a dot product with the row is.
    scale: f32,
    /// Dot product of the row's vector with the centre.
    offset: f32,
    /// Deviation of the estimate for a query at a distance of 1 from the centre.
    error: f32,
    /// Step of the row's codes, which stands here because who wants codes has just looked at the sketch.
    pub(crate) step: f32,
}

impl SketchHead {
    fn values(&self) -> [f32; 4] {
        [self.scale, self.offset, self.error, self.step]
    }

    #[inline]
    fn of([scale, offset, error, step]: [f32; 4]) -> Self {
        Self {
            scale,
            offset,
            error,
            step,
        }
    }
}

/// Bytes of a sketch's head.
const HEAD_BYTES: usize = size_of::<[f32; 4]>();

/// Values of a turned vector: whole words of bits.
fn width(dimensions: usize) -> usize {
    dimensions.next_multiple_of(BITS_TOGETHER)
}

/// Bytes from one sketch to the next: whole cache lines.
pub(crate) fn stride(dimensions: usize) -> usize {
    (HEAD_BYTES + width(dimensions) / 8).next_multiple_of(LINE_BYTES)
}

/// The mean of rows, zeros if there are none.
pub(crate) fn centre(rows: impl Iterator<Item = impl AsRef<[f32]>>, dimensions: usize) -> Vec<f32> {
    let mut sums = vec![0.0_f64; dimensions];
    let mut count = 0_u32;
    for row in rows {
        let pairs = sums.iter_mut().zip(row.as_ref());
        pairs.for_each(|(sum, value)| *sum += f64::from(*value));
        count += 1;
    }
    let count = f64::from(count.max(1));
    sums.iter().map(|sum| (sum / count) as f32).collect()
}

/// Makes sketches of vectors with one centre.
#[derive(Debug)]
pub(crate) struct Sketcher<'a> {
    centre: &'a [f32],
    kernels: &'static Kernels,
}

impl<'a> Sketcher<'a> {
    pub(crate) fn new(centre: &'a [f32]) -> Self {
        let kernels = Kernels::detected();
        Self { centre, kernels }
    }

    /// Bytes of a row's sketch. `step` is that of its codes.
    pub(crate) fn sketch(&self, vector: &[f32], step: f32) -> Vec<u8> {
        let turned = turned(vector, self.centre);
        let square = self.kernels.dot(&turned, &turned);
        // The dot product of a row with its own signs.
        let sum: f32 = turned.iter().map(|value| value.abs()).sum();
        // The square of the cosine between a row and its signs.
        let common = sum * sum / (square * turned.len() as f32);
        let spread = (1.0 - common).max(0.0) / (common * (turned.len() - 1) as f32);
        let is_centre = square <= f32::MIN_POSITIVE;
        let head = SketchHead {
            scale: if is_centre { 0.0 } else { square / sum },
            offset: self.kernels.dot(vector, self.centre),
            error: if is_centre {
                0.0
            } else {
                (square * spread).sqrt()
            },
            step,
        };
        let mut bytes = vec![0; stride(vector.len())];
        bytes[..HEAD_BYTES].copy_from_slice(bytemuck::bytes_of(&head.values()));
        let bits = bytes[HEAD_BYTES..].iter_mut().zip(turned.chunks(8));
        for (byte, values) in bits {
            let signs = values.iter().rev().map(|value| u8::from(*value >= 0.0));
            *byte = signs.fold(0, |byte, bit| byte << 1 | bit);
        }
        bytes
    }
}

/// Sketches of a segment's rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sketches<'a> {
    bits: BitRows<'a>,
}

impl<'a> Sketches<'a> {
    /// `bytes` begins at a multiple of a cache line.
    pub(crate) fn new(bytes: &'a [u8], dimensions: usize) -> Self {
        let (stride, start) = (stride(dimensions), HEAD_BYTES);
        Self {
            bits: BitRows {
                bytes,
                stride,
                start,
            },
        }
    }

    /// A row's sketch.
    #[inline]
    pub(crate) fn bytes(&self, row: u32) -> &'a [u8] {
        &self.bits.bytes[row as usize * self.bits.stride..][..self.bits.stride]
    }

    #[inline]
    pub(crate) fn head(&self, row: u32) -> SketchHead {
        SketchHead::of(*bytemuck::from_bytes(&self.bytes(row)[..HEAD_BYTES]))
    }
}

/// What a score must be above.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Floor {
    pub(crate) score: f32,
    /// Deviations by which a row may be better than its estimate: with 1.5, one of fifteen rows whose score is just
    /// above the floor is passed over, with 3, one of seven hundred.
    pub(crate) doubt: f32,
}

/// What a query is compared with sketches by.
#[derive(Debug)]
pub(crate) struct SketchQuery {
    kernels: &'static Kernels,
    /// The query less the centre, turned.
    codes: Vec<i8>,
    /// What a code stands for.
    step: f32,
    /// The sum of all codes.
    total: i32,
    /// What each score has in common: the dot product of the query less the centre with the centre.
    base: f32,
    /// Distance of the query from the centre.
    distance: f32,
}

impl SketchQuery {
    pub(crate) fn new(query: &[f32], centre: &[f32]) -> Self {
        let kernels = Kernels::detected();
        let turned = turned(query, centre);
        let mut codes = vec![0; turned.len()];
        let step = encode(&turned, &mut codes);
        Self {
            kernels,
            step,
            total: codes.iter().map(|code| i32::from(*code)).sum(),
            codes,
            base: kernels.dot(query, centre) - kernels.dot(centre, centre),
            distance: kernels.dot(&turned, &turned).sqrt(),
        }
    }

    /// Keeps only those rows whose score may be above the floor. `sums` is memory to work with.
    pub(crate) fn sift(
        &self,
        sketches: &Sketches<'_>,
        floor: Floor,
        rows: &mut Vec<u32>,
        sums: &mut Vec<i32>,
    ) {
        let reach = self.distance * floor.doubt;
        sums.resize(rows.len(), 0);
        self.kernels
            .sums_where_set(&self.codes, &sketches.bits, rows, sums);
        let mut kept = 0;
        for place in 0..rows.len() {
            let row = rows[place];
            rows[kept] = row;
            let head = sketches.head(row);
            let most = self.estimate(&head, sums[place]) + head.error * reach;
            kept += usize::from(most > floor.score);
        }
        rows.truncate(kept);
    }

    /// What a row's score is, about; `sum` is that of the codes where its bits are set.
    #[inline]
    fn estimate(&self, head: &SketchHead, sum: i32) -> f32 {
        let with_signs = (2 * sum - self.total) as f32 * self.step;
        self.base + head.offset + head.scale * with_signs
    }
}

/// A vector less the centre, filled up with zeros and turned.
fn turned(vector: &[f32], centre: &[f32]) -> Vec<f32> {
    let pairs = vector.iter().zip(centre);
    let mut values: Vec<f32> = pairs.map(|(value, centre)| value - centre).collect();
    values.resize(width(vector.len()), 0.0);
    turn(&mut values);
    values
}

/// Turns a vector: some values change their signs, then blocks are multiplied by a Hadamard matrix (the fast
/// Walsh-Hadamard transform). Lengths and products stay as they are.
fn turn(values: &mut [f32]) {
    for (word, values) in values.chunks_exact_mut(BITS_TOGETHER).enumerate() {
        let signs = random_bits(word as u64);
        for (place, value) in values.iter_mut().enumerate() {
            let sign = ((signs >> place & 1) as u32) << 31;
            *value = f32::from_bits(value.to_bits() ^ sign);
        }
    }
    // The largest power of two that divides the width, which is a multiple of 64.
    let block = 1 << values.len().trailing_zeros();
    let scale = (block as f32).sqrt().recip();
    for values in values.chunks_exact_mut(block) {
        hadamard(values);
        values.iter_mut().for_each(|value| *value *= scale);
    }
}

/// The same bits for a number in every run and on every machine: they are a part of the format (splitmix64).
fn random_bits(number: u64) -> u64 {
    let mut bits = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::vectors::normalized;

    proptest! {
        #[test]
        fn turning_changes_neither_lengths_nor_products(
            rows in prop::collection::vec((-1.0..1.0_f32, -1.0..1.0_f32), 1..400)
        ) {
            let (left, right): (Vec<f32>, Vec<f32>) = rows.into_iter().unzip();
            let zeros = vec![0.0; left.len()];
            let kernels = Kernels::detected();
            let expected = kernels.dot(&left, &right);
            let found = kernels.dot(&turned(&left, &zeros), &turned(&right, &zeros));
            prop_assert!((found - expected).abs() < 1e-3, "{found} {expected}");
        }
    }

    /// Vectors around a common direction, the same in every run (a linear congruential generator).
    fn scattered(rows: usize, dimensions: usize) -> Vec<Vec<f32>> {
        let mut state = 1_u32;
        let mut value = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        let row = |_| normalized(&(0..dimensions).map(|_| 0.4 + value()).collect::<Vec<_>>());
        (0..rows).map(row).collect()
    }

    #[test]
    fn estimates_are_as_far_from_scores_as_they_say() {
        for dimensions in [64, 96, 384, 768] {
            let rows = scattered(400, dimensions);
            let centre = centre(rows.iter().map(Vec::as_slice), dimensions);
            let sketcher = Sketcher::new(&centre);
            let bytes: Vec<u8> = rows
                .iter()
                .flat_map(|row| sketcher.sketch(row, 1.0))
                .collect();
            let sketches = Sketches::new(&bytes, dimensions);
            let kernels = Kernels::detected();
            let (mut sum, mut squares) = (0.0, 0.0);
            for query in &rows[..100] {
                let sketched = SketchQuery::new(query, &centre);
                let numbers: Vec<u32> = (100..400).collect();
                let mut sums = vec![0; numbers.len()];
                kernels.sums_where_set(&sketched.codes, &sketches.bits, &numbers, &mut sums);
                for (row, with) in numbers.iter().zip(sums) {
                    let head = sketches.head(*row);
                    let deviation = head.error * sketched.distance;
                    let estimate = sketched.estimate(&head, with);
                    let off = (kernels.dot(query, &rows[*row as usize]) - estimate) / deviation;
                    sum += off;
                    squares += off * off;
                }
            }
            let (mean, deviation) = (sum / 30_000.0, (squares / 30_000.0_f32).sqrt());
            assert!(mean.abs() < 0.05, "{dimensions}: {mean}");
            assert!((0.9..1.1).contains(&deviation), "{dimensions}: {deviation}");
        }
    }

    #[test]
    fn what_is_clearly_worse_is_passed_over_and_what_is_better_is_kept() {
        let rows = scattered(100, 384);
        let centre = centre(rows.iter().map(Vec::as_slice), 384);
        let sketcher = Sketcher::new(&centre);
        let bytes: Vec<u8> = rows
            .iter()
            .flat_map(|row| sketcher.sketch(row, 1.0))
            .collect();
        let query = SketchQuery::new(&rows[7], &centre);
        let mut kept: Vec<u32> = (0..100).collect();
        let floor = Floor {
            score: 0.9,
            doubt: 1.5,
        };
        query.sift(
            &Sketches::new(&bytes, 384),
            floor,
            &mut kept,
            &mut Vec::new(),
        );
        assert_eq!(kept, [7]);
    }

    /// Files hold what was made elsewhere and before.
    #[test]
    fn bits_are_those_of_the_format() {
        let value = |place: u32| f32::from((place * 37 % 101) as u8) - 50.0;
        let vector: Vec<f32> = (0..64).map(value).collect();
        let bytes = Sketcher::new(&[0.0; 64]).sketch(&vector, 1.0);
        let bits = u64::from_le_bytes(bytes[HEAD_BYTES..][..8].try_into().unwrap());
        assert_eq!(bits, 17_715_311_676_310_148_748);
    }

    #[test]
    fn a_vector_at_the_centre_has_a_sketch_that_is_sure() {
        let vector = [0.6_f32, 0.8];
        let bytes = Sketcher::new(&vector).sketch(&vector, 0.5);
        let head = Sketches::new(&bytes, 2).head(0);
        assert_eq!((head.scale, head.error, head.step), (0.0, 0.0, 0.5));
    }
}
