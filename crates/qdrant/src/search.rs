//! Searching by meaning.

use std::collections::{HashMap, HashSet};

use qdrant_client::qdrant::{
    Filter as PointFilter, QuantizationSearchParams, Query as PointQuery, QueryPoints, ScoredPoint,
    SearchParams, VectorInput, query,
};
use siamese_index::{
    Error, Filter, GraphSettings, Hit, Moment, Query, SearchOptions, SearchResults, Total, cosine,
    normalized,
};
use uuid::Uuid;

use crate::Reader;
use crate::conditions::{both, has_id, is_any, nested};
use crate::error::not_supported;
use crate::ids;
use crate::passage_point::{self, Owner};
use crate::payload::only;

const WORDS: &str = "searching by words (the modes `lexical` and `hybrid`)";
const FACETS_OF_SCORES: &str =
    "counting values among documents that reach a score (`facets` with `min_score`)";
const CURSORS: &str = "going on from a cursor (`cursor`)";
/// Passages asked for in this multiple of the documents wanted, as several may be of one document, or of a version that
/// does not count; and again in this multiple while there are too few.
const PASSAGES_PER_DOCUMENT: usize = 3;
const MORE_PASSAGES: usize = 4;
/// Times a document is read again that is replaced while it is scored.
const MAX_READS: usize = 5;
/// Fewer are not worth a call.
const MIN_PASSAGES: usize = 16;
/// Passages that one search asks for.
const MAX_PASSAGES: usize = 50_000;
/// Vectors are compared by codes of a byte a value first; this many times the passages wanted are compared by the
/// vectors themselves.
const OVERSAMPLING: f64 = 2.0;
/// What a score in f32 may be off by, so that nothing is left out that reaches a threshold.
const SCORE_MARGIN: f32 = 1e-4;

