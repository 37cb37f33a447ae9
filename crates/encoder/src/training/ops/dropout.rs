//! Leaving out values at random.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use rayon::prelude::*;

use super::{values, with};

/// Values that a thread takes at once, which follow from a seed of their own.
const PIECE: usize = 1 << 14;

/// Which values are left out, and what the others are multiplied by, so that the mean stays. It is made again where
/// it is needed again, since a mask would take as much memory as the values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Omissions {
    /// A bound for 32 random bits.
    bound: u32,
    scale: f32,
    seed: u64,
}

impl Omissions {
    /// With a probability, 0 to less than 1.
    pub(crate) fn new(probability: f32, seed: u64) -> Self {
        Self {
            bound: (f64::from(probability) * f64::from(u32::MAX)) as u32,
            scale: 1.0 / (1.0 - probability),
            seed,
        }
    }

    /// Applies them to the values of a piece, or of a row.
    pub(crate) fn apply(&self, values: &mut [f32], piece: usize) {
        let seed = self.seed ^ (piece as u64).wrapping_mul(0xd134_2543_de82_ef95);
        let mut chance = SmallRng::seed_from_u64(seed);
        let factor = |bits: u32| if bits < self.bound { 0.0 } else { self.scale };
        for pair in values.chunks_mut(2) {
            let bits: u64 = chance.random();
            for (value, bits) in pair.iter_mut().zip([bits as u32, (bits >> 32) as u32]) {
                *value *= factor(bits);
            }
        }
    }

    fn of_all(&self, values: &[f32]) -> Vec<f32> {
        let mut left = values.to_vec();
        let pieces = left.par_chunks_mut(PIECE).enumerate();
        pieces.for_each(|(piece, values)| self.apply(values, piece));
        left
    }
}

/// Leaves out values.
pub(crate) fn dropout(input: &Tensor, omissions: Omissions) -> Result<Tensor> {
    input.contiguous()?.apply_op1(Dropout(omissions))
}

#[derive(Debug, Clone, Copy)]
struct Dropout(Omissions);

impl CustomOp1 for Dropout {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn cpu_fwd(&self, input: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let left = self.0.of_all(values(input, layout)?);
        Ok((CpuStorage::F32(left), layout.shape().clone()))
    }

    fn bwd(&self, input: &Tensor, _output: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let left = with([gradient], |[gradient]| self.0.of_all(gradient))?;
        let left = Tensor::from_vec(left, input.shape(), input.device())?;
        Ok(Some(left))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    #[test]
    fn a_share_is_left_out_and_the_mean_stays_and_derivatives_are_left_out_with_it() {
        let ones = Var::ones((100, 1001), candle_core::DType::F32, &Device::Cpu).unwrap();
        let drop = |seed| dropout(&ones, Omissions::new(0.1, seed)).unwrap();
        let values =
            |tensor: &Tensor| -> Vec<f32> { tensor.flatten_all().unwrap().to_vec1().unwrap() };
        let left = values(&drop(1));
        let zeros = left.iter().filter(|value| **value == 0.0).count();
        assert!((9_500..10_500).contains(&zeros), "{zeros}");
        let mean = left.iter().sum::<f32>() / left.len() as f32;
        assert!((mean - 1.0).abs() < 0.01, "{mean}");
        assert!(left == values(&drop(1)) && left != values(&drop(2)));
        // Pieces have seeds of their own.
        assert_ne!(left[..100], left[PIECE..PIECE + 100]);
        let gradients = drop(1).sum_all().unwrap().backward().unwrap();
        assert_eq!(values(gradients.get(&ones).unwrap()), left);
    }
}
