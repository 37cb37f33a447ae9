//! Weights as codes, in panels whose steps are groups of codes.

use super::code::{Code, GROUP_BYTES, INT16_BLOCK};
use crate::AlignedVec;
use crate::bf16::to_bf16;

/// The largest 16-bit code.
pub(super) const INT16_LARGEST: f32 = i16::MAX as f32;
/// The largest Euclidean length of a block of 16-bit codes, of a row or of a column. By the
/// inequality of Cauchy and Schwarz the sum of a block's products, and of any part of them, is at
/// most the square of that, which leaves room in 31 bits for codes that were rounded up.
pub(super) const INT16_LENGTH: f32 = 46_300.0;

/// A matrix of coded weights; columns are filled up to whole panels, depth to whole groups.
#[derive(Debug)]
pub(crate) struct CodedPanels {
    pub(super) groups: usize,
    code: Code,
    /// Columns of a panel.
    panel: usize,
    codes: AlignedVec<u8>,
    /// What a code is worth, by column.
    pub(super) scales: AlignedVec<f32>,
    /// Sum of a column's codes.
    pub(super) sums: AlignedVec<f32>,
}

impl CodedPanels {
    /// Zeros for `depth` steps and `columns`, which are whole panels.
    pub(crate) fn zeros(code: Code, panel: usize, depth: usize, columns: usize) -> Self {
        let groups = depth.div_ceil(code.per_group());
        Self {
            groups,
            code,
            panel,
            codes: AlignedVec::zeros(groups * columns * GROUP_BYTES),
            scales: AlignedVec::zeros(columns),
            sums: AlignedVec::zeros(columns),
        }
    }

    /// Codes one column of weights.
    pub(crate) fn set_column(&mut self, column: usize, weights: &[f32]) {
        match self.code {
            Code::Int8 => self.set_int8(column, weights),
            Code::Int16 => self.set_int16(column, weights),
            Code::Bf16 => {
                for (step, weight) in weights.iter().enumerate() {
                    let at = self.place(step, column);
                    self.codes[at..at + 2].copy_from_slice(&to_bf16(*weight).to_le_bytes());
                }
            }
        }
        // A weight that is no number has no code; what it makes must not look like a number.
        if !weights.iter().all(|weight| weight.is_finite()) {
            self.scales[column] = f32::NAN;
        }
    }

    fn set_int8(&mut self, column: usize, weights: &[f32]) {
        let largest = weights
            .iter()
            .fold(0.0, |largest: f32, w| largest.max(w.abs()));
        let scale = largest / 127.0;
        let inverse = if scale > 0.0 { scale.recip() } else { 0.0 };
        let mut sum = 0.0;
        for (step, weight) in weights.iter().enumerate() {
            let code = rounded(weight * inverse);
            let at = self.place(step, column);
            self.codes[at] = (code as i8).cast_unsigned();
            sum += code;
        }
        self.scales[column] = scale;
        self.sums[column] = sum;
    }

    fn set_int16(&mut self, column: usize, weights: &[f32]) {
        let length = |block: &[f32]| block.iter().map(|w| w * w).sum::<f32>().sqrt();
        let largest = weights.iter().copied().map(f32::abs).fold(0.0, f32::max);
        let scale = weights
            .chunks(INT16_BLOCK)
            .map(|block| length(block) / INT16_LENGTH)
            .fold(largest / INT16_LARGEST, f32::max);
        let inverse = if scale > 0.0 { scale.recip() } else { 0.0 };
        for (step, weight) in weights.iter().enumerate() {
            let code = rounded(weight * inverse) as i16;
            let at = self.place(step, column);
            self.codes[at..at + 2].copy_from_slice(&code.to_le_bytes());
        }
        self.scales[column] = scale;
    }

    /// The byte at which a weight's code begins.
    fn place(&self, step: usize, column: usize) -> usize {
        let (per_group, in_panel) = (self.code.per_group(), column % self.panel);
        let group = column / self.panel * self.groups * self.panel
            + step / per_group * self.panel
            + in_panel;
        group * GROUP_BYTES + step % per_group * (GROUP_BYTES / per_group)
    }

    /// The first code of the panel that begins with `column`.
    pub(super) fn panel(&self, column: usize) -> *const u8 {
        self.codes[column * self.groups * GROUP_BYTES..].as_ptr()
    }
}

/// A code's whole number; a half goes to the even neighbour. For what is far below 2^23, as codes are, and much
/// quicker than `round_ties_even`, which is a call of a function on CPUs as old as those that we build for.
fn rounded(value: f32) -> f32 {
    /// Next to it, numbers of f32 are a whole apart.
    const WHOLE: f32 = 1.5 * (1 << 23) as f32;
    (value + WHOLE) - WHOLE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_rounded_as_the_standard_library_does() {
        let thirds = (-100_000..=100_000).map(|third| third as f32 / 3.0);
        let halves = (-70_000..=70_000).map(|half| half as f32 / 2.0);
        let tiny = [0.0, 0.5_f32.next_down(), 0.5, 0.5_f32.next_up(), 1e-30];
        for value in thirds.chain(halves).chain(tiny) {
            assert_eq!(rounded(value), value.round_ties_even(), "{value}");
        }
        assert!(rounded(f32::NAN).is_nan());
        assert_eq!(rounded(f32::INFINITY), f32::INFINITY);
    }
}
