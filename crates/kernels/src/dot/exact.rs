//! Sums in f64, always in the same order and without fused operations: whatever the CPU, the same
//! numbers come out.

/// Partial sums kept side by side, so that the compiler can use vector registers.
const LANES: usize = 8;

/// The dot product, and the square of the right vector's length.
#[inline(always)]
pub(super) fn dot_and_square(left: &[f32], right: &[f32]) -> (f64, f64) {
    let (mut dot, mut square) = ([0.0; LANES], [0.0; LANES]);
    let mut add = |lane: usize, left: f32, right: f32| {
        let (left, right) = (f64::from(left), f64::from(right));
        dot[lane] += left * right;
        square[lane] += right * right;
    };
    let (left_chunks, left_rest) = left.as_chunks::<LANES>();
    let (right_chunks, right_rest) = right.as_chunks::<LANES>();
    for (left, right) in left_chunks.iter().zip(right_chunks) {
        for lane in 0..LANES {
            add(lane, left[lane], right[lane]);
        }
    }
    for (lane, (left, right)) in left_rest.iter().zip(right_rest).enumerate() {
        add(lane, *left, *right);
    }
    (dot.iter().sum(), square.iter().sum())
}
