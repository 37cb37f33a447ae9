//! Queries that are made at random, and what must be found by them.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::json;
use siamese_index::{
    Collection, Comparison, Condition, FacetRequest, FieldPath, Filter, Fusion, Query, Scalar,
    SearchOptions, SearchResults, WordQuery, WordSettings,
};

use crate::brute_force::{best, cosine, reciprocal, scaled, word_scores};
use crate::written::{MAX_FACET_VALUES, Model, WORDS, Written, text};

#[derive(Debug, Clone)]
pub(crate) struct Asked {
    words: Vec<usize>,
    limit: usize,
    min_score: Option<f32>,
    below: Option<u8>,
    alpha: Option<f32>,
}

pub(crate) fn asked() -> impl Strategy<Value = Asked> {
    (
        prop::collection::vec(0..WORDS.len(), 0..4),
        1..12_usize,
        prop::option::of(0.0..1.0_f32),
        prop::option::of(0..4_u8),
        prop::option::of(0.0..1.0_f32),
    )
        .prop_map(|(words, limit, min_score, below, alpha)| Asked {
            words,
            limit,
            min_score,
            below,
            alpha,
        })
}

impl Asked {
    fn options(&self) -> SearchOptions {
        let colour = || FieldPath::parse("colour").unwrap();
        let filter = self.below.map(|below| {
            let below = Scalar::of(&json!(below)).unwrap();
            Filter::Field(colour(), Condition::Compares(Comparison::Less, below))
        });
        SearchOptions {
            limit: self.limit,
            min_score: self.min_score,
            filter,
            facets: FacetRequest {
                paths: vec![colour()],
                max_values: MAX_FACET_VALUES,
            },
            exact: true,
            ..SearchOptions::default()
        }
    }

    fn passes(&self, document: &Written) -> bool {
        self.below.is_none_or(|below| document.colour < below)
    }
}

/// Total and facets are those of these documents.
pub(crate) fn check_counts(results: &SearchResults, model: &Model, expected: &BTreeSet<&str>) {
    assert!(results.total.exact);
    assert_eq!(results.total.value as usize, expected.len());
    let mut colours: BTreeMap<u8, u64> = BTreeMap::new();
    for id in expected {
        *colours.entry(model[*id].colour).or_default() += 1;
    }
    let mut colours: Vec<(u8, u64)> = colours.into_iter().collect();
    colours.sort_by_key(|(colour, count)| (std::cmp::Reverse(*count), *colour));
    let rest = colours.split_off(colours.len().min(MAX_FACET_VALUES));
    let colours = colours.into_iter();
    let colours = colours.map(|(colour, count)| (Scalar::of(&json!(colour)).unwrap(), count));
    let counted = results.facets[0].values.iter();
    let counted = counted.map(|facet| (facet.value.clone(), facet.count));
    assert_eq!(counted.collect::<Vec<_>>(), colours.collect::<Vec<_>>());
    // Each document has one colour.
    let other: u64 = rest.iter().map(|(_, count)| count).sum();
    assert_eq!(results.facets[0].other, other);
}

pub(crate) fn check_words(collection: &Collection, model: &Model, asked: &Asked) {
    let query = WordQuery::new(&text(&asked.words), WordSettings::default()).unwrap();
    let scores = word_scores(model, &asked.words);
    let min = asked.min_score.map(f64::from);
    if min.is_some_and(|min| scores.values().any(|s| (best(s) - min).abs() < 1e-4)) {
        return;
    }
    let mut expected: Vec<(&str, f64)> = scores
        .iter()
        .filter(|(id, _)| asked.passes(&model[*id]))
        .map(|(id, scores)| (id.as_str(), best(scores)))
        .filter(|(_, score)| min.is_none_or(|min| *score >= min))
        .collect();
    expected.sort_by(|a, b| b.1.total_cmp(&a.1));
    let results = collection
        .reader()
        .search(&query, &asked.options())
        .unwrap();
    check_counts(
        &results,
        model,
        &expected.iter().map(|(id, _)| *id).collect(),
    );
    assert_eq!(results.hits.len(), expected.len().min(asked.limit));
    let hits: Vec<_> = results.hits.iter().collect();
    let passages = collection
        .reader()
        .best_passages_by_words(&hits, &query, 2)
        .unwrap();
    for ((hit, passages), (_, score)) in hits.iter().zip(&passages).zip(&expected) {
        assert!(
            (f64::from(hit.score) - score).abs() < 1e-4,
            "{} {score}",
            hit.score
        );
        let mut own = scores[&hit.id].clone();
        own.retain(|score| *score > 0.0);
        own.sort_by(|a, b| b.total_cmp(a));
        assert_eq!(passages.len(), own.len().min(2));
        for (passage, score) in passages.iter().zip(own) {
            assert!((f64::from(passage.score) - score).abs() < 1e-4);
        }
        assert!(passages[0].is_best_of(hit));
        let text = collection.reader().get(&hit.id).unwrap().unwrap().text;
        check_matches(&query, &text, asked);
    }
}

