//! Passages of a collection, found by a running service.

use std::collections::HashMap;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use siamese_train::{TextId, TrainingData};

use super::{Near, Neighbours};
use crate::client::Service;
use crate::commands::search;

/// Hits of all searches of a request.
const MAX_HITS: usize = 500;
/// Pairs of a request.
const MAX_PAIRS: usize = 256;

pub(super) struct ServiceNeighbours {
    service: Service,
    candidates: usize,
    /// Scores that searches have told, so that positives among hits need no request of their own.
    told: HashMap<(TextId, TextId), f32>,
}

impl ServiceNeighbours {
    pub(super) fn new(service: Service, candidates: usize) -> Self {
        Self {
            service,
            candidates,
            told: HashMap::new(),
        }
    }
}

impl Neighbours for ServiceNeighbours {
    fn nearest(&mut self, data: &mut TrainingData, anchors: &[TextId]) -> Result<Vec<Near>> {
        self.told.clear();
        let mut near = Vec::with_capacity(anchors.len());
        for anchors in anchors.chunks((MAX_HITS / self.candidates).max(1)) {
            let search = |anchor: &TextId| json!({ "query": data.texts.text(*anchor), "top_k": self.candidates });
            let searches: Vec<Value> = anchors.iter().map(search).collect();
            let request = json!({ "searches": searches });
            let mut answer = self.service.post_patiently("search/batch", &request)?;
            let results = answer["results"]
                .as_array_mut()
                .context("the answer has no results")?;
            ensure!(
                results.len() == anchors.len(),
                "the answer has {} results for {} searches",
                results.len(),
                anchors.len()
            );
            for (anchor, result) in anchors.iter().zip(results) {
                let hits = search::hits(result.take())?.into_iter();
                let hits =
                    hits.map(|hit| (data.texts.number(hit.passage.text.trim()), hit.score as f32));
                let hits: Near = hits.collect();
                self.told
                    .extend(hits.iter().map(|(text, score)| ((*anchor, *text), *score)));
                near.push(hits);
            }
        }
        Ok(near)
    }

    fn scores(&mut self, data: &TrainingData, pairs: &[(TextId, TextId)]) -> Result<Vec<f32>> {
        let unknown: Vec<_> = pairs
            .iter()
            .filter(|pair| !self.told.contains_key(pair))
            .copied()
            .collect();
        for pairs in unknown.chunks(MAX_PAIRS) {
            let texts = |(anchor, text): &(TextId, TextId)| {
                [data.texts.text(*anchor), data.texts.text(*text)]
            };
            let request = json!({ "pairs": pairs.iter().map(texts).collect::<Vec<_>>() });
            let answer = self.service.post_patiently("similarity", &request)?;
            let scores: Vec<f32> = serde_json::from_value(answer["scores"].clone())
                .context("the answer has no scores")?;
            ensure!(
                scores.len() == pairs.len(),
                "the answer has {} scores for {} pairs",
                scores.len(),
                pairs.len()
            );
            self.told.extend(pairs.iter().copied().zip(scores));
        }
        Ok(pairs.iter().map(|pair| self.told[pair]).collect())
    }
}
