//! How well an encoder does on examples that it has not learned from.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::path::Path;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use siamese_encoder::{Encoder, EncoderOptions, InputKind, Precision};
use siamese_eval::{of_pairs, spearman};

use crate::data::{RankedPair, TextId, Texts};
use crate::{Error, Examples, GradedPair, Settings};

/// Texts among which an anchor's positives are to be found, beside those of the examples that are measured.
const MAX_OTHER_TEXTS: usize = 10_000;
/// Texts that are encoded at a time.
const STEP: usize = 512;

/// What is measured; the larger, the better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Discounted cumulative gain of the ten texts nearest to an anchor, divided by that of the best order,
    /// as a mean over anchors.
    #[serde(rename = "ndcg_at_10")]
    NdcgAt10,
    /// Spearman's correlation of cosines and scores.
    Spearman,
    /// Average precision of the pairs with label 1 among all by cosine.
    AveragePrecision,
}

impl fmt::Display for Metric {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NdcgAt10 => "nDCG@10",
            Self::Spearman => "Spearman",
            Self::AveragePrecision => "average precision",
        })
    }
}

/// Figures of a model on some examples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// What `value` is.
    pub metric: Metric,
    /// The figure.
    pub value: f64,
    /// Part of the anchors whose nearest text belongs to them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy_at_1: Option<f64>,
    /// One over the rank of the first text that belongs to an anchor, among ten, as a mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mrr_at_10: Option<f64>,
}

/// Measures the model in a folder by examples; `others` are those among whose positives the right ones are to be
/// found as well.
pub(crate) fn evaluate(
    folder: &Path,
    texts: &Texts,
    examples: &Examples,
    others: &Examples,
    settings: &Settings,
) -> Result<Evaluation, Error> {
    let options = EncoderOptions {
        device: settings.device,
        max_tokens: settings.max_tokens,
        precision: Precision::F32,
        ..EncoderOptions::default()
    };
    let encoder = Encoder::open(folder, &options)?;
    match examples {
        Examples::Ranked(pairs) => ranked(&encoder, texts, pairs, others),
        Examples::Scored(pairs) => {
            let (cosines, scores) = cosines(&encoder, texts, pairs)?;
            let value = spearman(&cosines, &scores).unwrap_or(0.0);
            Ok(Evaluation::of(Metric::Spearman, value))
        }
        Examples::Labelled(pairs) => {
            let (cosines, labels) = cosines(&encoder, texts, pairs)?;
            let value = average_precision(&cosines, &labels);
            Ok(Evaluation::of(Metric::AveragePrecision, value))
        }
    }
}

impl Evaluation {
    const fn of(metric: Metric, value: f64) -> Self {
        Self {
            metric,
            value,
            accuracy_at_1: None,
            mrr_at_10: None,
        }
    }
}

/// Vectors of texts, scaled to length 1.
fn vectors(
    encoder: &Encoder,
    texts: &Texts,
    numbers: &[TextId],
    kind: InputKind,
) -> Result<Vec<Vec<f32>>, Error> {
    let mut vectors = Vec::with_capacity(numbers.len());
    for numbers in numbers.chunks(STEP) {
        let texts: Vec<&str> = numbers.iter().map(|number| texts.text(*number)).collect();
        for encoding in encoder.encode(&texts, kind)? {
            let mut vector = encoding.vector;
            let length = dot(&vector, &vector).sqrt().max(f32::MIN_POSITIVE);
            vector.iter_mut().for_each(|value| *value /= length);
            vectors.push(vector);
        }
    }
    Ok(vectors)
}

fn dot(left: &[f32], right: &[f32]) -> f32 {
    left.iter()
        .zip(right)
        .map(|(left, right)| left * right)
        .sum()
}

/// The cosines of pairs, and their scores.
fn cosines(
    encoder: &Encoder,
    texts: &Texts,
    pairs: &[GradedPair],
) -> Result<(Vec<f64>, Vec<f64>), Error> {
    let side =
        |side: fn(&GradedPair) -> TextId| -> Vec<TextId> { pairs.iter().map(side).collect() };
    let left = vectors(encoder, texts, &side(|pair| pair.left), InputKind::Document)?;
    let right = vectors(
        encoder,
        texts,
        &side(|pair| pair.right),
        InputKind::Document,
    )?;
    let cosines = left
        .iter()
        .zip(&right)
        .map(|(left, right)| f64::from(dot(left, right)));
    let scores = pairs.iter().map(|pair| f64::from(pair.score));
    Ok((cosines.collect(), scores.collect()))
}

fn average_precision(cosines: &[f64], labels: &[f64]) -> f64 {
    let mut all: Vec<f32> = cosines.iter().map(|cosine| *cosine as f32).collect();
    let alike = cosines
        .iter()
        .zip(labels)
        .filter(|(_, label)| **label > 0.5);
    let mut alike: Vec<f32> = alike.map(|(cosine, _)| *cosine as f32).collect();
    all.sort_by(|a, b| b.total_cmp(a));
    alike.sort_by(|a, b| b.total_cmp(a));
    let reaching = |score: &f32| all.partition_point(|other| other >= score) as u64;
    let reaching: Vec<u64> = alike.iter().map(reaching).collect();
    of_pairs(&alike, &reaching).map_or(0.0, |scores| scores.average_precision)
}

