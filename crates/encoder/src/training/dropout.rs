//! Leaving out values at random (Srivastava et al., "Dropout", 2014).

use std::sync::{Mutex, PoisonError};

use candle_core::Tensor;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// Leaves out each value with a probability, and makes the others larger, so that their mean stays.
#[derive(Debug)]
pub struct Dropout {
    states: f32,
    attention: f32,
    /// The same seed leaves out the same values.
    chance: Mutex<SmallRng>,
}

impl Dropout {
    /// Probabilities for states and for weights of attention, 0 to less than 1.
    #[must_use]
    pub fn new(states: f32, attention: f32, seed: u64) -> Self {
        Self {
            states,
            attention,
            chance: Mutex::new(SmallRng::seed_from_u64(seed)),
        }
    }

    /// The same probabilities, and what is left out follows from another seed.
    #[must_use]
    pub fn with_seed(&self, seed: u64) -> Self {
        Self::new(self.states, self.attention, seed)
    }

    pub(crate) fn of_states(&self, states: Tensor) -> candle_core::Result<Tensor> {
        self.apply(states, self.states)
    }

    pub(crate) fn of_attention(&self, weights: Tensor) -> candle_core::Result<Tensor> {
        self.apply(weights, self.attention)
    }

    fn apply(&self, values: Tensor, probability: f32) -> candle_core::Result<Tensor> {
        if probability <= 0.0 {
            return Ok(values);
        }
        let scale = 1.0 / (1.0 - probability);
        // A bound for 32 random bits.
        let bound = (f64::from(probability) * f64::from(u32::MAX)) as u32;
        let mask: Vec<f32> = {
            let mut chance = self.chance.lock().unwrap_or_else(PoisonError::into_inner);
            let mut factor = || {
                if chance.random::<u32>() < bound {
                    0.0
                } else {
                    scale
                }
            };
            (0..values.elem_count()).map(|_| factor()).collect()
        };
        let mask = Tensor::from_vec(mask, values.shape(), values.device())?;
        values * mask
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn a_share_of_values_is_left_out_and_the_mean_stays_and_a_seed_says_which() {
        let ones = || Tensor::ones((100, 1000), candle_core::DType::F32, &Device::Cpu).unwrap();
        let drop = |seed| Dropout::new(0.1, 0.0, seed).of_states(ones()).unwrap();
        let values: Vec<f32> = drop(1).flatten_all().unwrap().to_vec1().unwrap();
        let zeros = values.iter().filter(|value| **value == 0.0).count();
        assert!((9_000..11_000).contains(&zeros), "{zeros}");
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        assert!((mean - 1.0).abs() < 0.01, "{mean}");
        let again: Vec<f32> = drop(1).flatten_all().unwrap().to_vec1().unwrap();
        let other: Vec<f32> = drop(2).flatten_all().unwrap().to_vec1().unwrap();
        assert!(values == again && values != other);
        let kept = Dropout::new(0.1, 0.0, 1).of_attention(ones()).unwrap();
        assert_eq!(kept.mean_all().unwrap().to_scalar::<f32>().unwrap(), 1.0);
    }
}
