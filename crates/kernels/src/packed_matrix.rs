//! Weights in the order in which the tile product reads them.

use super::bf16::to_bf16;
use super::coded::{CodedKernels, CodedPanels};
use super::{AlignedVec, Kernels, Precision};

/// A matrix of weights, `[depth, columns]`, with a bias for each column.
///
/// It is cut into panels of columns; a panel holds its part of row 0, then of row 1, and so on,
/// so that a product reads memory from front to back. Columns are filled up with zeros.
#[derive(Debug)]
pub struct PackedMatrix {
    depth: usize,
    /// Without those that fill up the last panel.
    columns: usize,
    panel: usize,
    values: Values,
    bias: AlignedVec<f32>,
    /// Panels of which 8-bit codes leave out less.
    are_fine: Vec<bool>,
}

#[derive(Debug)]
pub(crate) enum Values {
    Single(AlignedVec<f32>),
    Half(AlignedVec<u16>),
    Coded(CodedPanels),
}

impl PackedMatrix {
    /// Zeros.
    pub fn zeros(kernels: &Kernels, precision: Precision, depth: usize, columns: usize) -> Self {
        let filled_up = columns.next_multiple_of(kernels.panel);
        let values = match precision {
            Precision::F32 | Precision::Int16 => {
                Values::Single(AlignedVec::zeros(depth * filled_up))
            }
            Precision::Bf16 | Precision::Int8 => Values::Half(AlignedVec::zeros(depth * filled_up)),
        };
        Self {
            depth,
            columns,
            panel: kernels.panel,
            values,
            bias: AlignedVec::zeros(filled_up),
            are_fine: vec![false; filled_up / kernels.panel],
        }
    }

    /// A matrix of f32 that stands row by row, `[depth, columns]`, packed.
    ///
    /// # Panics
    /// When `values` is not whole rows.
    pub fn of_rows(kernels: &Kernels, values: &[f32], columns: usize) -> Self {
        let depth = values.len() / columns;
        assert_eq!(values.len(), depth * columns, "whole rows");
        let mut packed = Self::zeros(kernels, Precision::F32, depth, columns);
        let panel = packed.panel;
        let Values::Single(target) = &mut packed.values else {
            unreachable!("f32 is kept as it is");
        };
        for (first, target) in (0..columns)
            .step_by(panel)
            .zip(target.chunks_exact_mut(depth * panel))
        {
            let width = panel.min(columns - first);
            for (row, target) in values
                .chunks_exact(columns)
                .zip(target.chunks_exact_mut(panel))
            {
                target[..width].copy_from_slice(&row[first..first + width]);
            }
        }
        packed
    }

    /// A matrix of f32 that stands column by column, `[columns, depth]`, packed.
    ///
    /// # Panics
    /// When `values` is not whole columns.
    pub fn of_columns(kernels: &Kernels, values: &[f32], depth: usize) -> Self {
        let columns = values.len() / depth;
        assert_eq!(values.len(), depth * columns, "whole columns");
        let mut packed = Self::zeros(kernels, Precision::F32, depth, columns);
        let panel = packed.panel;
        let Values::Single(target) = &mut packed.values else {
            unreachable!("f32 is kept as it is");
        };
        let panels = values
            .chunks(depth * panel)
            .zip(target.chunks_exact_mut(depth * panel));
        for (source, target) in panels {
            for (column, source) in source.chunks_exact(depth).enumerate() {
                let target = target.iter_mut().skip(column).step_by(panel);
                target
                    .zip(source)
                    .for_each(|(target, value)| *target = *value);
            }
        }
        packed
    }

    /// Sets the weight that takes input `step` to `column`.
    pub fn set(&mut self, step: usize, column: usize, value: f32) {
        let panel = column / self.panel * self.panel * self.depth;
        let at = panel + step * self.panel + column % self.panel;
        match &mut self.values {
            Values::Single(values) => values[at] = value,
            Values::Half(values) => values[at] = to_bf16(value),
            Values::Coded(_) => unreachable!("codes are made of a whole matrix"),
        }
    }

    fn get(&self, step: usize, column: usize) -> f32 {
        let panel = column / self.panel * self.panel * self.depth;
        let at = panel + step * self.panel + column % self.panel;
        match &self.values {
            Values::Single(values) => values[at],
            Values::Half(_) | Values::Coded(_) => unreachable!("only whole numbers are coded"),
        }
    }

    /// The same matrix of f32 as codes.
    pub fn coded(self, kernels: &CodedKernels) -> Self {
        let columns = self.bias.len();
        let mut panels = CodedPanels::zeros(kernels.code, self.panel, self.depth, &self.are_fine);
        for column in 0..columns {
            let weights: Vec<f32> = (0..self.depth).map(|step| self.get(step, column)).collect();
            panels.set_column(column, &weights);
        }
        Self {
            values: Values::Coded(panels),
            ..self
        }
    }

    /// Has 8-bit codes of the panel of `column`, which are made later, followed by others of what they leave out.
    /// Products with it take twice as long.
    pub fn set_fine(&mut self, column: usize) {
        self.are_fine[column / self.panel] = true;
    }

    /// Sets the bias of `column`.
    pub fn set_bias(&mut self, column: usize, value: f32) {
        self.bias[column] = value;
    }

    /// Rows: the length of what it is multiplied with.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Columns, without those that fill up the last panel.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Panels of columns.
    pub fn panels(&self) -> usize {
        self.bias.len() / self.panel
    }

    /// Columns of a panel.
    pub(super) fn panel(&self) -> usize {
        self.panel
    }

    pub(super) fn values(&self) -> &Values {
        &self.values
    }

    pub(super) fn bias(&self) -> &[f32] {
        &self.bias
    }
}
