//! Passages of compact segments whose vectors are to be read, because their documents may be among those that are wanted.
//!
//! Each score is known up to a bound. A document whose bounds leave no doubt is neither kept nor read: it is worse than
//! enough others, and on one side of the threshold. So what a search finds and counts is what the vectors say.

use siamese_kernels::Kernels;

use super::best_documents::BestDocuments;
use super::exact_vectors::ExactVectors;
use super::row::Row;
use super::scan::{Candidate, Scan};
use super::top_k::TopK;
use super::two_level::Estimate;

/// Passages that are kept before it is looked at which are still needed: as many for each document wanted, and some more.
const KEPT_PER_WANTED: usize = 4;
const KEPT_MORE: usize = 256;

/// A passage, and what its score is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Estimated {
    pub(super) passage: u32,
    pub(super) document: u32,
    pub(super) estimate: Estimate,
}

/// Takes passages in and keeps those that may matter. All passages of a document must come one after the other.
#[derive(Debug)]
pub(super) struct Contenders<'a> {
    scan: &'a Scan<'a>,
    /// The best of the least scores that documents have for certain.
    least: TopK,
    /// Passages of documents that may be wanted; those of one stand together.
    kept: Vec<Estimated>,
    /// Where the document begins whose passages come in.
    current: usize,
    /// How many are kept when it is next looked at which are still needed.
    full_at: usize,
}

/// What is known of a document's score.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    lower: f32,
    upper: f32,
}

impl Bounds {
    fn of(passages: &[Estimated]) -> Self {
        let nothing = Self {
            lower: f32::MIN,
            upper: f32::MIN,
        };
        passages.iter().fold(nothing, |bounds, passage| Self {
            lower: bounds.lower.max(passage.estimate.lower()),
            upper: bounds.upper.max(passage.estimate.upper()),
        })
    }

    /// Returns whether the score reaches a threshold, where that is certain.
    fn reaches(self, min_score: Option<f32>) -> Option<bool> {
        let Some(min) = min_score else {
            return Some(true);
        };
        match self {
            Self { upper, .. } if upper < min => Some(false),
            Self { lower, .. } if lower >= min => Some(true),
            _ => None,
        }
    }
}

impl<'a> Contenders<'a> {
    pub(super) fn new(scan: &'a Scan<'a>) -> Self {
        Self {
            scan,
            least: TopK::new(scan.limit),
            kept: Vec::new(),
            current: 0,
            full_at: scan
                .limit
                .saturating_mul(KEPT_PER_WANTED)
                .saturating_add(KEPT_MORE),
        }
    }

    /// A passage. `best` has what is known of others, and counts documents that are not kept.
    pub(super) fn offer(&mut self, passage: Estimated, best: &mut BestDocuments<'_>) {
        let current = self.kept.get(self.current);
        if current.is_some_and(|current| current.document != passage.document) {
            self.end_document(best);
        }
        self.kept.push(passage);
    }

    /// Reads the vectors that matter and offers them. Passages that have been removed since have the score that their codes
    /// say: whoever reads their documents finds that they are no more.
    pub(super) fn read<E: ExactVectors>(
        mut self,
        exact: &E,
        best: &mut BestDocuments<'_>,
    ) -> Result<(), E::Error> {
        self.end_document(best);
        self.prune(best);
        let kernels = Kernels::detected();
        let documents = self.kept.chunk_by(|a, b| a.document == b.document);
        let mut documents: Vec<_> = documents
            .map(|passages| (Bounds::of(passages), passages))
            .collect();
        // Those that may be the best first: the others may then turn out not to matter.
        documents.sort_by(|(a, _), (b, _)| b.upper.total_cmp(&a.upper));
        for (bounds, passages) in documents {
            if self.is_settled(bounds, best.floor()) {
                best.count(passages[0].document);
                continue;
            }
            let may_be_best = |passage: &&Estimated| passage.estimate.upper() >= bounds.lower;
            for passage in passages.iter().filter(may_be_best) {
                let Estimated {
                    passage,
                    document,
                    estimate,
                } = *passage;
                match exact.vector(passage)? {
                    Some(vector) => {
                        let vector = &vector;
                        let dot = kernels.dot(vector, self.scan.query);
                        let row = Row {
                            vector,
                            passage,
                            document,
                        };
                        best.offer(&row, dot);
                    }
                    None => best.offer_scored(Candidate {
                        document,
                        passage,
                        score: estimate.score,
                    }),
                }
            }
            best.end_document();
        }
        Ok(())
    }

    fn end_document(&mut self, best: &mut BestDocuments<'_>) {
        let passages = &self.kept[self.current..];
        let Some(first) = passages.first() else {
            return;
        };
        let (document, bounds) = (first.document, Bounds::of(passages));
        let reaches = bounds.reaches(self.scan.min_score);
        if reaches == Some(false) {
            self.kept.truncate(self.current);
        } else if self.is_settled(bounds, self.floor(best)) {
            best.count(document);
            self.kept.truncate(self.current);
        } else if reaches == Some(true) {
            self.least.offer(Candidate {
                document,
                passage: first.passage,
                score: bounds.lower,
            });
        }
        if self.kept.len() >= self.full_at {
            self.prune(best);
            self.full_at = self.full_at.max(2 * self.kept.len());
        }
        self.current = self.kept.len();
    }

