//! Searching a snapshot and reading what was found.

use roaring::RoaringBitmap;

use super::{Collection, FacetRequest, FacetValue, Published, ScoredPassage};
use crate::document::check_vector;
use crate::filter::Filter;
use crate::store::DocumentRecord;
use crate::vectors::{Candidate, Scan, normalized};
use crate::{Error, GraphSettings, StoredDocument, StoredPassage};

/// Searches that are run again because documents changed between scan and reading.
const MAX_SEARCHES: usize = 3;

/// What a search wants.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchOptions {
    /// Documents to return.
    pub limit: usize,
    /// Leave out documents that score less, -1 to 1.
    pub min_score: Option<f32>,
    /// Leave out these documents.
    pub exclude: Vec<String>,
    /// Leave out documents that do not pass.
    pub filter: Option<Filter>,
    /// Fields whose values are counted over all documents that match, returned or not.
    pub facets: FacetRequest,
    /// Score every vector, instead of those that a graph leads to.
    pub exact: bool,
    /// Candidates that a walk over a graph keeps, 1 to 10000; `None` for the collection's own.
    pub ef: Option<usize>,
}

impl Default for SearchOptions {
    fn default() -> Self {
        Self {
            limit: 10,
            min_score: None,
            exclude: Vec::new(),
            filter: None,
            facets: FacetRequest::default(),
            exact: false,
            ef: None,
        }
    }
}

/// What a search found.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchResults {
    /// Best first; equal scores in the order of ids.
    pub hits: Vec<Hit>,
    /// How many documents match in all.
    pub total: Total,
    /// For each field of [`SearchOptions::facets`], its values among the documents of the total.
    pub facets: Vec<Vec<FacetValue>>,
}

/// A number of documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Total {
    /// Documents that pass the filter, or with `min_score` those of them that reach it.
    pub value: u64,
    /// Whether the value is the number, or at most as large as it.
    pub exact: bool,
}

/// A document that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// Cosine of query and best passage, -1 to 1.
    pub score: f32,
    /// The document.
    pub document: StoredDocument,
    /// Its best passage, with the vector.
    pub passage: StoredPassage,
    /// Its internal number, which says that the document has not been replaced.
    pub(super) number: u32,
}

/// What a search is about.
#[derive(Debug)]
struct Searched {
    /// Documents that pass the filter, without those that are excluded.
    documents: RoaringBitmap,
    /// Passages of documents that pass; `None` if those are all.
    allowed: Option<RoaringBitmap>,
    /// Excluded documents that pass the filter.
    excluded: Vec<DocumentRecord>,
}

/// All documents that match a search.
#[derive(Debug)]
struct Matched {
    /// Which ones. Without facets, those that pass the filter, whether they reach the threshold or
    /// not.
    documents: RoaringBitmap,
    count: u64,
    /// Whether `count` is their number, or at most as large as it.
    is_exact_count: bool,
}

impl Collection {
    /// The documents whose best passage is nearest to `query`, which may have any length but 0.
    ///
    /// # Errors
    /// A query that is no vector of this collection, or a store that fails.
    pub fn search(&self, query: &[f32], options: &SearchOptions) -> Result<SearchResults, Error> {
        check_vector(query, self.dimensions)?;
        options.ef.map_or(Ok(()), GraphSettings::check_ef)?;
        let query = normalized(query);
        for _ in 1..MAX_SEARCHES {
            let (results, is_complete) = self.search_once(&query, options)?;
            if is_complete {
                return Ok(results);
            }
        }
        Ok(self.search_once(&query, options)?.0)
    }

    /// Searches the newest snapshot. The flag says whether every hit could still be read.
    fn search_once(
        &self,
        query: &[f32],
        options: &SearchOptions,
    ) -> Result<(SearchResults, bool), Error> {
        let published = self.published.load_full();
        let (candidates, matched) = self.candidates(&published, query, options)?;
        let facets = self.facets(&published.metadata, &options.facets, &matched.documents)?;
        let total = Total {
            value: matched.count,
            exact: matched.is_exact_count,
        };
        let found = candidates.len();
        let hits = self.hits(candidates, options)?;
        let is_complete = hits.len() == found;
        let results = SearchResults {
            hits,
            total,
            facets,
        };
        Ok((results, is_complete))
    }

