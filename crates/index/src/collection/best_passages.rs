//! Which passages of one document are nearest to a query, by their vectors in the record.

use super::Collection;
use crate::store::DocumentRecord;
use crate::{Error, StoredPassage};

/// A passage of a hit.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoredPassage {
    /// Cosine of query and passage, -1 to 1.
    pub score: f32,
    /// The passage, without its vector.
    pub passage: StoredPassage,
}

impl Collection {
    /// The `limit` best passages, best first; equal scores in the order of the text. `None` when
    /// the document has been replaced or deleted since.
    pub(super) fn best_passages(
        &self,
        record: &DocumentRecord,
        query: &[f32],
        limit: usize,
    ) -> Result<Option<Vec<ScoredPassage>>, Error> {
        let mut scored = Vec::new();
        if limit == 0 {
            return Ok(Some(scored));
        }
        for number in record.passage_numbers() {
            let Some(passage) = self.passage(number, true)? else {
                return Ok(None);
            };
            scored.push(score(passage, query));
        }
        scored.sort_by(|a, b| b.score.total_cmp(&a.score));
        scored.truncate(limit);
        Ok(Some(scored))
    }
}

fn score(mut passage: StoredPassage, query: &[f32]) -> ScoredPassage {
    let vector = passage.vector.take().unwrap_or_default();
    let dot: f32 = query.iter().zip(&vector).map(|(a, b)| a * b).sum();
    ScoredPassage {
        score: dot.clamp(-1.0, 1.0),
        passage,
    }
}
