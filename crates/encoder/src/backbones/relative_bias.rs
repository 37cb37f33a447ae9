//! Relative attention bias: what is added to a score by how far the key is from the query.

use super::architecture::{Architecture, DistanceBias};
use crate::Error;
use crate::checkpoint::Checkpoint;

/// Rows of the table in the file, half of them for keys before the query and itself.
pub(crate) const BUCKETS: usize = 32;
/// Distances up to here have a bucket each.
const EXACT: usize = 8;
/// Distances from here on share one.
const FARTHEST: f32 = 128.0;

/// The biases of each head for each distance.
#[derive(Debug)]
pub(crate) struct RelativeBias {
    /// `[heads, 2 * tokens - 1]`, from the farthest before the query to the farthest after it.
    values: Vec<f32>,
    /// Tokens of the longest text.
    tokens: usize,
}

impl RelativeBias {
    /// Reads the biases of an architecture that has some.
    ///
    /// # Errors
    /// When they are missing or of another shape.
    pub(crate) fn read(
        file: &mut Checkpoint,
        architecture: &Architecture,
    ) -> Result<Option<Self>, Error> {
        let (heads, tokens) = (architecture.heads, architecture.positions);
        Ok(match &architecture.distance_bias {
            None => None,
            Some(DistanceBias::Buckets(name)) => {
                let buckets = file.read(name, &[BUCKETS, heads])?;
                let of = |head, ahead| buckets[bucket(ahead) * heads + head];
                Some(Self::new(heads, tokens, of))
            }
            Some(DistanceBias::Slopes) => {
                let slopes = slopes(heads);
                let of = |head: usize, ahead: isize| -slopes[head] * ahead.unsigned_abs() as f32;
                Some(Self::new(heads, tokens, of))
            }
        })
    }

    /// The biases that `of` a head and the distance from the query to the key are.
    fn new(heads: usize, tokens: usize, of: impl Fn(usize, isize) -> f32) -> Self {
        let farthest = tokens as isize - 1;
        let of = &of;
        let of_head = |head| (-farthest..=farthest).map(move |ahead| of(head, ahead));
        let values = (0..heads).flat_map(of_head).collect();
        Self { values, tokens }
    }

    /// What a head adds to the scores of the token `query` with each of the first `keys`.
    ///
    /// # Panics
    /// When the text is longer than any that the model takes.
    pub(crate) fn row(&self, head: usize, query: usize, keys: usize) -> &[f32] {
        let of_head = &self.values[head * (2 * self.tokens - 1)..];
        &of_head[self.tokens - 1 - query..][..keys]
    }
}

/// How much each head takes from a score for each token between query and key. Press et al., "Train
/// Short, Test Long", 2022, section 3; heads beyond a power of two have every second slope of the next.
fn slopes(heads: usize) -> Vec<f32> {
    let of_power = |power: usize| {
        let slope = move |head: usize| (-8.0 * (head + 1) as f32 / power as f32).exp2();
        (0..power).map(slope)
    };
    let power = 1 << heads.ilog2();
    let more = of_power(2 * power).step_by(2).take(heads - power);
    of_power(power).chain(more).collect()
}

/// The bucket of a key that is `ahead` tokens after the query. Raffel et al., "Exploring the Limits
/// of Transfer Learning with a Unified Text-to-Text Transformer", 2020, section 2.1.
fn bucket(ahead: isize) -> usize {
    let half = BUCKETS / 2;
    let distance = ahead.unsigned_abs();
    let bucket = match distance < EXACT {
        true => distance,
        false => {
            // In f32, so that it is cut where Hugging Face's implementation cuts it.
            let times = (distance as f32 / EXACT as f32).ln() / (FARTHEST / EXACT as f32).ln();
            EXACT + (times * (half - EXACT) as f32) as usize
        }
    };
    bucket.min(half - 1) + if ahead > 0 { half } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_of_heads_beyond_a_power_of_two_lie_between_the_others() {
        assert_eq!(slopes(4), [0.25, 0.0625, 0.015_625, 0.003_906_25]);
        assert_eq!(slopes(6)[4..], [0.5, 0.125]);
        assert_eq!(slopes(1), [0.003_906_25]);
    }

    #[test]
    fn buckets_begin_where_hugging_faces_do() {
        let starts = [0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 23, 32, 46, 64, 91];
        for distance in 0..600 {
            let expected = starts.iter().filter(|start| **start <= distance).count() - 1;
            assert_eq!(bucket(-distance), expected, "{distance} before");
            if distance > 0 {
                assert_eq!(bucket(distance), BUCKETS / 2 + expected, "{distance} after");
            }
        }
    }
}
