//! Searching by meaning.

use std::collections::{HashMap, HashSet};

use qdrant_client::qdrant::{
    Filter as PointFilter, QuantizationSearchParams, Query as PointQuery, QueryPoints, ScoredPoint,
    SearchParams, VectorInput, query,
};
use siamese_index::{
    Error, Facet, Filter, GraphSettings, Hit, Moment, Query, SearchOptions, SearchResults, Total,
    cosine, normalized,
};
use uuid::Uuid;

use crate::Reader;
use crate::at_once::at_once;
use crate::conditions::{both, has_id, is_any, nested};
use crate::error::not_supported;
use crate::ids;
use crate::passage_point::{self, MEANING, Owner};
use crate::payload::only;
use crate::reader::meaning;

const FACETS_OF_FEW: &str = "counting values (`facets`) with `min_score` or in mode `lexical` where more documents match than are returned";
const CURSORS: &str = "going on from a cursor (`cursor`)";
/// Passages asked for in this multiple of the documents wanted, as several may be of one document, or of a version that
/// does not count; and again in this multiple while there are too few.
const PASSAGES_PER_DOCUMENT: usize = 3;
const MORE_PASSAGES: usize = 4;
/// Times a document is read again that is replaced while it is scored.
pub(crate) const MAX_READS: usize = 5;
/// Fewer are not worth a call.
const MIN_PASSAGES: usize = 16;
/// A call for so many has their vectors in its answer; more would be megabytes of which little is needed.
const MAX_PASSAGES_WITH_VECTORS: usize = 256;
/// Passages that one search asks for.
pub(crate) const MAX_PASSAGES: usize = 50_000;
/// Vectors are compared by codes of a byte a value first; this many times the passages wanted are compared by the
/// vectors themselves.
const OVERSAMPLING: f64 = 2.0;
/// What a score in f32 may be off by, so that nothing is left out that reaches a threshold.
const SCORE_MARGIN: f32 = 1e-4;

/// Which documents are looked for, and how many.
pub(crate) struct Wanted<'a> {
    pub(crate) options: &'a SearchOptions,
    /// Conditions on passages.
    pub(crate) filter: Option<PointFilter>,
    pub(crate) count: usize,
}

/// The best passage of a document, by its score in Qdrant.
#[derive(Debug)]
pub(crate) struct Best {
    pub(crate) id: String,
    pub(crate) owner: Owner,
    pub(crate) score: f32,
    /// Where it came with the passage.
    vector: Option<Vec<f32>>,
}

/// What was found of documents.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Of each the best passage, best first.
    pub(crate) best: Vec<Best>,
    /// Documents that have been replaced since their passages were found, or of which nothing near was left.
    pub(crate) replaced: Vec<String>,
}

/// Returns whether every document that passes the filter matches, so that they can be counted while others look for the best.
fn counts_all(query: &Query<'_>, options: &SearchOptions) -> bool {
    !matches!(query, Query::Words(_)) && options.min_score.is_none()
}

fn results(hits: Vec<Hit>, total: Total, facets: Vec<Facet>) -> SearchResults {
    SearchResults {
        rest: total.value.saturating_sub(hits.len() as u64),
        total,
        facets,
        moment: Moment::default(),
        hits,
    }
}

impl Reader {
    /// The documents whose best passage matches a query best. Of their content nothing is read.
    ///
    /// # Errors
    /// A query that is no vector of this collection, [`Error::NotSupportedHere`], or a cluster that fails.
    pub fn search(
        &self,
        query: &Query<'_>,
        options: &SearchOptions,
    ) -> Result<SearchResults, Error> {
        query.check(self.dimensions())?;
        options.ef.map_or(Ok(()), GraphSettings::check_ef)?;
        if options.moment.is_some() || !options.skip.is_empty() {
            return Err(not_supported(CURSORS));
        }
        let filter = self.point_filter(options.filter.as_ref())?;
        let wanted = Wanted {
            filter: both(filter.clone(), not_of(&options.exclude)),
            count: options.limit,
            options,
        };
        let find = || match query {
            Query::Vector(vector) => self.by_vector(&normalized(vector), &wanted),
            Query::Words(words) => self.by_words(words, &wanted),
            Query::Hybrid {
                vector,
                words,
                fusion,
            } => self.by_both(&normalized(vector), words, *fusion, &wanted),
        };
        if counts_all(query, options) {
            let matching = without(filter.clone(), &options.exclude);
            let (hits, (value, facets)) = at_once(find, || {
                let facets = self.facets(&options.facets, matching.as_ref())?;
                Ok((self.count(&self.documents, matching)?, facets))
            })?;
            return Ok(results(hits, Total { value, exact: true }, facets));
        }
        let hits = find()?;
        let total = self.total_of_found(query, options, &hits)?;
        let points = hits.iter().map(|hit| ids::of_name(&hit.id));
        let found = PointFilter::must([has_id(points)]);
        let facets = self.facets(&options.facets, Some(&found))?;
        Ok(results(hits, total, facets))
    }

