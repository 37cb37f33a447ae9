//! Searching by meaning and by words.
//!
//! Each side has a list of its best documents, and these lists become one. What matches is what
//! matches by meaning alone: every document has a cosine, so words change the order and neither
//! total nor facets. For each document of either list both scores are known, so none counts as zero
//! only because a list had to end.

use std::collections::HashMap;

use roaring::RoaringBitmap;

use super::hit::HitScores;
use super::query::Fusion;
use super::search::{Candidates, Scope, ScoredDocument};
use super::state::State;
use super::{Reader, SearchOptions};
use crate::Error;
use crate::lexical::{LexicalScores, WordQuery};
use crate::vectors::{Candidate, Scan};

/// Documents in the list of each side, and at least as many as hits are wanted. The number of hits
/// is rounded up to this times a power of 2, so that pages mostly continue each other.
const MIN_LIST_DOCUMENTS: usize = 50;
/// What is added to ranks, which begin at 1; the value of the paper, and of most that fuse so.
const RANK_OFFSET: f32 = 60.0;

/// A document of one list or of both.
#[derive(Debug, Clone, Copy)]
struct Entry {
    /// Its best passage by meaning, with the cosine.
    by_meaning: Option<Candidate>,
    /// Its best passage by words, with the BM25 score; none if no word occurs.
    by_words: Option<Candidate>,
    /// Places in the lists, from 1.
    semantic_rank: Option<usize>,
    lexical_rank: Option<usize>,
}

impl Reader {
    /// The best documents by both sides, and all that match.
    pub(super) fn by_both(
        &self,
        state: &State,
        scope: &Scope,
        (vector, words, fusion): (&[f32], &WordQuery, Fusion),
        options: &SearchOptions,
    ) -> Result<Candidates<ScoredDocument>, Error> {
        let length = list_length(options.ranked());
        let found = self.by_vector(state, scope, vector, options, length)?;
        let scores = state.words.scores(words)?;
        let lexical = scores.matches(&scope.documents, length, None).best;
        let mut listed = listed(&found.best, &lexical);
        let lexical_only = lexical_only(&listed, &scores);
        let scan = Scan {
            query: vector,
            limit: listed.len(),
            min_score: options.min_score,
            collects_reaching: false,
            allowed: Some(&lexical_only),
            exact: true,
            ef: 1,
            widens: false,
        };
        if !lexical_only.is_empty() {
            let scanned = state.vectors.search(&scan, &self.record_vectors())?;
            add_cosines(&mut listed, &scanned.best);
        }
        add_word_scores(&mut listed, &scores);
        // What has no cosine does not reach the threshold.
        let listed: Vec<(Candidate, Entry)> = listed
            .into_values()
            .filter_map(|listed| Some((listed.by_meaning?, listed)))
            .collect();
        Ok(Candidates {
            best: fused(&listed, fusion, options.ranked()),
            matches: found.matches,
        })
    }
}

/// What is known of documents that are to be fused, for whoever keeps them elsewhere. Each is known by a number.
#[derive(Debug, Clone, Default)]
pub struct ListsToFuse {
    /// The best by meaning, best first.
    pub semantic: Vec<Candidate>,
    /// The best by words, best first.
    pub lexical: Vec<Candidate>,
    /// Those of the lexical list alone, by meaning. One that is in neither is left out.
    pub cosines: Vec<Candidate>,
    /// Those of the semantic list alone that have one of the words, by words.
    pub word_scores: Vec<Candidate>,
}

impl ListsToFuse {
    /// The best documents in the order of their fused scores, with those of both sides; equal ones by cosine, then by
    /// number. The passage of each is that of the side that ranks it higher.
    pub fn fused(&self, fusion: Fusion, limit: usize) -> Vec<(Candidate, HitScores)> {
        let mut listed = listed(&self.semantic, &self.lexical);
        for found in &self.cosines {
            if let Some(entry) = listed.get_mut(&found.document) {
                entry.by_meaning.get_or_insert(*found);
            }
        }
        for found in &self.word_scores {
            if let Some(entry) = listed.get_mut(&found.document) {
                entry.by_words.get_or_insert(*found);
            }
        }
        let listed: Vec<(Candidate, Entry)> = listed
            .into_values()
            .filter_map(|listed| Some((listed.by_meaning?, listed)))
            .collect();
        let fused = fused(&listed, fusion, limit).into_iter();
        fused
            .filter_map(|ranked| Some((ranked.candidate, ranked.scores?)))
            .collect()
    }

