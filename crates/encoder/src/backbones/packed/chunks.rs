//! How a batch is split over threads.

use std::ops::Range;

/// Tokens that one thread takes through all layers at once: enough to make reading the weights
/// cheap, few enough that their states stay in the second-level cache.
const CHUNK_TOKENS: usize = 192;
/// With fewer tokens than this for each thread, all threads work on the same tokens instead.
const MIN_CHUNK_TOKENS: usize = 64;
/// How much longer than the mean the busiest thread may work, in percent.
const MAX_IMBALANCE_PERCENT: usize = 12;

/// Ranges of texts.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// Each chunk is one thread's own.
    Apart(Vec<Range<usize>>),
    /// All threads share each chunk.
    Together(Vec<Range<usize>>),
}

/// Plans a batch of texts with these numbers of tokens.
pub(super) fn plan(lengths: &[usize], threads: usize) -> Plan {
    let tokens: usize = lengths.iter().sum();
    if tokens >= threads * MIN_CHUNK_TOKENS || threads == 1 {
        let rounds = tokens.div_ceil(threads * CHUNK_TOKENS).max(1);
        let chunks = even(lengths, tokens, rounds * threads);
        if busiest(lengths, &chunks, threads) * threads * 100
            <= tokens * (100 + MAX_IMBALANCE_PERCENT)
        {
            return Plan::Apart(chunks);
        }
    }
    Plan::Together(full(lengths, CHUNK_TOKENS * threads))
}

/// Tokens of the thread that gets most, when each takes the next chunk as soon as it is free.
fn busiest(lengths: &[usize], chunks: &[Range<usize>], threads: usize) -> usize {
    let mut loads = vec![0; threads];
    for chunk in chunks {
        if let Some(load) = loads.iter_mut().min() {
            *load += sum(lengths, chunk);
        }
    }
    loads.into_iter().max().unwrap_or(0)
}

fn sum(lengths: &[usize], chunk: &Range<usize>) -> usize {
    lengths[chunk.clone()].iter().sum()
}

/// `chunks` ranges of nearly the same number of tokens.
fn even(lengths: &[usize], tokens: usize, chunks: usize) -> Vec<Range<usize>> {
    let mut ranges = Vec::with_capacity(chunks);
    let (mut start, mut end, mut taken) = (0, 0, 0);
    for chunk in 1..=chunks {
        let goal = tokens * chunk / chunks;
        while end < lengths.len() && taken + lengths[end] / 2 < goal {
            taken += lengths[end];
            end += 1;
        }
        if chunk == chunks {
            end = lengths.len();
        }
        ranges.push(start..end);
        start = end;
    }
    ranges.retain(|range| !range.is_empty());
    ranges
}

/// Ranges of at most `limit` tokens, or of one text.
fn full(lengths: &[usize], limit: usize) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let mut taken = 0;
    for (text, length) in lengths.iter().enumerate() {
        match ranges.last_mut() {
            Some(range) if taken + length <= limit => {
                range.end = text + 1;
                taken += length;
            }
            _ => {
                ranges.push(text..text + 1);
                taken = *length;
            }
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covered(plan: &Plan) -> Vec<usize> {
        let (Plan::Apart(chunks) | Plan::Together(chunks)) = plan;
        chunks.iter().cloned().flatten().collect()
    }

    #[test]
    fn every_text_is_in_one_chunk_whatever_the_lengths() {
        for seed in 0..200_usize {
            let lengths: Vec<usize> = (0..seed % 70)
                .map(|text| 2 + (seed * 31 + text * 7919) % 254)
                .collect();
            for threads in [1, 2, 3, 8] {
                let all: Vec<usize> = (0..lengths.len()).collect();
                assert_eq!(covered(&plan(&lengths, threads)), all);
            }
        }
    }

    #[test]
    fn one_short_text_is_shared_and_many_texts_are_not() {
        assert!(matches!(plan(&[10], 2), Plan::Together(chunks) if chunks.len() == 1));
        assert!(matches!(plan(&[16; 32], 2), Plan::Apart(chunks) if chunks.len() == 4));
        assert!(matches!(plan(&[256; 32], 2), Plan::Apart(_)));
    }

    #[test]
    fn one_long_text_among_short_ones_keeps_no_thread_waiting() {
        assert!(matches!(plan(&[256, 4, 4], 2), Plan::Together(_)));
    }
}
