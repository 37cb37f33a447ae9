//! What the index is asked for, and what is chosen of its answer.

use siamese_index::{Collection, Facet, HitSet, Moment, SearchOptions, SearchResults, Total};

use super::diversity::Candidates;
use super::groups::{Grouping, grouped};
use super::mode::Query;
use super::{FoundHit, Search, auto_cut};
use crate::error::{ApiError, ErrorCode};

/// Candidates are asked for in this multiple of the hits wanted, and again in this multiple of
/// the candidates before, until there are enough groups.
const GROUP_CANDIDATES_PER_HIT: usize = 4;
/// For diversity, candidates are asked for again in this multiple of those before, while they are mostly copies.
const MORE_CANDIDATES: usize = 4;

/// Hits that were chosen, and what the index says of all that match.
pub(super) struct Chosen {
    /// In the order of the answer; those that `offset` skips are among them.
    pub(super) hits: Vec<FoundHit>,
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
pub(super) fn chosen(
    collection: &Collection,
    query: &Query,
    search: &Search,
) -> Result<Chosen, ApiError> {
    let choice = &search.choice;
    let mut chosen = match (choice.diversity, &choice.group_by) {
        (None, None) => by_score(collection, query, search, search.wanted(), true)?,
        (None, Some(grouping)) => {
            let wanted = search.wanted_and_shown();
            by_group(collection, query, search, grouping, wanted)?
        }
        (Some(diversity), _) => by_diversity(collection, query, search, diversity)?,
    };
    chosen.leave_page(search);
    if choice.auto_cut {
        let scores: Vec<f32> = chosen.hits.iter().map(|found| found.hit.score).collect();
        chosen.hits.truncate(auto_cut::kept(&scores));
        chosen.has_more = false;
    }
    Ok(chosen)
}

impl Search {
    fn wanted(&self) -> usize {
        self.offset + self.top_k
    }

    /// A choice that depends on the hits before is made for all pages again.
    fn wanted_and_shown(&self) -> usize {
        let from = self.from.as_ref();
        self.wanted() + from.map_or(0, |place| place.shown.len())
    }
}

impl Chosen {
    fn leave_page(&mut self, search: &Search) {
        if let Some(place) = &search.from {
            self.hits.retain(|found| !place.shown.contains(&found.hit));
        }
        self.has_more |= self.hits.len() > search.wanted();
        self.hits.truncate(search.wanted());
    }
}

/// What was returned before is skipped, or is among the hits.
fn by_score(
    collection: &Collection,
    query: &Query,
    search: &Search,
    limit: usize,
    skips_shown: bool,
) -> Result<Chosen, ApiError> {
    let from = search.from.as_ref().filter(|_| skips_shown);
    let skip = from.map(|place| place.shown.clone());
    let results = ask(collection, query, search, limit, skip.unwrap_or_default())?;
    // A total that is a lower bound says nothing of what lies beyond the hits.
    let may_be_more = !results.total.exact && results.hits.len() == limit;
    Ok(Chosen {
        has_more: !results.hits.is_empty() && (results.rest > 0 || may_be_more),
        hits: results.hits.into_iter().map(FoundHit::from).collect(),
        moment: results.moment,
        total: results.total,
        facets: results.facets,
    })
}

/// Chooses among the best, which is a list that ends. Where these are mostly copies of each other, it asks for
/// more and more until there is something to choose among.
fn by_diversity(
    collection: &Collection,
    query: &Query,
    search: &Search,
    diversity: f32,
) -> Result<Chosen, ApiError> {
    let choice = &search.choice;
    let pool = choice.max_diversity_candidates.max(search.wanted());
    let max = choice.max_group_candidates.max(pool);
    let mut limit = pool;
    let (mut chosen, candidates) = loop {
        let mut chosen = match &choice.group_by {
            Some(grouping) => by_group(collection, query, search, grouping, limit)?,
            None => by_score(collection, query, search, limit, false)?,
        };
        let is_all = chosen.hits.len() < limit || limit == max;
        let hits = std::mem::take(&mut chosen.hits);
        let candidates = Candidates::of(collection, hits, pool)?;
        if is_all || candidates.are_varied {
            break (chosen, candidates);
        }
        limit = limit.saturating_mul(MORE_CANDIDATES).min(max);
    };
    let count = candidates.len();
    chosen.hits = candidates.chosen(diversity, search.wanted_and_shown());
    chosen.has_more = count > chosen.hits.len();
    Ok(chosen)
}

/// Asks for more and more candidates until they make `wanted` hits or there are no more.
fn by_group(
    collection: &Collection,
    query: &Query,
    search: &Search,
    grouping: &Grouping,
    wanted: usize,
) -> Result<Chosen, ApiError> {
    let max = search.choice.max_group_candidates.max(wanted);
    let mut limit = wanted;
    loop {
        limit = limit.saturating_mul(GROUP_CANDIDATES_PER_HIT).min(max);
        let results = ask(collection, query, search, limit, HitSet::default())?;
        let is_all = results.hits.len() < limit || limit == max;
        // One more than wanted tells that there are more.
        let hits = grouped(collection, results.hits, grouping, wanted + 1)?;
        if is_all || hits.len() >= wanted {
            return Ok(Chosen {
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
    collection: &Collection,
    query: &Query,
    search: &Search,
    limit: usize,
    skip: HitSet,
) -> Result<SearchResults, ApiError> {
    let options = SearchOptions {
        limit,
        skip,
        ..search.options.clone()
    };
    let results = collection.reader().search(query.question(), &options);
    results.map_err(|error| match ApiError::from(error) {
        error if error.code() == ErrorCode::InvalidRequest => {
            error.or_at(search.searched_for.pointer())
        }
        error => error,
    })
}