    /// How many documents match, where nobody has counted those that reach a score or have a word beyond the ones that were
    /// looked at.
    fn total_of_found(
        &self,
        query: &Query<'_>,
        options: &SearchOptions,
        hits: &[Hit],
    ) -> Result<Total, Error> {
        let may_be_more = hits.len() >= options.limit;
        if may_be_more && !options.facets.paths.is_empty() {
            return Err(not_supported(FACETS_OF_FEW));
        }
        // A walk over a graph may have missed some; the lists of words are read to their ends.
        let is_by_words = matches!(query, Query::Words(_));
        Ok(Total {
            value: hits.len() as u64,
            exact: !may_be_more && (is_by_words || options.exact),
        })
    }

    /// The best documents by meaning, with their scores, which are those of the vectors, whoever keeps them.
    pub(crate) fn by_vector(&self, vector: &[f32], wanted: &Wanted<'_>) -> Result<Vec<Hit>, Error> {
        let input = VectorInput::new_dense(vector.to_vec());
        let options = wanted.options;
        let threshold = options.min_score.map(|min| min - SCORE_MARGIN);
        let Found { mut best, replaced } = self.best_of(&input, MEANING, wanted, threshold)?;
        for id in replaced {
            best.extend(self.best_now(id, vector, options)?);
        }
        let mut hits = Vec::new();
        for _ in 0..MAX_READS {
            let without = best.iter().filter(|best| best.vector.is_none());
            let points: Vec<Uuid> = without.map(|best| best.owner.point()).collect();
            let mut vectors: HashMap<Uuid, Vec<f32>> = self.vectors(&points)?;
            let mut replaced = Vec::new();
            for best in std::mem::take(&mut best) {
                let Best { id, owner, .. } = best;
                let own = best.vector.or_else(|| vectors.remove(&owner.point()));
                let Some(own) = own else {
                    replaced.extend(self.best_now(id, vector, options)?);
                    continue;
                };
                let score = cosine(vector, &own);
                if options.min_score.is_none_or(|min| score >= min) {
                    let (version, ordinal) = (owner.version.0, owner.ordinal);
                    hits.push(Hit::found_elsewhere(id, score, version, ordinal));
                }
            }
            if replaced.is_empty() {
                break;
            }
            best = replaced;
        }
        in_order(&mut hits, wanted.count);
        Ok(hits)
    }

    /// Of each document the passage that is best by one of the vectors, as far as Qdrant can tell.
    pub(crate) fn best_of(
        &self,
        input: &VectorInput,
        name: &str,
        wanted: &Wanted<'_>,
        threshold: Option<f32>,
    ) -> Result<Found, Error> {
        let mut limit = wanted
            .count
            .saturating_mul(PASSAGES_PER_DOCUMENT)
            .clamp(MIN_PASSAGES, MAX_PASSAGES);
        loop {
            let points = self.nearest(input, name, limit, wanted, threshold)?;
            let is_all = points.len() < limit || limit == MAX_PASSAGES;
            let found = self.best_of_documents(points)?;
            if is_all || found.best.len() + found.replaced.len() >= wanted.count {
                return Ok(found);
            }
            limit = limit.saturating_mul(MORE_PASSAGES).min(MAX_PASSAGES);
        }
    }

