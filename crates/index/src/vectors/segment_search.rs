//! Searching one segment: which way costs least, and what to do when it finds too little.

use std::collections::HashSet;

use roaring::RoaringBitmap;

use super::beam::Reached;
use super::contenders::Estimated;
use super::row::Row;
use super::scan::Scan;
use super::scratch::Scratch;
use super::segment::{VectorSegment, View, Walk, Walked};
use super::two_level::{LevelDots, TwoLevelQuery};
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
/// Rows of a compact segment that are scored together, while the next so many are asked for.
const ROWS_TOGETHER: usize = 32;

/// A passage that was found.
#[derive(Debug)]
pub(super) enum Near<'a> {
    /// With its dot product with the query.
    Exact { row: Row<'a>, dot: f32 },
    /// Of a compact segment.
    Estimated(Estimated),
}

impl Near<'_> {
    pub(super) fn passage(&self) -> u32 {
        match self {
            Self::Exact { row, .. } => row.passage,
            Self::Estimated(row) => row.passage,
        }
    }

    fn document(&self) -> u32 {
        match self {
            Self::Exact { row, .. } => row.document,
            Self::Estimated(row) => row.document,
        }
    }
}

/// One search in one segment.
#[derive(Debug)]
pub(super) struct SegmentSearch<'a> {
    segment: &'a VectorSegment,
    view: View<'a>,
    scan: &'a Scan<'a>,
    /// The query's codes if the segment is compact.
    two_level: Option<&'a TwoLevelQuery>,
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
        two_level: Option<&'a TwoLevelQuery>,
        dead: &RoaringBitmap,
        passages_per_document: usize,
    ) -> Self {
        let eligible = eligible(segment, scan, dead);
        let all = segment.passages();
        let count = eligible.as_ref().unwrap_or(all).len() as usize;
        let view = segment.view();
        Self {
            segment,
            view,
            scan,
            two_level: two_level.filter(|_| view.is_compact()),
            eligible,
            count,
            wanted: scan.limit.saturating_mul(passages_per_document).min(count),
        }
    }

    /// Returns whether the segment has codes in the place of vectors.
    pub(super) fn is_compact(&self) -> bool {
        self.two_level.is_some()
    }

    /// Scores every eligible passage of a compact segment, in the order of passages.
    pub(super) fn estimate_all(&self, mut take: impl FnMut(Estimated)) {
        let Some(query) = self.two_level else {
            return;
        };
        let all = self.segment.passages();
        let mut rows = self.view.rows_of(self.eligible.as_ref().unwrap_or(all));
        let mut dots = LevelDots::default();
        let mut next: Vec<u32> = rows.by_ref().take(ROWS_TOGETHER).collect();
        while !next.is_empty() {
            let now = std::mem::replace(&mut next, rows.by_ref().take(ROWS_TOGETHER).collect());
            for row in &next {
                self.view.prefetch_two_level(*row);
            }
            self.estimate(query, &now, &mut dots, &mut take);
        }
    }

    fn estimate(
        &self,
        query: &TwoLevelQuery,
        rows: &[u32],
        dots: &mut LevelDots,
        mut take: impl FnMut(Estimated),
    ) {
        query.multiply(&self.view.two_level_matrix(), rows, dots);
        for (place, row) in rows.iter().enumerate() {
            let (step, head) = (self.view.step(*row), self.view.fine_head(*row));
            take(Estimated {
                passage: self.view.passages[*row as usize],
                document: self.view.document(*row),
                estimate: query.estimate(dots, place, step, head),
            });
        }
    }

    /// Every eligible passage of a segment that has vectors, in the order of passages.
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

    /// The first candidates by their vectors instead of their codes, or else by both codes.
    fn rescored(&self, walk: &Walk<'_>, candidates: &[Reached]) -> Vec<Near<'a>> {
        let kernels = Kernels::detected();
        let candidates = &candidates[..candidates.len().min(self.rescored_rows())];
        let candidates = self.possible(walk, candidates);
        if let Some(query) = self.two_level {
            return self.rescored_by_codes(query, candidates);
        }
        for next in candidates {
            self.view.prefetch_vector(next.row);
        }
        let rows = candidates.iter().map(|candidate| candidate.row);
        rows.map(|row| {
            let row = self.view.row(row);
            let dot = kernels.dot(row.vector, self.scan.query);
            Near::Exact { row, dot }
        })
        .collect()
    }

    fn rescored_by_codes(&self, query: &TwoLevelQuery, candidates: &[Reached]) -> Vec<Near<'a>> {
        let rows: Vec<u32> = candidates.iter().map(|candidate| candidate.row).collect();
        for row in &rows {
            self.view.prefetch_two_level(*row);
        }
        let mut near = Vec::with_capacity(rows.len());
        let mut dots = LevelDots::default();
        self.estimate(query, &rows, &mut dots, |row| {
            near.push(Near::Estimated(row))
        });
        near
    }

    /// Those of the candidates, which come best first, that may be among the best documents.
    fn possible<'c>(&self, walk: &Walk<'_>, candidates: &'c [Reached]) -> &'c [Reached] {
        // All that are met are counted when there is a threshold.
        if self.scan.min_score.is_some() {
            return candidates;
        }
        let mut documents = HashSet::with_capacity(self.scan.limit);
        let last = candidates.iter().find(|candidate| {
            documents.insert(self.view.document(candidate.row));
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
        let mut documents: Vec<u32> = found.iter().map(Near::document).collect();
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
