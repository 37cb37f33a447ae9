//! Figures of ranked retrieval, as trec_eval computes them.
//!
//! A document is relevant when its judgement is above 0. Hits are ranked by score; equal scores by
//! id, descending, which is trec_eval's rule, so that the figures do not depend on the order in
//! which a service happens to return them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;

/// Hits of one query: ids with scores.
pub type Run = Vec<(String, f64)>;

/// Means over all queries that have a relevant document.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scores {
    /// Queries that count.
    pub queries: usize,
    /// Discounted cumulative gain of the first ten, divided by that of the best order.
    pub ndcg_at_10: f64,
    /// One over the rank of the first relevant one among the first ten.
    pub mrr_at_10: f64,
    /// Part of the relevant ones that are among the first ten.
    pub recall_at_10: f64,
    /// Part of the relevant ones that are among the first hundred.
    pub recall_at_100: f64,
}

/// Figures of all queries: judgements by query and document against runs by query.
///
/// A query without a relevant document is left out, since nothing could be found for it; one
/// without a run scores 0.
pub fn scores(
    judgements: &BTreeMap<String, HashMap<String, i64>>,
    runs: &HashMap<String, Run>,
) -> Scores {
    let of_queries = judgements.iter().filter_map(|(query, judged)| {
        let run = runs.get(query).map(Vec::as_slice);
        query_scores(judged, run.unwrap_or_default())
    });
    Scores::mean(of_queries)
}

/// Figures of one query, whose documents have ids of any kind; `None` without a relevant document, since nothing could be
/// found for it.
pub fn query_scores<Id: Eq + Hash + Ord>(
    judged: &HashMap<Id, i64>,
    run: &[(Id, f64)],
) -> Option<Scores> {
    if judged.values().all(|relevance| *relevance <= 0) {
        return None;
    }
    let ranked = ranked(run);
    Some(Scores {
        queries: 1,
        ndcg_at_10: ndcg(judged, &ranked, 10),
        mrr_at_10: reciprocal_rank(judged, &ranked, 10),
        recall_at_10: recall(judged, &ranked, 10),
        recall_at_100: recall(judged, &ranked, 100),
    })
}

impl Scores {
    /// Means over queries, each of which counts once; zeros of none.
    pub fn mean(of_queries: impl IntoIterator<Item = Self>) -> Self {
        let (mut queries, mut sums) = (0, [0.0; 4]);
        for one in of_queries {
            queries += one.queries;
            let weight = one.queries as f64;
            let own = [
                one.ndcg_at_10,
                one.mrr_at_10,
                one.recall_at_10,
                one.recall_at_100,
            ];
            let pairs = sums.iter_mut().zip(own);
            pairs.for_each(|(sum, own)| *sum += weight * own);
        }
        let count = queries.max(1) as f64;
        let [ndcg_at_10, mrr_at_10, recall_at_10, recall_at_100] = sums.map(|sum| sum / count);
        Self {
            queries,
            ndcg_at_10,
            mrr_at_10,
            recall_at_10,
            recall_at_100,
        }
    }
}

/// How much of each exact answer's first `depth` hits the other answer's first `depth` hold, as a
/// mean: the recall of an approximate search. Queries without exact hits are left out.
pub fn overlap(exact: &HashMap<String, Run>, other: &HashMap<String, Run>, depth: usize) -> f64 {
    let shares = exact.iter().filter(|(_, run)| !run.is_empty());
    let shares: Vec<f64> = shares
        .map(|(query, run)| {
            let wanted: HashSet<&String> = ranked(run).into_iter().take(depth).collect();
            let found = other.get(query).map(Vec::as_slice).unwrap_or_default();
            let found = ranked(found).into_iter().take(depth);
            found.filter(|id| wanted.contains(id)).count() as f64 / wanted.len() as f64
        })
        .collect();
    shares.iter().sum::<f64>() / shares.len().max(1) as f64
}

fn ranked<Id: Ord>(run: &[(Id, f64)]) -> Vec<&Id> {
    let mut hits: Vec<_> = run.iter().collect();
    hits.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| b.0.cmp(&a.0)));
    hits.into_iter().map(|(id, _)| id).collect()
}

fn relevance<Id: Eq + Hash>(judged: &HashMap<Id, i64>, id: &Id) -> i64 {
    judged.get(id).copied().unwrap_or(0).max(0)
}

/// Discounted cumulative gain with the gain `relevance / log2(rank + 1)` (Järvelin and Kekäläinen,
/// 2002), divided by that of the best order.
fn ndcg<Id: Eq + Hash>(judged: &HashMap<Id, i64>, ranked: &[&Id], depth: usize) -> f64 {
    let gains = ranked.iter().map(|id| relevance(judged, id));
    let mut ideal: Vec<i64> = judged
        .values()
        .map(|relevance| (*relevance).max(0))
        .collect();
    ideal.sort_unstable_by(|a, b| b.cmp(a));
    let best = dcg(ideal.into_iter().take(depth));
    if best > 0.0 {
        dcg(gains.take(depth)) / best
    } else {
        0.0
    }
}

