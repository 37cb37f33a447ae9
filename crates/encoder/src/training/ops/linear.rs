//! A linear layer: products by the kernels that encode.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};
use rayon::prelude::*;
use siamese_kernels::{Kernels, PackedMatrix};

use super::{ROWS, values, with};

/// `input * weights^T`, of `[.., inputs]` and `[outputs, inputs]`.
pub(crate) fn linear(input: &Tensor, weights: &Tensor) -> Result<Tensor> {
    input.contiguous()?.apply_op2(weights, Linear)
}

#[derive(Debug, Clone, Copy)]
struct Linear;

impl CustomOp2 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        weights: &CpuStorage,
        weights_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (outputs, inputs) = weights_layout.shape().dims2()?;
        let packed = PackedMatrix::of_columns(
            Kernels::detected(),
            values(weights, weights_layout)?,
            inputs,
        );
        let product = product(values(input, input_layout)?, &packed);
        let mut shape = input_layout.dims().to_vec();
        shape.pop();
        shape.push(outputs);
        Ok((CpuStorage::F32(product), Shape::from(shape)))
    }

    fn bwd(
        &self,
        input: &Tensor,
        weights: &Tensor,
        _output: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (outputs, inputs) = weights.dims2()?;
        let kernels = Kernels::detected();
        let (of_input, of_weights) =
            with([input, weights, gradient], |[input, weights, gradient]| {
                let of_input = product(gradient, &PackedMatrix::of_rows(kernels, weights, inputs));
                let turned = transposed(gradient, outputs);
                let of_weights = product(&turned, &PackedMatrix::of_rows(kernels, input, inputs));
                (of_input, of_weights)
            })?;
        let of_input = Tensor::from_vec(of_input, input.shape(), input.device())?;
        let of_weights = Tensor::from_vec(of_weights, weights.shape(), weights.device())?;
        Ok((Some(of_input), Some(of_weights)))
    }
}

/// Rows of `a` times a matrix, on all threads.
fn product(a: &[f32], b: &PackedMatrix) -> Vec<f32> {
    let (depth, columns) = (b.depth(), b.columns());
    let kernels = Kernels::detected();
    let width = b.panels() * kernels.panel;
    let rows = a.len() / depth;
    let mut product = vec![0.0; rows * width];
    let pieces = a
        .par_chunks(ROWS * depth)
        .zip(product.par_chunks_mut(ROWS * width));
    pieces.for_each(|(a, product)| kernels.multiply_rows(a, b, product));
    if width > columns {
        for row in 1..rows {
            product.copy_within(row * width..row * width + columns, row * columns);
        }
        product.truncate(rows * columns);
    }
    product
}

/// A matrix with rows of `columns` values, turned.
fn transposed(matrix: &[f32], columns: usize) -> Vec<f32> {
    /// Rows and columns of a part that stays in the first-level cache.
    const PART: usize = 16;
    let rows = matrix.len() / columns;
    let mut turned = vec![0.0; matrix.len()];
    let parts = turned.par_chunks_mut(PART * rows).enumerate();
    parts.for_each(|(part, turned)| {
        let first = part * PART;
        let width = turned.len() / rows;
        for begin in (0..rows).step_by(PART) {
            for row in begin..rows.min(begin + PART) {
                let source = &matrix[row * columns + first..][..width];
                for (column, value) in source.iter().enumerate() {
                    turned[column * rows + row] = *value;
                }
            }
        }
    });
    turned
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    #[test]
    fn products_and_derivatives_are_candles() {
        let random = |shape: &[usize]| Var::randn(0_f32, 1.0, shape, &Device::Cpu).unwrap();
        // No sizes that panels divide.
        let (input, weights, wanted) = (
            random(&[3, 23, 19]),
            random(&[37, 19]),
            random(&[3, 23, 37]),
        );
        let ours = linear(&input, &weights).unwrap();
        let flat = input.reshape((69, 19)).unwrap();
        let theirs = flat
            .matmul(&weights.t().unwrap())
            .unwrap()
            .reshape((3, 23, 37))
            .unwrap();
        let distance = |a: &Tensor, b: &Tensor| -> f32 {
            let difference = (a - b).unwrap().abs().unwrap();
            difference
                .flatten_all()
                .unwrap()
                .max(0)
                .unwrap()
                .to_scalar()
                .unwrap()
        };
        assert!(distance(&ours, &theirs) < 1e-4);
        let gradients = |output: &Tensor| {
            (output * wanted.as_tensor())
                .unwrap()
                .sum_all()
                .unwrap()
                .backward()
                .unwrap()
        };
        let (ours, theirs) = (gradients(&ours), gradients(&theirs));
        for of in [&input, &weights] {
            assert!(distance(ours.get(of).unwrap(), theirs.get(of).unwrap()) < 1e-4);
        }
    }
}
