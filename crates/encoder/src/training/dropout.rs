//! Leaving out values at random (Srivastava et al., "Dropout", 2014).

use std::sync::atomic::{AtomicU64, Ordering};

use candle_core::{Device, Tensor};

use super::ops::{self, Omissions};

/// Leaves out each value with a probability, and makes the others larger, so that their mean stays.
#[derive(Debug)]
pub struct Dropout {
    states: f32,
    attention: f32,
    /// The same seed leaves out the same values.
    seed: u64,
    /// How often values were left out: each time, others are.
    times: AtomicU64,
}

impl Dropout {
    /// Probabilities for states and for weights of attention, 0 to less than 1.
    #[must_use]
    pub fn new(states: f32, attention: f32, seed: u64) -> Self {
        Self {
            states,
            attention,
            seed,
            times: AtomicU64::new(0),
        }
    }

    /// The same probabilities, and what is left out follows from another seed.
    #[must_use]
    pub fn with_seed(&self, seed: u64) -> Self {
        Self::new(self.states, self.attention, seed)
    }

    pub(crate) fn of_states(&self, states: Tensor) -> candle_core::Result<Tensor> {
        match self.next(self.states) {
            Some(omissions) if states.device().is_cpu() => ops::dropout(&states, omissions),
            Some(omissions) => &states * mask(&states, omissions)?,
            None => Ok(states),
        }
    }

    /// What is left out of the next weights of attention, if anything is.
    pub(crate) fn of_attention(&self) -> Option<Omissions> {
        self.next(self.attention)
    }

    fn next(&self, probability: f32) -> Option<Omissions> {
        if probability <= 0.0 {
            return None;
        }
        let times = self.times.fetch_add(1, Ordering::Relaxed);
        let seed = self.seed ^ times.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Some(Omissions::new(probability, seed))
    }
}

/// Factors for values that are on another device.
pub(crate) fn mask(values: &Tensor, omissions: Omissions) -> candle_core::Result<Tensor> {
    let ones = Tensor::ones(values.shape(), values.dtype(), &Device::Cpu)?;
    ops::dropout(&ones, omissions)?.to_device(values.device())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_other_values_are_left_out_and_a_seed_says_which() {
        let values = |dropout: &Dropout| -> Vec<f32> {
            let ones = Tensor::ones((40, 50), candle_core::DType::F32, &Device::Cpu).unwrap();
            let left = dropout.of_states(ones).unwrap();
            left.flatten_all().unwrap().to_vec1().unwrap()
        };
        let dropout = Dropout::new(0.1, 0.0, 1);
        let (first, second) = (values(&dropout), values(&dropout));
        assert_ne!(first, second);
        let again = dropout.with_seed(1);
        assert!(first == values(&again) && second == values(&again));
        assert_ne!(first, values(&dropout.with_seed(2)));
        assert!(dropout.of_attention().is_none());
    }
}
