//! The plane in which vectors differ most: their two first principal components.
//!
//! By power iteration, on both directions at once, with the covariance matrix as a product that is never written out:
//! all that is held beside the vectors are four of their kind.

use std::borrow::Cow;

use siamese_kernels::Kernels;

use crate::{Cancel, Error};

/// Rounds at most. Where more would be needed, the two directions and the next one are nearly as good as each other, and
/// any plane among them will do.
const MAX_ROUNDS: usize = 100;
/// A direction that turns by less than this (one minus the cosine) in a round has been found.
const SETTLED: f64 = 1e-7;
/// What is left of a direction of length 1 when it is made perpendicular to another is rounding of f32 below this.
const NO_DIRECTION: f64 = 1e-5;

/// Where vectors are in their plane.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PrincipalPlane {
    /// A point for each vector, around the origin.
    pub(crate) points: Vec<[f32; 2]>,
    /// How much of all variance each of the two directions has, 0 to 1.
    pub(crate) shares: [f64; 2],
}

impl PrincipalPlane {
    /// The plane of vectors of one length. The same vectors always have the same one: of the two ways that a direction can
    /// point, it is the one whose largest value is positive.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub(crate) fn of(vectors: &[Cow<'_, [f32]>], cancel: &Cancel) -> Result<Self, Error> {
        let mean = mean_of(vectors);
        let mut axes = [start(mean.len(), 1), start(mean.len(), 2)];
        orthonormalise(&mut axes);
        for _ in 0..MAX_ROUNDS {
            cancel.check()?;
            let mut next = spread_along(vectors, &mean, &axes);
            orthonormalise(&mut next);
            let mut pairs = axes.iter().zip(&next);
            let is_settled = pairs.all(|(axis, next)| turned(axis, next) < SETTLED);
            axes = next;
            if is_settled {
                break;
            }
        }
        axes.iter_mut().for_each(|axis| point_up(axis));
        Ok(Self::along(vectors, &mean, &axes))
    }

    fn along(vectors: &[Cow<'_, [f32]>], mean: &[f32], axes: &[Vec<f32>; 2]) -> Self {
        let centre = axes.each_ref().map(|axis| dot(axis, mean));
        let place = |vector: &Cow<'_, [f32]>| [0, 1].map(|n| dot(&axes[n], vector) - centre[n]);
        let places: Vec<[f64; 2]> = vectors.iter().map(place).collect();
        let all: f64 = vectors
            .iter()
            .map(|vector| squared_distance(vector, mean))
            .sum();
        let share = |n: usize| {
            let own: f64 = places.iter().map(|place| place[n] * place[n]).sum();
            if all > 0.0 { (own / all).min(1.0) } else { 0.0 }
        };
        Self {
            shares: [share(0), share(1)],
            points: places
                .iter()
                .map(|place| place.map(|value| value as f32))
                .collect(),
        }
    }
}

fn mean_of(vectors: &[Cow<'_, [f32]>]) -> Vec<f32> {
    let mut sum = vec![0.0_f64; vectors.first().map_or(0, |vector| vector.len())];
    for vector in vectors {
        let pairs = sum.iter_mut().zip(vector.iter());
        pairs.for_each(|(sum, value)| *sum += f64::from(*value));
    }
    let count = vectors.len().max(1) as f64;
    sum.iter().map(|sum| (sum / count) as f32).collect()
}

/// A direction to start from: of no meaning, and the same each time.
fn start(dimensions: usize, seed: u64) -> Vec<f32> {
    // SplitMix64 (Steele, Lea and Flood, 2014).
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) as f32 / u64::MAX as f32 - 0.5
    };
    (0..dimensions).map(|_| next()).collect()
}

