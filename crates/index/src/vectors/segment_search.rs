//! Searching one segment: which way costs least, and what to do when it finds too little.

use std::collections::HashSet;

use roaring::RoaringBitmap;

use super::beam::Reached;
use super::row::Row;
use super::scan::Scan;
use super::scratch::Scratch;
use super::segment::{VectorSegment, View, Walk, Walked};
use crate::segments::Segment;
use siamese_kernels::Kernels;

/// Rows that can be scored by codes in the time in which a walk handles one candidate. Measured
/// with 384 dimensions.
const ROWS_PER_CANDIDATE: usize = 50;
/// The same for a first walk behind a filter, which mostly is widened: a scan finds everything at once.
const ROWS_PER_FILTERED_CANDIDATE: usize = 2 * ROWS_PER_CANDIDATE;
/// Eligible passages a walk should meet for each that is wanted, so that the best are among them.
const CANDIDATES_PER_WANTED: f64 = 1.5;
/// Factor by which a walk is widened when it met too few.
const WIDENING: usize = 4;
/// A walk is long enough when the wanted passages were found in the first of this many equal parts
/// of it.
const PATIENCE: usize = 5;
/// How much nearer than by chance the wanted passages must be, in deviations of all scores, for a
/// walk to be trusted in any case, or when it has been widened once; others are widened up to
/// [`MAX_WIDENINGS`] times.
const CLEARLY_NEARER: f32 = 1.4;
const SOMEWHAT_NEARER: f32 = 0.8;
const MAX_WIDENINGS: usize = 2;
/// Candidates scored exactly at most: this many for each passage wanted, and some more. Codes may rank
/// neighbours of equal score in another order.
const RESCORED_PER_WANTED: usize = 2;
const RESCORED_MORE: usize = 20;
/// Candidates whose scores by codes are further below the last that is wanted are not scored exactly: deviations of
/// what codes leave out, of both.
const UNCERTAINTY: f32 = 3.0;

/// A passage that was found.
#[derive(Debug)]
pub(super) struct Near<'a> {
    pub(super) row: Row<'a>,
    /// The dot product with the query.
    pub(super) dot: f32,
}

/// One search in one segment.
#[derive(Debug)]
pub(super) struct SegmentSearch<'a> {
    segment: &'a VectorSegment,
    view: View<'a>,
    scan: &'a Scan<'a>,
    /// Passages that may be found; `None` when all may.
    eligible: Option<RoaringBitmap>,
    /// How many that are.
    count: usize,
    /// Passages after which enough documents have been found, most likely.
    wanted: usize,
}

impl<'a> SegmentSearch<'a> {
    /// `passages_per_document` is the average, at least 1.
    pub(super) fn new(
        segment: &'a VectorSegment,
        scan: &'a Scan<'a>,
        dead: &RoaringBitmap,
        passages_per_document: usize,
    ) -> Self {
        let eligible = eligible(segment, scan, dead);
        let all = segment.passages();
        let count = eligible.as_ref().unwrap_or(all).len() as usize;
        Self {
            segment,
            view: segment.view(),
            scan,
            eligible,
            count,
            wanted: scan.limit.saturating_mul(passages_per_document).min(count),
        }
    }

    /// Every eligible passage, in the order of passages.
    pub(super) fn eligible_rows(&self) -> impl Iterator<Item = Row<'a>> + '_ {
        let all = self.segment.passages();
        let rows = self.view.rows_of(self.eligible.as_ref().unwrap_or(all));
        rows.map(|row| self.view.row(row))
    }

