//! Documents ranked by their best passages.

use super::scan::{Candidate, Scan};
use super::top_k::TopK;

/// Takes passages in and keeps the best documents. All passages of a document must come one after
/// the other.
#[derive(Debug)]
pub(super) struct BestDocuments {
    top: TopK,
    min_score: Option<f32>,
    /// Documents that reach the threshold.
    matching: u64,
    current: Option<Candidate>,
}

impl BestDocuments {
    pub(super) fn new(scan: &Scan<'_>) -> Self {
        Self {
            top: TopK::new(scan.limit),
            min_score: scan.min_score,
            matching: 0,
            current: None,
        }
    }

    #[inline]
    pub(super) fn offer(&mut self, candidate: Candidate) {
        match &mut self.current {
            Some(best) if best.document == candidate.document => {
                if candidate.score > best.score {
                    *best = candidate;
                }
            }
            _ => self.end_document(Some(candidate)),
        }
    }

    /// Best first, and how many documents reach the threshold.
    pub(super) fn into_sorted(mut self) -> (Vec<Candidate>, u64) {
        self.end_document(None);
        (self.top.into_sorted(), self.matching)
    }

    fn end_document(&mut self, next: Option<Candidate>) {
        if let Some(best) = std::mem::replace(&mut self.current, next)
            && self.min_score.is_none_or(|min| best.score >= min)
        {
            self.matching += 1;
            self.top.offer(best);
        }
    }
}
