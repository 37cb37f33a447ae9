//! The scores of all passages that have a term of a query.

use std::io;

use roaring::RoaringBitmap;

use super::bm25::WordScore;
use super::documents::{Documents, LexicalMatches};
use super::index::LexicalIndex;
use super::part::Part;
use super::query::WordQuery;
use super::row::rows_beside;
use crate::segments::SegmentedIndex;
use crate::vectors::Candidate;

/// What a query found, before anything is chosen. Dead passages are among it.
#[derive(Debug)]
pub(crate) struct LexicalScores<'a> {
    parts: Vec<PartScores<'a>>,
}

#[derive(Debug)]
struct PartScores<'a> {
    part: Part<'a>,
    /// Row by row; 0 where no term occurs. Empty when none occurs at all.
    scores: Vec<f32>,
}

impl LexicalIndex {
    /// Scores every passage that has a term of the query. Each term's scores are added in the order
    /// of the query, so a passage has the same score wherever it is kept.
    ///
    /// # Errors
    /// When a segment cannot be read.
    pub(crate) fn scores(&self, query: &WordQuery) -> io::Result<LexicalScores<'_>> {
        let mut parts: Vec<PartScores<'_>> = self
            .parts()
            .map(|part| PartScores {
                part,
                scores: Vec::new(),
            })
            .collect();
        for (word, weight) in query.words() {
            let mut having = 0;
            for scored in &parts {
                having += scored.part.passages_with(word, self.dead())?;
            }
            let score = WordScore::new(self.statistics(), having, weight);
            for scored in &mut parts {
                scored.add(word, score)?;
            }
        }
        Ok(LexicalScores { parts })
    }
}

impl PartScores<'_> {
    fn add(&mut self, word: &str, score: WordScore) -> io::Result<()> {
        let (rows, scores) = (self.part.rows(), &mut self.scores);
        self.part.for_each_posting(word, |row, count| {
            if scores.is_empty() {
                scores.resize(rows.len(), 0.0);
            }
            let row = row as usize;
            scores[row] += score.of(count, rows[row].words);
        })
    }
}

impl LexicalScores<'_> {
    /// The `limit` best of the documents that are `among` and reach `min_score`, and all that do.
    pub(crate) fn matches(
        &self,
        among: &RoaringBitmap,
        limit: usize,
        min_score: Option<f32>,
    ) -> LexicalMatches {
        let mut documents = Documents::new(among, limit, min_score);
        for scored in &self.parts {
            let rows = scored.part.rows().iter().zip(&scored.scores);
            for (row, score) in rows.filter(|(_, score)| **score > 0.0) {
                documents.offer(Candidate {
                    document: row.document,
                    passage: row.passage,
                    score: *score,
                });
            }
        }
        documents.finish()
    }

    /// All passages of the document that has this one, with their scores; 0 where no term occurs.
    /// Nothing if no part holds it.
    pub(crate) fn of_document_with(&self, passage: u32) -> Vec<(u32, f32)> {
        let found = self.parts.iter().find_map(|scored| {
            let place = super::row::row_of(scored.part.rows(), passage)?;
            Some((scored, place))
        });
        let Some((scored, place)) = found else {
            return Vec::new();
        };
        let rows = scored.part.rows();
        let own = rows_beside(rows, place);
        own.map(|row| {
            let score = scored.scores.get(row).copied().unwrap_or(0.0);
            (rows[row].passage, score)
        })
        .collect()
    }
}