    /// The best documents, best first, and all that match.
    fn candidates(
        &self,
        published: &Published,
        query: &[f32],
        options: &SearchOptions,
    ) -> Result<(Vec<Candidate>, Matched), Error> {
        let searched = self.searched(published, options)?;
        if searched.documents.is_empty() {
            let nothing = Matched {
                documents: searched.documents,
                count: 0,
                is_exact_count: true,
            };
            return Ok((Vec::new(), nothing));
        }
        // Facets are counted over all that reach the threshold, so all of them are asked for.
        let counts_reaching = options.min_score.is_some() && !options.facets.paths.is_empty();
        let limit = if counts_reaching {
            searched.documents.len() as usize
        } else {
            options.limit
        };
        let scanned = published.snapshot.search(&Scan {
            query,
            limit: limit + searched.excluded.len(),
            min_score: options.min_score,
            allowed: searched.allowed.as_ref(),
            exact: options.exact || counts_reaching,
            ef: options.ef.unwrap_or(self.settings().graph.ef_search),
        });
        let mut candidates = scanned.best;
        let excluded = &searched.excluded;
        candidates.retain(|best| excluded.iter().all(|record| record.number != best.document));
        let reaching = scanned.matching;
        let reaching = reaching.saturating_sub(self.reaching(excluded, query, options)?);
        let documents = if counts_reaching {
            candidates.iter().map(|best| best.document).collect()
        } else {
            searched.documents
        };
        candidates.truncate(options.limit);
        let count = match options.min_score {
            Some(_) => reaching,
            None => documents.len(),
        };
        let matched = Matched {
            documents,
            count,
            is_exact_count: options.min_score.is_none() || scanned.is_exact_count,
        };
        Ok((candidates, matched))
    }

    fn searched(&self, published: &Published, options: &SearchOptions) -> Result<Searched, Error> {
        let all = published.metadata.documents();
        let mut documents = match &options.filter {
            Some(filter) => self.passing(&published.metadata, filter)?,
            None => all.clone(),
        };
        let is_filtered = documents.len() < all.len();
        let allowed = is_filtered.then(|| published.metadata.passages_of(&documents));
        let mut excluded = self.records(&options.exclude)?;
        excluded.retain(|record| documents.remove(record.number));
        Ok(Searched {
            documents,
            allowed,
            excluded,
        })
    }

    /// Reads hits, without those that have been replaced or deleted since, or whose metadata has
    /// been changed so that they no longer pass.
    fn hits(&self, candidates: Vec<Candidate>, options: &SearchOptions) -> Result<Vec<Hit>, Error> {
        let mut hits = Vec::with_capacity(candidates.len());
        for candidate in candidates {
            hits.extend(self.hit(candidate)?.filter(|hit| {
                let filter = options.filter.as_ref();
                filter.is_none_or(|filter| filter.matches(&hit.document.metadata))
            }));
        }
        hits.sort_by(|a: &Hit, b| {
            b.score
                .total_cmp(&a.score)
                .then_with(|| a.document.id.cmp(&b.document.id))
        });
        Ok(hits)
    }

    /// Reads a hit; `None` when its document has been replaced or deleted since.
    fn hit(&self, candidate: Candidate) -> Result<Option<Hit>, Error> {
        let Some(id) = self.document_id(candidate.document)? else {
            return Ok(None);
        };
        let Some(record) = self.document_record(&id)? else {
            return Ok(None);
        };
        if record.number != candidate.document {
            return Ok(None);
        }
        let (body, passage) = (self.body(&record), self.passage(candidate.passage, true));
        // What could not be read is a loss only if the document is still this one.
        if self.document_record(&id)? != Some(record) {
            return Ok(None);
        }
        let body = body?.ok_or_else(|| self.unreadable("a document's body"))?;
        let passage = passage?.ok_or_else(|| self.unreadable("a document's passage"))?;
        let document = super::read::document(&id, record, body);
        Ok(Some(Hit {
            score: candidate.score,
            document,
            passage,
            number: record.number,
        }))
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

    /// How many of these documents a scan with the same threshold counts.
    fn reaching(
        &self,
        records: &[DocumentRecord],
        query: &[f32],
        options: &SearchOptions,
    ) -> Result<u64, Error> {
        let Some(min_score) = options.min_score else {
            return Ok(records.len() as u64);
        };
        let mut reaching = 0;
        for record in records {
            let best = self.scored_passages(record, query)?;
            let best = best.as_deref().and_then(<[ScoredPassage]>::first);
            reaching += u64::from(best.is_some_and(|best| best.score >= min_score));
        }
        Ok(reaching)
    }
}