    /// Of each document the first passage of the version that counts.
    fn best_of_documents(&self, points: Vec<ScoredPoint>) -> Result<Found, Error> {
        let owners = points.iter().map(|point| Owner::read(&point.payload));
        let owners = owners.collect::<Result<Vec<_>, Error>>()?;
        let documents: HashSet<Uuid> = owners.iter().map(|owner| owner.document).collect();
        let documents: Vec<Uuid> = documents.into_iter().collect();
        let mut current = self.versions(&documents)?;
        let mut best = Vec::new();
        for (owner, point) in owners.into_iter().zip(points) {
            let counts = current.get(&owner.document).map(|(_, version)| *version);
            // Others of the same document are not as near.
            if counts == Some(owner.version)
                && let Some((id, _)) = current.remove(&owner.document)
            {
                let vectors = point.vectors.is_some().then_some(point.vectors);
                best.push(Best {
                    id,
                    owner,
                    score: point.score,
                    vector: vectors.map(passage_point::vector).transpose()?,
                });
            }
        }
        let replaced = current.into_values().map(|(id, _)| id).collect();
        Ok(Found { best, replaced })
    }

    /// The best passage of a document as it is now, if it passes the filter.
    fn best_now(
        &self,
        id: String,
        vector: &[f32],
        options: &SearchOptions,
    ) -> Result<Option<Best>, Error> {
        let Some((metadata, version, passages)) = self.get_version(&id)? else {
            return Ok(None);
        };
        let passes = |filter: &Filter| filter.matches(&metadata);
        if !options.filter.as_ref().is_none_or(passes) {
            return Ok(None);
        }
        let scored = passages.iter().zip(0..).map(|(passage, ordinal)| {
            let score = passage.vector.as_ref().map(|own| cosine(vector, own));
            (score.unwrap_or(f32::MIN), ordinal)
        });
        let best = scored.max_by(|a, b| a.0.total_cmp(&b.0));
        Ok(best.map(|(score, ordinal)| Best {
            owner: Owner {
                document: ids::of_name(&id),
                version,
                ordinal,
            },
            score,
            id,
            vector: None,
        }))
    }

    pub(crate) fn nearest(
        &self,
        input: &VectorInput,
        name: &str,
        limit: usize,
        wanted: &Wanted<'_>,
        threshold: Option<f32>,
    ) -> Result<Vec<ScoredPoint>, Error> {
        let options = wanted.options;
        let ef = options.ef.unwrap_or(self.settings().graph.ef_search);
        let request = QueryPoints {
            collection_name: self.passages.clone(),
            query: Some(PointQuery {
                variant: Some(query::Variant::Nearest(input.clone())),
            }),
            using: Some(name.to_owned()),
            filter: wanted.filter.clone(),
            limit: Some(limit as u64),
            score_threshold: threshold,
            with_payload: Some(only(passage_point::OWNER)),
            // By words nobody needs them.
            with_vectors: (name == MEANING && limit <= MAX_PASSAGES_WITH_VECTORS).then(meaning),
            params: Some(SearchParams {
                hnsw_ef: Some(ef.max(limit) as u64),
                exact: Some(options.exact),
                quantization: Some(QuantizationSearchParams {
                    rescore: Some(true),
                    oversampling: Some(OVERSAMPLING),
                    ..QuantizationSearchParams::default()
                }),
                ..SearchParams::default()
            }),
            ..QueryPoints::default()
        };
        let answer = self.ask(&request, |client, request| async move {
            client.query(request).await
        })?;
        Ok(answer.result)
    }
}

/// Best first; equal scores in the order of ids.
pub(crate) fn in_order(hits: &mut Vec<Hit>, count: usize) {
    hits.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.id.cmp(&b.id)));
    hits.truncate(count);
}

/// Passages of other documents than these.
fn not_of(excluded: &[String]) -> Option<PointFilter> {
    (!excluded.is_empty()).then(|| {
        let documents = excluded.iter().map(|id| ids::of_name(id).to_string());
        let of_excluded = is_any(passage_point::DOCUMENT.to_owned(), documents.collect());
        PointFilter::must_not([nested(of_excluded)])
    })
}

/// Documents that meet a condition, without some.
fn without(filter: Option<PointFilter>, excluded: &[String]) -> Option<PointFilter> {
    let excluded: Vec<Uuid> = excluded.iter().map(|id| ids::of_name(id)).collect();
    let others = (!excluded.is_empty()).then(|| PointFilter::must_not([has_id(excluded)]));
    both(filter, others)
}