fn dcg(gains: impl Iterator<Item = i64>) -> f64 {
    let discounted = gains.zip(1_u32..);
    discounted
        .map(|(gain, rank)| gain as f64 / f64::from(rank + 1).log2())
        .sum()
}

fn reciprocal_rank<Id: Eq + Hash>(judged: &HashMap<Id, i64>, ranked: &[&Id], depth: usize) -> f64 {
    let place = ranked
        .iter()
        .take(depth)
        .position(|id| relevance(judged, id) > 0);
    place.map_or(0.0, |place| 1.0 / (place + 1) as f64)
}

fn recall<Id: Eq + Hash>(judged: &HashMap<Id, i64>, ranked: &[&Id], depth: usize) -> f64 {
    let relevant = judged.values().filter(|relevance| **relevance > 0).count();
    let found = ranked.iter().take(depth);
    let found = found.filter(|id| relevance(judged, id) > 0).count();
    found as f64 / relevant.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(pairs: &[(&str, i64)]) -> HashMap<String, i64> {
        pairs.iter().map(|(id, n)| ((*id).to_owned(), *n)).collect()
    }

    fn judged_by_name<'a>(pairs: &[(&'a str, i64)]) -> HashMap<&'a str, i64> {
        pairs.iter().copied().collect()
    }

    fn run(pairs: &[(&str, f64)]) -> Run {
        pairs.iter().map(|(id, n)| ((*id).to_owned(), *n)).collect()
    }

    #[test]
    fn ndcg_equals_a_sum_by_hand() {
        let judged = judged_by_name(&[("a", 2), ("b", 1), ("c", 1), ("x", -1)]);
        // Gains 0, 2, 1 at ranks 1 to 3; the best order is 2, 1, 1.
        let value = ndcg(&judged, &[&"x", &"a", &"b"], 10);
        let (two, four) = (3_f64.log2(), 4_f64.log2());
        let expected = (2.0 / two + 1.0 / four) / (2.0 + 1.0 / two + 1.0 / four);
        assert!((value - expected).abs() < 1e-12, "{value} {expected}");
        assert_eq!(ndcg(&judged, &[&"a", &"b", &"c"], 10), 1.0);
        assert_eq!(ndcg(&judged, &[&"x", &"a"], 1), 0.0);
    }

    #[test]
    fn depths_are_kept() {
        let judged = judged_by_name(&[("a", 1), ("b", 1)]);
        let mut ranked = vec![&"x"; 9];
        ranked.extend([&"a", &"b"]);
        assert_eq!(reciprocal_rank(&judged, &ranked, 10), 0.1);
        assert_eq!(reciprocal_rank(&judged, &ranked, 9), 0.0);
        assert_eq!(recall(&judged, &ranked, 10), 0.5);
        assert_eq!(recall(&judged, &ranked, 100), 1.0);
    }

    #[test]
    fn equal_scores_are_ranked_by_descending_id_as_in_trec_eval() {
        let hits = run(&[("a", 1.0), ("c", 1.0), ("b", 2.0)]);
        assert_eq!(ranked(&hits), ["b", "c", "a"]);
    }

    #[test]
    fn queries_without_relevant_documents_are_left_out_and_those_without_hits_count() {
        let judgements = BTreeMap::from([
            ("found".to_owned(), judged(&[("a", 1)])),
            ("missed".to_owned(), judged(&[("a", 1)])),
            ("nothing to find".to_owned(), judged(&[("a", 0)])),
        ]);
        let runs = HashMap::from([("found".to_owned(), run(&[("a", 0.5)]))]);
        let scores = scores(&judgements, &runs);
        assert_eq!((scores.queries, scores.ndcg_at_10), (2, 0.5));
        assert_eq!((scores.mrr_at_10, scores.recall_at_10), (0.5, 0.5));
    }

    #[test]
    fn overlap_is_the_share_of_exact_hits_that_were_found() {
        let exact = HashMap::from([("q".to_owned(), run(&[("a", 3.0), ("b", 2.0), ("c", 1.0)]))]);
        let other = HashMap::from([("q".to_owned(), run(&[("a", 3.0), ("c", 1.0)]))]);
        assert_eq!(overlap(&exact, &other, 2), 0.5);
        assert_eq!(overlap(&exact, &exact, 10), 1.0);
        assert_eq!(overlap(&exact, &HashMap::new(), 10), 0.0);
    }
}
