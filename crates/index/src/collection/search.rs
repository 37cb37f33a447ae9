//! Searching a snapshot and reading what was found.

use super::{Collection, ScoredPassage};
use crate::document::check_vector;
use crate::store::DocumentRecord;
use crate::vectors::{Candidate, Scan, normalized};
use crate::{Error, StoredDocument, StoredPassage};

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
}

impl Default for SearchOptions {
    fn default() -> Self {
        Self {
            limit: 10,
            min_score: None,
            exclude: Vec::new(),
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
    /// Its internal number, which says that the document has not been replaced.
    pub(super) number: u32,
}

impl Collection {
    /// The documents whose best passage is nearest to `query`, which may have any length but 0.
    ///
    /// # Errors
    /// A query that is no vector of this collection, or a store that fails.
    pub fn search(&self, query: &[f32], options: &SearchOptions) -> Result<SearchResults, Error> {
        check_vector(query, self.dimensions)?;
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
        let excluded = self.records(&options.exclude)?;
        let scan = Scan {
            query,
            limit: options.limit + excluded.len(),
            min_score: options.min_score,
            excluded_document: None,
        };
        let (mut candidates, mut matching) = snapshot.snapshot.scan(&scan);
        candidates.retain(|candidate| {
            excluded
                .iter()
                .all(|record| record.number != candidate.document)
        });
        candidates.truncate(options.limit);
        matching -= self.matching(&excluded, query, options)?.min(matching);
        let found = candidates.len();
        let mut hits = Vec::with_capacity(found);
        for candidate in candidates {
            hits.extend(self.hit(candidate)?);
        }
        let is_complete = hits.len() == found;
        hits.sort_by(|a: &Hit, b| {
            b.score
                .total_cmp(&a.score)
                .then_with(|| a.document.id.cmp(&b.document.id))
        });
        let total = Total {
            value: matching,
            exact: true,
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
    fn matching(
        &self,
        records: &[DocumentRecord],
        query: &[f32],
        options: &SearchOptions,
    ) -> Result<u64, Error> {
        let Some(min_score) = options.min_score else {
            return Ok(records.len() as u64);
        };
        let mut matching = 0;
        for record in records {
            let best = self.scored_passages(record, query)?;
            let best = best.as_deref().and_then(<[ScoredPassage]>::first);
            matching += u64::from(best.is_some_and(|best| best.score >= min_score));
        }
        Ok(matching)
    }
}
