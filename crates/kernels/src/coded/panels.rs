//! Weights as codes, in panels whose steps are groups of codes.

use super::code::{Code, GROUP_BYTES, INT8_BLOCK, INT16_BLOCK};
use crate::AlignedVec;
use crate::arithmetic::{hadamard, rounded};
use crate::bf16::to_bf16;

/// The largest 8-bit code.
pub(super) const INT8_LARGEST: f32 = i8::MAX as f32;
/// What is added to the 8-bit codes of rows.
pub(super) const INT8_SHIFT: i32 = 128;
/// The largest 16-bit code.
pub(super) const INT16_LARGEST: f32 = i16::MAX as f32;
/// The largest Euclidean length of a block of 16-bit codes, of a row or of a column. By the
/// inequality of Cauchy and Schwarz the sum of a block's products, and of any part of them, is at
/// most the square of that, which leaves room in 31 bits for codes that were rounded up.
pub(super) const INT16_LENGTH: f32 = 46_300.0;

/// A matrix of coded weights; columns are filled up to whole panels, depth to whole groups or blocks.
#[derive(Debug)]
pub(crate) struct CodedPanels {
    /// Of a column, once.
    pub(super) groups: usize,
    code: Code,
    /// Columns of a panel.
    panel: usize,
    panels: Vec<Panel>,
    codes: AlignedVec<u8>,
    /// What a code is worth: for each panel and each of its blocks, by column.
    scales: AlignedVec<f32>,
    /// What sums of 8-bit codes begin with, in the same order: it takes out what was added to the codes of rows.
    offsets: AlignedVec<i32>,
}

/// Where a panel begins.
#[derive(Debug, Clone, Copy)]
struct Panel {
    codes: usize,
    scales: usize,
    passes: usize,
}

/// A panel, as products read it.
#[derive(Debug, Clone, Copy)]
pub(super) struct PanelView {
    pub(super) codes: *const u8,
    pub(super) scales: *const f32,
    pub(super) offsets: *const i32,
    pub(super) passes: usize,
}

impl CodedPanels {
    /// Zeros for `depth` steps and a panel of columns for each of `are_fine`: whether its 8-bit codes are followed by
    /// those of what they leave out.
    pub(crate) fn zeros(code: Code, panel: usize, depth: usize, are_fine: &[bool]) -> Self {
        let (groups, blocks) = (code.groups(depth), code.column_scales(depth));
        let (mut panels, mut bytes, mut scales) = (Vec::new(), 0, 0);
        for is_fine in are_fine {
            let passes = if *is_fine && code == Code::Int8 { 2 } else { 1 };
            panels.push(Panel {
                codes: bytes,
                scales,
                passes,
            });
            bytes += passes * groups * panel * GROUP_BYTES;
            scales += passes * blocks * panel;
        }
        let offsets = if code == Code::Int8 { scales } else { 0 };
        Self {
            groups,
            code,
            panel,
            panels,
            codes: AlignedVec::zeros(bytes),
            scales: AlignedVec::zeros(scales),
            offsets: AlignedVec::zeros(offsets),
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
            let first = self.scale_place(0, column);
            self.scales[first] = f32::NAN;
        }
    }

    fn set_int8(&mut self, column: usize, weights: &[f32]) {
        let blocks = weights.len().div_ceil(INT8_BLOCK);
        let passes = self.panels[column / self.panel].passes;
        for (block, weights) in weights.chunks(INT8_BLOCK).enumerate() {
            let mut mixed = [0.0; INT8_BLOCK];
            mixed[..weights.len()].copy_from_slice(weights);
            hadamard(&mut mixed);
            // Rows are mixed with the same matrix, of which the product with itself is that many times the identity.
            mixed
                .iter_mut()
                .for_each(|weight| *weight /= INT8_BLOCK as f32);
            let largest = mixed.iter().copied().map(f32::abs).fold(0.0, f32::max);
            let mut scale = largest / INT8_LARGEST;
            for pass in 0..passes {
                self.set_int8_block(column, pass * blocks + block, scale, &mut mixed);
                // What is left is half a code at most.
                scale /= 2.0 * INT8_LARGEST;
            }
        }
    }

    /// Codes a block, and takes from it what the codes stand for.
    fn set_int8_block(
        &mut self,
        column: usize,
        block: usize,
        scale: f32,
        weights: &mut [f32; INT8_BLOCK],
    ) {
        let inverse = if scale > 0.0 { scale.recip() } else { 0.0 };
        let mut sum = 0;
        for (step, weight) in weights.iter_mut().enumerate() {
            let code = rounded(*weight * inverse);
            *weight -= code * scale;
            let at = self.place(block * INT8_BLOCK + step, column);
            self.codes[at] = (code as i8).cast_unsigned();
            sum += code as i32;
        }
        let at = self.scale_place(block, column);
        self.scales[at] = scale;
        self.offsets[at] = -INT8_SHIFT * sum;
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
        let at = self.scale_place(0, column);
        self.scales[at] = scale;
    }

    /// The byte at which a weight's code begins.
    fn place(&self, step: usize, column: usize) -> usize {
        let per_group = self.code.per_group();
        let group = step / per_group * self.panel + column % self.panel;
        let first = self.panels[column / self.panel].codes;
        first + group * GROUP_BYTES + step % per_group * (GROUP_BYTES / per_group)
    }

    /// Where a block's scale is.
    fn scale_place(&self, block: usize, column: usize) -> usize {
        let first = self.panels[column / self.panel].scales;
        first + block * self.panel + column % self.panel
    }

    /// The panel that begins with `column`.
    pub(super) fn panel(&self, column: usize) -> PanelView {
        let panel = self.panels[column / self.panel];
        let offsets = (*self.offsets).get(panel.scales..).unwrap_or_default();
        PanelView {
            codes: self.codes[panel.codes..].as_ptr(),
            scales: self.scales[panel.scales..].as_ptr(),
            offsets: offsets.as_ptr(),
            passes: panel.passes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixing_twice_is_a_factor() {
        let values: [f32; INT8_BLOCK] = std::array::from_fn(|n| (n * n % 37) as f32);
        let mut mixed = values;
        hadamard(&mut mixed);
        assert_eq!(mixed[0], values.iter().sum::<f32>());
        hadamard(&mut mixed);
        assert_eq!(mixed, values.map(|value| value * INT8_BLOCK as f32));
    }
}
