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

    /// Pools rows of `width` values; no row at all makes zeros. `first_row` is where the tokens
    /// begin that take part, which only `lasttoken` does not look at.
    pub(crate) fn pool(self, states: &[f32], width: usize, first_row: usize, out: &mut Vec<f32>) {
        let rows = states.len() / width;
        if rows == 0 {
            // Special tokens make it one at least; static embeddings have none.
            return out.resize(out.len() + width, 0.0);
        }
        let first_row = first_row.min(rows - 1);
        let counted = &states[first_row * width..];
        match self {
            Self::Cls => out.extend_from_slice(&counted[..width]),
            Self::LastToken => out.extend_from_slice(&states[states.len() - width..]),
            Self::Max => out.extend(maximum(counted, width)),
            Self::Mean | Self::MeanSqrtLen | Self::WeightedMean => {
                let weight = |row: usize| self.weight(first_row + row, first_row, rows);
                out.extend(weighted_sum(counted, width, weight));
            }
        }
    }

    /// What each row adds to the vector that [`Self::pool`] makes of all: as many rows, whose sum is that
    /// vector. With `max`, each dimension is the first row's that has its largest value.
    pub(crate) fn shares(self, states: &[f32], width: usize, first_row: usize) -> Vec<f32> {
        let rows = states.len() / width;
        if rows == 0 {
            return Vec::new();
        }
        let first_row = first_row.min(rows - 1);
        let mut shares = vec![0.0; states.len()];
        let row = |row: usize| row * width..(row + 1) * width;
        match self {
            Self::Cls => shares[row(first_row)].copy_from_slice(&states[row(first_row)]),
            Self::LastToken => shares[row(rows - 1)].copy_from_slice(&states[row(rows - 1)]),
            Self::Max => {
                let largest = maximum(&states[first_row * width..], width);
                for (column, largest) in largest.into_iter().enumerate() {
                    let mut places = (first_row..rows).map(|row| row * width + column);
                    if let Some(place) = places.find(|place| states[*place] == largest) {
                        shares[place] = largest;
                    }
                }
            }
            Self::Mean | Self::MeanSqrtLen | Self::WeightedMean => {
                for place in first_row..rows {
                    let weight = self.weight(place, first_row, rows);
                    let state = states[row(place)].iter();
                    let share = shares[row(place)].iter_mut();
                    share
                        .zip(state)
                        .for_each(|(share, value)| *share = weight * value);
                }
            }
        }
        shares
    }

    /// The weight of each of so many rows in the vector that [`Self::pool`] makes of them. `None` where that is
    /// no weighted sum.
    pub(crate) fn weights(self, rows: usize, first_row: usize) -> Option<Vec<f32>> {
        let first_row = first_row.min(rows - 1);
        let mut weights = vec![0.0; rows];
        match self {
            Self::Max => return None,
            Self::Cls => weights[first_row] = 1.0,
            Self::LastToken => weights[rows - 1] = 1.0,
            Self::Mean | Self::MeanSqrtLen | Self::WeightedMean => {
                for (row, weight) in weights.iter_mut().enumerate().skip(first_row) {
                    *weight = self.weight(row, first_row, rows);
                }
            }
        }
        Some(weights)
    }

    /// The weight of one of the rows that take part, `first_row..rows`, in a weighted sum.
    fn weight(self, row: usize, first_row: usize, rows: usize) -> f32 {
        match self {
            Self::MeanSqrtLen => 1.0 / ((rows - first_row) as f32).sqrt(),
            Self::WeightedMean => {
                let total = (first_row + 1 + rows) * (rows - first_row) / 2;
                (row + 1) as f32 / total as f32
            }
            Self::Cls | Self::Max | Self::Mean | Self::LastToken => 1.0 / (rows - first_row) as f32,
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
    fn shares_of_rows_add_up_to_the_pooled_vector() {
        for mode in [
            PoolingMode::Cls,
            PoolingMode::Max,
            PoolingMode::Mean,
            PoolingMode::MeanSqrtLen,
            PoolingMode::WeightedMean,
            PoolingMode::LastToken,
        ] {
            for first_row in 0..4 {
                let shares = mode.shares(&STATES, 2, first_row);
                assert_eq!(shares.len(), STATES.len());
                let sum = |column| shares.iter().skip(column).step_by(2).sum::<f32>();
                let pooled = pooled(mode, first_row);
                for (column, value) in pooled.into_iter().enumerate() {
                    assert!((sum(column) - value).abs() < 1e-6, "{mode} {first_row}");
                }
            }
        }
        assert_eq!(
            PoolingMode::Max.shares(&STATES, 2, 0),
            [0.0, 0.0, 0.0, 0.0, 6.0, 7.0]
        );
        assert_eq!(
            PoolingMode::Mean.shares(&STATES, 2, 2),
            [0.0, 0.0, 0.0, 0.0, 6.0, 7.0]
        );
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
