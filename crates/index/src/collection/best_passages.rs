//! Which passages of one document are nearest to a query, by their vectors in the record.

use super::{Hit, Reader};
use crate::document::check_vector;
use crate::store::DocumentRecord;
use crate::vectors::{cosine, normalized};
use crate::{Error, StoredPassage};

/// A passage of a hit.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoredPassage {
    /// Cosine of query and passage, -1 to 1; by words, the BM25 score.
    pub score: f32,
    /// The passage, without its vector.
    pub passage: StoredPassage,
    /// Its internal number.
    pub(super) number: u32,
}

impl ScoredPassage {
    /// One that another keeper of documents has scored; `number` is its own.
    pub fn found_elsewhere(score: f32, passage: StoredPassage, number: u32) -> Self {
        Self {
            score,
            passage,
            number,
        }
    }

    /// Returns whether it is the one by which a document was found.
    pub fn is_best_of(&self, hit: &Hit) -> bool {
        self.number == hit.passage
    }
}

impl Reader {
    /// The `limit` passages of a hit that are nearest to `query`, best first; equal scores in the
    /// order of the text. None when the document has been replaced since.
    ///
    /// # Errors
    /// A query that is no vector of this collection, or a store that fails.
    pub fn best_passages(
        &self,
        hit: &Hit,
        query: &[f32],
        limit: usize,
    ) -> Result<Vec<ScoredPassage>, Error> {
        check_vector(query, self.dimensions)?;
        let own = self
            .document_record(&hit.id)?
            .filter(|record| u64::from(record.number) == hit.number);
        let scored = match own {
            Some(record) => self.scored_passages(&record, &normalized(query))?,
            None => None,
        };
        let mut scored = scored.unwrap_or_default();
        scored.truncate(limit);
        Ok(scored)
    }

    /// All passages, best first. `None` when the document has been replaced or deleted since.
    pub(super) fn scored_passages(
        &self,
        record: &DocumentRecord,
        query: &[f32],
    ) -> Result<Option<Vec<ScoredPassage>>, Error> {
        let mut scored = Vec::with_capacity(record.passages as usize);
        for number in record.passage_numbers() {
            let Some(passage) = self.passage(number, true)? else {
                return Ok(None);
            };
            scored.push(score(number, passage, query));
        }
        scored.sort_by(|a, b| b.score.total_cmp(&a.score));
        Ok(Some(scored))
    }
}

fn score(number: u32, mut passage: StoredPassage, query: &[f32]) -> ScoredPassage {
    let vector = passage.vector.take().unwrap_or_default();
    ScoredPassage {
        score: cosine(query, &vector),
        passage,
        number,
    }
}
