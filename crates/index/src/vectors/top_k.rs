//! The best few of many.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::scan::Candidate;

/// Keeps the `limit` best candidates: higher score first, then the lower document number.
#[derive(Debug)]
pub(crate) struct TopK {
    limit: usize,
    worst_first: BinaryHeap<Worse>,
}

/// Greater is worse, so that the heap's top is the one to give up.
#[derive(Debug)]
struct Worse(Candidate);

impl Ord for Worse {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_score = other.0.score.total_cmp(&self.0.score);
        by_score.then(self.0.document.cmp(&other.0.document))
    }
}

impl PartialOrd for Worse {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Worse {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Worse {}

impl TopK {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            worst_first: BinaryHeap::new(),
        }
    }

    /// The score below which nothing is kept; none as long as anything is.
    pub(crate) fn floor(&self) -> Option<f32> {
        let is_full = self.worst_first.len() >= self.limit;
        is_full.then(|| {
            self.worst_first
                .peek()
                .map_or(f32::MAX, |worst| worst.0.score)
        })
    }

    pub(crate) fn offer(&mut self, candidate: Candidate) {
        if self.worst_first.len() < self.limit {
            self.worst_first.push(Worse(candidate));
        } else if let Some(mut worst) = self.worst_first.peek_mut()
            && Worse(candidate) < *worst
        {
            *worst = Worse(candidate);
        }
    }

    /// Best first.
    pub(crate) fn into_sorted(self) -> Vec<Candidate> {
        self.worst_first
            .into_sorted_vec()
            .into_iter()
            .map(|Worse(candidate)| candidate)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_are_kept_in_order_and_ties_are_stable() {
        let mut top = TopK::new(3);
        for (document, score) in [(0, 0.1), (1, 0.9), (2, 0.5), (3, 0.5), (4, -1.0), (5, 0.5)] {
            top.offer(Candidate {
                document,
                passage: document,
                score,
            });
        }
        let documents: Vec<u32> = top.into_sorted().iter().map(|best| best.document).collect();
        assert_eq!(documents, [1, 2, 3]);
    }

    #[test]
    fn nothing_is_kept_when_nothing_is_wanted() {
        let mut top = TopK::new(0);
        top.offer(Candidate {
            document: 0,
            passage: 0,
            score: 1.0,
        });
        assert!(top.into_sorted().is_empty());
    }
}