    /// Passages that hold the best documents, most likely, in no order.
    pub(super) fn nearest(&self) -> Vec<Near<'a>> {
        if self.wanted == 0 {
            return Vec::new();
        }
        let walk = Walk::new(self.segment, self.scan.query);
        let mut ef = self.first_ef();
        let mut rows_per_candidate = match self.scan.widens && self.eligible.is_some() {
            true => ROWS_PER_FILTERED_CANDIDATE,
            false => ROWS_PER_CANDIDATE,
        };
        // None as long as nobody knows how hard the query is.
        let mut widenings = (!self.scan.widens).then_some(0);
        while ef.saturating_mul(rows_per_candidate) < self.count {
            let walked = self.walked(&walk, ef);
            let found = self.rescored(&walk, &walked.rows);
            if self.is_enough(&found) {
                let left = widenings.unwrap_or_else(|| self.widenings(&walk, &walked));
                if left == 0 || walked.is_settled {
                    return found;
                }
                widenings = Some(left - 1);
            }
            ef = ef.saturating_mul(WIDENING);
            rows_per_candidate = ROWS_PER_CANDIDATE;
        }
        self.scanned(&walk)
    }

    /// How often a walk may have to be widened to find the nearest passages.
    ///
    /// A graph leads to what is near because what is near is near to each other. A query about
    /// something else is about as far from everything, and its nearest are scattered. Then they are
    /// hardly nearer than the best of so many scores that are drawn at random: of `n` normal ones
    /// about `sqrt(2 ln(n / k))` deviations above the mean for the `k`th.
    fn widenings(&self, walk: &Walk<'_>, walked: &Walked) -> usize {
        let Some(last) = walked.rows.get(self.wanted - 1).or(walked.rows.last()) else {
            return 0;
        };
        let scores = walk.scores();
        let by_chance = (2.0 * (self.count as f32 / self.wanted as f32).ln()).sqrt();
        let nearer = (last.score - scores.mean) / scores.deviation.max(f32::MIN_POSITIVE);
        match nearer - by_chance {
            nearer if nearer >= CLEARLY_NEARER => 0,
            nearer if nearer >= SOMEWHAT_NEARER => 1,
            _ => MAX_WIDENINGS,
        }
    }

    /// Candidates to keep so that enough of them are eligible.
    fn first_ef(&self) -> usize {
        let rows = self.segment.passages().len() as f64;
        let rows_per_eligible = rows / self.count as f64;
        let ineligible = (rows_per_eligible - 1.0) * CANDIDATES_PER_WANTED * self.wanted as f64;
        self.scan.ef.max(self.wanted) + ineligible as usize
    }

    /// The eligible rows that a walk met, best first.
    fn walked(&self, walk: &Walk<'_>, ef: usize) -> Walked {
        let mut scratch = Scratch::take();
        let watched = self.watched();
        let mut walked = walk.nearest(ef, watched, PATIENCE, &mut scratch);
        scratch.give_back();
        if let Some(eligible) = &self.eligible {
            let is_eligible = |row: u32| eligible.contains(self.view.passages[row as usize]);
            walked.rows.retain(|walked| is_eligible(walked.row));
        }
        walked
    }

    /// Places of a walk's best rows among which the wanted ones are.
    fn watched(&self) -> usize {
        if !self.scan.widens {
            return 0;
        }
        self.wanted
            .saturating_mul(self.segment.passages().len() as usize)
            / self.count.max(1)
    }

    /// The best of all eligible rows by their codes.
    fn scanned(&self, walk: &Walk<'_>) -> Vec<Near<'a>> {
        let all = self.segment.passages();
        let rows = self.view.rows_of(self.eligible.as_ref().unwrap_or(all));
        let mut scratch = Scratch::take();
        let best = walk.best_of(rows, self.rescored_rows(), &mut scratch);
        scratch.give_back();
        self.rescored(walk, &best)
    }

    fn rescored_rows(&self) -> usize {
        self.wanted * RESCORED_PER_WANTED + RESCORED_MORE
    }

    /// The first candidates by their vectors instead of their codes.
    fn rescored(&self, walk: &Walk<'_>, candidates: &[Reached]) -> Vec<Near<'a>> {
        let kernels = Kernels::detected();
        let candidates = &candidates[..candidates.len().min(self.rescored_rows())];
        let candidates = self.possible(walk, candidates);
        for next in candidates {
            self.view.prefetch_vector(next.row);
        }
        let rows = candidates.iter().map(|candidate| candidate.row);
        rows.map(|row| {
            let row = self.view.row(row);
            let dot = kernels.dot(row.vector, self.scan.query);
            Near { row, dot }
        })
        .collect()
    }

    /// Those of the candidates, which come best first, that may be among the best documents.
    fn possible<'c>(&self, walk: &Walk<'_>, candidates: &'c [Reached]) -> &'c [Reached] {
        // All that are met are counted when there is a threshold.
        if self.scan.min_score.is_some() {
            return candidates;
        }
        let mut documents = HashSet::with_capacity(self.scan.limit);
        let last = candidates.iter().find(|candidate| {
            documents.insert(self.view.row(candidate.row).document);
            documents.len() == self.scan.limit
        });
        let Some(last) = last else {
            return candidates;
        };
        let least = last.score - UNCERTAINTY * walk.uncertainty(last.row);
        let is_possible = |candidate: &&Reached| {
            candidate.score + UNCERTAINTY * walk.uncertainty(candidate.row) >= least
        };
        let count = candidates
            .iter()
            .rposition(|candidate| is_possible(&candidate));
        &candidates[..count.map_or(0, |count| count + 1)]
    }

    /// Returns whether there are as many documents as are wanted, or no more passages to find.
    fn is_enough(&self, found: &[Near<'_>]) -> bool {
        if found.len() >= self.count {
            return true;
        }
        let mut documents: Vec<u32> = found.iter().map(|near| near.row.document).collect();
        documents.sort_unstable();
        documents.dedup();
        documents.len() >= self.scan.limit
    }
}

/// Passages of a segment that are alive and allowed; `None` when all are.
fn eligible(
    segment: &VectorSegment,
    scan: &Scan<'_>,
    dead: &RoaringBitmap,
) -> Option<RoaringBitmap> {
    let all = segment.passages();
    let has_dead = !dead.is_disjoint(all);
    if scan.allowed.is_none() && !has_dead {
        return None;
    }
    let mut eligible = scan
        .allowed
        .map_or_else(|| all.clone(), |allowed| allowed & all);
    if has_dead {
        eligible -= dead;
    }
    Some(eligible)
}
