//! Keeping examples aside to measure by.

use std::collections::{BTreeMap, HashSet};

use crate::batches::shuffled;
use crate::data::TextId;
use crate::{Error, Examples};

/// Examples that are kept aside, at most: measuring encodes them again after each epoch.
const MAX_HELD_OUT: usize = 10_000;
/// With fewer examples kept aside, figures say little.
const MIN_HELD_OUT: usize = 5;

/// Two parts of the examples.
#[derive(Debug)]
pub struct Split {
    /// To learn from.
    pub training: Examples,
    /// To measure by.
    pub held_out: Examples,
}

/// Keeps about `part` of the examples aside. All that have the same first text are on one side, and no
/// example of the other side is about two texts that are both in one that was kept aside.
///
/// # Errors
/// When too few examples would be left on one side.
pub fn split(examples: &Examples, part: f64, seed: u64) -> Result<Split, Error> {
    if part <= 0.0 {
        return Ok(Split {
            training: examples.clone(),
            held_out: examples.at(&[]),
        });
    }
    let mut groups: BTreeMap<TextId, Vec<usize>> = BTreeMap::new();
    for place in 0..examples.len() {
        groups
            .entry(examples.first_text(place))
            .or_default()
            .push(place);
    }
    let groups: Vec<Vec<usize>> = groups.into_values().collect();
    let wanted = ((examples.len() as f64 * part).round() as usize).min(MAX_HELD_OUT);
    let (mut training, mut held_out) = (Vec::new(), Vec::new());
    for group in shuffled(groups.len(), seed) {
        match held_out.len() < wanted {
            true => held_out.extend(&groups[group]),
            false => training.extend(&groups[group]),
        }
    }
    // The same two texts the other way round.
    let known: HashSet<_> = held_out
        .iter()
        .map(|place| pair(examples, *place))
        .collect();
    training.retain(|place| !known.contains(&pair(examples, *place)));
    if held_out.len() < MIN_HELD_OUT || training.len() < 2 {
        return Err(Error::Examples(format!(
            "of {} examples about {} texts, {} would be left to measure by and {} to learn from; at least \
             {MIN_HELD_OUT} and 2 are needed, or measure by none",
            examples.len(),
            groups.len(),
            held_out.len(),
            training.len()
        )));
    }
    training.sort_unstable();
    held_out.sort_unstable();
    Ok(Split {
        training: examples.at(&training),
        held_out: examples.at(&held_out),
    })
}

/// The two texts of an example, whichever comes first.
fn pair(examples: &Examples, place: usize) -> (TextId, TextId) {
    let (left, right) = match examples {
        Examples::Ranked(pairs) => (pairs[place].anchor, pairs[place].positive),
        Examples::Scored(pairs) | Examples::Labelled(pairs) => {
            (pairs[place].left, pairs[place].right)
        }
    };
    (left.min(right), left.max(right))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GradedPair;

    fn examples() -> Examples {
        let pair = |place: u32| GradedPair {
            left: place % 40,
            right: 100 + place,
            score: 0.0,
        };
        let turned = |place: u32| GradedPair {
            left: 100 + place,
            right: place % 40,
            score: 0.0,
        };
        Examples::Scored((0..200).map(pair).chain((0..20).map(turned)).collect())
    }

    #[test]
    fn no_first_text_is_on_both_sides_and_no_pair_the_other_way_round() {
        let Split { training, held_out } = split(&examples(), 0.1, 3).unwrap();
        let firsts = |examples: &Examples| -> HashSet<TextId> {
            (0..examples.len())
                .map(|place| examples.first_text(place))
                .collect()
        };
        assert!(firsts(&training).is_disjoint(&firsts(&held_out)));
        let pairs = |examples: &Examples| -> HashSet<_> {
            (0..examples.len())
                .map(|place| pair(examples, place))
                .collect()
        };
        assert!(pairs(&training).is_disjoint(&pairs(&held_out)));
        assert!((20..=30).contains(&held_out.len()), "{}", held_out.len());
        assert_eq!(split(&examples(), 0.1, 3).unwrap().held_out, held_out);
    }

    #[test]
    fn too_few_examples_are_refused() {
        let few = examples().at(&[0, 1, 2, 3]);
        let error = split(&few, 0.1, 3).unwrap_err().to_string();
        assert!(error.contains("at least 5 and 2 are needed"), "{error}");
        assert!(split(&few, 0.0, 3).unwrap().held_out.is_empty());
    }
}
