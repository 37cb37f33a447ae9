//! What the index is asked for, and what is chosen of its answer.

use siamese_index::{Facet, HitSet, Moment, Query, SearchOptions, SearchResults, Total};

use super::auto_cut;
use super::diversity::Candidates;
use super::groups::{Grouping, grouped};
use super::page::PageHit;
use super::stage::Stage;
use crate::backend::Reader;
use crate::error::{ApiError, ErrorCode};

/// Candidates are asked for in this multiple of the hits wanted, and again in this multiple of
/// the candidates before, until there are enough groups.
const GROUP_CANDIDATES_PER_HIT: usize = 4;
/// For diversity, candidates are asked for again in this multiple of those before, while they are mostly copies.
const MORE_CANDIDATES: usize = 4;

/// The list of hits up to the end of a page, and what the index says of all that match.
pub(super) struct HitList {
    /// In the order of the answer; those that `offset` skips are among them.
    pub(super) hits: Vec<PageHit>,
    /// Whether there are more, as far as can be told.
    pub(super) has_more: bool,
    pub(super) moment: Moment,
    pub(super) total: Total,
    pub(super) facets: Vec<Facet>,
}

/// The first `offset + top_k` hits, or the first `top_k` of those that were not returned before.
///
/// # Errors
/// When the query does not fit the collection, or the store fails.
pub(super) fn hit_list(
    collection: &Reader,
    query: &Query<'_>,
    stage: &Stage,
) -> Result<HitList, ApiError> {
    let choice = &stage.search.choice;
    let mut list = match (choice.diversity, &choice.group_by) {
        (None, None) => by_score(collection, query, stage, stage.window.end(), true)?,
        (None, Some(grouping)) => {
            let wanted = stage.window.end_from_first();
            by_group(collection, query, stage, grouping, wanted)?
        }
        (Some(diversity), _) => by_diversity(collection, query, stage, diversity)?,
    };
    list.leave_page(stage);
    if stage.window.auto_cut {
        let scores: Vec<f32> = list.hits.iter().map(|found| found.hit.score).collect();
        list.hits.truncate(auto_cut::kept(&scores));
        list.has_more = false;
    }
    Ok(list)
}

impl HitList {
    fn leave_page(&mut self, stage: &Stage) {
        let window = &stage.window;
        if let Some(state) = &window.after {
            self.hits.retain(|found| !state.shown.contains(&found.hit));
        }
        self.has_more |= self.hits.len() > window.end();
        self.hits.truncate(window.end());
    }
}

/// What was returned before is skipped, or is among the hits.
fn by_score(
    collection: &Reader,
    query: &Query<'_>,
    stage: &Stage,
    limit: usize,
    skips_shown: bool,
) -> Result<HitList, ApiError> {
    let after = stage.window.after.as_ref().filter(|_| skips_shown);
    let skip = after.map(|state| state.shown.clone());
    let results = ask(collection, query, stage, limit, skip.unwrap_or_default())?;
    // A total that is a lower bound says nothing of what lies beyond the hits.
    let may_be_more = !results.total.exact && results.hits.len() == limit;
    Ok(HitList {
        has_more: !results.hits.is_empty() && (results.rest > 0 || may_be_more),
        hits: results.hits.into_iter().map(PageHit::from).collect(),
        moment: results.moment,
        total: results.total,
        facets: results.facets,
    })
}

/// Chooses among the best, which is a list that ends. Where these are mostly copies of each other, it asks for
/// more and more until there is something to choose among.
fn by_diversity(
    collection: &Reader,
    query: &Query<'_>,
    stage: &Stage,
    diversity: f32,
) -> Result<HitList, ApiError> {
    let choice = &stage.search.choice;
    let pool = choice.max_diversity_candidates.max(stage.window.end());
    let max = choice.max_group_candidates.max(pool);
    let mut limit = pool;
    let (mut list, candidates) = loop {
        let mut list = match &choice.group_by {
            Some(grouping) => by_group(collection, query, stage, grouping, limit)?,
            None => by_score(collection, query, stage, limit, false)?,
        };
        let is_all = list.hits.len() < limit || limit == max;
        let hits = std::mem::take(&mut list.hits);
        let candidates = Candidates::of(collection, hits, pool)?;
        if is_all || candidates.are_varied {
            break (list, candidates);
        }
        limit = limit.saturating_mul(MORE_CANDIDATES).min(max);
    };
    let count = candidates.len();
    list.hits = candidates.chosen(diversity, stage.window.end_from_first());
    list.has_more = count > list.hits.len();
    Ok(list)
}

/// Asks for more and more candidates until they make `wanted` hits or there are no more.
fn by_group(
    collection: &Reader,
    query: &Query<'_>,
    stage: &Stage,
    grouping: &Grouping,
    wanted: usize,
) -> Result<HitList, ApiError> {
    let max = stage.search.choice.max_group_candidates.max(wanted);
    let mut limit = wanted;
    loop {
        limit = limit.saturating_mul(GROUP_CANDIDATES_PER_HIT).min(max);
        let results = ask(collection, query, stage, limit, HitSet::default())?;
        let is_all = results.hits.len() < limit || limit == max;
        // One more than wanted tells that there are more.
        let hits = grouped(collection, results.hits, grouping, wanted + 1)?;
        if is_all || hits.len() >= wanted {
            return Ok(HitList {
                has_more: !is_all,
                hits,
                moment: results.moment,
                total: results.total,
                facets: results.facets,
            });
        }
    }
}

fn ask(
    collection: &Reader,
    query: &Query<'_>,
    stage: &Stage,
    limit: usize,
    skip: HitSet,
) -> Result<SearchResults, ApiError> {
    let input = &stage.search.query;
    let options = SearchOptions {
        limit,
        skip,
        moment: stage.moment,
        exclude: input.stored_ids().map(str::to_owned).collect(),
        ..stage.search.options.clone()
    };
    let results = collection.search(query, &options);
    results.map_err(|error| match ApiError::from(error) {
        error if error.code() == ErrorCode::InvalidRequest => error.or_at_part(input.part()),
        error => error,
    })
}
