//! The first stage of a search.

use std::sync::Arc;
use std::time::{Duration, Instant};

use siamese_index::{Hit, HitSet, Moment, Query};

use super::candidates;
use super::cursors::ListState;
use super::mode::best_passages;
use super::page::{Page, PageHit, SearchTimings};
use super::rerank::{Rerank, SecondStage};
use super::search_key::SearchKey;
use super::{QueryInput, Search, SearchIn};
use crate::app::Engine;
use crate::backend::{Capability, Reader};
use crate::error::ApiError;
use crate::service::Embedding;

/// A search with what its request does not say: where its list goes on, and which hits of it the
/// first stage has to find.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) collection: Arc<Reader>,
    pub(super) search: Search,
    pub(super) window: Window,
    /// Only documents that were there then, if the list has been begun before.
    pub(super) moment: Option<Moment>,
    /// What its cursor belongs to.
    pub(super) key: SearchKey,
    /// What is left to do when its hits are found.
    pub(super) second: Option<SecondStage>,
}

/// Hits of a list.
#[derive(Debug, Clone)]
pub(super) struct Window {
    pub(super) offset: usize,
    pub(super) top_k: usize,
    /// End at the largest gap between scores.
    pub(super) auto_cut: bool,
    /// What was returned before is left out.
    pub(super) after: Option<Arc<ListState>>,
}

impl Window {
    /// The page that was asked for.
    fn of(search: &Search, after: Option<Arc<ListState>>) -> Self {
        Self {
            offset: search.offset,
            top_k: search.top_k,
            auto_cut: search.choice.auto_cut,
            after,
        }
    }

    /// All hits that a second stage scores again.
    fn to_rerank(rerank: Rerank) -> Self {
        Self {
            offset: 0,
            top_k: rerank.top_n,
            auto_cut: false,
            after: None,
        }
    }

    /// Hits up to the end of the page, from the first that was not returned before.
    pub(super) fn end(&self) -> usize {
        self.offset + self.top_k
    }

    /// The same from the first of all: a choice that depends on the hits before is made for all pages
    /// again.
    pub(super) fn end_from_first(&self) -> usize {
        self.end() + self.after.as_ref().map_or(0, |state| state.shown.len())
    }

    /// What has been returned before and these hits.
    pub(super) fn shown_with(&self, hits: &[PageHit]) -> HitSet {
        let after = self.after.as_ref();
        let mut shown = after.map(|state| state.shown.clone()).unwrap_or_default();
        hits.iter().for_each(|found| shown.insert(&found.hit));
        shown
    }
}

impl Stage {
    /// # Errors
    /// 410 and 422 for the search's cursor, 404 and 422 for its second stage.
    pub(super) fn new(engine: &Engine, search: SearchIn) -> Result<Self, ApiError> {
        let key = SearchKey::of(&search, &engine.cursors.hashing);
        let SearchIn {
            collection, search, ..
        } = search;
        let cursor = search.cursor.as_deref();
        if cursor.is_some() {
            collection.embedded(Capability::Cursors)?;
        }
        let after = cursor.map(|cursor| engine.cursors.find(cursor, &key));
        let after = after.transpose()?;
        let moment = after.as_ref().map(|state| state.moment);
        let page = Window::of(&search, after);
        let (window, second) = match search.rerank {
            None => (page, None),
            Some(rerank) => {
                let second = SecondStage::new(engine, &search, page)?;
                (Window::to_rerank(rerank), Some(second))
            }
        };
        Ok(Self {
            collection,
            search,
            window,
            moment,
            key,
            second,
        })
    }

    /// Remembers the text that is searched for, if the collection is to. Further pages are no new query.
    pub(super) fn keep_query(&self, engine: &Engine) {
        if let (QueryInput::Text(text), None) = (&self.search.query, &self.window.after) {
            engine.recent_queries.keep(&*self.collection, text);
        }
    }

    /// Searches; `embeddings` are those of the search's texts.
    ///
    /// # Errors
    /// 404 and 422 for what does not fit the collection, or the store fails.
    pub(super) fn page(&self, embeddings: Vec<Embedding>) -> Result<Page, ApiError> {
        let (collection, search) = (&*self.collection, &self.search);
        let mut timings = timings(&embeddings);
        let started_at = Instant::now();
        let query = search.query(collection, embeddings)?;
        let list = candidates::hit_list(collection, &query, self)?;
        let goes_on = list.has_more && collection.embedded(Capability::Cursors).is_ok();
        let next = goes_on.then(|| ListState {
            moment: list.moment,
            shown: self.window.shown_with(&list.hits),
            scores: Arc::default(),
        });
        let mut hits = list.hits;
        drop(hits.drain(..self.window.offset.min(hits.len())));
        // Those that are skipped are many more than those that stay.
        hits.shrink_to_fit();
        self.add_passages(collection, &query, &mut hits)?;
        timings.searching = started_at.elapsed();
        let words = search.highlights.then(|| search.words(collection));
        Ok(Page {
            hits,
            total: list.total,
            counted: search.counted(),
            facets: list.facets,
            filter: search.options.filter.clone(),
            group_by: search.choice.group_by.clone(),
            highlighted: words.transpose()?,
            moment: list.moment,
            next,
            next_cursor: None,
            timings,
            explained_in: None,
        })
    }

    fn add_passages(
        &self,
        collection: &Reader,
        query: &Query<'_>,
        hits: &mut [PageHit],
    ) -> Result<(), ApiError> {
        let limit = self.search.passages_per_hit;
        if limit == 0 {
            return Ok(());
        }
        let found: Vec<&Hit> = hits.iter().map(|found| &found.hit).collect();
        let passages = best_passages(collection, query, &found, limit)?;
        for (found, passages) in hits.iter_mut().zip(passages) {
            found.passages = passages;
        }
        Ok(())
    }
}

/// Texts wait and are encoded side by side, so the slowest counts.
fn timings(embeddings: &[Embedding]) -> SearchTimings {
    let longest = |duration: fn(&Embedding) -> Duration| {
        embeddings.iter().map(duration).max().unwrap_or_default()
    };
    SearchTimings {
        queued: longest(|embedding| embedding.queued),
        encoding: longest(|embedding| embedding.encoding),
        searching: Duration::ZERO,
        reranking: None,
    }
}
