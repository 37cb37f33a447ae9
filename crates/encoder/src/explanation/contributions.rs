//! The cosine of two vectors as a sum over pairs of their parts.

use siamese_kernels::Kernels;

use super::VectorParts;

/// What each pair of parts of two vectors adds to their cosine. The sum of all pairs is the cosine.
#[derive(Debug, Clone, Copy)]
pub struct Contributions<'a> {
    left: &'a VectorParts,
    right: &'a VectorParts,
    /// One over the lengths of both vectors.
    scale: f64,
    kernels: &'static Kernels,
}

impl<'a> Contributions<'a> {
    /// Of two vectors of one encoder. Where one of them is zero, nothing contributes.
    #[must_use]
    pub fn of(left: &'a VectorParts, right: &'a VectorParts) -> Self {
        let kernels = Kernels::detected();
        let square = |parts: &VectorParts| kernels.dot_and_square(parts.vector(), parts.vector()).1;
        let lengths = (square(left) * square(right)).sqrt();
        Self {
            left,
            right,
            scale: if lengths > 0.0 { 1.0 / lengths } else { 0.0 },
            kernels,
        }
    }

    /// The cosine of the two vectors, -1 to 1.
    #[must_use]
    pub fn cosine(&self) -> f32 {
        self.product(self.left.vector(), self.right.vector())
            .clamp(-1.0, 1.0)
    }

    /// The number of parts of the left vector.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.left.rows().count()
    }

    /// What a part of the left vector adds together with each part of the right one.
    ///
    /// # Panics
    /// When there is no such part.
    #[must_use]
    pub fn row(&self, left: usize) -> Vec<f32> {
        let left = self.left.rows().get(left);
        let right = self.right.rows().iter();
        right.map(|right| self.product(left, right)).collect()
    }

    /// What each part of the left vector adds in all.
    #[must_use]
    pub fn of_left(&self) -> Vec<f32> {
        let rows = self.left.rows().iter();
        rows.map(|row| self.product(row, self.right.vector()))
            .collect()
    }

    /// What each part of the right vector adds in all.
    #[must_use]
    pub fn of_right(&self) -> Vec<f32> {
        let rows = self.right.rows().iter();
        rows.map(|row| self.product(self.left.vector(), row))
            .collect()
    }

    fn product(&self, left: &[f32], right: &[f32]) -> f32 {
        (self.kernels.dot_and_square(left, right).0 * self.scale) as f32
    }
}
