//! Choosing pairs.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use siamese_index::Reader;

use super::gathered::{Gathered, Judged, Name};
use super::{MAX_NEGATIVES, PairSource, PairSources};
use crate::error::{ApiError, ErrorCode};

/// Documents through which one is followed to the last that it refers to.
const MAX_HOPS: usize = 32;

/// Pairs by their ids, in the order in which they are written.
#[derive(Debug)]
pub(crate) struct PairPlan {
    pub(super) pairs: Vec<PlannedPair>,
}

/// Two texts that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PlannedPair {
    pub(super) source: PairSource,
    pub(super) anchor: Anchor,
    /// A document's id.
    pub(super) positive: Name,
    /// Documents that do not belong to the anchor.
    pub(super) negatives: Arc<[Name]>,
    /// What both are about: pairs with the same are no negatives of each other.
    pub(super) label: Name,
}

/// What a pair begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Anchor {
    /// A document's id.
    Document(Name),
    /// A query.
    Query(Name),
}

impl PairPlan {
    /// Returns how many pairs there are.
    pub(crate) fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Returns about how much memory it takes, bytes.
    pub(crate) fn bytes(&self) -> usize {
        let names = |pair: &PlannedPair| {
            let (Anchor::Document(anchor) | Anchor::Query(anchor)) = &pair.anchor;
            anchor.len() + pair.positive.len() + pair.label.len()
        };
        let names: usize = self.pairs.iter().map(names).sum();
        names + self.pairs.len() * size_of::<PlannedPair>()
    }
}

/// Chooses pairs of a collection. Between two documents, `go_on` is asked.
///
/// # Errors
/// 422 when there is none or they need too much memory, and what `go_on` returns.
pub(crate) fn plan(
    collection: &Reader,
    sources: &PairSources,
    go_on: &dyn Fn() -> Result<(), ApiError>,
) -> Result<PairPlan, ApiError> {
    let plan = planned(Gathered::of(collection, sources, go_on)?, sources);
    if plan.pairs.is_empty() {
        let detail = "there are no pairs in the collection: no two documents have the same value in the field \
                      that same names, none has the id of another in the field that refers names, or no \
                      query has a useful document";
        return Err(ApiError::new(ErrorCode::InvalidRequest, detail));
    }
    Ok(plan)
}

fn planned(gathered: Gathered, sources: &PairSources) -> PairPlan {
    let mut planner = Planner {
        chance: SmallRng::seed_from_u64(sources.seed),
        max_pairs_per_value: sources.max_pairs_per_value,
        pairs: Vec::new(),
    };
    planner.same(gathered.same);
    planner.refers(&gathered.refers);
    planner.feedback(gathered.feedback);
    let mut pairs = planner.pairs;
    pairs.shuffle(&mut planner.chance);
    pairs.truncate(sources.max_pairs);
    PairPlan { pairs }
}

struct Planner {
    chance: SmallRng,
    max_pairs_per_value: usize,
    pairs: Vec<PlannedPair>,
}

impl Planner {
    /// Documents of one value form a ring, in which each is paired with the next: as many pairs as documents, not
    /// as many as there are two of them.
    fn same(&mut self, same: BTreeMap<Name, Vec<Name>>) {
        for (value, mut documents) in same {
            documents.shuffle(&mut self.chance);
            let count = documents.len();
            let pairs = match count {
                0 | 1 => 0,
                // The other way round says nothing new.
                2 => 1,
                _ => count,
            };
            let label = label(PairSource::Same, &value);
            for place in 0..pairs.min(self.max_pairs_per_value) {
                self.pairs.push(PlannedPair {
                    source: PairSource::Same,
                    anchor: Anchor::Document(Arc::clone(&documents[place])),
                    positive: Arc::clone(&documents[(place + 1) % count]),
                    negatives: Arc::default(),
                    label: Arc::clone(&label),
                });
            }
        }
    }

    /// A document is paired with the one that it refers to. All that lead to the same one have its label.
    fn refers(&mut self, refers: &BTreeMap<Name, Name>) {
        let mut documents: Vec<(&Name, &Name)> = refers.iter().collect();
        documents.shuffle(&mut self.chance);
        let mut counts: HashMap<&Name, usize> = HashMap::new();
        for (document, target) in documents {
            let last = last_of(document, refers);
            let count = counts.entry(last).or_default();
            if *count == self.max_pairs_per_value {
                continue;
            }
            *count += 1;
            self.pairs.push(PlannedPair {
                source: PairSource::Refers,
                anchor: Anchor::Document(Arc::clone(document)),
                positive: Arc::clone(target),
                negatives: Arc::default(),
                label: label(PairSource::Refers, last),
            });
        }
    }

    /// A query is paired with each document that was useful for it; those that were not are negatives.
    fn feedback(&mut self, feedback: BTreeMap<Name, Judged>) {
        for (query, judged) in feedback {
            let Judged {
                mut useful,
                mut others,
            } = judged;
            useful.shuffle(&mut self.chance);
            others.shuffle(&mut self.chance);
            others.truncate(MAX_NEGATIVES);
            let negatives: Arc<[Name]> = others.into();
            let label = label(PairSource::Feedback, &query);
            for positive in useful.into_iter().take(self.max_pairs_per_value) {
                self.pairs.push(PlannedPair {
                    source: PairSource::Feedback,
                    anchor: Anchor::Query(Arc::clone(&query)),
                    positive,
                    negatives: Arc::clone(&negatives),
                    label: Arc::clone(&label),
                });
            }
        }
    }
}

