//! Vectors of length 1.

/// How far a length may be from 1 to be one, which rounding of its values explains.
const ROUNDING: f64 = 1e-6;

/// The vector scaled to length 1. It must be finite and not zero. A vector that has this length
/// stays as it is, bit for bit, so that one that was read from an index can be put into another.
///
/// Lengths are computed in f64, so that very large and very small values neither overflow nor
/// vanish.
#[must_use]
pub fn normalized(vector: &[f32]) -> Vec<f32> {
    let squares: f64 = vector
        .iter()
        .map(|value| f64::from(*value) * f64::from(*value))
        .sum();
    let length = squares.sqrt();
    if (length - 1.0).abs() < ROUNDING {
        return vector.to_vec();
    }
    vector
        .iter()
        .map(|value| (f64::from(*value) / length) as f32)
        .collect()
}

/// As [`normalized`], but a zero vector stays as it is: it is alike to nothing.
#[must_use]
pub fn unit_or_zero(vector: &[f32]) -> Vec<f32> {
    match vector.iter().all(|value| *value == 0.0) {
        true => vector.to_vec(),
        false => normalized(vector),
    }
}

/// The mean of vectors of length 1, scaled to length 1: what stands for a document of several passages. Zero
/// where they cancel each other out.
#[must_use]
pub fn mean_unit(vectors: &[&[f32]]) -> Vec<f32> {
    let mut mean = vec![0.0; vectors.first().map_or(0, |vector| vector.len())];
    for vector in vectors {
        let pairs = mean.iter_mut().zip(*vector);
        pairs.for_each(|(mean, value)| *mean += value);
    }
    let scale = 1.0 / vectors.len() as f32;
    mean.iter_mut().for_each(|value| *value *= scale);
    unit_or_zero(&mean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_of_one_is_itself_and_opposites_have_none() {
        let unit = normalized(&[0.3, -0.7, 0.2]);
        assert_eq!(mean_unit(&[&unit]), unit);
        assert_eq!(mean_unit(&[&unit, &unit.clone()]), unit);
        let opposite: Vec<f32> = unit.iter().map(|value| -value).collect();
        assert_eq!(mean_unit(&[&unit, &opposite]), [0.0; 3]);
        let mean = mean_unit(&[&[1.0, 0.0], &[0.0, 1.0]]);
        assert!(
            mean.iter()
                .all(|value| (value - 0.5_f32.sqrt()).abs() < 1e-6)
        );
    }

    #[test]
    fn a_vector_of_length_one_stays_as_it_is() {
        for seed in 1..200_u32 {
            let vector: Vec<f32> = (0..384).map(|n| ((n * seed) % 97) as f32 - 48.0).collect();
            let once = normalized(&vector);
            assert_eq!(normalized(&once), once);
        }
    }

    #[test]
    fn extreme_vectors_get_length_one() {
        for scale in [1e-40_f32, 1.0, 3e38] {
            let unit = normalized(&[scale, scale]);
            let squares: f32 = unit.iter().map(|value| value * value).sum();
            assert!((squares - 1.0).abs() < 1e-6, "{scale}");
        }
    }
}