/// The covariance matrix times each axis, but for a factor.
fn spread_along(vectors: &[Cow<'_, [f32]>], mean: &[f32], axes: &[Vec<f32>; 2]) -> [Vec<f32>; 2] {
    let centre = axes.each_ref().map(|axis| dot(axis, mean));
    let mut sums = axes.each_ref().map(|axis| vec![0.0_f32; axis.len()]);
    for vector in vectors {
        for ((sum, axis), centre) in sums.iter_mut().zip(axes).zip(centre) {
            let far = (dot(axis, vector) - centre) as f32;
            let values = sum.iter_mut().zip(vector.iter().zip(mean));
            values.for_each(|(sum, (value, mean))| *sum += far * (value - mean));
        }
    }
    sums
}

/// Makes both of length 1, and the second perpendicular to the first; it is zero when it has no direction of its own.
fn orthonormalise([first, second]: &mut [Vec<f32>; 2]) {
    scale_to_one(first);
    scale_to_one(second);
    // Twice, since the first time leaves some of what it takes away when both are nearly the same.
    for _ in 0..2 {
        let shared = dot(first, second) as f32;
        let pairs = second.iter_mut().zip(first.iter());
        pairs.for_each(|(second, first)| *second -= shared * first);
        if dot(second, second).sqrt() < NO_DIRECTION {
            second.fill(0.0);
        }
        scale_to_one(second);
    }
}

fn scale_to_one(vector: &mut [f32]) {
    let length = dot(vector, vector).sqrt();
    if length > 0.0 {
        let scaled = vector.iter_mut();
        scaled.for_each(|value| *value = (f64::from(*value) / length) as f32);
    }
}

/// How far a direction has turned: one minus the cosine; not at all where there is none.
fn turned(axis: &[f32], next: &[f32]) -> f64 {
    match dot(next, next) > 0.0 {
        true => 1.0 - dot(axis, next).abs(),
        false => 0.0,
    }
}

fn point_up(axis: &mut [f32]) {
    let largest = axis
        .iter()
        .copied()
        .max_by(|a, b| a.abs().total_cmp(&b.abs()));
    if largest.is_some_and(|value| value < 0.0) {
        axis.iter_mut().for_each(|value| *value = -*value);
    }
}

/// The same on every CPU, so that a map looks the same wherever it is made.
fn dot(left: &[f32], right: &[f32]) -> f64 {
    Kernels::detected().dot_and_square(left, right).0
}

fn squared_distance(left: &[f32], right: &[f32]) -> f64 {
    let far = left
        .iter()
        .zip(right)
        .map(|(left, right)| f64::from(left - right));
    far.map(|far| far * far).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plane(vectors: &[Vec<f32>]) -> PrincipalPlane {
        let vectors: Vec<_> = vectors
            .iter()
            .map(|vector| Cow::Borrowed(&vector[..]))
            .collect();
        PrincipalPlane::of(&vectors, &Cancel::default()).unwrap()
    }

    /// Points of an ellipse with half axes 3 and 1, turned and moved in five dimensions, and a little of a third one.
    fn ellipse() -> Vec<Vec<f32>> {
        let half = 0.5_f32.sqrt();
        let axes = [
            [half, half, 0.0, 0.0, 0.0],
            [0.0, 0.0, -0.6, 0.0, 0.8],
            [half, -half, 0.0, 0.0, 0.0],
        ];
        let points = (0..360).map(|degree| {
            let angle = (degree as f32).to_radians();
            let along = [3.0 * angle.cos(), angle.sin(), 0.1 * (3.0 * angle).cos()];
            let value = |n: usize| {
                10.0 + along
                    .iter()
                    .zip(axes)
                    .map(|(far, axis)| far * axis[n])
                    .sum::<f32>()
            };
            (0..5).map(value).collect()
        });
        points.collect()
    }

    #[test]
    fn an_ellipse_lies_along_its_axes() {
        let plane = plane(&ellipse());
        for (degree, point) in plane.points.iter().enumerate() {
            let angle = (degree as f32).to_radians();
            assert!(
                (point[0] - 3.0 * angle.cos()).abs() < 1e-3,
                "{degree}: {point:?}"
            );
            assert!((point[1] - angle.sin()).abs() < 1e-3, "{degree}: {point:?}");
        }
        // Variances are 4.5, 0.5 and 0.005.
        assert!(
            (plane.shares[0] - 4.5 / 5.005).abs() < 1e-4,
            "{:?}",
            plane.shares
        );
        assert!(
            (plane.shares[1] - 0.5 / 5.005).abs() < 1e-4,
            "{:?}",
            plane.shares
        );
    }

    #[test]
    fn vectors_without_two_directions_have_points_as_well() {
        assert_eq!(plane(&[]).points, Vec::<[f32; 2]>::new());
        let same = plane(&[vec![0.6, 0.8], vec![0.6, 0.8]]);
        assert!(
            same.points.iter().flatten().all(|value| value.abs() < 1e-6),
            "{same:?}"
        );
        let line = plane(&[vec![1.0, 0.0, 0.0], vec![0.0, 1.0, 0.0]]);
        assert!(
            (line.points[0][0].abs() - 0.5_f32.sqrt()).abs() < 1e-6,
            "{line:?}"
        );
        assert!(
            line.points.iter().all(|point| point[1].abs() < 1e-6),
            "{line:?}"
        );
        assert!((line.shares[0] - 1.0).abs() < 1e-6, "{line:?}");
        let one_dimension = plane(&[vec![1.0], vec![-1.0]]);
        assert!(
            one_dimension
                .points
                .iter()
                .flatten()
                .all(|value| value.is_finite())
        );
    }

    #[test]
    fn nobody_who_has_left_is_waited_for() {
        let cancel = Cancel::default();
        cancel.cancel();
        let vectors = [Cow::Borrowed(&[1.0_f32, 0.0][..])];
        assert!(PrincipalPlane::of(&vectors, &cancel).is_err());
    }
}
