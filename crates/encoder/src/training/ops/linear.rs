//! A linear layer: products by the kernels that encode.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;
use siamese_kernels::{Kernels, PackedMatrix};

use super::{ROWS, values, with};

/// `input * weights^T + bias`, of `[.., inputs]`, `[outputs, inputs]` and `[outputs]`.
pub(crate) fn linear(input: &Tensor, weights: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let input = input.contiguous()?;
    match bias {
        Some(bias) => input.apply_op3(weights, bias, Linear),
        None => input.apply_op2(weights, Linear),
    }
}

#[derive(Debug, Clone, Copy)]
struct Linear;

impl Linear {
    fn forward(
        input: (&CpuStorage, &Layout),
        weights: (&CpuStorage, &Layout),
        bias: Option<&[f32]>,
    ) -> Result<(CpuStorage, Shape)> {
        let (outputs, inputs) = weights.1.shape().dims2()?;
        let weights = values(weights.0, weights.1)?;
        let mut packed = PackedMatrix::of_columns(Kernels::detected(), weights, inputs);
        for (column, bias) in bias.unwrap_or_default().iter().enumerate() {
            packed.set_bias(column, *bias);
        }
        let product = product(values(input.0, input.1)?, &packed);
        let mut shape = input.1.dims().to_vec();
        shape.pop();
        shape.push(outputs);
        Ok((CpuStorage::F32(product), Shape::from(shape)))
    }

    /// The derivatives by input, weights and bias, as far as somebody asks for them.
    fn backward(
        input: &Tensor,
        weights: &Tensor,
        bias: Option<&Tensor>,
        gradient: &Tensor,
    ) -> Result<[Option<Tensor>; 3]> {
        let (outputs, inputs) = weights.dims2()?;
        let kernels = Kernels::detected();
        let is_asked = |tensor: &Tensor| tensor.track_op();
        let of = [input, weights].map(is_asked);
        let of_bias = bias.is_some_and(is_asked);
        let tensors = [input, weights, gradient];
        let [by_input, by_weights, by_bias] = with(tensors, |[input, weights, gradient]| {
            let by_input =
                of[0].then(|| product(gradient, &PackedMatrix::of_rows(kernels, weights, inputs)));
            if !of[1] && !of_bias {
                return [by_input, None, None];
            }
            let turned = transposed(gradient, outputs);
            let by_weights =
                of[1].then(|| product(&turned, &PackedMatrix::of_rows(kernels, input, inputs)));
            let rows = gradient.len() / outputs;
            let sums = || {
                turned
                    .par_chunks(rows)
                    .map(|row| row.iter().sum())
                    .collect()
            };
            [by_input, by_weights, of_bias.then(sums)]
        })?;
        let tensor = |values: Option<Vec<f32>>, shape: &Shape| {
            let tensor = values.map(|values| Tensor::from_vec(values, shape, input.device()));
            tensor.transpose()
        };
        Ok([
            tensor(by_input, input.shape())?,
            tensor(by_weights, weights.shape())?,
            tensor(by_bias, &Shape::from(outputs))?,
        ])
    }
}

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
        Self::forward((input, input_layout), (weights, weights_layout), None)
    }

    fn bwd(
        &self,
        input: &Tensor,
        weights: &Tensor,
        _output: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let [by_input, by_weights, _] = Self::backward(input, weights, None, gradient)?;
        Ok((by_input, by_weights))
    }
}

impl CustomOp3 for Linear {
    fn name(&self) -> &'static str {
        "linear with a bias"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        weights: &CpuStorage,
        weights_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let bias = values(bias, bias_layout)?;
        Self::forward((input, input_layout), (weights, weights_layout), Some(bias))
    }

    fn bwd(
        &self,
        input: &Tensor,
        weights: &Tensor,
        bias: &Tensor,
        _output: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [by_input, by_weights, by_bias] = Self::backward(input, weights, Some(bias), gradient)?;
        Ok((by_input, by_weights, by_bias))
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
        let [input, weights, bias, wanted] =
            [&[3, 23, 19][..], &[37, 19], &[37], &[3, 23, 37]].map(random);
        let distance = |a: &Tensor, b: &Tensor| -> f32 {
            let difference = (a - b).unwrap().abs().unwrap().flatten_all().unwrap();
            difference.max(0).unwrap().to_scalar().unwrap()
        };
        let gradients = |output: &Tensor| {
            let product = (output * wanted.as_tensor()).unwrap();
            product.sum_all().unwrap().backward().unwrap()
        };
        for bias in [None, Some(bias.as_tensor())] {
            let ours = linear(&input, &weights, bias).unwrap();
            let flat = input.reshape((69, 19)).unwrap();
            let product = flat.matmul(&weights.t().unwrap()).unwrap();
            let product = product.reshape((3, 23, 37)).unwrap();
            let theirs = match bias {
                Some(bias) => product.broadcast_add(bias).unwrap(),
                None => product,
            };
            assert!(distance(&ours, &theirs) < 1e-4);
            let (ours, theirs) = (gradients(&ours), gradients(&theirs));
            for of in [Some(input.as_tensor()), Some(weights.as_tensor()), bias] {
                let Some(of) = of else { continue };
                assert!(distance(ours.get(of).unwrap(), theirs.get(of).unwrap()) < 1e-4);
            }
        }
    }
}
