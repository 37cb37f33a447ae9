//! The second stage of a search: the first hits are scored again by the reranker.
//!
//! The first stage is asked for `top_n` hits and for no page or cut of them. Those are made here,
//! from the new order.

use std::time::Instant;

use super::{Found, FoundHit, Search, SearchedFor, auto_cut};
use crate::app::Engine;
use crate::error::ApiError;
use crate::service::chunking::with_title;
use crate::service::{OverWindow, RerankTask};

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
}

/// Takes from a search what the second stage does, if it has one.
///
/// # Errors
/// 404 when there is no reranker, 422 when the search has no text.
pub(super) fn split(engine: &Engine, search: &mut Search) -> Result<Option<SecondStage>, ApiError> {
    let Some(rerank) = search.rerank else {
        return Ok(None);
    };
    engine.reranker().map_err(|error| error.at("/rerank"))?;
    let SearchedFor::Text(query) = &search.searched_for else {
        let detail = "rerank compares texts, so it goes with query only";
        return Err(ApiError::invalid("/rerank", detail));
    };
    let second = SecondStage {
        query: query.clone(),
        offset: search.offset,
        top_k: search.top_k,
        auto_cut: search.choice.auto_cut,
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
    found: &mut [Found],
    stages: Vec<Option<SecondStage>>,
) -> Result<(), ApiError> {
    let staged = || found.iter().zip(&stages);
    let tasks: Vec<RerankTask> = staged()
        .filter_map(|(found, stage)| stage.as_ref().map(|stage| task(found, stage)))
        .collect();
    if tasks.is_empty() {
        return Ok(());
    }
    let started_at = Instant::now();
    let scores = engine.rerank(tasks, OverWindow::Cut).await?;
    let reranking = started_at.elapsed();
    let staged = found.iter_mut().zip(stages);
    let staged = staged.filter_map(|(found, stage)| Some((found, stage?)));
    for ((found, stage), scores) in staged.zip(scores) {
        let scores: Vec<f32> = scores.iter().map(|pair| pair.score).collect();
        found.hits = reordered(std::mem::take(&mut found.hits), &scores, &stage);
        found.timings.reranking = Some(reranking);
    }
    Ok(())
}

fn task(found: &Found, stage: &SecondStage) -> RerankTask {
    RerankTask {
        query: stage.query.clone(),
        texts: found.hits.iter().map(text_of).collect(),
    }
}

/// What of a hit is compared with the query: its best passage under its title, as it was encoded.
fn text_of(found: &FoundHit) -> String {
    let (document, passage) = (&found.hit.document, &found.hit.passage);
    let text = document.text.get(passage.start..passage.end);
    with_title(document.title.as_deref(), text.unwrap_or_default())
}

/// The page of hits by their new scores; of equals, the first stage's better one comes first.
fn reordered(hits: Vec<FoundHit>, scores: &[f32], stage: &SecondStage) -> Vec<FoundHit> {
    let mut hits: Vec<FoundHit> = hits
        .into_iter()
        .zip(scores)
        .map(|(mut found, score)| {
            found.first_score = Some(found.hit.score);
            found.hit.score = *score;
            found
        })
        .collect();
    hits.sort_by(|left, right| right.hit.score.total_cmp(&left.hit.score));
    if stage.auto_cut {
        let scores: Vec<f32> = hits.iter().map(|found| found.hit.score).collect();
        hits.truncate(auto_cut::kept(&scores));
    }
    let page = hits.into_iter().skip(stage.offset).take(stage.top_k);
    page.collect()
}
