//! Documents ranked by their best passages.

use roaring::RoaringBitmap;

use super::cosine::{Cosines, ROUNDING};
use super::row::Row;
use super::scan::{Candidate, Scan};
use super::top_k::TopK;

/// Takes passages in and keeps the best documents. All passages of a document must come one after
/// the other.
#[derive(Debug)]
pub(super) struct BestDocuments<'a> {
    query: Cosines<'a>,
    top: TopK,
    min_score: Option<f32>,
    /// Documents that reach the threshold.
    matching: u64,
    /// Which ones, if they are asked for.
    reaching: Option<RoaringBitmap>,
    current: Option<Candidate>,
}

impl<'a> BestDocuments<'a> {
    pub(super) fn new(scan: &Scan<'a>) -> Self {
        Self {
            query: Cosines::with(scan.query),
            top: TopK::new(scan.limit),
            min_score: scan.min_score,
            matching: 0,
            reaching: scan.collects_reaching.then(RoaringBitmap::new),
            current: None,
        }
    }

    /// A passage and the dot product of its vector with the query in f32. The cosine is computed only
    /// where it can make a difference, which is for few of those that a scan comes by.
    #[inline]
    pub(super) fn offer(&mut self, row: &Row<'_>, dot: f32) {
        let score = if self.matters(dot) {
            self.query.of(row.vector)
        } else {
            dot
        };
        self.offer_scored(Candidate {
            document: row.document,
            passage: row.passage,
            score,
        });
    }

    /// A passage whose score is known.
    #[inline]
    pub(super) fn offer_scored(&mut self, candidate: Candidate) {
        match &mut self.current {
            Some(best) if best.document == candidate.document => {
                if candidate.score > best.score {
                    *best = candidate;
                }
            }
            _ => self.begin_document(Some(candidate)),
        }
    }

    /// Returns whether a score of about `dot` may be kept, or may be on either side of the threshold.
    #[inline]
    fn matters(&self, dot: f32) -> bool {
        self.top.floor().is_none_or(|floor| dot >= floor - ROUNDING)
            || self
                .min_score
                .is_some_and(|min| (dot - min).abs() <= ROUNDING)
    }

    /// The score below which no document is kept, of those that have ended; none as long as any is.
    pub(super) fn floor(&self) -> Option<f32> {
        self.top.floor()
    }

    /// Counts a document that reaches the threshold and is not among the best.
    pub(super) fn count(&mut self, document: u32) {
        self.matching += 1;
        if let Some(reaching) = &mut self.reaching {
            reaching.insert(document);
        }
    }

    /// No more passages of the last document come.
    pub(super) fn end_document(&mut self) {
        self.begin_document(None);
    }

    /// Best first, how many documents reach the threshold, and which ones if they were asked for.
    pub(super) fn into_sorted(mut self) -> (Vec<Candidate>, u64, Option<RoaringBitmap>) {
        self.end_document();
        (self.top.into_sorted(), self.matching, self.reaching)
    }

    fn begin_document(&mut self, next: Option<Candidate>) {
        if let Some(best) = std::mem::replace(&mut self.current, next)
            && self.min_score.is_none_or(|min| best.score >= min)
        {
            self.count(best.document);
            self.top.offer(best);
        }
    }
}
