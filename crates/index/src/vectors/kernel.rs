//! Arithmetic on vectors.

/// Partial sums kept side by side, so that the compiler can use vector registers.
const LANES: usize = 16;

/// The dot product of two vectors of one length.
pub(crate) fn dot(left: &[f32], right: &[f32]) -> f32 {
    debug_assert_eq!(left.len(), right.len());
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

/// The vector scaled to length 1. It must be finite and not zero.
///
/// Lengths are computed in f64, so that very large and very small values neither overflow nor
/// vanish.
pub(crate) fn normalized(vector: &[f32]) -> Vec<f32> {
    let squares: f64 = vector
        .iter()
        .map(|value| f64::from(*value) * f64::from(*value))
        .sum();
    let length = squares.sqrt();
    vector
        .iter()
        .map(|value| (f64::from(*value) / length) as f32)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dot_product_is_right_for_every_remainder() {
        for length in 0..70 {
            let left: Vec<f32> = (0..length).map(|n| n as f32).collect();
            let right: Vec<f32> = (0..length).map(|n| 1.0 - n as f32).collect();
            let expected: f32 = left.iter().zip(&right).map(|(a, b)| a * b).sum();
            assert!((dot(&left, &right) - expected).abs() <= expected.abs() * 1e-6);
        }
    }

    #[test]
    fn extreme_vectors_get_length_one() {
        for scale in [1e-40_f32, 1.0, 3e38] {
            let unit = normalized(&[scale, scale]);
            assert!((dot(&unit, &unit) - 1.0).abs() < 1e-6, "{scale}");
        }
    }
}
