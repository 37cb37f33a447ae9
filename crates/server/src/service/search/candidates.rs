//! What the index is asked for, and what is chosen of its answer.

use siamese_index::{Collection, FacetValue, Hit, SearchOptions, SearchResults, Total};

use super::diversity::diverse;
use super::groups::{Grouping, grouped};
use super::mode::Query;
use super::{FoundHit, Search, auto_cut};
use crate::error::{ApiError, ErrorCode};

/// Candidates are asked for in this multiple of the hits wanted, and again in this multiple of
/// the candidates before, until there are enough groups.
const GROUP_CANDIDATES_PER_HIT: usize = 4;

/// Hits that were chosen, and what the index says of all that match.
pub(super) struct Chosen {
    pub(super) hits: Vec<FoundHit>,
    pub(super) total: Total,
    pub(super) facets: Vec<Vec<FacetValue>>,
}

/// The first `offset + top_k` hits, in the order of the answer.
///
/// # Errors
/// When the query does not fit the collection, or the store fails.
pub(super) fn chosen(
    collection: &Collection,
    query: &Query,
    search: &Search,
) -> Result<Chosen, ApiError> {
    let (choice, wanted) = (&search.choice, search.offset + search.top_k);
    let pool = match choice.diversity {
        Some(_) => choice.max_diversity_candidates.max(wanted),
        None => wanted,
    };
    let mut chosen = match &choice.group_by {
        Some(grouping) => by_group(collection, query, search, grouping, pool)?,
        None => by_score(collection, query, search, pool)?,
    };
    if let Some(diversity) = choice.diversity {
        chosen.hits = diverse(chosen.hits, diversity, wanted);
    }
    if choice.auto_cut {
        let scores: Vec<f32> = chosen.hits.iter().map(|found| found.hit.score).collect();
        chosen.hits.truncate(auto_cut::kept(&scores));
    }
    Ok(chosen)
}

fn by_score(
    collection: &Collection,
    query: &Query,
    search: &Search,
    limit: usize,
) -> Result<Chosen, ApiError> {
    let results = ask(collection, query, search, limit)?;
    Ok(Chosen {
        hits: results.hits.into_iter().map(without_group).collect(),
        total: results.total,
        facets: results.facets,
    })
}

fn without_group(hit: Hit) -> FoundHit {
    FoundHit {
        hit,
        first_score: None,
        group: None,
        passages: Vec::new(),
        highlights: Vec::new(),
    }
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
        let results = ask(collection, query, search, limit)?;
        let is_all = results.hits.len() < limit || limit == max;
        let hits = grouped(results.hits, grouping, wanted);
        if is_all || hits.len() == wanted {
            return Ok(Chosen {
                hits,
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
) -> Result<SearchResults, ApiError> {
    let options = SearchOptions {
        limit,
        ..search.options.clone()
    };
    let results = collection.search(query.question(), &options);
    results.map_err(|error| match ApiError::from(error) {
        error if error.code() == ErrorCode::InvalidRequest => {
            error.or_at(search.searched_for.pointer())
        }
        error => error,
    })
}
