//! Softmax over the last dimension.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::{ROWS, values, with};

/// The powers of a row, divided by their sum.
pub(crate) fn softmax(scores: &Tensor) -> Result<Tensor> {
    scores.contiguous()?.apply_op1(Softmax)
}

#[derive(Debug, Clone, Copy)]
struct Softmax;

impl CustomOp1 for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn cpu_fwd(&self, scores: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let scores = values(scores, layout)?;
        let width = layout.dims().last().copied().unwrap_or(1);
        let mut output = scores.to_vec();
        output.par_chunks_mut(ROWS * width).for_each(|rows| {
            for row in rows.chunks_exact_mut(width) {
                let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let mut sum = 0.0;
                for value in row.iter_mut() {
                    *value = (*value - largest).exp();
                    sum += *value;
                }
                row.iter_mut().for_each(|value| *value /= sum);
            }
        });
        Ok((CpuStorage::F32(output), layout.shape().clone()))
    }

    /// `output * (gradient - sum(output * gradient))`.
    fn bwd(&self, scores: &Tensor, output: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let width = scores.dims().last().copied().unwrap_or(1);
        let of_scores = with([output, gradient], |[output, gradient]| {
            let mut of_scores = vec![0.0; output.len()];
            let pieces = output
                .par_chunks(ROWS * width)
                .zip(gradient.par_chunks(ROWS * width))
                .zip(of_scores.par_chunks_mut(ROWS * width));
            pieces.for_each(|((output, gradient), of_scores)| {
                let rows = output.chunks_exact(width).zip(gradient.chunks_exact(width));
                for ((output, gradient), of_scores) in rows.zip(of_scores.chunks_exact_mut(width)) {
                    let sum: f32 = output.iter().zip(gradient).map(|(a, b)| a * b).sum();
                    for ((of, value), gradient) in of_scores.iter_mut().zip(output).zip(gradient) {
                        *of = value * (gradient - sum);
                    }
                }
            });
            of_scores
        })?;
        Ok(Some(Tensor::from_vec(
            of_scores,
            scores.shape(),
            scores.device(),
        )?))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{D, Device, Var};

    use super::*;

    #[test]
    fn values_and_derivatives_are_candles() {
        let random = |shape: &[usize]| Var::randn(0_f32, 3.0, shape, &Device::Cpu).unwrap();
        let (scores, wanted) = (random(&[4, 3, 17]), random(&[4, 3, 17]));
        let ours = softmax(&scores).unwrap();
        let theirs = candle_nn::ops::softmax(&scores, D::Minus1).unwrap();
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
        assert!(distance(&ours, &theirs) < 1e-6);
        let gradients = |output: &Tensor| {
            (output * wanted.as_tensor())
                .unwrap()
                .sum_all()
                .unwrap()
                .backward()
                .unwrap()
        };
        let (ours, theirs) = (gradients(&ours), gradients(&theirs));
        assert!(distance(ours.get(&scores).unwrap(), theirs.get(&scores).unwrap()) < 1e-5);
    }
}
