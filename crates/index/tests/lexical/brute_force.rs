//! Scores by the book, from documents as they were written.

use std::collections::{BTreeMap, BTreeSet};

use crate::written::{Model, Written, vector};

/// Every passage with its words, titles included.
pub(crate) fn passages(model: &Model) -> impl Iterator<Item = (&str, usize, Vec<usize>)> {
    model.iter().flat_map(|(id, document)| {
        let title = document.title.clone().unwrap_or_default();
        let passages = document.passages.iter().enumerate();
        passages.map(move |(number, words)| {
            (id.as_str(), number, [title.clone(), words.clone()].concat())
        })
    })
}

/// BM25 by the book: for each document with a word of the query, the scores of its passages.
pub(crate) fn word_scores(model: &Model, query: &[usize]) -> BTreeMap<String, Vec<f64>> {
    let all: Vec<_> = passages(model).collect();
    let (count, total) = (
        all.len() as f64,
        all.iter().map(|p| p.2.len()).sum::<usize>(),
    );
    let mut scores: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (id, _, words) in &all {
        let score: f64 = query
            .iter()
            .map(|word| {
                let having = all.iter().filter(|p| p.2.contains(word)).count() as f64;
                let often = words.iter().filter(|other| *other == word).count() as f64;
                let length = words.len() as f64 * count / (total as f64).max(1e-9);
                let rarity = (1.0 + (count - having + 0.5) / (having + 0.5)).ln();
                rarity * 2.2 * often / (often + 1.2 * (0.25 + 0.75 * length)).max(1e-9)
            })
            .sum();
        scores.entry((*id).to_owned()).or_default().push(score);
    }
    scores.retain(|_, passages| passages.iter().any(|score| *score > 0.0));
    scores
}

pub(crate) fn best(scores: &[f64]) -> f64 {
    scores.iter().copied().fold(f64::MIN, f64::max)
}

pub(crate) fn cosine(id: &str, document: &Written, query: &[f32]) -> f64 {
    let of = |passage| {
        let vector = vector(id, passage);
        let dot =
            |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
        dot(&vector, query) / (dot(&vector, &vector) * dot(query, query)).sqrt()
    };
    best(&(0..document.passages.len()).map(of).collect::<Vec<_>>())
}

pub(crate) fn scaled(all: &BTreeSet<&str>, score: &dyn Fn(&str) -> f64, id: &str) -> f64 {
    let scores: Vec<f64> = all.iter().map(|id| score(id)).collect();
    let (min, max) = (
        scores.iter().copied().fold(f64::MAX, f64::min),
        best(&scores),
    );
    if max - min > 1e-9 {
        (score(id) - min) / (max - min)
    } else {
        f64::from(u8::from(max > 0.0))
    }
}

/// `1 / (60 + rank)`, the least and the greatest: documents with equal scores share their ranks.
pub(crate) fn reciprocal(scores: &BTreeMap<&str, f64>, id: &str) -> (f64, f64) {
    let Some(own) = scores.get(id) else {
        return (0.0, 0.0);
    };
    let before = scores.values().filter(|score| **score > own + 1e-5).count() as f64;
    let up_to = scores.values().filter(|score| **score > own - 1e-5).count() as f64;
    (1.0 / (60.0 + up_to), 1.0 / (61.0 + before))
}
