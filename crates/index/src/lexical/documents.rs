//! Documents by their best passages.

use roaring::RoaringBitmap;

use crate::vectors::{Candidate, TopK};

/// Documents that were chosen by their best passages.
#[derive(Debug)]
pub(crate) struct LexicalMatches {
    /// Best first; equal scores in the order of documents.
    pub(crate) best: Vec<Candidate>,
    /// All that match.
    pub(crate) documents: RoaringBitmap,
}

/// Takes passages in, those of a document one after the other, and documents in ascending order.
#[derive(Debug)]
pub(super) struct Documents<'a> {
    among: &'a RoaringBitmap,
    min_score: Option<f32>,
    top: TopK,
    matching: Vec<u32>,
    current: Option<Candidate>,
}

impl<'a> Documents<'a> {
    pub(super) fn new(among: &'a RoaringBitmap, limit: usize, min_score: Option<f32>) -> Self {
        Self {
            among,
            min_score,
            top: TopK::new(limit),
            matching: Vec::new(),
            current: None,
        }
    }

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

    pub(super) fn finish(mut self) -> LexicalMatches {
        self.end_document(None);
        LexicalMatches {
            best: self.top.into_sorted(),
            documents: self.matching.into_iter().collect(),
        }
    }

    fn end_document(&mut self, next: Option<Candidate>) {
        if let Some(best) = std::mem::replace(&mut self.current, next)
            && self.min_score.is_none_or(|min| best.score >= min)
            && self.among.contains(best.document)
        {
            self.matching.push(best.document);
            self.top.offer(best);
        }
    }
}
