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

/// Keeps about `part` of the examples aside. All that have the same first text are on one side, and the first texts
/// of what was kept aside are in no example of the other side, in whatever place: of some examples there,
/// negatives are left out, and others are left out as wholes.
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
    let aside: HashSet<TextId> = held_out
        .iter()
        .map(|place| examples.first_text(*place))
        .collect();
    training.retain(|place| !aside.contains(&examples.second_text(*place)));
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
        training: without_negatives(examples.at(&training), &aside),
        held_out: examples.at(&held_out),
    })
}

fn without_negatives(mut examples: Examples, aside: &HashSet<TextId>) -> Examples {
    if let Examples::Ranked(pairs) = &mut examples {
        // One without any negatives would be of another kind than those beside it.
        pairs.retain_mut(|pair| {
            let had_some = !pair.negatives.is_empty();
            pair.negatives.retain(|text| !aside.contains(text));
            !had_some || !pair.negatives.is_empty()
        });
    }
    examples
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{GradedPair, RankedPair};

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
    fn no_first_text_that_is_measured_by_is_learned_from_in_any_place() {
        let Split { training, held_out } = split(&examples(), 0.1, 3).unwrap();
        let firsts: HashSet<TextId> = (0..held_out.len())
            .map(|place| held_out.first_text(place))
            .collect();
        for place in 0..training.len() {
            let texts = [training.first_text(place), training.second_text(place)];
            assert!(texts.iter().all(|text| !firsts.contains(text)));
        }
        assert!((20..=30).contains(&held_out.len()), "{}", held_out.len());
        assert_eq!(split(&examples(), 0.1, 3).unwrap().held_out, held_out);
    }

    #[test]
    fn what_is_measured_by_is_no_negative_of_what_is_learned_from() {
        let pair = |anchor: TextId| RankedPair {
            anchor,
            positive: 1000 + anchor,
            negatives: (0..100).collect(),
            label: None,
        };
        let pairs = Examples::Ranked((0..100).map(pair).collect());
        let Split { training, held_out } = split(&pairs, 0.1, 3).unwrap();
        let (Examples::Ranked(training), Examples::Ranked(held_out)) = (training, held_out) else {
            panic!("pairs of another kind");
        };
        assert_eq!((training.len(), held_out.len()), (90, 10));
        for pair in training {
            assert_eq!(pair.negatives.len(), 90);
            assert!(
                held_out
                    .iter()
                    .all(|other| !pair.negatives.contains(&other.anchor))
            );
        }
    }

    #[test]
    fn too_few_examples_are_refused() {
        let few = examples().at(&[0, 1, 2, 3]);
        let error = split(&few, 0.1, 3).unwrap_err().to_string();
        assert!(error.contains("at least 5 and 2 are needed"), "{error}");
        assert!(split(&few, 0.0, 3).unwrap().held_out.is_empty());
    }
}
