//! Searching a vector space: the head exactly, each segment the cheapest way.

use super::best_documents::BestDocuments;
use super::contenders::Contenders;
use super::exact_vectors::ExactVectors;
use super::row::Row;
use super::scan::{Scan, Scanned};
use super::segment_search::{Near, SegmentSearch};
use super::space::VectorSpace;
use super::two_level::TwoLevelQuery;
use crate::VectorPrecision;
use siamese_kernels::Kernels;

impl VectorSpace {
    /// The best documents, best first, and how many match. Vectors that segments do not hold are read from `exact`; without
    /// them scores are those of codes.
    pub(crate) fn search<E: ExactVectors>(
        &self,
        scan: &Scan<'_>,
        exact: &E,
    ) -> Result<Scanned, E::Error> {
        let mut best = BestDocuments::new(scan);
        let kernels = Kernels::detected();
        for row in self.living_rows_of_head(scan) {
            best.offer(&row, kernels.dot(row.vector, scan.query));
        }
        best.end_document();
        let mut contenders = Contenders::new(scan);
        let query = self.has_compact().then(|| TwoLevelQuery::new(scan.query));
        for segment in self.segment_searches(scan, query.as_ref()) {
            if !scan.exact {
                let mut nearest = segment.nearest();
                nearest.sort_unstable_by_key(Near::passage);
                for near in nearest {
                    match near {
                        Near::Exact { row, dot } => best.offer(&row, dot),
                        Near::Estimated(row) => contenders.offer(row, &mut best),
                    }
                }
            } else if segment.is_compact() {
                segment.estimate_all(|row| contenders.offer(row, &mut best));
            } else {
                for row in segment.eligible_rows() {
                    best.offer(&row, kernels.dot(row.vector, scan.query));
                }
            }
            best.end_document();
        }
        contenders.read(exact, &mut best)?;
        let (best, matching, reaching) = best.into_sorted();
        let is_complete = scan.exact || self.layers.segments.segments.is_empty();
        let counted = if scan.min_score.is_none() {
            self.eligible_documents(scan)
        } else {
            matching
        };
        Ok(Scanned {
            best,
            matching: counted,
            reaching,
            is_exact_count: is_complete || scan.min_score.is_none(),
        })
    }

    fn has_compact(&self) -> bool {
        let mut segments = self.layers.segments.segments.iter();
        segments.any(|segment| segment.precision() == VectorPrecision::Compact)
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
        query: Option<&'a TwoLevelQuery>,
    ) -> impl Iterator<Item = SegmentSearch<'a>> {
        let passages_per_document = self.passages().div_ceil(self.documents().max(1)) as usize;
        let segments = self.layers.segments.segments.iter();
        segments.map(move |segment| {
            SegmentSearch::new(
                segment,
                scan,
                query,
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
