//! The second stage of a search: the first hits are scored again by the reranker.
//!
//! The first stage is asked for `top_n` hits and for no page or cut of them. Those are made here,
//! from the new order. A later page asks for the same hits; what has been scored is not scored again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use siamese_index::Collection;

use super::cursors::Place;
use super::{Found, FoundHit, Search, SearchedFor, auto_cut};
use crate::app::Engine;
use crate::error::ApiError;
use crate::service::{OverWindow, RerankTask, RerankTexts};

/// A wish to score the first hits again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rerank {
    /// Hits of the first stage that are scored again; at least those up to the end of the page.
    pub(crate) top_n: usize,
}

/// What is left to do for one search when its first stage is done.
#[derive(Debug)]
pub(super) struct SecondStage {
    query: String,
    offset: usize,
    top_k: usize,
    auto_cut: bool,
    from: Option<Arc<Place>>,
}

/// Takes from a search what the second stage does, if it has one.
///
/// # Errors
/// 404 when there is no reranker, 422 when the search has no text.
pub(super) fn split(engine: &Engine, search: &mut Search) -> Result<Option<SecondStage>, ApiError> {
    let Some(rerank) = search.rerank else {
        return Ok(None);
    };
    engine
        .models
        .reranker()
        .map_err(|error| error.at("/rerank"))?;
    let SearchedFor::Text(query) = &search.searched_for else {
        let detail = "rerank compares texts, so it goes with query only";
        return Err(ApiError::invalid("/rerank", detail));
    };
    let second = SecondStage {
        query: query.clone(),
        offset: search.offset,
        top_k: search.top_k,
        auto_cut: search.choice.auto_cut,
        from: search.from.take(),
    };
    search.offset = 0;
    search.top_k = rerank.top_n;
    search.choice.auto_cut = false;
    Ok(Some(second))
}

/// Scores the hits of those searches that have a second stage, all together.
///
/// # Errors
/// 503 when the lane is full, 500 when the reranker fails.
pub(super) async fn second_stages(
    engine: &Engine,
    collection: &Arc<Collection>,
    found: &mut [Found],
    stages: &[Option<SecondStage>],
) -> Result<(), ApiError> {
    let staged = found.iter().zip(stages);
    let tasks: Vec<RerankTask> = staged
        .filter_map(|(found, stage)| Some(task(collection, found, stage.as_ref()?)))
        .collect();
    if tasks.is_empty() {
        return Ok(());
    }
    let started_at = Instant::now();
    let scores = engine.rerank(tasks, OverWindow::default()).await?;
    let reranking = started_at.elapsed();
    let staged = found.iter_mut().zip(stages);
    let staged = staged.filter_map(|(found, stage)| Some((found, stage.as_ref()?)));
    for ((found, stage), scores) in staged.zip(scores) {
        let new = stage.unscored(&found.hits).map(|found| found.hit.number());
        let new = new.zip(scores.iter().map(|pair| pair.score));
        let scores = stage.known().chain(new).collect();
        stage.finish(found, scores);
        found.timings.reranking = Some(reranking);
    }
    Ok(())
}

fn task(collection: &Arc<Collection>, found: &Found, stage: &SecondStage) -> RerankTask {
    let hits = stage.unscored(&found.hits).map(|found| found.hit.clone());
    RerankTask {
        query: stage.query.clone(),
        texts: RerankTexts::Hits(Arc::clone(collection), hits.collect()),
    }
}

impl SecondStage {
    /// Scores from the pages before, by the numbers of documents.
    fn known(&self) -> impl Iterator<Item = (u32, f32)> {
        let scores = self.from.iter().flat_map(|place| place.scores.iter());
        scores.map(|(number, score)| (*number, *score))
    }

    fn unscored<'a>(&'a self, hits: &'a [FoundHit]) -> impl Iterator<Item = &'a FoundHit> {
        hits.iter().filter(|found| {
            let number = found.hit.number();
            let is_known = |place: &Arc<Place>| place.scores.contains_key(&number);
            !self.from.as_ref().is_some_and(is_known)
        })
    }

    /// Leaves the page of hits by their new scores, and says where the list goes on.
    fn finish(&self, found: &mut Found, scores: HashMap<u32, f32>) {
        let mut hits = reordered(std::mem::take(&mut found.hits), &scores);
        if self.auto_cut {
            let scores: Vec<f32> = hits.iter().map(|found| found.hit.score).collect();
            hits.truncate(auto_cut::kept(&scores));
        }
        let from = self.from.as_ref();
        let mut shown = from.map(|place| place.shown.clone()).unwrap_or_default();
        hits.retain(|found| !shown.contains(&found.hit));
        let has_more = hits.len() > self.offset + self.top_k && !self.auto_cut;
        hits.truncate(self.offset + self.top_k);
        hits.iter().for_each(|found| shown.insert(&found.hit));
        found.next = has_more.then(|| Place {
            moment: found.moment,
            shown,
            scores: Arc::new(scores),
        });
        found.hits = hits.into_iter().skip(self.offset).collect();
    }
}

/// Hits by their new scores; of equals, the first stage's better one comes first.
fn reordered(hits: Vec<FoundHit>, scores: &HashMap<u32, f32>) -> Vec<FoundHit> {
    let mut hits: Vec<FoundHit> = hits
        .into_iter()
        .filter_map(|mut found| {
            let score = *scores.get(&found.hit.number())?;
            found.first_score = Some(found.hit.score);
            found.hit.score = score;
            Some(found)
        })
        .collect();
    hits.sort_by(|left, right| right.hit.score.total_cmp(&left.hit.score));
    hits
}