/// Which texts belong to each anchor: its positives, and all positives with its label.
pub(crate) fn relevant(
    pairs: &[RankedPair],
    others: &[RankedPair],
) -> BTreeMap<TextId, HashSet<TextId>> {
    let mut of_label: HashMap<u32, HashSet<TextId>> = HashMap::new();
    for pair in pairs.iter().chain(others) {
        if let Some(label) = pair.label {
            of_label.entry(label).or_default().insert(pair.positive);
        }
    }
    let mut relevant: BTreeMap<TextId, HashSet<TextId>> = BTreeMap::new();
    for pair in pairs {
        let own = relevant.entry(pair.anchor).or_default();
        own.insert(pair.positive);
        if let Some(label) = pair.label {
            own.extend(&of_label[&label]);
        }
    }
    relevant
}

fn ranked(
    encoder: &Encoder,
    texts: &Texts,
    pairs: &[RankedPair],
    others: &Examples,
) -> Result<Evaluation, Error> {
    let others = match others {
        Examples::Ranked(others) => &others[..others.len().min(MAX_OTHER_TEXTS)],
        _ => &[],
    };
    let relevant = relevant(pairs, others);
    let candidates: HashSet<TextId> = pairs
        .iter()
        .chain(others)
        .map(|pair| pair.positive)
        .collect();
    let mut candidates: Vec<TextId> = candidates.into_iter().collect();
    candidates.sort_unstable();
    let anchors: Vec<TextId> = relevant.keys().copied().collect();
    let anchor_vectors = vectors(encoder, texts, &anchors, InputKind::Query)?;
    let candidate_vectors = vectors(encoder, texts, &candidates, InputKind::Document)?;
    let places: Vec<Places> = anchors
        .par_iter()
        .zip(&anchor_vectors)
        .map(|(anchor, vector)| {
            let scores = candidates.iter().zip(&candidate_vectors);
            let scores = scores.filter(|(text, _)| *text != anchor);
            let scores = scores
                .map(|(text, other)| (dot(vector, other), *text))
                .collect();
            Places::of(scores, &relevant[anchor])
        })
        .collect();
    let count = places.len().max(1) as f64;
    let mean = |figure: fn(&Places) -> f64| places.iter().map(figure).sum::<f64>() / count;
    Ok(Evaluation {
        metric: Metric::NdcgAt10,
        value: mean(|places| places.ndcg),
        accuracy_at_1: Some(mean(|places| f64::from(u8::from(places.first == Some(0))))),
        mrr_at_10: Some(mean(|places| {
            places.first.map_or(0.0, |place| 1.0 / (place + 1) as f64)
        })),
    })
}

/// Where texts that belong to an anchor stand among its nearest ten.
struct Places {
    /// The first of them, counted from 0.
    first: Option<usize>,
    ndcg: f64,
}

impl Places {
    fn of(mut scores: Vec<(f32, TextId)>, relevant: &HashSet<TextId>) -> Self {
        // Equal scores by number, so that figures do not depend on chance.
        scores.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let discount = |place: usize| 1.0 / ((place + 2) as f64).log2();
        let places = (0..scores.len().min(10)).filter(|place| relevant.contains(&scores[*place].1));
        let places: Vec<usize> = places.collect();
        let best: f64 = (0..relevant.len().min(10)).map(discount).sum();
        Self {
            first: places.first().copied(),
            ndcg: places.iter().map(|place| discount(*place)).sum::<f64>() / best,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_the_label_of_an_anchor_belongs_to_it() {
        let pair = |anchor, positive, label| RankedPair {
            anchor,
            positive,
            negatives: Vec::new(),
            label,
        };
        let pairs = [pair(0, 1, Some(0)), pair(0, 2, Some(0)), pair(3, 4, None)];
        let relevant = relevant(&pairs, &[pair(5, 6, Some(0)), pair(7, 8, Some(1))]);
        assert_eq!(relevant[&0], HashSet::from([1, 2, 6]));
        assert_eq!(relevant[&3], HashSet::from([4]));
    }

    #[test]
    fn places_are_those_by_hand() {
        let places = Places::of(vec![(0.1, 1), (0.9, 2), (0.5, 3)], &HashSet::from([1, 3]));
        assert_eq!(places.first, Some(1));
        let best = 1.0 + 1.0 / 3_f64.log2();
        assert!((places.ndcg - (1.0 / 3_f64.log2() + 0.5) / best).abs() < 1e-9);
    }

    #[test]
    fn average_precision_is_that_by_hand() {
        let value = average_precision(&[0.9, 0.8, 0.7, 0.6], &[1.0, 0.0, 1.0, 0.0]);
        assert!((value - (1.0 + 2.0 / 3.0) / 2.0).abs() < 1e-9);
    }
}
