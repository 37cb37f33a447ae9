//! The stored document that is most alike to one that is to be stored.

use super::Reader;
use crate::collection::SearchOptions;
use crate::vectors::{cosine, mean_unit, normalized};
use crate::{Error, NewPassage};

/// Documents that are looked at: a search ranks by best passages, which may differ from the order by means.
const CANDIDATES: usize = 8;

/// Returns the vector that stands for a document with these passages, of length 1; zero where they cancel
/// each other out.
#[must_use]
pub fn document_vector(passages: &[NewPassage]) -> Vec<f32> {
    let units: Vec<Vec<f32>> = passages
        .iter()
        .map(|passage| normalized(&passage.vector))
        .collect();
    let units: Vec<&[f32]> = units.iter().map(Vec::as_slice).collect();
    mean_unit(&units)
}

impl Reader {
    /// Finds the document whose vector has the largest cosine with `vector`, of those that have at least
    /// `min_score`, and its score. It is looked for by a search, so one among very many may be missed, as
    /// may one that is alike as a whole, but in none of its passages.
    ///
    /// # Errors
    /// A vector that is none of this collection, or a store that fails.
    pub fn most_alike(
        &self,
        vector: &[f32],
        without: &str,
        min_score: f32,
    ) -> Result<Option<(String, f32)>, Error> {
        let options = SearchOptions {
            limit: CANDIDATES,
            exclude: vec![without.to_owned()],
            ..SearchOptions::default()
        };
        let found = self.search(vector, &options)?;
        let mut best: Option<(String, f32)> = None;
        for hit in found.hits {
            // Deleted meanwhile.
            let Some(own) = self.mean_vector(&hit.id)? else {
                continue;
            };
            if own.iter().all(|value| *value == 0.0) {
                continue;
            }
            let score = cosine(vector, &normalized(&own));
            if score >= min_score && best.as_ref().is_none_or(|(_, best)| score > *best) {
                best = Some((hit.id, score));
            }
        }
        Ok(best)
    }
}
