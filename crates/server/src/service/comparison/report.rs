//! Figures of two generations, made of what they found for the same queries.

use std::cmp::Ordering;
use std::time::Duration;

use siamese_eval::{Distribution, Run, Scores, overlap_at, rank_biased_overlap};
use siamese_index::Generation;

use super::passages::PassageSample;

/// `p` of rank-biased overlap: the first ten ranks have 86 % of the weight (Webber, Moffat and Zobel, 2010).
pub(crate) const RANK_BIAS: f64 = 0.9;

/// What is kept of a query.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outcome {
    overlap: f64,
    rank_biased_overlap: f64,
    /// Of the active generation and of the other.
    sides: [SideOutcome; 2],
}

/// What is kept of a query's answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct SideOutcome {
    pub(super) scores: Option<Scores>,
    /// Score of the first hit.
    pub(super) first: Option<f64>,
    /// Score of the last hit that counts.
    pub(super) last: Option<f64>,
    pub(super) searching: Duration,
    pub(super) encoding: Option<Duration>,
    /// Tokens of the query.
    pub(super) tokens: usize,
}

/// Two generations beside each other.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) queries: usize,
    /// Means over queries.
    pub(crate) overlap: f64,
    pub(crate) rank_biased_overlap: f64,
    /// Queries whose nDCG@10 is higher, and those whose is lower, in the other generation.
    pub(crate) better: usize,
    pub(crate) worse: usize,
    /// The active generation, and the other.
    pub(crate) sides: [SideReport; 2],
    /// The queries that change most, worst first.
    pub(crate) changes: Vec<Change>,
    pub(crate) took: Duration,
}

/// One generation.
#[derive(Debug)]
pub(crate) struct SideReport {
    pub(crate) generation: Generation,
    /// Of the queries that have judgements.
    pub(crate) quality: Option<Scores>,
    /// Scores of first hits.
    pub(crate) first: Option<Distribution>,
    /// Scores of the last hits that count.
    pub(crate) last: Option<Distribution>,
    /// Milliseconds of one query.
    pub(crate) encoding_ms: Option<Distribution>,
    pub(crate) searching_ms: Option<Distribution>,
    /// Mean tokens of a query.
    pub(crate) query_tokens: f64,
    pub(crate) sample: Option<PassageSample>,
}

/// A query whose answer changes.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) query: String,
    pub(crate) overlap: f64,
    pub(crate) rank_biased_overlap: f64,
    /// nDCG@10 of both, if the query has judgements.
    pub(crate) ndcg_at_10: Option<[f64; 2]>,
    /// Hits of both, best first.
    pub(crate) hits: [Run; 2],
}

/// The queries that change most, worst first.
#[derive(Debug)]
pub(super) struct Changes {
    max: usize,
    worst: Vec<Change>,
}

impl Outcome {
    pub(super) fn new(runs: [&Run; 2], sides: [SideOutcome; 2], top_k: usize) -> Self {
        let [active, other] = runs.map(|run| {
            let ids = run.iter().map(|(id, _)| id.as_str());
            ids.collect::<Vec<_>>()
        });
        Self {
            overlap: overlap_at(&active, &other, top_k),
            rank_biased_overlap: rank_biased_overlap(&active, &other, RANK_BIAS),
            sides,
        }
    }

    fn ndcg_at_10(&self) -> Option<[f64; 2]> {
        let [active, other] = self.sides.each_ref().map(|side| side.scores);
        active
            .zip(other)
            .map(|(active, other)| [active.ndcg_at_10, other.ndcg_at_10])
    }
}

impl Change {
    /// How much nDCG@10 the other generation gains; 0 where that is not known.
    fn gain(&self) -> f64 {
        self.ndcg_at_10
            .map_or(0.0, |[active, other]| other - active)
    }

    /// What loses most comes first; of what loses alike, what agrees least.
    fn order(&self, other: &Self) -> Ordering {
        let by_gain = self.gain().total_cmp(&other.gain());
        by_gain.then(
            self.rank_biased_overlap
                .total_cmp(&other.rank_biased_overlap),
        )
    }
}

impl Changes {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            worst: Vec::new(),
        }
    }

    /// Keeps a query if it is among those that change most. One with the same answer is none of them.
    pub(super) fn note(&mut self, query: String, outcome: &Outcome, runs: [Run; 2], top_k: usize) {
        if runs[0]
            .iter()
            .map(|hit| &hit.0)
            .eq(runs[1].iter().map(|hit| &hit.0))
        {
            return;
        }
        let change = Change {
            query,
            overlap: outcome.overlap,
            rank_biased_overlap: outcome.rank_biased_overlap,
            ndcg_at_10: outcome.ndcg_at_10(),
            hits: runs.map(|mut run| {
                run.truncate(top_k);
                run.shrink_to_fit();
                run
            }),
        };
        let place = self
            .worst
            .partition_point(|other| other.order(&change) != Ordering::Greater);
        if place < self.max {
            self.worst.insert(place, change);
            self.worst.truncate(self.max);
        }
    }
}

