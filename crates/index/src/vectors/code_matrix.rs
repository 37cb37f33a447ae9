//! Codes of many vectors, in rows that begin at multiples of a cache line.

use super::codes::encode;

/// Codes of a row are filled up with zeros to a multiple of this, bytes.
pub(crate) const LINE_BYTES: usize = 64;

/// Codes and steps, one row a vector.
#[derive(Debug)]
pub(crate) struct CodeMatrix {
    codes: Vec<i8>,
    steps: Vec<f32>,
    stride: usize,
}

impl CodeMatrix {
    pub(crate) fn new(dimensions: usize) -> Self {
        Self {
            codes: Vec::new(),
            steps: Vec::new(),
            stride: dimensions.next_multiple_of(LINE_BYTES),
        }
    }

    pub(crate) fn push(&mut self, vector: &[f32]) {
        let start = self.codes.len();
        self.codes.resize(start + self.stride, 0);
        self.steps.push(encode(vector, &mut self.codes[start..]));
    }

    /// Takes over codes that were made elsewhere, with the zeros that fill them up.
    pub(crate) fn push_codes(&mut self, codes: &[i8], step: f32) {
        self.codes.extend_from_slice(codes);
        self.steps.push(step);
    }

    pub(crate) fn rows(&self) -> usize {
        self.steps.len()
    }

    /// Codes of a row, with the zeros that fill it up.
    pub(crate) fn stride(&self) -> usize {
        self.stride
    }

    /// Codes of all rows, one behind the other.
    pub(crate) fn matrix(&self) -> &[i8] {
        &self.codes
    }

    pub(crate) fn row(&self, row: usize) -> &[i8] {
        &self.codes[row * self.stride..][..self.stride]
    }

    pub(crate) fn step(&self, row: usize) -> f32 {
        self.steps[row]
    }
}

#[cfg(test)]
impl CodeMatrix {
    /// Rows that point everywhere, the same in every run (a linear congruential generator).
    pub(crate) fn scattered(rows: usize, dimensions: usize) -> Self {
        let mut codes = Self::new(dimensions);
        let mut state = 1_u32;
        for _ in 0..rows {
            let vector: Vec<f32> = (0..dimensions)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 8) as f32 / (1 << 23) as f32 - 1.0
                })
                .collect();
            codes.push(&crate::vectors::normalized(&vector));
        }
        codes
    }
}
