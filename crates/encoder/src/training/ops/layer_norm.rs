//! Layer norm.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::{ROWS, values, with};

/// Rows with the mean 0 and the variance 1, times `gain`. What is added to them is left to the caller.
pub(crate) fn layer_norm(input: &Tensor, gain: &Tensor, epsilon: f64) -> Result<Tensor> {
    input.contiguous()?.apply_op2(
        gain,
        LayerNorm {
            epsilon: epsilon as f32,
        },
    )
}

#[derive(Debug, Clone, Copy)]
struct LayerNorm {
    epsilon: f32,
}

impl LayerNorm {
    /// The mean of a row, and what its values are multiplied by.
    fn moments(self, row: &[f32]) -> (f32, f32) {
        let count = row.len() as f32;
        let mean = row.iter().sum::<f32>() / count;
        let squares = row
            .iter()
            .map(|value| (value - mean) * (value - mean))
            .sum::<f32>();
        (mean, 1.0 / (squares / count + self.epsilon).sqrt())
    }
}

impl CustomOp2 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer-norm"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        gain: &CpuStorage,
        gain_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (input, gain) = (values(input, input_layout)?, values(gain, gain_layout)?);
        let width = gain.len();
        let mut output = vec![0.0; input.len()];
        let pieces = input
            .par_chunks(ROWS * width)
            .zip(output.par_chunks_mut(ROWS * width));
        pieces.for_each(|(input, output)| {
            for (row, output) in input
                .chunks_exact(width)
                .zip(output.chunks_exact_mut(width))
            {
                let (mean, scale) = self.moments(row);
                for ((output, value), gain) in output.iter_mut().zip(row).zip(gain) {
                    *output = (value - mean) * scale * gain;
                }
            }
        });
        Ok((CpuStorage::F32(output), input_layout.shape().clone()))
    }

    fn bwd(
        &self,
        input: &Tensor,
        gain: &Tensor,
        _output: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (of_input, of_gain) = with([input, gain, gradient], |[input, gain, gradient]| {
            self.derivatives(input, gain, gradient)
        })?;
        let of_input = Tensor::from_vec(of_input, input.shape(), input.device())?;
        let of_gain = Tensor::from_vec(of_gain, gain.shape(), gain.device())?;
        Ok((Some(of_input), Some(of_gain)))
    }
}

impl LayerNorm {
    fn derivatives(self, input: &[f32], gain: &[f32], gradient: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let width = gain.len();
        let mut of_input = vec![0.0; input.len()];
        let pieces = input
            .par_chunks(ROWS * width)
            .zip(gradient.par_chunks(ROWS * width))
            .zip(of_input.par_chunks_mut(ROWS * width));
        let of_gains: Vec<Vec<f32>> = pieces
            .map(|((input, gradient), of_input)| {
                let mut of_gain = vec![0.0; width];
                let rows = input.chunks_exact(width).zip(gradient.chunks_exact(width));
                for ((row, gradient), of_input) in rows.zip(of_input.chunks_exact_mut(width)) {
                    self.of_row(row, gain, gradient, of_input, &mut of_gain);
                }
                of_gain
            })
            .collect();
        let mut of_gain = vec![0.0; width];
        for piece in of_gains {
            of_gain
                .iter_mut()
                .zip(piece)
                .for_each(|(sum, value)| *sum += value);
        }
        (of_input, of_gain)
    }

    /// With `x` as scaled and `g = gradient * gain`: `scale * (g - mean(g) - x * mean(g * x))`.
    fn of_row(
        self,
        row: &[f32],
        gain: &[f32],
        gradient: &[f32],
        of_input: &mut [f32],
        of_gain: &mut [f32],
    ) {
        let (mean, scale) = self.moments(row);
        let count = row.len() as f32;
        let (mut sum, mut product) = (0.0, 0.0);
        for (((value, gain), gradient), of_gain) in row.iter().zip(gain).zip(gradient).zip(of_gain)
        {
            let scaled = (value - mean) * scale;
            sum += gradient * gain;
            product += gradient * gain * scaled;
            *of_gain += gradient * scaled;
        }
        let (sum, product) = (sum / count, product / count);
        for (((value, gain), gradient), of_input) in
            row.iter().zip(gain).zip(gradient).zip(of_input)
        {
            let scaled = (value - mean) * scale;
            *of_input = scale * (gradient * gain - sum - scaled * product);
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{D, Device, Var};

    use super::*;

    #[test]
    fn values_and_derivatives_are_those_of_many_steps() {
        let random = |shape: &[usize]| Var::randn(0.5_f32, 2.0, shape, &Device::Cpu).unwrap();
        let (input, gain, wanted) = (random(&[5, 20, 13]), random(&[13]), random(&[5, 20, 13]));
        let ours = layer_norm(&input, &gain, 1e-5).unwrap();
        let centred = input
            .broadcast_sub(&input.mean_keepdim(D::Minus1).unwrap())
            .unwrap();
        let variance = centred.sqr().unwrap().mean_keepdim(D::Minus1).unwrap();
        let scaled = centred
            .broadcast_div(&(variance + 1e-5).unwrap().sqrt().unwrap())
            .unwrap();
        let theirs = scaled.broadcast_mul(&gain).unwrap();
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
        assert!(distance(&ours, &theirs) < 1e-5);
        let gradients = |output: &Tensor| {
            (output * wanted.as_tensor())
                .unwrap()
                .sum_all()
                .unwrap()
                .backward()
                .unwrap()
        };
        let (ours, theirs) = (gradients(&ours), gradients(&theirs));
        for of in [&input, &gain] {
            assert!(distance(ours.get(of).unwrap(), theirs.get(of).unwrap()) < 1e-3);
        }
    }
}
