//! GELU, `x * P(x)`, where `P` is the distribution of the standard normal (Hendrycks and Gimpel, 2016).

use std::f32::consts::FRAC_1_SQRT_2;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::power_of_e::power_of_e;
use super::{values, with};

/// Values that a thread takes at once.
const PIECE: usize = 1 << 14;
/// `1 / sqrt(2 * pi)`
const DENSITY_AT_0: f32 = 0.398_942_3;

/// The activation of each value.
pub(crate) fn gelu(input: &Tensor) -> Result<Tensor> {
    input.contiguous()?.apply_op1(Gelu)
}

#[derive(Debug, Clone, Copy)]
struct Gelu;

impl CustomOp1 for Gelu {
    fn name(&self) -> &'static str {
        "gelu"
    }

    fn cpu_fwd(&self, input: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut output = values(input, layout)?.to_vec();
        output.par_chunks_mut(PIECE).for_each(|piece| {
            for value in piece {
                *value *= distribution_and_density(*value).0;
            }
        });
        Ok((CpuStorage::F32(output), layout.shape().clone()))
    }

    /// `P(x) + x * p(x)`, with the density `p`.
    fn bwd(&self, input: &Tensor, _output: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let of_input = with([input, gradient], |[input, gradient]| {
            let mut of_input = gradient.to_vec();
            let pieces = of_input.par_chunks_mut(PIECE).zip(input.par_chunks(PIECE));
            pieces.for_each(|(of_input, input)| {
                for (of_input, value) in of_input.iter_mut().zip(input) {
                    let (distribution, density) = distribution_and_density(*value);
                    *of_input *= distribution + value * density;
                }
            });
            of_input
        })?;
        let of_input = Tensor::from_vec(of_input, input.shape(), input.device())?;
        Ok(Some(of_input))
    }
}

/// Of the standard normal, the first to 2e-7 (Abramowitz and Stegun, 7.1.26).
#[inline]
fn distribution_and_density(value: f32) -> (f32, f32) {
    let power = power_of_e(-0.5 * value * value);
    let place = value.abs() * FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * place);
    let polynomial = t
        * (0.254_829_6
            + t * (-0.284_496_74 + t * (1.421_413_7 + t * (-1.453_152 + t * 1.061_405_4))));
    let tail = 0.5 * polynomial * power;
    let distribution = if value < 0.0 { tail } else { 1.0 - tail };
    (distribution, DENSITY_AT_0 * power)
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    #[test]
    fn values_and_derivatives_are_candles() {
        let random = || Var::randn(0_f32, 3.0, (50, 60), &Device::Cpu).unwrap();
        let (input, wanted) = (random(), random());
        let (ours, theirs) = (gelu(&input).unwrap(), input.gelu_erf().unwrap());
        let distance = |a: &Tensor, b: &Tensor| -> f32 {
            let difference = (a - b).unwrap().abs().unwrap().flatten_all().unwrap();
            difference.max(0).unwrap().to_scalar().unwrap()
        };
        assert!(distance(&ours, &theirs) < 3e-6);
        let gradients = |output: &Tensor| {
            let product = (output * wanted.as_tensor()).unwrap();
            product.sum_all().unwrap().backward().unwrap()
        };
        let (ours, theirs) = (gradients(&ours), gradients(&theirs));
        assert!(distance(ours.get(&input).unwrap(), theirs.get(&input).unwrap()) < 1e-5);
    }
}
