//! Searching by meaning: the documents whose best passage is nearest.

use super::search::{Candidates, Matches, Scope};
use super::state::State;
use super::{Reader, ScoredPassage, SearchOptions};
use crate::Error;
use crate::store::DocumentRecord;
use crate::vectors::{Candidate, Scan};

impl Reader {
    /// The best `limit` documents and all that match.
    pub(super) fn by_vector(
        &self,
        state: &State,
        scope: &Scope,
        query: &[f32],
        options: &SearchOptions,
        limit: usize,
    ) -> Result<Candidates<Candidate>, Error> {
        // Facets are counted over all that reach the threshold, so all of them are looked at.
        let counts_reaching = options.min_score.is_some() && !options.facets.paths.is_empty();
        let scan = Scan {
            query,
            limit: limit.saturating_add(scope.excluded.len()),
            min_score: options.min_score,
            collects_reaching: counts_reaching,
            allowed: scope.allowed.as_ref(),
            exact: options.exact || counts_reaching,
            ef: options.ef.unwrap_or(self.settings().graph.ef_search),
            widens: options.ef.is_none(),
        };
        let scanned = state.vectors.search(&scan, &self.record_vectors())?;
        let mut best = scanned.best;
        let excluded = &scope.excluded;
        best.retain(|best| excluded.iter().all(|record| record.number != best.document));
        let reaching = scanned.matching;
        let reaching = reaching.saturating_sub(self.reaching(excluded, query, options)?);
        let documents = match scanned.reaching {
            Some(mut documents) => {
                for record in excluded {
                    documents.remove(record.number);
                }
                documents
            }
            None => scope.documents.clone(),
        };
        best.truncate(limit);
        let count = match options.min_score {
            Some(_) => reaching,
            None => documents.len(),
        };
        let matches = Matches {
            documents,
            count,
            is_exact_count: options.min_score.is_none() || scanned.is_exact_count,
        };
        Ok(Candidates { best, matches })
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