pub(crate) fn check_matches(query: &WordQuery, text: &str, asked: &Asked) {
    for range in query.matches(text) {
        let word = text.get(range).unwrap();
        let wanted = asked.words.iter().map(|word| WORDS[*word]);
        assert!(wanted.into_iter().any(|wanted| wanted == word), "{word}");
    }
}

/// Fewer documents than the lists of both sides hold, so everything is ranked by both.
pub(crate) fn check_both(collection: &Collection, model: &Model, asked: &Asked) {
    let direction = [0.3, -0.2, 0.9, 0.1];
    let words = WordQuery::new(&text(&asked.words), WordSettings::default()).unwrap();
    let min = asked.min_score.map(f64::from);
    let cosines: BTreeMap<&str, f64> = model
        .iter()
        .filter(|(_, document)| asked.passes(document))
        .map(|(id, document)| (id.as_str(), cosine(id, document, &direction)))
        .collect();
    if min.is_some_and(|min| cosines.values().any(|cosine| (cosine - min).abs() < 1e-4)) {
        return;
    }
    let fusion = match asked.alpha {
        Some(alpha) => Fusion::Weighted { alpha },
        None => Fusion::ReciprocalRank,
    };
    let query = Query::hybrid(&direction, &words, fusion);
    let results = collection.reader().search(query, &asked.options()).unwrap();
    let reaches = |cosine: &f64| min.is_none_or(|min| *cosine >= min);
    let expected: BTreeSet<&str> = cosines
        .iter()
        .filter(|(_, cosine)| reaches(cosine))
        .map(|(id, _)| *id)
        .collect();
    check_counts(&results, model, &expected);
    assert_eq!(results.hits.len(), expected.len().min(asked.limit));
    let words = word_scores(model, &asked.words);
    let word_score = |id: &str| words.get(id).map_or(0.0, |scores| best(scores));
    let passing: BTreeMap<&str, f64> = cosines
        .keys()
        .map(|id| (*id, word_score(id)))
        .filter(|(_, score)| *score > 0.0)
        .collect();
    // The least and the greatest that the score may be.
    let fused = |id: &str| match asked.alpha {
        None => {
            let (semantic, lexical) = (reciprocal(&cosines, id), reciprocal(&passing, id));
            (semantic.0 + lexical.0, semantic.1 + lexical.1)
        }
        Some(alpha) => {
            let of = |score: &dyn Fn(&str) -> f64| scaled(&expected, score, id);
            let alpha = f64::from(alpha);
            let score = alpha * of(&|id| cosines[id]) + (1.0 - alpha) * of(&word_score);
            (score, score)
        }
    };
    // Weighted scores amplify what scaling divides by a small span.
    let tolerance = if asked.alpha.is_some() { 5e-3 } else { 1e-5 };
    let mut last = f64::MAX;
    for hit in &results.hits {
        let (id, score) = (hit.id.as_str(), f64::from(hit.score));
        let scores = hit.scores.unwrap();
        assert!((f64::from(scores.semantic) - cosines[id]).abs() < 1e-4);
        assert!((f64::from(scores.lexical) - word_score(id)).abs() < 1e-4);
        let (least, greatest) = fused(id);
        assert!(
            score > least - tolerance && score < greatest + tolerance,
            "{score} {least} {greatest}"
        );
        assert!(score <= last);
        last = score;
    }
    let hits: Vec<&str> = results.hits.iter().map(|hit| hit.id.as_str()).collect();
    for id in expected.iter().filter(|id| !hits.contains(id)) {
        assert!(fused(id).0 < last + tolerance);
    }
}
