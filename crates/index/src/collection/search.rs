//! Searching a state and reading what was found.

use std::cmp::Ordering;

use roaring::RoaringBitmap;

use super::hit::{Hit, HitScores};
use super::paging::{HitSet, Moment};
use super::query::Query;
use super::state::State;
use super::{Facet, FacetRequest, Reader};
use crate::filter::Filter;
use crate::store::DocumentRecord;
use crate::vectors::{Candidate, normalized};
use crate::{Error, GraphSettings};

/// Searches that are run again because documents changed between scan and reading.
const MAX_SEARCHES: usize = 3;

/// What a search wants.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchOptions {
    /// Documents to return.
    pub limit: usize,
    /// Leave out documents that score less: by words, the BM25 score; otherwise the cosine, -1 to
    /// 1, also where words have a part in the score.
    pub min_score: Option<f32>,
    /// Leave out these documents.
    pub exclude: Vec<String>,
    /// Leave out documents that do not pass.
    pub filter: Option<Filter>,
    /// Leave out documents that were stored or replaced after this moment.
    pub moment: Option<Moment>,
    /// Do not return these documents. They are counted as all others.
    pub skip: HitSet,
    /// Fields whose values are counted over all documents that match, returned or not.
    pub facets: FacetRequest,
    /// Score every vector, instead of those that a graph leads to.
    pub exact: bool,
    /// Candidates that a walk over a graph keeps, 1 to 10000; `None` for the collection's own, and
    /// more if the query needs it.
    pub ef: Option<usize>,
}

impl Default for SearchOptions {
    fn default() -> Self {
        Self {
            limit: 10,
            min_score: None,
            exclude: Vec::new(),
            filter: None,
            moment: None,
            skip: HitSet::default(),
            facets: FacetRequest::default(),
            exact: false,
            ef: None,
        }
    }
}

/// What a search found.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchResults {
    /// Best first; equal scores in the order of ids, or by cosine where both sides were asked.
    pub hits: Vec<Hit>,
    /// How many documents match in all.
    pub total: Total,
    /// For each field of [`SearchOptions::facets`], its values among the documents of the total.
    pub facets: Vec<Facet>,
    /// Documents of the total that are neither returned nor skipped.
    pub rest: u64,
    /// The one of the options, or that of this search.
    pub moment: Moment,
}

/// A number of documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Total {
    /// Documents that pass the filter, by words only those that have one of them; with `min_score`
    /// those of them that reach it.
    pub value: u64,
    /// Whether the value is the number, or at most as large as it.
    pub exact: bool,
}

/// What a search looks through.
#[derive(Debug)]
pub(super) struct Scope {
    /// Documents that pass the filter, without those that are excluded.
    pub(super) documents: RoaringBitmap,
    /// Passages of documents that pass; `None` if those are all.
    pub(super) allowed: Option<RoaringBitmap>,
    /// Excluded documents that pass the filter.
    pub(super) excluded: Vec<DocumentRecord>,
}

/// All documents that match a search.
#[derive(Debug)]
pub(super) struct Matches {
    /// Which ones. Without facets, those that pass the filter, whether they reach the threshold or
    /// not.
    pub(super) documents: RoaringBitmap,
    pub(super) count: u64,
    /// Whether `count` is their number, or at most as large as it.
    pub(super) is_exact_count: bool,
}

/// The best documents, best first, and all that match.
#[derive(Debug)]
pub(super) struct Candidates<T> {
    pub(super) best: Vec<T>,
    pub(super) matches: Matches,
}

/// A document with its score, and with what that is made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct ScoredDocument {
    pub(super) candidate: Candidate,
    pub(super) scores: Option<HitScores>,
}

impl SearchOptions {
    /// Documents to put into order: those to return and those to skip.
    pub(super) fn ranked(&self) -> usize {
        self.limit.saturating_add(self.skip.len())
    }
}

