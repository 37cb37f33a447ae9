//! Searching a vector space: the head exactly, each segment the cheapest way.

use super::best_documents::BestDocuments;
use super::row::Row;
use super::scan::{Scan, Scanned};
use super::segment_search::SegmentSearch;
use super::space::VectorSpace;
use siamese_kernels::Kernels;

impl VectorSpace {
    /// The best documents, best first, and how many match.
    pub(crate) fn search(&self, scan: &Scan<'_>) -> Scanned {
        let mut best = BestDocuments::new(scan);
        let kernels = Kernels::detected();
        for row in self.living_rows_of_head(scan) {
            best.offer(&row, kernels.dot(row.vector, scan.query));
        }
        for segment in self.segment_searches(scan) {
            if scan.exact {
                for row in segment.eligible_rows() {
                    best.offer(&row, kernels.dot(row.vector, scan.query));
                }
            } else {
                let mut nearest = segment.nearest();
                nearest.sort_unstable_by_key(|near| near.row.passage);
                for near in nearest {
                    best.offer(&near.row, near.dot);
                }
            }
        }
        let (best, matching) = best.into_sorted();
        let is_complete = scan.exact || self.layers.segments.segments.is_empty();
        let counted = if scan.min_score.is_none() {
            self.eligible_documents(scan)
        } else {
            matching
        };
        Scanned {
            best,
            matching: counted,
            is_exact_count: is_complete || scan.min_score.is_none(),
        }
    }

    fn living_rows_of_head(&self, scan: &Scan<'_>) -> impl Iterator<Item = Row<'_>> {
        let is_living =
            |passage| self.layers.dead.is_empty() || !self.layers.dead.contains(passage);
        let rows = self.layers.head.rows();
        rows.filter(move |row| is_living(row.passage) && scan.allows(row.passage))
    }

    fn segment_searches<'a>(
        &'a self,
        scan: &'a Scan<'a>,
    ) -> impl Iterator<Item = SegmentSearch<'a>> {
        let passages_per_document = self.passages().div_ceil(self.documents().max(1)) as usize;
        let segments = self.layers.segments.segments.iter();
        segments.map(move |segment| {
            SegmentSearch::new(
                segment,
                scan,
                &self.layers.dead,
                passages_per_document.max(1),
            )
        })
    }

    /// Documents that may be found, counted without looking at vectors.
    fn eligible_documents(&self, scan: &Scan<'_>) -> u64 {
        let allowed = scan
            .allowed
            .map(|allowed| self.documents.intersection_len(allowed));
        allowed.unwrap_or(self.documents.len())
    }
}
