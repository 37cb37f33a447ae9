//! Figures of finding marked pairs among all pairs.

use std::collections::BTreeMap;

/// How well each text's partner is found among all other texts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PartnerScores {
    /// Texts that have a partner.
    pub texts: usize,
    /// Part of a text's partners that are among its nearest 1, 5 and 10, as a mean over texts.
    pub recall_at: [f64; 3],
    /// One over the rank of a text's first partner, as a mean over texts.
    pub mrr: f64,
}

/// How well a threshold tells marked pairs from all others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairScores {
    /// Mean of the precision at the rank of each marked pair, among all pairs by score.
    pub average_precision: f64,
    /// Of all thresholds that one has the largest F1.
    pub best: Threshold,
}

/// What a threshold does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Threshold {
    /// The threshold.
    pub min_score: f32,
    /// Part of the pairs at or above it that are marked.
    pub precision: f64,
    /// Part of the marked pairs that are at or above it.
    pub recall: f64,
    /// The harmonic mean of both.
    pub f1: f64,
}

/// Ranks that recall is measured at.
const DEPTHS: [usize; 3] = [1, 5, 10];

/// Figures of partners, from the ranks of each text's partners, the first rank being 1.
pub fn of_partners(ranks: &BTreeMap<usize, Vec<usize>>) -> PartnerScores {
    let texts = ranks.len();
    let mean = |sum: f64| if texts == 0 { 0.0 } else { sum / texts as f64 };
    let recall = |depth: usize| {
        let parts = ranks.values().map(|ranks| {
            let found = ranks.iter().filter(|rank| **rank <= depth).count();
            found as f64 / ranks.len() as f64
        });
        mean(parts.sum())
    };
    let firsts = ranks.values().filter_map(|ranks| ranks.iter().min());
    PartnerScores {
        texts,
        recall_at: DEPTHS.map(recall),
        mrr: mean(firsts.map(|rank| 1.0 / *rank as f64).sum()),
    }
}

/// Figures of pairs, from the scores of the marked ones, best first, and for each how many pairs of all
/// have its score or more.
pub fn of_pairs(marked: &[f32], reaching: &[u64]) -> Option<PairScores> {
    let count = marked.len() as f64;
    let mut best: Option<Threshold> = None;
    let mut sum = 0.0;
    for (place, (min_score, reaching)) in marked.iter().zip(reaching).enumerate() {
        // Equal scores are one threshold, which is looked at with the last of them.
        let found = marked.partition_point(|score| score >= min_score);
        let precision = found as f64 / *reaching as f64;
        sum += precision;
        if found != place + 1 {
            continue;
        }
        let recall = found as f64 / count;
        let f1 = 2.0 * precision * recall / (precision + recall);
        if best.is_none_or(|best| f1 > best.f1) {
            best = Some(Threshold {
                min_score: *min_score,
                precision,
                recall,
                f1,
            });
        }
    }
    best.map(|best| PairScores {
        average_precision: sum / count,
        best,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recall_and_mrr_are_means_over_texts_with_partners() {
        let ranks = BTreeMap::from([(0, vec![1]), (4, vec![3, 12]), (7, vec![20])]);
        let scores = of_partners(&ranks);
        assert_eq!(scores.texts, 3);
        assert_eq!(scores.recall_at, [1.0 / 3.0, 0.5, 0.5]);
        assert!((scores.mrr - (1.0 + 1.0 / 3.0 + 1.0 / 20.0) / 3.0).abs() < 1e-12);
        assert_eq!(of_partners(&BTreeMap::new()).mrr, 0.0);
    }

    #[test]
    fn the_best_threshold_weighs_precision_against_recall() {
        // Pairs by score: marked, marked, other, marked, 6 others, marked.
        let scores = of_pairs(&[0.9, 0.8, 0.6, 0.1], &[1, 2, 4, 11]).unwrap();
        let expected = (1.0 + 1.0 + 0.75 + 4.0 / 11.0) / 4.0;
        assert!((scores.average_precision - expected).abs() < 1e-12);
        assert_eq!(scores.best.min_score, 0.6);
        assert_eq!((scores.best.precision, scores.best.recall), (0.75, 0.75));
        assert_eq!(of_pairs(&[], &[]), None);
    }

    #[test]
    fn equal_scores_are_one_threshold() {
        let scores = of_pairs(&[0.5, 0.5], &[4, 4]).unwrap();
        assert_eq!((scores.best.precision, scores.best.recall), (0.5, 1.0));
        assert_eq!(scores.average_precision, 0.5);
    }
}
