//! From the states of a text's tokens to one vector.
//!
//! The definitions are those of `sentence_transformers.models.Pooling`; there is no padding here,
//! so every row is a token that counts.

use std::fmt;

/// A way to make one vector of many token states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolingMode {
    /// The first token's state; the first after the prompt where that is left out.
    Cls,
    /// The largest value of each dimension.
    Max,
    /// The mean of all tokens.
    Mean,
    /// The sum of all tokens, divided by the square root of their number.
    MeanSqrtLen,
    /// The mean, weighted by position counted from 1.
    WeightedMean,
    /// The last token's state.
    LastToken,
}

impl PoolingMode {
    /// The mode with this name in a `pooling_mode` key.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "cls" => Self::Cls,
            "max" => Self::Max,
            "mean" => Self::Mean,
            "mean_sqrt_len_tokens" | "mean_sqrt_len" => Self::MeanSqrtLen,
            "weightedmean" => Self::WeightedMean,
            "lasttoken" => Self::LastToken,
            _ => return None,
        })
    }

    /// Pools rows of `width` values. `states` holds at least one row; `first_row` is where the
    /// tokens begin that take part, which only `lasttoken` does not look at.
    pub(crate) fn pool(self, states: &[f32], width: usize, first_row: usize, out: &mut Vec<f32>) {
        let rows = states.len() / width;
        let first_row = first_row.min(rows - 1);
        let counted = &states[first_row * width..];
        match self {
            Self::Cls => out.extend_from_slice(&counted[..width]),
            Self::LastToken => out.extend_from_slice(&states[states.len() - width..]),
            Self::Max => out.extend(maximum(counted, width)),
            Self::Mean => out.extend(weighted_sum(counted, width, |_| {
                1.0 / (rows - first_row) as f32
            })),
            Self::MeanSqrtLen => {
                let scale = 1.0 / ((rows - first_row) as f32).sqrt();
                out.extend(weighted_sum(counted, width, |_| scale));
            }
            Self::WeightedMean => {
                let total: usize = (first_row + 1..=rows).sum();
                let weight = |row: usize| (first_row + row + 1) as f32 / total as f32;
                out.extend(weighted_sum(counted, width, weight));
            }
        }
    }
}

fn weighted_sum(states: &[f32], width: usize, weight: impl Fn(usize) -> f32) -> Vec<f32> {
    let mut sum = vec![0.0; width];
    for (row, state) in states.chunks_exact(width).enumerate() {
        let weight = weight(row);
        sum.iter_mut()
            .zip(state)
            .for_each(|(sum, value)| *sum += weight * value);
    }
    sum
}

fn maximum(states: &[f32], width: usize) -> Vec<f32> {
    let mut largest = vec![f32::NEG_INFINITY; width];
    for state in states.chunks_exact(width) {
        largest
            .iter_mut()
            .zip(state)
            .for_each(|(largest, value)| *largest = largest.max(*value));
    }
    largest
}

impl fmt::Display for PoolingMode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Cls => "cls",
            Self::Max => "max",
            Self::Mean => "mean",
            Self::MeanSqrtLen => "mean_sqrt_len_tokens",
            Self::WeightedMean => "weightedmean",
            Self::LastToken => "lasttoken",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [f32; 6] = [1.0, 4.0, 2.0, -5.0, 6.0, 7.0];

    fn pooled(mode: PoolingMode, first_row: usize) -> Vec<f32> {
        let mut out = Vec::new();
        mode.pool(&STATES, 2, first_row, &mut out);
        out
    }

    #[test]
    fn modes_follow_their_definitions() {
        assert_eq!(pooled(PoolingMode::Cls, 0), [1.0, 4.0]);
        assert_eq!(pooled(PoolingMode::LastToken, 0), [6.0, 7.0]);
        assert_eq!(pooled(PoolingMode::Max, 0), [6.0, 7.0]);
        assert_eq!(pooled(PoolingMode::Mean, 0), [3.0, 2.0]);
        let close = |mode, expected: [f32; 2]| {
            let both = pooled(mode, 0).into_iter().zip(expected);
            assert!(
                both.into_iter().all(|(a, b)| (a - b).abs() < 1e-6),
                "{mode}"
            );
        };
        close(
            PoolingMode::MeanSqrtLen,
            [9.0 / 3.0_f32.sqrt(), 6.0 / 3.0_f32.sqrt()],
        );
        close(
            PoolingMode::WeightedMean,
            [(1.0 + 4.0 + 18.0) / 6.0, (4.0 - 10.0 + 21.0) / 6.0],
        );
    }

    #[test]
    fn a_prompts_rows_can_be_left_out() {
        assert_eq!(pooled(PoolingMode::Mean, 1), [4.0, 1.0]);
        assert_eq!(pooled(PoolingMode::Cls, 1), [2.0, -5.0]);
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for mode in [
            "cls",
            "max",
            "mean",
            "mean_sqrt_len_tokens",
            "weightedmean",
            "lasttoken",
        ] {
            assert_eq!(PoolingMode::from_name(mode).unwrap().to_string(), mode);
        }
    }
}
