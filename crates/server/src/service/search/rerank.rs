//! The second stage of a search: the first hits are scored again by the reranker.
//!
//! The first stage is asked for `top_n` hits and for no page or cut of them. Those are made here,
//! from the new order. A later page asks for the same hits; what has been scored is not scored again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use super::cursors::ListState;
use super::page::{Page, PageHit};
use super::stage::{Stage, Window};
use super::{QueryInput, Search, auto_cut};
use crate::app::Engine;
use crate::backend::Reader;
use crate::error::ApiError;
use crate::request_part::RequestPart;
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
    /// The page of the new order.
    window: Window,
}

/// Scores the hits of those searches that have a second stage, all together.
///
/// # Errors
/// 503 when the lane is full, 500 when the reranker fails.
pub(super) async fn second_stages(
    engine: &Engine,
    pages: &mut [Page],
    stages: &[Stage],
) -> Result<(), ApiError> {
    let staged = pages.iter_mut().zip(stages);
    let mut staged: Vec<_> = staged
        .filter_map(|(page, stage)| Some((page, &stage.collection, stage.second.as_ref()?)))
        .collect();
    if staged.is_empty() {
        return Ok(());
    }
    let tasks = staged
        .iter()
        .map(|(page, collection, second)| second.task(collection, page));
    let started_at = Instant::now();
    let scores = engine
        .rerank(None, tasks.collect(), OverWindow::default())
        .await?;
    let reranking = started_at.elapsed();
    for ((page, _, second), scores) in staged.iter_mut().zip(scores) {
        let new = second.unscored(&page.hits).map(|found| found.hit.number());
        let new = new.zip(scores.iter().map(|pair| pair.score));
        let scores = second.known().chain(new).collect();
        second.finish(page, scores);
        page.timings.reranking = Some(reranking);
    }
    Ok(())
}

impl SecondStage {
    /// # Errors
    /// 404 when there is no reranker, 422 when the search has no text.
    pub(super) fn new(engine: &Engine, search: &Search, window: Window) -> Result<Self, ApiError> {
        let reranker = engine.models.reranker();
        reranker.map_err(|error| error.at_part(RequestPart::Rerank))?;
        let QueryInput::Text(query) = &search.query else {
            let detail = "rerank compares texts, so it goes with query only";
            return Err(ApiError::about(RequestPart::Rerank, detail));
        };
        Ok(Self {
            query: query.clone(),
            window,
        })
    }

    fn task(&self, collection: &Arc<Reader>, page: &Page) -> RerankTask {
        let hits = self.unscored(&page.hits).map(|found| found.hit.clone());
        RerankTask {
            query: self.query.clone(),
            texts: RerankTexts::Hits(Arc::clone(collection), hits.collect()),
        }
    }

    /// Scores from the pages before, by the numbers of documents.
    fn known(&self) -> impl Iterator<Item = (u64, f32)> {
        let scores = self.window.after.iter().flat_map(|state| &*state.scores);
        scores.map(|(number, score)| (*number, *score))
    }

    fn unscored<'a>(&'a self, hits: &'a [PageHit]) -> impl Iterator<Item = &'a PageHit> {
        let after = self.window.after.as_ref();
        hits.iter().filter(move |found| {
            let number = found.hit.number();
            !after.is_some_and(|state| state.scores.contains_key(&number))
        })
    }

    /// Leaves the page of hits by their new scores, and says where the list goes on.
    fn finish(&self, page: &mut Page, scores: HashMap<u64, f32>) {
        let window = &self.window;
        let mut hits = reordered(std::mem::take(&mut page.hits), &scores);
        if window.auto_cut {
            let scores: Vec<f32> = hits.iter().map(|found| found.hit.score).collect();
            hits.truncate(auto_cut::kept(&scores));
        }
        if let Some(state) = &window.after {
            hits.retain(|found| !state.shown.contains(&found.hit));
        }
        let has_more = hits.len() > window.end() && !window.auto_cut;
        hits.truncate(window.end());
        page.next = has_more.then(|| ListState {
            moment: page.moment,
            shown: window.shown_with(&hits),
            scores: Arc::new(scores),
        });
        page.hits = hits.into_iter().skip(window.offset).collect();
    }
}

/// Hits by their new scores; of equals, the first stage's better one comes first.
fn reordered(hits: Vec<PageHit>, scores: &HashMap<u64, f32>) -> Vec<PageHit> {
    let mut hits: Vec<PageHit> = hits
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