    /// What a document's score must reach to be among those that are wanted.
    fn floor(&self, best: &BestDocuments<'_>) -> Option<f32> {
        let floors = [self.least.floor(), best.floor()];
        floors.into_iter().flatten().reduce(f32::max)
    }

    /// Returns whether a document is certainly not among the best and certainly reaches the threshold.
    fn is_settled(&self, bounds: Bounds, floor: Option<f32>) -> bool {
        let is_worse = floor.is_some_and(|floor| bounds.upper < floor);
        is_worse && bounds.reaches(self.scan.min_score) == Some(true)
    }

    /// Lets go of documents that are settled by now, and counts them.
    fn prune(&mut self, best: &mut BestDocuments<'_>) {
        let floor = self.floor(best);
        let mut kept = Vec::with_capacity(self.kept.len());
        for passages in self.kept.chunk_by(|a, b| a.document == b.document) {
            if self.is_settled(Bounds::of(passages), floor) {
                best.count(passages[0].document);
            } else {
                kept.extend_from_slice(passages);
            }
        }
        self.kept = kept;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::super::normalized;
    use super::*;

    /// Vectors of two values, and how often they were asked for.
    struct Record {
        vectors: Vec<[f32; 2]>,
        reads: Cell<usize>,
    }

    impl ExactVectors for Record {
        type Error = Infallible;

        fn vector(&self, passage: u32) -> Result<Option<Vec<f32>>, Infallible> {
            self.reads.set(self.reads.get() + 1);
            Ok(Some(self.vectors[passage as usize].to_vec()))
        }
    }

    /// What is found of passages of which `per_document` make a document, whose scores are known up to `error`.
    fn found(
        vectors: &[[f32; 2]],
        per_document: u32,
        scan: &Scan<'_>,
        errors: &[(f32, f32)],
    ) -> (Vec<Candidate>, u64, usize) {
        let record = Record {
            vectors: vectors.to_vec(),
            reads: Cell::new(0),
        };
        let mut best = BestDocuments::new(scan);
        let mut contenders = Contenders::new(scan);
        for ((passage, vector), (error, part)) in (0..).zip(vectors).zip(errors) {
            let exact = vector[0] * scan.query[0] + vector[1] * scan.query[1];
            let estimate = Estimate {
                score: exact + error * part,
                error: error + 1e-6,
            };
            let row = Estimated {
                passage,
                document: passage / per_document,
                estimate,
            };
            contenders.offer(row, &mut best);
        }
        let Ok(()) = contenders.read(&record, &mut best);
        let (best, matching, reaching) = best.into_sorted();
        assert_eq!(
            reaching.map_or(matching, |reaching| reaching.len()),
            matching
        );
        (best, matching, record.reads.get())
    }

    fn scan<'a>(query: &'a [f32], limit: usize, min_score: Option<f32>) -> Scan<'a> {
        Scan {
            query,
            limit,
            min_score,
            collects_reaching: limit.is_multiple_of(2),
            allowed: None,
            exact: true,
            ef: 1,
            widens: false,
        }
    }

    proptest! {
        #[test]
        fn what_is_found_is_what_the_vectors_say(
            angles in prop::collection::vec(0..40_u8, 0..600),
            per_document in 1..4_u32,
            limit in 0..12_usize,
            threshold in prop::option::of(0..40_u8),
            errors in prop::collection::vec((0.0..0.2_f32, -1.0..1.0_f32), 600),
        ) {
            let vector = |angle: &u8| {
                let angle = f32::from(*angle) / 10.0;
                let vector = normalized(&[angle.cos(), angle.sin()]);
                [vector[0], vector[1]]
            };
            let vectors: Vec<[f32; 2]> = angles.iter().map(vector).collect();
            // The score of a vector, so that some are exactly at the threshold.
            let query = [1.0, 0.0];
            let min_score = threshold.map(|angle| super::super::cosine(&query, &vector(&angle)));
            let scan = scan(&query, limit, min_score);
            let sure = vec![(0.0, 0.0); 600];
            let all = vec![(f32::MAX / 4.0, 0.0); 600];
            let (best, matching, reads) = found(&vectors, per_document, &scan, &errors);
            let (right, right_matching, _) = found(&vectors, per_document, &scan, &all);
            prop_assert_eq!(&best, &right);
            if min_score.is_some() {
                prop_assert_eq!(matching, right_matching);
            }
            let (best, _, fewer) = found(&vectors, per_document, &scan, &sure);
            prop_assert_eq!(best, right);
            prop_assert!(reads <= vectors.len() && fewer <= vectors.len());
        }
    }

    #[test]
    fn only_what_may_be_among_the_best_is_read() {
        let vector = |n: usize| {
            let angle = n as f32 / 1000.0;
            [angle.cos(), angle.sin()]
        };
        // The worst first, so that each is better than all before.
        let vectors: Vec<[f32; 2]> = (0..1000).rev().map(vector).collect();
        let query = [1.0, 0.0];
        for min_score in [None, Some(0.8)] {
            let errors = vec![(1e-5, 1.0); 1000];
            let (best, _, reads) = found(&vectors, 1, &scan(&query, 10, min_score), &errors);
            assert_eq!(best.len(), 10);
            assert!((10..40).contains(&reads), "{reads}");
        }
    }
}
