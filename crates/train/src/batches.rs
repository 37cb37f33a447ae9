//! In which order examples are learned from, and by which learning rate.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// Numbers below `count` in an order that a seed says (Fisher and Yates).
pub(crate) fn shuffled(count: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    let mut chance = SmallRng::seed_from_u64(seed);
    for last in (1..count).rev() {
        order.swap(last, chance.random_range(0..=last));
    }
    order
}

/// The places of the examples of each step of an epoch. A last batch of one example is left out: it would be
/// compared with nothing.
pub(crate) fn batches(count: usize, batch_size: usize, seed: u64) -> Vec<Vec<usize>> {
    let order = shuffled(count, seed);
    let batches = order.chunks(batch_size).filter(|batch| batch.len() > 1);
    batches.map(<[usize]>::to_vec).collect()
}

/// The learning rate of a step, counted from 0: it grows to `largest` and then falls to 0, both evenly.
pub(crate) fn learning_rate(step: usize, steps: usize, warmup: f64, largest: f64) -> f64 {
    let growing = (steps as f64 * warmup).ceil();
    let step = step as f64;
    match step < growing {
        true => largest * step / growing,
        false => largest * (steps as f64 - step) / (steps as f64 - growing).max(1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_is_in_one_batch_and_the_order_is_that_of_the_seed() {
        let all = batches(101, 10, 1);
        assert_eq!(all.len(), 10);
        let mut places: Vec<usize> = batches(102, 10, 1).concat();
        places.sort_unstable();
        assert_eq!(places, (0..102).collect::<Vec<_>>());
        assert!(all == batches(101, 10, 1) && all != batches(101, 10, 2));
    }

    #[test]
    fn the_learning_rate_grows_and_falls() {
        let rates: Vec<f64> = (0..10)
            .map(|step| learning_rate(step, 10, 0.2, 1.0))
            .collect();
        assert_eq!(rates[..4], [0.0, 0.5, 1.0, 0.875]);
        assert_eq!(rates[9], 0.125);
        assert_eq!(learning_rate(0, 10, 0.0, 1.0), 1.0);
    }
}
