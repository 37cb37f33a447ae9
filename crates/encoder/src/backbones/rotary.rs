//! Rotary position embedding: queries and keys are turned by their positions, so that a score knows
//! how far they are from each other. Su et al., "RoFormer", 2021, section 3.2.2.

use super::architecture::Rotation;

/// The angles of all positions for one rotation, as cosines and sines.
#[derive(Debug)]
pub(crate) struct Rotary {
    /// `[positions, half]`, as the sines.
    pub(crate) cosines: Vec<f32>,
    pub(crate) sines: Vec<f32>,
    /// Half the length of a query: pairs of values that are turned together.
    pub(crate) half: usize,
}

impl Rotary {
    /// Angles for queries and keys of length `head`.
    pub(crate) fn new(rotation: Rotation, head: usize, positions: usize) -> Self {
        let half = head / 2;
        let Rotation { base, slowdown } = rotation;
        let speed = |pair: usize| (slowdown * base.powf((2 * pair) as f32 / head as f32)).recip();
        let speeds: Vec<f32> = (0..half).map(speed).collect();
        let angles =
            || (0..positions).flat_map(|at| speeds.iter().map(move |speed| at as f32 * speed));
        Self {
            cosines: angles().map(f32::cos).collect(),
            sines: angles().map(f32::sin).collect(),
            half,
        }
    }

    /// Turns a query or a key: its first half against its second.
    ///
    /// # Panics
    /// When it is shorter than those that the angles are for, or the position beyond them.
    pub(crate) fn turn(&self, values: &mut [f32], position: usize) {
        let angles = position * self.half..(position + 1) * self.half;
        let (cosines, sines) = (&self.cosines[angles.clone()], &self.sines[angles]);
        let (left, right) = values[..2 * self.half].split_at_mut(self.half);
        for (((x, y), cosine), sine) in left.iter_mut().zip(right).zip(cosines).zip(sines) {
            (*x, *y) = (*x * cosine - *y * sine, *y * cosine + *x * sine);
        }
    }
}
