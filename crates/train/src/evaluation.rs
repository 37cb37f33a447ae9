//! How well an encoder does on examples that it has not learned from.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::path::Path;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use siamese_encoder::{Encoder, EncoderOptions, InputKind, Precision};
use siamese_eval::{Scores, of_pairs, query_scores, spearman};

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

    /// What it says, by names: first the figure, then those beside it.
    pub(crate) fn figures(&self) -> Vec<(String, f64)> {
        let beside = [
            ("accuracy@1", self.accuracy_at_1),
            ("MRR@10", self.mrr_at_10),
        ];
        let beside = beside
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)));
        let first = (self.metric.to_string(), self.value);
        std::iter::once(first).chain(beside).collect()
    }

    fn of_anchors(of_anchors: &[Scores]) -> Self {
        let mean = Scores::mean(of_anchors.iter().copied());
        // One over the rank of the first that belongs to the anchor, which is 1.
        let right = of_anchors.iter().filter(|scores| scores.mrr_at_10 == 1.0);
        let anchors = of_anchors.len().max(1) as f64;
        Self {
            metric: Metric::NdcgAt10,
            value: mean.ndcg_at_10,
            accuracy_at_1: Some(right.count() as f64 / anchors),
            mrr_at_10: Some(mean.mrr_at_10),
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
    let of_anchors: Vec<Scores> = anchors
        .par_iter()
        .zip(&anchor_vectors)
        .filter_map(|(anchor, vector)| {
            let others = candidates.iter().zip(&candidate_vectors);
            let others = others.filter(|(text, _)| *text != anchor);
            let run = others.map(|(text, other)| (*text, f64::from(dot(vector, other))));
            let judged = relevant[anchor].iter().map(|text| (*text, 1));
            query_scores(&judged.collect(), &run.collect::<Vec<_>>())
        })
        .collect();
    Ok(Evaluation::of_anchors(&of_anchors))
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
    fn an_anchor_whose_nearest_text_belongs_to_it_counts_for_accuracy() {
        let judged = HashMap::from([(1, 1), (3, 1)]);
        let first = query_scores(&judged, &[(1, 0.9), (2, 0.5)]).unwrap();
        let second = query_scores(&judged, &[(1, 0.1), (2, 0.9), (3, 0.5)]).unwrap();
        let evaluation = Evaluation::of_anchors(&[first, second]);
        assert_eq!(evaluation.accuracy_at_1, Some(0.5));
        assert_eq!(evaluation.mrr_at_10, Some(0.75));
        let of_both = (first.ndcg_at_10 + second.ndcg_at_10) / 2.0;
        assert!((evaluation.value - of_both).abs() < 1e-12);
    }

    #[test]
    fn average_precision_is_that_by_hand() {
        let value = average_precision(&[0.9, 0.8, 0.7, 0.6], &[1.0, 0.0, 1.0, 0.0]);
        assert!((value - (1.0 + 2.0 / 3.0) / 2.0).abs() < 1e-9);
    }
}