    /// How long both lists have to be for so many hits.
    pub fn length(limit: usize) -> usize {
        list_length(limit)
    }
}

fn list_length(limit: usize) -> usize {
    let lists = limit.div_ceil(MIN_LIST_DOCUMENTS).max(1);
    lists.next_power_of_two() * MIN_LIST_DOCUMENTS
}

fn listed(semantic: &[Candidate], lexical: &[Candidate]) -> HashMap<u32, Entry> {
    let nothing = Entry {
        by_meaning: None,
        by_words: None,
        semantic_rank: None,
        lexical_rank: None,
    };
    let mut listed = HashMap::with_capacity(semantic.len() + lexical.len());
    for (candidate, rank) in semantic.iter().zip(1..) {
        let document = listed.entry(candidate.document).or_insert(nothing);
        document.by_meaning = Some(*candidate);
        document.semantic_rank = Some(rank);
    }
    for (candidate, rank) in lexical.iter().zip(1..) {
        let document = listed.entry(candidate.document).or_insert(nothing);
        document.by_words = Some(*candidate);
        document.lexical_rank = Some(rank);
    }
    listed
}

/// The passages of documents that only the lexical list has.
fn lexical_only(listed: &HashMap<u32, Entry>, scores: &LexicalScores<'_>) -> RoaringBitmap {
    let without = listed.values().filter(|listed| listed.by_meaning.is_none());
    without
        .filter_map(|listed| listed.by_words)
        .flat_map(|found| scores.of_document_with(found.passage))
        .map(|(passage, _)| passage)
        .collect()
}

fn add_cosines(listed: &mut HashMap<u32, Entry>, scored: &[Candidate]) {
    for candidate in scored {
        if let Some(listed) = listed.get_mut(&candidate.document) {
            listed.by_meaning = Some(*candidate);
        }
    }
}

/// Looks up the word scores of documents that only the semantic list has.
fn add_word_scores(listed: &mut HashMap<u32, Entry>, scores: &LexicalScores<'_>) {
    for listed in listed.values_mut() {
        let (Some(found), None) = (listed.by_meaning, listed.by_words) else {
            continue;
        };
        let own = scores.of_document_with(found.passage).into_iter();
        let best = own.reduce(|best, next| if next.1 > best.1 { next } else { best });
        listed.by_words = best
            .filter(|(_, score)| *score > 0.0)
            .map(|(passage, score)| Candidate {
                passage,
                score,
                ..found
            });
    }
}

/// The best documents in the order of their fused scores; equal ones by cosine, then by number.
fn fused(listed: &[(Candidate, Entry)], fusion: Fusion, limit: usize) -> Vec<ScoredDocument> {
    let cosines = Scale::of(listed.iter().map(|(by_meaning, _)| by_meaning.score));
    let words = Scale::of(listed.iter().map(|(_, listed)| listed.word_score()));
    let mut ranked: Vec<ScoredDocument> = listed
        .iter()
        .map(|(by_meaning, listed)| {
            let score = match fusion {
                Fusion::ReciprocalRank => {
                    let ranks = [listed.semantic_rank, listed.lexical_rank];
                    let parts = ranks.into_iter().flatten();
                    parts.map(|rank| 1.0 / (RANK_OFFSET + rank as f32)).sum()
                }
                Fusion::Weighted { alpha } => {
                    let lexical = words.place(listed.word_score());
                    alpha * cosines.place(by_meaning.score) + (1.0 - alpha) * lexical
                }
            };
            ScoredDocument {
                candidate: Candidate {
                    score,
                    passage: listed.shown(by_meaning).passage,
                    ..*by_meaning
                },
                scores: Some(HitScores {
                    semantic: by_meaning.score,
                    lexical: listed.word_score(),
                }),
            }
        })
        .collect();
    let semantic = |ranked: &ScoredDocument| ranked.scores.map_or(0.0, |scores| scores.semantic);
    ranked.sort_unstable_by(|a, b| {
        let by_score = b.candidate.score.total_cmp(&a.candidate.score);
        by_score
            .then_with(|| semantic(b).total_cmp(&semantic(a)))
            .then_with(|| a.candidate.document.cmp(&b.candidate.document))
    });
    ranked.truncate(limit);
    ranked
}

