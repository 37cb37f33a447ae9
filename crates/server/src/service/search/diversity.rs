//! Maximal marginal relevance (Carbonell and Goldstein, 1998): hits that are near the question and
//! far from each other.

use siamese_index::Collection;

use super::FoundHit;
use crate::error::ApiError;

/// Chooses `wanted` of `hits`, which come best first, and puts them in the order of choice.
///
/// Each choice maximises `(1 - diversity) * score - diversity * s`, where `s` is the largest cosine
/// of the hit's best passage with that of a hit chosen before. Diversity 0 keeps the order of
/// scores. A choice depends only on those before it, so pages continue each other.
///
/// # Errors
/// When the store fails.
pub(super) fn diverse(
    collection: &Collection,
    hits: Vec<FoundHit>,
    diversity: f32,
    wanted: usize,
) -> Result<Vec<FoundHit>, ApiError> {
    let scores: Vec<f32> = hits.iter().map(|found| found.hit.score).collect();
    let vectors = hits.iter().map(|found| collection.hit_vector(&found.hit));
    let vectors = vectors.collect::<Result<Vec<_>, _>>()?;
    let cosine = |left: usize, right: usize| match (&vectors[left], &vectors[right]) {
        // Stored vectors have length 1.
        (Some(left), Some(right)) => left.iter().zip(right).map(|(a, b)| a * b).sum(),
        _ => 0.0,
    };
    let order = order(&scores, cosine, diversity, wanted);
    let mut hits: Vec<Option<FoundHit>> = hits.into_iter().map(Some).collect();
    let chosen = order.into_iter().filter_map(|place| hits[place].take());
    Ok(chosen.collect())
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
