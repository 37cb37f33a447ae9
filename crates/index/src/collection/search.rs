//! Searching a snapshot and reading what was found.

use super::Collection;
use crate::document::check_vector;
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
    /// Leave out this document.
    pub exclude: Option<String>,
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
            exclude: None,
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
}

/// A number of documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Total {
    /// Documents that are searched, or with `min_score` those that reach it.
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
        let snapshot = self.published.load_full();
        let excluded = match &options.exclude {
            Some(id) => self
                .document_record(id)?
                .map(|record| record.passage_numbers()),
            None => None,
        };
        let scan = Scan {
            query,
            limit: options.limit,
            min_score: options.min_score,
            excluded,
            allowed: None,
            exact: options.exact,
            ef: options.ef.unwrap_or(self.settings().graph.ef_search),
        };
        let scanned = snapshot.snapshot.search(&scan);
        let found = scanned.best.len();
        let mut hits = Vec::with_capacity(found);
        for candidate in scanned.best {
            hits.extend(self.hit(candidate)?);
        }
        let is_complete = hits.len() == found;
        hits.sort_by(|a: &Hit, b| {
            b.score
                .total_cmp(&a.score)
                .then_with(|| a.document.id.cmp(&b.document.id))
        });
        let total = Total {
            value: scanned.matching,
            exact: scanned.is_exact_count,
        };
        Ok((SearchResults { hits, total }, is_complete))
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
        }))
    }
}
