//! Searching by words, and by both.

use std::collections::{BTreeMap, HashMap, HashSet};

use qdrant_client::qdrant::VectorInput;
use siamese_index::{
    Candidate, Error, Fusion, Hit, ListsToFuse, ScoredPassage, SearchOptions, WordQuery, cosine,
};
use uuid::Uuid;

use crate::Reader;
use crate::at_once::at_once;
use crate::conditions::is_any;
use crate::ids::{self, Version};
use crate::passage_point::{self, Owner};
use crate::search::{Best, Found, MAX_PASSAGES, MAX_READS, Wanted, in_order};
use crate::word_vector::{self, WORDS};

impl Reader {
    /// The best documents by words: those that have one of them.
    pub(crate) fn by_words(
        &self,
        words: &WordQuery,
        wanted: &Wanted<'_>,
    ) -> Result<Vec<Hit>, Error> {
        self.check_words()?;
        let Some(input) = word_vector::of_query(words) else {
            return Ok(Vec::new());
        };
        let mut found = Found::default();
        for _ in 0..MAX_READS {
            found = self.best_of(&input, WORDS, wanted, wanted.options.min_score)?;
            // What has been replaced meanwhile may be found by its new words.
            if found.replaced.is_empty() {
                break;
            }
        }
        let hits = found.best.into_iter().map(|best| {
            let Best {
                id, owner, score, ..
            } = best;
            Hit::found_elsewhere(id, score, owner.version.0, owner.ordinal)
        });
        let mut hits: Vec<Hit> = hits.collect();
        in_order(&mut hits, wanted.count);
        Ok(hits)
    }

    /// The best documents by both sides, in the order that they have together.
    pub(crate) fn by_both(
        &self,
        vector: &[f32],
        words: &WordQuery,
        fusion: Fusion,
        wanted: &Wanted<'_>,
    ) -> Result<Vec<Hit>, Error> {
        self.check_words()?;
        let of_length = |options| Wanted {
            options,
            filter: wanted.filter.clone(),
            count: ListsToFuse::length(wanted.count),
        };
        let any_score = SearchOptions {
            min_score: None,
            ..wanted.options.clone()
        };
        let (semantic, lexical) = at_once(
            || self.by_vector(vector, &of_length(wanted.options)),
            || self.by_words(words, &of_length(&any_score)),
        )?;
        let numbered = Numbered::of(&semantic, &lexical);
        let (mut cosines, word_scores) = at_once(
            || self.cosines(vector, &Numbered::only_in(&lexical, &semantic)),
            || self.word_scores(words, &Numbered::only_in(&semantic, &lexical)),
        )?;
        // What does not reach the threshold is in no list.
        let least = wanted.options.min_score;
        cosines.retain(|(_, cosine)| least.is_none_or(|min| *cosine >= min));
        let lists = ListsToFuse {
            cosines: numbered.of_versions(&cosines),
            word_scores: numbered.of_versions(&word_scores),
            semantic: numbered.candidates(&semantic),
            lexical: numbered.candidates(&lexical),
        };
        let fused = lists.fused(fusion, wanted.count).into_iter();
        let hits = fused.filter_map(|(found, scores)| {
            let mut hit = numbered.hit(found)?;
            hit.scores = Some(scores);
            Some(hit)
        });
        Ok(hits.collect())
    }

    /// For each hit its `limit` passages with the highest scores by words, best first; equal scores in the order of the
    /// text. Passages without any of the words are left out. None when the document has been replaced since.
    ///
    /// # Errors
    /// A collection without words, or a cluster that fails.
    pub fn best_passages_by_words(
        &self,
        hits: &[&Hit],
        words: &WordQuery,
        limit: usize,
    ) -> Result<Vec<Vec<ScoredPassage>>, Error> {
        self.check_words()?;
        let scores = self.scores_by_words(words, hits.iter().map(|hit| Version(hit.number())))?;
        let summaries = self.summaries(hits.iter().map(|hit| hit.id.as_str()))?;
        let passages = hits.iter().map(|hit| {
            let summary = summaries.get(&ids::of_name(&hit.id));
            let Some(summary) = summary.filter(|it| it.version.0 == hit.number()) else {
                return Vec::new();
            };
            let stored = summary.stored_passages();
            let own = scores
                .iter()
                .filter(|(owner, _)| owner.version == summary.version);
            let mut scored: Vec<ScoredPassage> = own
                .filter_map(|(owner, score)| {
                    let passage = stored.get(owner.ordinal as usize)?.clone();
                    Some(ScoredPassage::found_elsewhere(
                        *score,
                        passage,
                        owner.ordinal,
                    ))
                })
                .collect();
            scored.sort_by(|a, b| {
                let by_score = b.score.total_cmp(&a.score);
                by_score.then_with(|| a.passage.start.cmp(&b.passage.start))
            });
            scored.truncate(limit);
            scored
        });
        Ok(passages.collect())
    }

