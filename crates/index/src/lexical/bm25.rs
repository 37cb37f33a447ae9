//! Okapi BM25 (Robertson and Zaragoza, 2009), as Lucene and tantivy compute it.

/// How soon repeating a term stops counting.
const K1: f32 = 1.2;
/// How much the length of a passage counts.
const B: f32 = 0.75;

/// What the score of a term depends on besides the passage.
#[derive(Debug, Clone, Copy)]
pub(super) struct Statistics {
    /// Living passages.
    pub(super) passages: u64,
    /// Their words in all: the sum of their lengths.
    pub(super) words: u64,
}

/// The score of one term of a query.
#[derive(Debug, Clone, Copy)]
pub(super) struct WordScore {
    weight: f32,
    /// The part of the length that does not depend on the passage, and the part for each word.
    base: f32,
    per_word: f32,
}

impl WordScore {
    /// `having` is the number of living passages that have the term, `weight` how often the query
    /// has it.
    pub(super) fn new(statistics: Statistics, having: u64, weight: f32) -> Self {
        let passages = statistics.passages as f64;
        let rarity = (1.0 + (passages - having as f64 + 0.5) / (having as f64 + 0.5)).ln();
        let average = statistics.words as f64 / passages.max(1.0);
        Self {
            weight: rarity as f32 * (K1 + 1.0) * weight,
            base: K1 * (1.0 - B),
            per_word: K1 * B / average.max(f64::from(f32::MIN_POSITIVE)) as f32,
        }
    }

    /// Of a passage of `words` words in which the term occurs `count` times, at least once.
    #[inline]
    pub(super) fn of(self, count: u32, words: u32) -> f32 {
        let count = count as f32;
        self.weight * count / (count + self.base + self.per_word * words as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATISTICS: Statistics = Statistics {
        passages: 10,
        words: 100,
    };

    #[test]
    fn a_score_is_the_one_of_the_formula() {
        // ln(1 + (10 - 2 + 0.5) / (2 + 0.5)) * 2.2 * 3 / (3 + 1.2 * (0.25 + 0.75 * 5 / 10))
        let score = WordScore::new(STATISTICS, 2, 1.0).of(3, 5);
        assert!((score - 2.607_624).abs() < 1e-5, "{score}");
    }

    #[test]
    fn rare_words_short_passages_and_repetition_count_more() {
        let of = |having, count, words| WordScore::new(STATISTICS, having, 1.0).of(count, words);
        assert!(of(1, 1, 10) > of(2, 1, 10));
        assert!(of(1, 1, 5) > of(1, 1, 10));
        assert!(of(1, 2, 10) > of(1, 1, 10));
        // Even a term that all have.
        assert!(of(10, 1, 10) > 0.0);
    }
}
