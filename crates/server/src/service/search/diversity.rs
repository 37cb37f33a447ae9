//! Maximal marginal relevance (Carbonell and Goldstein, 1998): hits that are near the question and
//! far from each other.

use super::FoundHit;

/// Chooses `wanted` of `hits`, which come best first, and puts them in the order of choice.
///
/// Each choice maximises `(1 - diversity) * score - diversity * s`, where `s` is the largest cosine
/// of the hit's best passage with that of a hit chosen before. Diversity 0 keeps the order of
/// scores. A hit's choice depends only on those before it, so pages continue each other.
pub(super) fn diverse(hits: Vec<FoundHit>, diversity: f32, wanted: usize) -> Vec<FoundHit> {
    let mut rest: Vec<Option<FoundHit>> = hits.into_iter().map(Some).collect();
    // Nothing chosen yet is no likeness at all.
    let mut likeness = vec![0.0_f32; rest.len()];
    let mut chosen: Vec<FoundHit> = Vec::with_capacity(wanted.min(rest.len()));
    while chosen.len() < wanted {
        let Some(place) = best(&rest, &likeness, diversity) else {
            break;
        };
        let Some(next) = rest[place].take() else {
            break;
        };
        let is_first = chosen.is_empty();
        for (other, likeness) in rest.iter().zip(&mut likeness) {
            if let Some(other) = other {
                let cosine = cosine(&next, other);
                *likeness = if is_first {
                    cosine
                } else {
                    likeness.max(cosine)
                };
            }
        }
        chosen.push(next);
    }
    chosen
}

/// The place of the best hit that is left; the first of equals.
fn best(rest: &[Option<FoundHit>], likeness: &[f32], diversity: f32) -> Option<usize> {
    let values = rest.iter().zip(likeness).map(|(found, likeness)| {
        let found = found.as_ref()?;
        Some((1.0 - diversity) * found.hit.score - diversity * likeness)
    });
    let values = values
        .enumerate()
        .filter_map(|(place, value)| Some((place, value?)));
    let best = values.reduce(|best, next| if next.1 > best.1 { next } else { best });
    best.map(|(place, _)| place)
}

/// Cosine of the best passages; stored vectors have length 1.
fn cosine(left: &FoundHit, right: &FoundHit) -> f32 {
    let (left, right) = (&left.hit.passage.vector, &right.hit.passage.vector);
    match (left, right) {
        (Some(left), Some(right)) => left.iter().zip(right).map(|(a, b)| a * b).sum(),
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    // Hits cannot be made outside the index; the black-box tests choose among real ones.
    use super::best;

    #[test]
    fn nothing_left_is_no_choice() {
        assert_eq!(best(&[], &[], 0.5), None);
    }
}