    /// The best passage of each of these hits by meaning.
    fn cosines(&self, vector: &[f32], hits: &[&Hit]) -> Result<Vec<(Owner, f32)>, Error> {
        let summaries = self.summaries(hits.iter().map(|hit| hit.id.as_str()))?;
        let current = hits.iter().filter_map(|hit| {
            let summary = summaries.get(&ids::of_name(&hit.id))?;
            (summary.version.0 == hit.number()).then_some(summary)
        });
        let owners: Vec<Owner> = current
            .flat_map(|summary| {
                (0..summary.spans.len() as u32).map(|ordinal| Owner {
                    document: summary.point,
                    version: summary.version,
                    ordinal,
                })
            })
            .collect();
        let points: Vec<Uuid> = owners.iter().map(|owner| owner.point()).collect();
        let vectors = self.vectors(&points)?;
        let scored = owners.into_iter().zip(points);
        Ok(best_of_each(scored.filter_map(|(owner, point)| {
            Some((owner, cosine(vector, vectors.get(&point)?)))
        })))
    }

    /// The best passage of each of these hits by words, of those that have one of them.
    fn word_scores(&self, words: &WordQuery, hits: &[&Hit]) -> Result<Vec<(Owner, f32)>, Error> {
        let scores = self.scores_by_words(words, hits.iter().map(|hit| Version(hit.number())))?;
        Ok(best_of_each(scores.into_iter()))
    }

    /// The scores by words of all passages of these versions that have one of them.
    fn scores_by_words(
        &self,
        words: &WordQuery,
        versions: impl Iterator<Item = Version>,
    ) -> Result<Vec<(Owner, f32)>, Error> {
        let versions: Vec<String> = versions.map(Version::text).collect();
        let input: Option<VectorInput> = word_vector::of_query(words);
        let (Some(input), false) = (input, versions.is_empty()) else {
            return Ok(Vec::new());
        };
        let options = SearchOptions::default();
        let wanted = Wanted {
            options: &options,
            filter: Some(is_any(passage_point::VERSION.to_owned(), versions)),
            count: 0,
        };
        let points = self.nearest(&input, WORDS, MAX_PASSAGES, &wanted, None)?;
        let scores = points
            .iter()
            .map(|point| Ok((Owner::read(&point.payload)?, point.score)));
        scores.collect()
    }

    fn check_words(&self) -> Result<(), Error> {
        match self.settings().lexical {
            true => Ok(()),
            false => Err(Error::WordsNotIndexed {
                name: self.name().to_owned(),
            }),
        }
    }
}

/// Of each version the passage with the highest score, the first of equals.
fn best_of_each(scores: impl Iterator<Item = (Owner, f32)>) -> Vec<(Owner, f32)> {
    let mut best: HashMap<Version, (Owner, f32)> = HashMap::new();
    for (owner, score) in scores {
        let known = best.entry(owner.version).or_insert((owner, score));
        if score > known.1 || (score == known.1 && owner.ordinal < known.0.ordinal) {
            *known = (owner, score);
        }
    }
    best.into_values().collect()
}

/// Documents of two lists with numbers, in the order of their ids.
struct Numbered<'a> {
    /// By number.
    documents: Vec<(&'a str, Version)>,
    by_id: HashMap<&'a str, u32>,
    by_version: HashMap<Version, u32>,
}

impl<'a> Numbered<'a> {
    fn of(one: &'a [Hit], other: &'a [Hit]) -> Self {
        let hits = one.iter().chain(other);
        let versions = hits.map(|hit| (hit.id.as_str(), Version(hit.number())));
        let documents: BTreeMap<&str, Version> = versions.collect();
        let documents: Vec<_> = documents.into_iter().collect();
        let numbered = || documents.iter().zip(0..);
        Self {
            by_id: numbered().map(|((id, _), number)| (*id, number)).collect(),
            by_version: numbered()
                .map(|((_, version), number)| (*version, number))
                .collect(),
            documents,
        }
    }

    fn candidates(&self, hits: &[Hit]) -> Vec<Candidate> {
        let candidates = hits.iter().filter_map(|hit| {
            Some(Candidate {
                document: *self.by_id.get(hit.id.as_str())?,
                passage: hit.passage(),
                score: hit.score,
            })
        });
        candidates.collect()
    }

    fn of_versions(&self, scores: &[(Owner, f32)]) -> Vec<Candidate> {
        let candidates = scores.iter().filter_map(|(owner, score)| {
            Some(Candidate {
                document: *self.by_version.get(&owner.version)?,
                passage: owner.ordinal,
                score: *score,
            })
        });
        candidates.collect()
    }

    fn only_in<'b>(hits: &'b [Hit], others: &[Hit]) -> Vec<&'b Hit> {
        let others: HashSet<&str> = others.iter().map(|hit| hit.id.as_str()).collect();
        let is_other = |hit: &&Hit| !others.contains(hit.id.as_str());
        hits.iter().filter(is_other).collect()
    }

    fn hit(&self, found: Candidate) -> Option<Hit> {
        let (id, version) = self.documents.get(found.document as usize)?;
        let (id, version) = ((*id).to_owned(), version.0);
        Some(Hit::found_elsewhere(
            id,
            found.score,
            version,
            found.passage,
        ))
    }
}
