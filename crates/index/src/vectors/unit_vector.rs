//! Vectors of length 1.

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
    fn extreme_vectors_get_length_one() {
        for scale in [1e-40_f32, 1.0, 3e38] {
            let unit = normalized(&[scale, scale]);
            let squares: f32 = unit.iter().map(|value| value * value).sum();
            assert!((squares - 1.0).abs() < 1e-6, "{scale}");
        }
    }
}
