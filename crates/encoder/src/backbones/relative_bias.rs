//! Relative attention bias: what is added to a score by how far the key is from the query.

use super::architecture::Architecture;
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
        let Some(name) = &architecture.relative_bias else {
            return Ok(None);
        };
        let (heads, tokens) = (architecture.heads, architecture.positions);
        let buckets = file.read(name, &[BUCKETS, heads])?;
        let farthest = tokens as isize - 1;
        let of_head = |head| (-farthest..=farthest).map(move |ahead| bucket(ahead) * heads + head);
        let places = (0..heads).flat_map(of_head);
        let values = places.map(|place| buckets[place]).collect();
        Ok(Some(Self { values, tokens }))
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
