//! Comparing vectors with each other.

use anyhow::{Result, bail};
use siamese_index::{AllPairs, Pair, PairSink, Workers, alike_pairs};

/// Pairs that are kept in memory, 24 bytes each.
const MAX_PAIRS: usize = 10_000_000;

/// Pairs, as many as may be.
struct Bounded(Vec<Pair>);

impl PairSink for Bounded {
    fn is_full(&self) -> bool {
        self.0.len() > MAX_PAIRS
    }

    fn take(&mut self, pairs: &[Pair], _uncounted: u64) {
        self.0.extend_from_slice(pairs);
    }
}

/// All pairs of vectors that are alike and that `admits` lets through.
pub(super) fn alike(
    vectors: &[Vec<f32>],
    min_score: f32,
    admits: &(dyn Fn(usize, usize) -> bool + Sync),
) -> Result<Vec<Pair>> {
    let compared = AllPairs {
        left: vectors,
        right: None,
        min_score,
        admits,
        workers: Workers::on_all_cores(),
    };
    let (cancel, progress) = Default::default();
    let mut pairs = Bounded(Vec::new());
    alike_pairs(&compared, &cancel, &progress, &mut pairs)?;
    if pairs.is_full() {
        bail!("more than {MAX_PAIRS} pairs are alike; raise --min-score");
    }
    Ok(pairs.0)
}

/// Best first; equal scores in the order of their indexes.
pub(super) fn in_order(mut pairs: Vec<Pair>) -> Vec<Pair> {
    let place = |pair: &Pair| (pair.left, pair.right);
    pairs.sort_by(|one, other| {
        let by_score = other.score.total_cmp(&one.score);
        by_score.then_with(|| place(one).cmp(&place(other)))
    });
    pairs
}