/// The source stands before the value, since a query may read like an id.
fn label(source: PairSource, value: &str) -> Name {
    format!("{}:{value}", source.name()).into()
}

/// The document at the end of what one refers to; in a ring, the one with the smallest id.
fn last_of<'a>(document: &'a Name, refers: &'a BTreeMap<Name, Name>) -> &'a Name {
    let mut seen = vec![document];
    while let Some(next) = seen.last().and_then(|last| refers.get(*last)) {
        if let Some(begin) = seen.iter().position(|known| *known == next) {
            return seen[begin..].iter().min().copied().unwrap_or(document);
        }
        seen.push(next);
        if seen.len() > MAX_HOPS {
            break;
        }
    }
    seen.last().copied().unwrap_or(document)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCES: PairSources = PairSources {
        same: None,
        refers: None,
        feedback: false,
        max_pairs: 1000,
        max_pairs_per_value: 100,
        seed: 1,
    };

    fn names(names: &[&str]) -> Vec<Name> {
        names.iter().map(|name| Name::from(*name)).collect()
    }

    fn gathered() -> Gathered {
        let many: Vec<String> = (0..300).map(|n| format!("d{n}")).collect();
        let mut gathered = Gathered::default();
        let many: Vec<Name> = many.iter().map(|id| Name::from(id.as_str())).collect();
        gathered.same.insert("alone".into(), names(&["x"]));
        gathered.same.insert("many".into(), many);
        gathered.same.insert("two".into(), names(&["a", "b"]));
        for (from, to) in [
            ("m1", "m2"),
            ("m2", "m3"),
            ("m0", "m3"),
            ("r2", "r1"),
            ("r1", "r2"),
        ] {
            gathered.refers.insert(from.into(), to.into());
        }
        let judged = Judged {
            useful: names(&["u1", "u2"]),
            others: (0..20).map(|n| Name::from(format!("n{n}"))).collect(),
        };
        gathered.feedback.insert("q".into(), judged);
        let nothing = Judged {
            useful: Vec::new(),
            others: names(&["n"]),
        };
        gathered.feedback.insert("p".into(), nothing);
        gathered
    }

    fn of(plan: &PairPlan, source: PairSource) -> Vec<&PlannedPair> {
        let pairs = plan.pairs.iter();
        pairs.filter(|pair| pair.source == source).collect()
    }

    #[test]
    fn documents_of_a_value_are_paired_in_a_ring_and_no_more_than_may_be() {
        let plan = planned(gathered(), &SOURCES);
        let same = of(&plan, PairSource::Same);
        assert_eq!(same.len(), 101);
        let labels = same.iter().filter(|pair| &*pair.label == "same:many");
        let anchors: std::collections::BTreeSet<_> =
            labels.map(|pair| format!("{:?}", pair.anchor)).collect();
        assert_eq!(anchors.len(), 100, "no document is an anchor twice");
        for pair in &same {
            assert_ne!(pair.anchor, Anchor::Document(Arc::clone(&pair.positive)));
        }
    }

    #[test]
    fn documents_that_lead_to_the_same_one_have_its_label_and_a_ring_ends() {
        let plan = planned(gathered(), &SOURCES);
        let refers = of(&plan, PairSource::Refers);
        let mut said: Vec<_> = refers
            .iter()
            .map(|pair| format!("{:?} {} {}", pair.anchor, pair.positive, pair.label))
            .collect();
        said.sort();
        assert_eq!(
            said,
            [
                "Document(\"m0\") m3 refers:m3",
                "Document(\"m1\") m2 refers:m3",
                "Document(\"m2\") m3 refers:m3",
                "Document(\"r1\") r2 refers:r1",
                "Document(\"r2\") r1 refers:r1",
            ]
        );
    }

    #[test]
    fn a_query_has_a_pair_for_each_useful_document_and_others_as_negatives() {
        let plan = planned(gathered(), &SOURCES);
        let feedback = of(&plan, PairSource::Feedback);
        assert_eq!(feedback.len(), 2);
        for pair in feedback {
            assert_eq!(pair.anchor, Anchor::Query("q".into()));
            assert_eq!(pair.negatives.len(), MAX_NEGATIVES);
            assert_eq!(&*pair.label, "feedback:q");
        }
    }

    #[test]
    fn the_same_seed_chooses_the_same_pairs_and_another_one_others() {
        let plan = |seed, max_pairs| {
            let sources = PairSources {
                seed,
                max_pairs,
                ..SOURCES
            };
            planned(gathered(), &sources).pairs
        };
        assert_eq!(plan(1, 1000), plan(1, 1000));
        assert_ne!(plan(1, 1000), plan(2, 1000));
        assert_eq!(plan(1, 10), plan(1, 1000)[..10]);
    }
}
