//! Which texts go through the backbone together.

use crate::tokenize::TokenizedText;

/// Tokens of one forward pass, padding included. More makes the buffers of a padded pass outgrow
/// the caches; fewer leaves the matrix products too small.
const MAX_PADDED_TOKENS: usize = 4096;
/// Texts of one forward pass.
const MAX_TEXTS: usize = 64;

/// Places of texts that are encoded together.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) places: Vec<usize>,
}

/// Groups texts of similar length, so that little is lost to padding.
pub(crate) fn plan(texts: &[&TokenizedText]) -> Vec<Batch> {
    let lengths: Vec<usize> = texts.iter().map(|text| text.tokens_kept()).collect();
    plan_lengths(&lengths)
}

/// The same of their lengths.
pub(crate) fn plan_lengths(lengths: &[usize]) -> Vec<Batch> {
    let mut places: Vec<usize> = (0..lengths.len()).collect();
    places.sort_by_key(|place| std::cmp::Reverse(lengths[*place]));
    let mut batches: Vec<Batch> = Vec::new();
    let mut longest = 0;
    for place in places {
        match batches.last_mut() {
            Some(batch) if fits(batch.places.len() + 1, longest) => batch.places.push(place),
            _ => {
                longest = lengths[place];
                batches.push(Batch {
                    places: vec![place],
                });
            }
        }
    }
    batches
}

fn fits(texts: usize, longest: usize) -> bool {
    texts <= MAX_TEXTS && texts * longest <= MAX_PADDED_TOKENS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_in_exactly_one_batch_within_the_limits() {
        let lengths: Vec<usize> = (0..500).map(|n| 3 + n * 7919 % 254).collect();
        let batches = plan_lengths(&lengths);
        let mut seen: Vec<usize> = batches
            .iter()
            .flat_map(|batch| batch.places.clone())
            .collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..500).collect::<Vec<_>>());
        for batch in &batches {
            let longest = batch
                .places
                .iter()
                .map(|place| lengths[*place])
                .max()
                .unwrap();
            assert!(fits(batch.places.len(), longest));
        }
    }

    #[test]
    fn a_text_longer_than_the_budget_goes_alone() {
        assert_eq!(plan_lengths(&[9000, 5]).len(), 2);
    }

    #[test]
    fn no_texts_make_no_batch() {
        assert!(plan_lengths(&[]).is_empty());
    }
}