impl Reader {
    /// The documents whose best passage matches a query best. Of their content nothing is read: see
    /// [`Self::read_hit`].
    ///
    /// # Errors
    /// A query that is no vector of this collection, or a store that fails.
    pub fn search<'a>(
        &self,
        query: impl Into<Query<'a>>,
        options: &SearchOptions,
    ) -> Result<SearchResults, Error> {
        let query = query.into();
        query.check(self.dimensions)?;
        if query.has_words() && !self.settings().lexical {
            return Err(Error::WordsNotIndexed {
                name: self.name.clone(),
            });
        }
        options.ef.map_or(Ok(()), GraphSettings::check_ef)?;
        for _ in 1..MAX_SEARCHES {
            let (results, is_complete) = self.search_once(&query, options)?;
            if is_complete {
                return Ok(results);
            }
        }
        Ok(self.search_once(&query, options)?.0)
    }

    /// Searches the newest state. The flag says whether every hit is still there.
    fn search_once(
        &self,
        query: &Query<'_>,
        options: &SearchOptions,
    ) -> Result<(SearchResults, bool), Error> {
        let published = self.published.load_full();
        let state = &published.state;
        let Candidates { mut best, matches } = self.candidates(state, query, options)?;
        let skipped = options.skip.numbers();
        best.retain(|ranked| !skipped.contains(ranked.candidate.document));
        best.truncate(options.limit);
        let facets = self.facets(&state.metadata, &options.facets, &matches.documents)?;
        let total = Total {
            value: matches.count,
            exact: matches.is_exact_count,
        };
        let found = best.len();
        let given = skipped.intersection_len(&matches.documents) + found as u64;
        let hits = self.hits(best)?;
        let is_complete = hits.len() == found;
        let results = SearchResults {
            hits,
            total,
            facets,
            rest: matches.count.saturating_sub(given),
            moment: options.moment.unwrap_or(Moment::of(&state.metadata)),
        };
        Ok((results, is_complete))
    }

    fn candidates(
        &self,
        state: &State,
        query: &Query<'_>,
        options: &SearchOptions,
    ) -> Result<Candidates<ScoredDocument>, Error> {
        let scope = self.scope(state, options)?;
        if scope.documents.is_empty() {
            return Ok(Candidates {
                best: Vec::new(),
                matches: Matches {
                    documents: scope.documents,
                    count: 0,
                    is_exact_count: true,
                },
            });
        }
        let found = match query {
            Query::Vector(vector) => {
                let vector = normalized(vector);
                self.by_vector(state, &scope, &vector, options, options.ranked())?
            }
            Query::Words(words) => Self::by_words(state, &scope, words, options)?,
            Query::Hybrid {
                vector,
                words,
                fusion,
            } => {
                let vector = normalized(vector);
                return self.by_both(state, &scope, (&vector, words, *fusion), options);
            }
        };
        let ranked = found.best.into_iter().map(|candidate| ScoredDocument {
            candidate,
            scores: None,
        });
        Ok(Candidates {
            best: ranked.collect(),
            matches: found.matches,
        })
    }

    fn scope(&self, state: &State, options: &SearchOptions) -> Result<Scope, Error> {
        let all = state.metadata.documents();
        let mut documents = match &options.filter {
            Some(filter) => self.passing(&state.metadata, filter)?,
            None => all.clone(),
        };
        if let Some(moment) = options.moment {
            moment.leave_earlier(&mut documents);
        }
        let is_filtered = documents.len() < all.len();
        let allowed = is_filtered.then(|| state.metadata.passages_of(&documents));
        let mut excluded = self.records(&options.exclude)?;
        excluded.retain(|record| documents.remove(record.number));
        Ok(Scope {
            documents,
            allowed,
            excluded,
        })
    }

    /// Hits with their ids, without those that have been replaced or deleted since.
    fn hits(&self, best: Vec<ScoredDocument>) -> Result<Vec<Hit>, Error> {
        let mut hits = Vec::with_capacity(best.len());
        for ScoredDocument { candidate, scores } in best {
            // A batch is atomic: the number has this id as long as the document is this one.
            if let Some(id) = self.document_id(candidate.document)? {
                hits.push(Hit {
                    score: candidate.score,
                    scores,
                    id,
                    passage: candidate.passage,
                    number: candidate.document.into(),
                });
            }
        }
        hits.sort_by(|a: &Hit, b| {
            let by_score = b.score.total_cmp(&a.score);
            by_score.then_with(|| match (a.scores, b.scores) {
                (None, None) => a.id.cmp(&b.id),
                // Fused scores are often equal; such hits are in their order already.
                _ => Ordering::Equal,
            })
        });
        Ok(hits)
    }

    fn records(&self, ids: &[String]) -> Result<Vec<DocumentRecord>, Error> {
        let mut records = Vec::with_capacity(ids.len());
        for id in ids {
            records.extend(self.document_record(id)?);
        }
        records.sort_unstable_by_key(|record| record.number);
        records.dedup_by_key(|record| record.number);
        Ok(records)
    }
}
