//! Any CPU; also the reference that the others are checked against.

use super::{DotKernels, exact};

/// Partial sums kept side by side, so that the compiler can use vector registers.
const LANES: usize = 16;

pub(crate) const KERNELS: DotKernels = DotKernels {
    dot: |left, right| dot(left, right),
    dot_codes: |left, right| dot_codes(left, right),
    dot_and_square: |left, right| exact::dot_and_square(left, right),
    dot_code_rows: |codes, rows, out| codes.each(rows, out, dot_codes),
};

pub(crate) fn dot(left: &[f32], right: &[f32]) -> f32 {
    let mut sums = [0.0_f32; LANES];
    let (left_chunks, right_chunks) = (left.chunks_exact(LANES), right.chunks_exact(LANES));
    let rest = left_chunks.remainder().iter().zip(right_chunks.remainder());
    let rest: f32 = rest.map(|(a, b)| a * b).sum();
    for (a, b) in left_chunks.zip(right_chunks) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f32>() + rest
}

pub(crate) fn dot_codes(left: &[i8], right: &[i8]) -> i32 {
    let pairs = left.iter().zip(right);
    pairs.map(|(a, b)| i32::from(*a) * i32::from(*b)).sum()
}
