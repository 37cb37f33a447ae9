//! Hard negatives: texts that are near an anchor and do not belong to it.

use std::collections::{BTreeMap, HashSet};

use crate::data::{RankedPair, TextId};
use crate::evaluation::relevant;

/// Which texts near an anchor are its negatives.
#[derive(Debug, Clone, Copy)]
pub struct MiningRules {
    /// Negatives of an example, 1 to 16.
    pub negatives: usize,
    /// The nearest texts that are passed over.
    pub skip: usize,
    /// How much less near than its positive a text is at least, as a part of that: what is nearer may belong to the
    /// anchor without anybody having said so (Moreira et al., "NV-Retriever: Improving text embedding models with
    /// effective hard-negative mining", 2024).
    pub relative_margin: f32,
    /// The cosine that a text has with the anchor at most.
    pub max_score: Option<f32>,
}

/// Which texts belong to each anchor.
#[derive(Debug)]
pub struct Belonging(BTreeMap<TextId, HashSet<TextId>>);

impl Belonging {
    /// Positives of an anchor, and those of the same label.
    #[must_use]
    pub fn of(pairs: &[RankedPair]) -> Self {
        Self(relevant(pairs, &[]))
    }

    /// All anchors, in order.
    #[must_use]
    pub fn anchors(&self) -> Vec<TextId> {
        self.0.keys().copied().collect()
    }

    fn belongs(&self, text: TextId, anchor: TextId) -> bool {
        text == anchor || self.0.get(&anchor).is_some_and(|own| own.contains(&text))
    }
}

impl MiningRules {
    /// The negatives of a pair among the texts near its anchor, nearest first, beside those that it has.
    #[must_use]
    pub fn pick(
        &self,
        pair: &RankedPair,
        positive_score: f32,
        near: &[(TextId, f32)],
        belonging: &Belonging,
    ) -> Vec<TextId> {
        // What is less than orthogonal has no smaller part.
        let at_most = positive_score - self.relative_margin * positive_score.abs();
        let at_most = self.max_score.map_or(at_most, |max| at_most.min(max));
        let others = near
            .iter()
            .filter(|(text, _)| !belonging.belongs(*text, pair.anchor));
        others
            .skip(self.skip)
            .filter(|(text, score)| *score <= at_most && !pair.negatives.contains(text))
            .map(|(text, _)| *text)
            .take(self.negatives)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: MiningRules = MiningRules {
        negatives: 2,
        skip: 0,
        relative_margin: 0.05,
        max_score: None,
    };

    fn pair(positive: TextId, label: Option<u32>) -> RankedPair {
        RankedPair {
            anchor: 0,
            positive,
            negatives: vec![7],
            label,
        }
    }

    #[test]
    fn what_belongs_to_the_anchor_or_is_nearly_as_near_as_its_positive_is_no_negative() {
        let other = RankedPair {
            anchor: 9,
            ..pair(3, Some(0))
        };
        let pairs = [pair(1, Some(0)), pair(2, None), other];
        let belonging = Belonging::of(&pairs);
        assert_eq!(belonging.anchors(), [0, 9]);
        let near = [
            (0, 1.0),
            (1, 0.9),
            (4, 0.88),
            (2, 0.8),
            (3, 0.7),
            (7, 0.65),
            (5, 0.6),
            (6, 0.5),
            (8, 0.4),
        ];
        let pick = |rules: MiningRules| rules.pick(&pairs[0], 0.9, &near, &belonging);
        assert_eq!(pick(RULES), [5, 6]);
        let strict = MiningRules {
            max_score: Some(0.55),
            ..RULES
        };
        assert_eq!(pick(strict), [6, 8]);
        let near_too = MiningRules {
            relative_margin: 0.0,
            ..RULES
        };
        assert_eq!(pick(near_too), [4, 5]);
        let later = MiningRules { skip: 3, ..RULES };
        assert_eq!(pick(later), [6, 8]);
    }

    #[test]
    fn a_positive_that_is_far_away_still_has_negatives_that_are_farther() {
        let pairs = [pair(1, None)];
        let belonging = Belonging::of(&pairs);
        let near = [(4, -0.1), (5, -0.205), (6, -0.3)];
        assert_eq!(RULES.pick(&pairs[0], -0.2, &near, &belonging), [6]);
    }
}
