//! Searching by words: the documents whose best passage has the highest BM25 score.

use super::search::{Candidates, Matches, Scope};
use super::state::State;
use super::{Hit, Reader, ScoredPassage, SearchOptions};
use crate::Error;
use crate::lexical::{LexicalScores, WordQuery};
use crate::vectors::Candidate;

impl Reader {
    /// The best documents and all that match: those that have one of the words.
    pub(super) fn by_words(
        state: &State,
        scope: &Scope,
        words: &WordQuery,
        options: &SearchOptions,
    ) -> Result<Candidates<Candidate>, Error> {
        let scores = state.words.scores(words)?;
        let matches = scores.matches(&scope.documents, options.ranked(), options.min_score);
        Ok(Candidates {
            best: matches.best,
            matches: Matches {
                count: matches.documents.len(),
                documents: matches.documents,
                is_exact_count: true,
            },
        })
    }

    /// For each hit its `limit` passages with the highest scores, best first; equal scores in the
    /// order of the text. Passages without any of the words are left out. None when the document has
    /// been replaced since.
    ///
    /// # Errors
    /// When a segment or the store fails.
    pub fn best_passages_by_words(
        &self,
        hits: &[&Hit],
        words: &WordQuery,
        limit: usize,
    ) -> Result<Vec<Vec<ScoredPassage>>, Error> {
        let state = &self.published.load_full().state;
        let scores = state.words.scores(words)?;
        let best = |hit: &&Hit| self.passages_by_words(hit, &scores, limit);
        hits.iter().map(best).collect()
    }

    /// Nothing when the document is no longer the one that was found.
    fn passages_by_words(
        &self,
        hit: &Hit,
        scores: &LexicalScores<'_>,
        limit: usize,
    ) -> Result<Vec<ScoredPassage>, Error> {
        let record = self.document_record(&hit.id)?;
        let Some(record) = record.filter(|record| u64::from(record.number) == hit.number) else {
            return Ok(Vec::new());
        };
        let mut scored = scores.of_document_with(record.first_passage);
        scored.retain(|(_, score)| *score > 0.0);
        scored.sort_by(|a, b| b.1.total_cmp(&a.1));
        scored.truncate(limit);
        let mut passages = Vec::with_capacity(scored.len());
        for (number, score) in scored {
            let Some(passage) = self.passage(number, false)? else {
                return Ok(Vec::new());
            };
            passages.push(ScoredPassage {
                score,
                passage,
                number,
            });
        }
        Ok(passages)
    }
}
