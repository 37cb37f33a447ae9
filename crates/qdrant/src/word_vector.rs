//! The words of a passage, and those of a query, as sparse vectors.
//!
//! The score is Okapi BM25 (Robertson and Zaragoza, 2009) in two parts: what depends on the passage is its vector, and
//! how rare a word is Qdrant knows ("idf") and multiplies. Two things differ from BM25 over a data folder: the average
//! length of a passage is a constant, since no vector could be changed with it, and a term is known by 32 bits of a hash,
//! which two terms may have in common.

use qdrant_client::qdrant::{SparseVector, Vector, VectorInput};
use sha2::{Digest, Sha256};
use siamese_index::{WordCounts, WordQuery};

/// The name of the vector.
pub(crate) const WORDS: &str = "words";
/// How soon repeating a term stops counting.
const K1: f32 = 1.2;
/// How much the length of a passage counts.
const B: f32 = 0.75;
/// Words of a passage of ordinary length.
const AVERAGE_WORDS: f32 = 100.0;

/// Of a passage; nothing when it has no words.
pub(crate) fn of_passage(counts: &WordCounts) -> Option<Vector> {
    let length = counts.total() as f32;
    let base = K1 * (1.0 - B + B * length / AVERAGE_WORDS);
    let of_count = |count: u32| (K1 + 1.0) * count as f32 / (count as f32 + base);
    let terms = counts.terms().map(|(term, count)| (term, of_count(count)));
    let sparse = sparse(terms);
    (!sparse.indices.is_empty()).then(|| Vector::from(sparse))
}

/// Of a query; nothing when it has no words.
pub(crate) fn of_query(words: &WordQuery) -> Option<VectorInput> {
    let SparseVector { indices, values } = sparse(words.words());
    (!indices.is_empty()).then(|| VectorInput::new_sparse(indices, values))
}

fn sparse<'a>(terms: impl Iterator<Item = (&'a str, f32)>) -> SparseVector {
    let mut weights: Vec<(u32, f32)> = terms.map(|(term, weight)| (number(term), weight)).collect();
    weights.sort_unstable_by_key(|(number, _)| *number);
    // Qdrant refuses a number that is there twice.
    weights.dedup_by(|next, kept| {
        let is_same = next.0 == kept.0;
        if is_same {
            kept.1 += next.1;
        }
        is_same
    });
    let (indices, values) = weights.into_iter().unzip();
    SparseVector { values, indices }
}

fn number(term: &str) -> u32 {
    let hash: [u8; 32] = Sha256::digest(term.as_bytes()).into();
    u32::from_le_bytes([hash[0], hash[1], hash[2], hash[3]])
}

#[cfg(test)]
mod tests {
    use siamese_index::WordSettings;

    use super::*;

    fn counts(text: &str) -> WordCounts {
        WordCounts::of(None, text, WordSettings::default())
    }

    #[test]
    fn a_word_counts_for_more_when_it_is_repeated_and_for_less_in_a_long_passage() {
        let weight = |text: &str| {
            let vector = sparse(
                counts(text)
                    .terms()
                    .map(|(term, count)| (term, count as f32)),
            );
            let place = vector
                .indices
                .iter()
                .position(|it| *it == number("lamp"))
                .unwrap();
            let Some(Vector { .. }) = of_passage(&counts(text)) else {
                panic!("{text}");
            };
            vector.values[place]
        };
        assert_eq!(weight("lamp"), 1.0);
        assert_eq!(weight("lamp and lamp"), 2.0);
    }

    #[test]
    fn what_has_no_words_has_no_vector() {
        assert!(of_passage(&counts("... !")).is_none());
        let query = WordQuery::new("?", WordSettings::default()).unwrap();
        assert!(of_query(&query).is_none());
    }

    #[test]
    fn numbers_ascend_and_are_there_once() {
        let vector = sparse([("b", 1.0), ("a", 2.0), ("b", 0.5)].into_iter());
        assert!(vector.indices.is_sorted());
        assert_eq!(vector.indices.len(), 2);
        let place = vector
            .indices
            .iter()
            .position(|it| *it == number("b"))
            .unwrap();
        assert_eq!(vector.values[place], 1.5);
    }
}
