//! Maximal marginal relevance (Carbonell and Goldstein, 1998): hits that are near the query and
//! far from each other.

use super::PageHit;
use crate::backend::Reader;
use crate::error::ApiError;

/// Cosine from which two passages are copies of each other, but for a word or a number.
const COPY_COSINE: f32 = 0.95;
/// Of the candidates, one in so many should be no copy of another, or there is little to choose among.
const CANDIDATES_PER_ORIGINAL: usize = 4;

/// What there is to choose from.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    hits: Vec<PageHit>,
    vectors: Vec<Option<Vec<f32>>>,
    /// Places of those that are no copies of one before.
    originals: Vec<usize>,
    /// Whether there are as many originals as there should be.
    pub(super) are_varied: bool,
}

impl Candidates {
    /// The first `pool` of `hits`, which come best first. Where they are mostly copies of each other, also
    /// originals from further down.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) fn of(
        collection: &Reader,
        hits: Vec<PageHit>,
        pool: usize,
    ) -> Result<Self, ApiError> {
        let wanted = (pool / CANDIDATES_PER_ORIGINAL).max(1);
        let mut candidates = Self::default();
        for found in hits {
            candidates.are_varied = candidates.originals.len() >= wanted;
            let is_full = candidates.hits.len() >= pool;
            if is_full && candidates.are_varied {
                break;
            }
            let vector = collection.hit_vector(&found.hit)?;
            let is_original = !candidates.are_varied && !candidates.has_like(vector.as_deref());
            if is_original {
                candidates.originals.push(candidates.hits.len());
            }
            if is_original || !is_full {
                candidates.hits.push(found);
                candidates.vectors.push(vector);
            }
        }
        candidates.are_varied = candidates.originals.len() >= wanted;
        Ok(candidates)
    }

    pub(super) fn len(&self) -> usize {
        self.hits.len()
    }

    /// Chooses `wanted` hits and puts them in the order of choice.
    ///
    /// Each choice maximises `(1 - diversity) * score - diversity * s`, where `s` is the largest cosine
    /// of the hit's best passage with that of a hit chosen before. Diversity 0 keeps the order of
    /// scores. A choice depends only on those before it, so pages continue each other.
    pub(super) fn chosen(self, diversity: f32, wanted: usize) -> Vec<PageHit> {
        let scores: Vec<f32> = self.hits.iter().map(|found| found.hit.score).collect();
        let likeness = |left: usize, right: usize| {
            let (left, right) = (&self.vectors[left], &self.vectors[right]);
            let both = left.as_ref().zip(right.as_ref());
            both.map_or(0.0, |(left, right)| cosine(left, right))
        };
        let order = order(&scores, likeness, diversity, wanted);
        let mut hits: Vec<Option<PageHit>> = self.hits.into_iter().map(Some).collect();
        let chosen = order.into_iter().filter_map(|place| hits[place].take());
        chosen.collect()
    }

    fn has_like(&self, vector: Option<&[f32]>) -> bool {
        let Some(vector) = vector else {
            return false;
        };
        // Copies mostly follow what they are copies of.
        let mut originals = self.originals.iter().rev();
        originals.any(|place| {
            let original = self.vectors[*place].as_deref();
            original.is_some_and(|original| cosine(original, vector) >= COPY_COSINE)
        })
    }
}

/// Stored vectors have length 1.
fn cosine(left: &[f32], right: &[f32]) -> f32 {
    left.iter().zip(right).map(|(a, b)| a * b).sum()
}

/// Places in the order of choice; of equals, the one with the higher score comes first.
fn order(
    scores: &[f32],
    likeness: impl Fn(usize, usize) -> f32,
    diversity: f32,
    wanted: usize,
) -> Vec<usize> {
    let mut rest: Vec<usize> = (0..scores.len()).collect();
    // Likeness with the nearest of those that were chosen.
    let mut nearest: Vec<Option<f32>> = vec![None; scores.len()];
    let mut order = Vec::new();
    while order.len() < wanted {
        let value = |place: usize| {
            (1.0 - diversity) * scores[place] - diversity * nearest[place].unwrap_or(0.0)
        };
        let values = rest.iter().map(|place| value(*place)).enumerate();
        let best = values.reduce(|best, next| if next.1 > best.1 { next } else { best });
        let Some((best, _)) = best else {
            break;
        };
        let next = rest.remove(best);
        for place in &rest {
            let likeness = likeness(next, *place);
            nearest[*place] = Some(nearest[*place].map_or(likeness, |old| old.max(likeness)));
        }
        order.push(next);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first two are near copies.
    fn likeness(left: usize, right: usize) -> f32 {
        if left + right == 1 { 0.95 } else { 0.1 }
    }

    #[test]
    fn a_near_copy_waits_until_others_have_been_chosen() {
        let scores = [0.9, 0.89, 0.5, 0.4];
        // After 0: place 1 is worth 0.445 - 0.475, place 2 0.25 - 0.05, place 3 0.2 - 0.05.
        assert_eq!(order(&scores, likeness, 0.5, 9), [0, 2, 3, 1]);
        assert_eq!(order(&scores, likeness, 0.5, 2), [0, 2]);
    }

    #[test]
    fn without_diversity_the_order_of_scores_stays() {
        assert_eq!(order(&[0.9, 0.9, 0.5], likeness, 0.0, 3), [0, 1, 2]);
        assert!(order(&[], likeness, 0.5, 3).is_empty());
    }
}