impl Report {
    pub(super) fn new(
        generations: &[Generation; 2],
        outcomes: &[Outcome],
        samples: [Option<PassageSample>; 2],
        changes: Changes,
        took: Duration,
    ) -> Self {
        let mean = |value: fn(&Outcome) -> f64| {
            outcomes.iter().map(value).sum::<f64>() / outcomes.len().max(1) as f64
        };
        let ndcg = || outcomes.iter().filter_map(Outcome::ndcg_at_10);
        let [active, other] = [0, 1].map(|side| {
            let of_side: Vec<SideOutcome> =
                outcomes.iter().map(|outcome| outcome.sides[side]).collect();
            SideReport::new(generations[side].clone(), &of_side, samples[side])
        });
        Self {
            queries: outcomes.len(),
            overlap: mean(|outcome| outcome.overlap),
            rank_biased_overlap: mean(|outcome| outcome.rank_biased_overlap),
            better: ndcg().filter(|[active, other]| other > active).count(),
            worse: ndcg().filter(|[active, other]| other < active).count(),
            sides: [active, other],
            changes: changes.worst,
            took,
        }
    }
}

impl SideReport {
    fn new(
        generation: Generation,
        outcomes: &[SideOutcome],
        sample: Option<PassageSample>,
    ) -> Self {
        let spread = |value: fn(&SideOutcome) -> Option<f64>| {
            Distribution::of(outcomes.iter().filter_map(value).collect())
        };
        let quality = Scores::mean(outcomes.iter().filter_map(|outcome| outcome.scores));
        let tokens: usize = outcomes.iter().map(|outcome| outcome.tokens).sum();
        Self {
            generation,
            quality: (quality.queries > 0).then_some(quality),
            first: spread(|outcome| outcome.first),
            last: spread(|outcome| outcome.last),
            encoding_ms: spread(|outcome| outcome.encoding.map(milliseconds)),
            searching_ms: spread(|outcome| Some(milliseconds(outcome.searching))),
            query_tokens: tokens as f64 / outcomes.len().max(1) as f64,
            sample,
        }
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(ids: &[&str]) -> Run {
        ids.iter().map(|id| ((*id).to_owned(), 1.0)).collect()
    }

    fn side(ndcg_at_10: Option<f64>) -> SideOutcome {
        let scores = |ndcg_at_10| Scores {
            ndcg_at_10,
            ..Scores::mean([])
        };
        SideOutcome {
            scores: ndcg_at_10.map(scores),
            first: None,
            last: None,
            searching: Duration::ZERO,
            encoding: None,
            tokens: 0,
        }
    }

    fn note(changes: &mut Changes, query: &str, other: &[&str], ndcg: Option<[f64; 2]>) {
        let runs = [run(&["a", "b", "c"]), run(other)];
        let sides = [0, 1].map(|at| side(ndcg.map(|ndcg| ndcg[at])));
        let outcome = Outcome::new(runs.each_ref(), sides, 2);
        changes.note(query.to_owned(), &outcome, runs, 2);
    }

    fn queries(changes: &Changes) -> Vec<&str> {
        let worst = changes.worst.iter();
        worst.map(|change| change.query.as_str()).collect()
    }

    #[test]
    fn without_judgements_what_agrees_least_comes_first_and_what_is_the_same_not_at_all() {
        let mut changes = Changes::new(3);
        note(&mut changes, "same", &["a", "b", "c"], None);
        note(&mut changes, "end", &["a", "b", "x"], None);
        note(&mut changes, "all", &["x", "y", "z"], None);
        note(&mut changes, "order", &["b", "a", "c"], None);
        assert_eq!(queries(&changes), ["all", "end", "order"]);
        note(&mut changes, "start", &["x", "b", "c"], None);
        assert_eq!(queries(&changes), ["all", "start", "end"]);
        assert_eq!(changes.worst[0].hits[1].len(), 2);
    }

    #[test]
    fn with_judgements_what_loses_most_comes_first_however_little_changes() {
        let mut changes = Changes::new(10);
        note(&mut changes, "gains", &["x", "y", "z"], Some([0.0, 1.0]));
        note(&mut changes, "loses", &["a", "c", "b"], Some([1.0, 0.5]));
        note(&mut changes, "unknown", &["x", "b", "c"], None);
        assert_eq!(queries(&changes), ["loses", "unknown", "gains"]);
    }

    #[test]
    fn nothing_is_kept_when_nothing_is_to_be_shown() {
        let mut changes = Changes::new(0);
        note(&mut changes, "all", &["x", "y", "z"], None);
        assert!(changes.worst.is_empty());
    }
}