/// The best passage of a document, by its score in Qdrant.
#[derive(Debug)]
struct Best {
    id: String,
    owner: Owner,
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
        let Query::Vector(vector) = query else {
            return Err(not_supported(WORDS));
        };
        if !options.facets.paths.is_empty() && options.min_score.is_some() {
            return Err(not_supported(FACETS_OF_SCORES));
        }
        if options.moment.is_some() || !options.skip.is_empty() {
            return Err(not_supported(CURSORS));
        }
        options.ef.map_or(Ok(()), GraphSettings::check_ef)?;
        let vector = normalized(vector);
        let filter = self.point_filter(options.filter.as_ref())?;
        let best = self.candidates(&vector, filter.clone(), options)?;
        let hits = self.scored(&vector, best, options)?;
        let matching = without(filter, &options.exclude);
        let total = match options.min_score {
            // Nobody has counted those beyond the ones that were looked at.
            Some(_) => Total {
                value: hits.len() as u64,
                exact: false,
            },
            None => Total {
                value: self.count(&self.documents, matching.clone())?,
                exact: true,
            },
        };
        Ok(SearchResults {
            rest: total.value.saturating_sub(hits.len() as u64),
            hits,
            total,
            facets: self.facets(&options.facets, matching.as_ref())?,
            moment: Moment::default(),
        })
    }

    /// The documents with the best passages, best first, as far as Qdrant can tell.
    fn candidates(
        &self,
        vector: &[f32],
        filter: Option<PointFilter>,
        options: &SearchOptions,
    ) -> Result<Vec<Best>, Error> {
        let wanted = options.limit;
        let excluded: Vec<String> = options
            .exclude
            .iter()
            .map(|id| ids::of_name(id).to_string())
            .collect();
        let without = (!excluded.is_empty()).then(|| {
            let of_excluded = is_any(passage_point::DOCUMENT.to_owned(), excluded);
            PointFilter::must_not([nested(of_excluded)])
        });
        let filter = both(filter, without);
        let mut limit = wanted
            .saturating_mul(PASSAGES_PER_DOCUMENT)
            .clamp(MIN_PASSAGES, MAX_PASSAGES);
        loop {
            let found = self.nearest(vector, filter.clone(), limit, options)?;
            let is_all = found.len() < limit || limit == MAX_PASSAGES;
            let best = self.best_of_documents(&found, vector, options)?;
            if is_all || best.len() >= wanted {
                return Ok(best);
            }
            limit = limit.saturating_mul(MORE_PASSAGES).min(MAX_PASSAGES);
        }
    }

    /// Of each document the first passage of the version that counts.
    fn best_of_documents(
        &self,
        found: &[ScoredPoint],
        vector: &[f32],
        options: &SearchOptions,
    ) -> Result<Vec<Best>, Error> {
        let owners = found.iter().map(|point| Owner::read(&point.payload));
        let owners = owners.collect::<Result<Vec<_>, Error>>()?;
        let documents: HashSet<Uuid> = owners.iter().map(|owner| owner.document).collect();
        let documents: Vec<Uuid> = documents.into_iter().collect();
        let mut current = self.versions(&documents)?;
        let mut best = Vec::new();
        for owner in owners {
            let counts = current.get(&owner.document).map(|(_, version)| *version);
            // Others of the same document are not as near.
            if counts == Some(owner.version)
                && let Some((id, _)) = current.remove(&owner.document)
            {
                best.push(Best { id, owner });
            }
        }
        // The others have been replaced since their passages were found, or nothing near was left of them.
        for (id, _) in current.into_values() {
            best.extend(self.best_now(id, vector, options)?);
        }
        Ok(best)
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
        Ok(best.map(|(_, ordinal)| Best {
            owner: Owner {
                document: ids::of_name(&id),
                version,
                ordinal,
            },
            id,
        }))
    }

    /// Hits with their scores, which are those of the vectors, whoever keeps them.
    fn scored(
        &self,
        vector: &[f32],
        mut best: Vec<Best>,
        options: &SearchOptions,
    ) -> Result<Vec<Hit>, Error> {
        let mut hits = Vec::new();
        for _ in 0..MAX_READS {
            let points: Vec<Uuid> = best.iter().map(|best| best.owner.point()).collect();
            let vectors: HashMap<Uuid, Vec<f32>> = self.vectors(&points)?;
            let mut replaced = Vec::new();
            for Best { id, owner } in std::mem::take(&mut best) {
                let Some(own) = vectors.get(&owner.point()) else {
                    replaced.extend(self.best_now(id, vector, options)?);
                    continue;
                };
                let score = cosine(vector, own);
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
        hits.sort_by(|a: &Hit, b| b.score.total_cmp(&a.score).then_with(|| a.id.cmp(&b.id)));
        hits.truncate(options.limit);
        Ok(hits)
    }

    fn nearest(
        &self,
        vector: &[f32],
        filter: Option<PointFilter>,
        limit: usize,
        options: &SearchOptions,
    ) -> Result<Vec<ScoredPoint>, Error> {
        let ef = options
            .ef
            .unwrap_or(self.settings().graph.ef_search)
            .max(limit);
        let request = QueryPoints {
            collection_name: self.passages.clone(),
            query: Some(PointQuery {
                variant: Some(query::Variant::Nearest(VectorInput::new_dense(
                    vector.to_vec(),
                ))),
            }),
            filter,
            limit: Some(limit as u64),
            score_threshold: options.min_score.map(|min| min - SCORE_MARGIN),
            with_payload: only(passage_point::OWNER),
            params: Some(SearchParams {
                hnsw_ef: Some(ef as u64),
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
        let answer = self.ask(|client| {
            let request = request.clone();
            async move { client.query(request).await }
        })?;
        Ok(answer.result)
    }
}

/// Documents that meet a condition, without some.
fn without(filter: Option<PointFilter>, excluded: &[String]) -> Option<PointFilter> {
    let excluded: Vec<Uuid> = excluded.iter().map(|id| ids::of_name(id)).collect();
    let others = (!excluded.is_empty()).then(|| PointFilter::must_not([has_id(excluded)]));
    both(filter, others)
}