impl Entry {
    fn word_score(&self) -> f32 {
        self.by_words.map_or(0.0, |found| found.score)
    }

    /// The passage of the side that ranks the document higher; of equals, the one by meaning.
    fn shown<'a>(&'a self, by_meaning: &'a Candidate) -> &'a Candidate {
        let semantic = self.semantic_rank.unwrap_or(usize::MAX);
        let lexical = self.lexical_rank.unwrap_or(usize::MAX);
        match &self.by_words {
            Some(by_words) if lexical < semantic => by_words,
            _ => by_meaning,
        }
    }
}

/// The least and the greatest of some scores.
#[derive(Debug, Clone, Copy)]
struct Scale {
    min: f32,
    max: f32,
}

impl Scale {
    fn of(scores: impl Iterator<Item = f32>) -> Self {
        let nothing = Self {
            min: f32::INFINITY,
            max: f32::NEG_INFINITY,
        };
        scores.fold(nothing, |scale, score| Self {
            min: scale.min.min(score),
            max: scale.max.max(score),
        })
    }

    /// 0 for the least, 1 for the greatest; 1 if all are equal, unless none is above 0.
    fn place(self, score: f32) -> f32 {
        let span = self.max - self.min;
        if span > 0.0 {
            (score - self.min) / span
        } else {
            f32::from(u8::from(score > 0.0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(document: u32, score: f32) -> Candidate {
        Candidate {
            document,
            passage: document * 10,
            score,
        }
    }

    /// Documents as both lists have them: the number, the cosine, and the BM25 score.
    fn fuse(semantic: &[(u32, f32)], lexical: &[(u32, f32)], fusion: Fusion) -> Vec<(u32, f32)> {
        let list = |side: &[(u32, f32)]| -> Vec<Candidate> {
            side.iter()
                .map(|(n, score)| candidate(*n, *score))
                .collect()
        };
        let listed = listed(&list(semantic), &list(lexical));
        let listed: Vec<_> = listed
            .into_iter()
            .map(|(document, listed)| {
                let by_meaning = listed.by_meaning.unwrap_or(candidate(document, 0.1));
                (by_meaning, listed)
            })
            .collect();
        let ranked = fused(&listed, fusion, 10).into_iter();
        ranked
            .map(|ranked| (ranked.candidate.document, ranked.candidate.score))
            .collect()
    }

    #[test]
    fn ranks_are_fused_reciprocally() {
        let found = fuse(
            &[(1, 0.9), (2, 0.8), (3, 0.7)],
            &[(3, 9.0), (4, 5.0), (1, 1.0)],
            Fusion::ReciprocalRank,
        );
        let expected = [
            (1, 1.0 / 61.0 + 1.0 / 63.0),
            (3, 1.0 / 63.0 + 1.0 / 61.0),
            (2, 1.0 / 62.0),
            (4, 1.0 / 62.0),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn weights_at_the_ends_give_the_order_of_one_side() {
        let (semantic, lexical) = (
            [(1, 0.9), (2, 0.8), (3, 0.7)],
            [(3, 9.0), (1, 5.0), (2, 1.0)],
        );
        let order = |alpha| -> Vec<u32> {
            let found = fuse(&semantic, &lexical, Fusion::Weighted { alpha });
            found.into_iter().map(|(document, _)| document).collect()
        };
        assert_eq!(order(1.0), [1, 2, 3]);
        assert_eq!(order(0.0), [3, 1, 2]);
        let half = fuse(&semantic, &lexical, Fusion::Weighted { alpha: 0.5 });
        assert_eq!(half[0].0, 1);
        assert!((half[0].1 - 0.75).abs() < 1e-6, "{half:?}");
    }

    #[test]
    fn scores_that_are_all_equal_count_fully() {
        let found = fuse(&[(1, 0.5)], &[(1, 3.0)], Fusion::Weighted { alpha: 0.3 });
        assert_eq!(found, [(1, 1.0)]);
        let found = fuse(&[(1, 0.5)], &[], Fusion::Weighted { alpha: 0.3 });
        assert_eq!(found, [(1, 0.3)]);
    }

    #[test]
    fn lists_are_long_enough_for_the_hits_and_grow_in_steps() {
        assert_eq!(
            [0, 1, 50, 51, 101, 1000].map(list_length),
            [50, 50, 50, 100, 200, 1600]
        );
    }
}
