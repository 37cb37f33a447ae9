//! Layer norm.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::{ROWS, values, with};

/// Rows with the mean 0 and the variance 1, times `gain`, and `shift` added.
pub(crate) fn layer_norm(
    input: &Tensor,
    gain: &Tensor,
    shift: &Tensor,
    epsilon: f64,
) -> Result<Tensor> {
    let epsilon = epsilon as f32;
    input
        .contiguous()?
        .apply_op3(gain, shift, LayerNorm { epsilon })
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

impl CustomOp3 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer-norm"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        gain: &CpuStorage,
        gain_layout: &Layout,
        shift: &CpuStorage,
        shift_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (input, gain) = (values(input, input_layout)?, values(gain, gain_layout)?);
        let shift = values(shift, shift_layout)?;
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
                let affine = gain.iter().zip(shift);
                for ((output, value), (gain, shift)) in output.iter_mut().zip(row).zip(affine) {
                    *output = (value - mean) * scale * gain + shift;
                }
            }
        });
        Ok((CpuStorage::F32(output), input_layout.shape().clone()))
    }

    fn bwd(
        &self,
        input: &Tensor,
        gain: &Tensor,
        shift: &Tensor,
        _output: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (of_input, of_gain, of_shift) =
            with([input, gain, gradient], |[input, gain, gradient]| {
                self.derivatives(input, gain, gradient)
            })?;
        let of_input = Tensor::from_vec(of_input, input.shape(), input.device())?;
        let of_gain = Tensor::from_vec(of_gain, gain.shape(), gain.device())?;
        let of_shift = Tensor::from_vec(of_shift, shift.shape(), shift.device())?;
        Ok((Some(of_input), Some(of_gain), Some(of_shift)))
    }
}

/// Derivatives by input, gain and shift.
type Derivatives = (Vec<f32>, Vec<f32>, Vec<f32>);

impl LayerNorm {
    fn derivatives(self, input: &[f32], gain: &[f32], gradient: &[f32]) -> Derivatives {
        let width = gain.len();
        let mut of_input = vec![0.0; input.len()];
        let pieces = input
            .par_chunks(ROWS * width)
            .zip(gradient.par_chunks(ROWS * width))
            .zip(of_input.par_chunks_mut(ROWS * width));
        let sums: Vec<[Vec<f32>; 2]> = pieces
            .map(|((input, gradient), of_input)| {
                let (mut of_gain, mut of_shift) = (vec![0.0; width], vec![0.0; width]);
                let rows = input.chunks_exact(width).zip(gradient.chunks_exact(width));
                for ((row, gradient), of_input) in rows.zip(of_input.chunks_exact_mut(width)) {
                    self.of_row(row, gain, gradient, of_input, &mut of_gain);
                    add(&mut of_shift, gradient);
                }
                [of_gain, of_shift]
            })
            .collect();
        let (mut of_gain, mut of_shift) = (vec![0.0; width], vec![0.0; width]);
        for [gains, shifts] in sums {
            add(&mut of_gain, &gains);
            add(&mut of_shift, &shifts);
        }
        (of_input, of_gain, of_shift)
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

fn add(sums: &mut [f32], values: &[f32]) {
    sums.iter_mut()
        .zip(values)
        .for_each(|(sum, value)| *sum += value);
}

#[cfg(test)]
mod tests {
    use candle_core::{D, Device, Var};

    use super::*;

    #[test]
    fn values_and_derivatives_are_those_of_many_steps() {
        let random = |shape: &[usize]| Var::randn(0.5_f32, 2.0, shape, &Device::Cpu).unwrap();
        let [input, gain, shift, wanted] =
            [&[5, 20, 13][..], &[13], &[13], &[5, 20, 13]].map(random);
        let ours = layer_norm(&input, &gain, &shift, 1e-5).unwrap();
        let centred = input
            .broadcast_sub(&input.mean_keepdim(D::Minus1).unwrap())
            .unwrap();
        let variance = centred.sqr().unwrap().mean_keepdim(D::Minus1).unwrap();
        let scaled = centred
            .broadcast_div(&(variance + 1e-5).unwrap().sqrt().unwrap())
            .unwrap();
        let theirs = scaled.broadcast_mul(&gain).unwrap();
        let theirs = theirs.broadcast_add(&shift).unwrap();
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
        for of in [&input, &gain, &shift] {
            assert!(distance(ours.get(of).unwrap(), theirs.get(of).unwrap()) < 1e-3);
        }
    }
}
