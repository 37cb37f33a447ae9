//! Which texts go through the backbone together.

use crate::tokenize::TokenizedText;

/// Tokens of one forward pass, padding included. More makes the buffers of a padded pass outgrow
/// the caches; fewer leaves the matrix products too small.
const MAX_PADDED_TOKENS: usize = 4096;
/// Texts of one forward pass.
const MAX_TEXTS: usize = 64;

/// Tokens of a batch, padding included, up to which shorter texts are in it as well.
const MIN_CLOSE_TOKENS: usize = 256;

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

fn plan_lengths(lengths: &[usize]) -> Vec<Batch> {
    grouped(lengths, |_, _, _| true)
}

/// The same for passes that pay for padding as for tokens: texts are about as long as the longest of their batch,
/// except in batches so small that another one would cost more.
pub(crate) fn plan_closely(lengths: &[usize]) -> Vec<Batch> {
    grouped(lengths, |longest, length, texts| {
        length * 8 >= longest * 7 || texts * longest < MIN_CLOSE_TOKENS
    })
}

/// Batches of texts in the order of their lengths, the longest first. `belongs` says of the longest of a batch,
/// another length and how many texts there are whether a text of that length is to be one more.
fn grouped(lengths: &[usize], belongs: impl Fn(usize, usize, usize) -> bool) -> Vec<Batch> {
    let mut places: Vec<usize> = (0..lengths.len()).collect();
    places.sort_by_key(|place| std::cmp::Reverse(lengths[*place]));
    let mut batches: Vec<Batch> = Vec::new();
    let mut longest = 0;
    for place in places {
        match batches.last_mut() {
            Some(batch)
                if fits(batch.places.len() + 1, longest)
                    && belongs(longest, lengths[place], batch.places.len()) =>
            {
                batch.places.push(place);
            }
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
    fn a_close_plan_loses_little_to_padding() {
        let lengths: Vec<usize> = (0..500).map(|n| 3 + n * n * 7919 % 97).collect();
        let padded = |batches: &[Batch]| -> usize {
            let padded = batches.iter();
            let padded = padded.map(|batch| batch.places.len() * lengths[batch.places[0]]);
            padded.sum()
        };
        let close = plan_closely(&lengths);
        let mut seen: Vec<usize> = close.iter().flat_map(|it| it.places.clone()).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..500).collect::<Vec<_>>());
        let tokens: usize = lengths.iter().sum();
        assert!(padded(&close) < tokens * 115 / 100);
        assert!(padded(&close) < padded(&plan_lengths(&lengths)));
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
