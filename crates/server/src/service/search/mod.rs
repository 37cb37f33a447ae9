//! From questions to hits.
//!
//! All texts of all questions go through the encoder together; what follows is done question by
//! question: `query` makes its vector, `mode` says by what to search, `candidates` asks the index, and
//! `diversity`, `groups` and `auto_cut` choose among what was found. `rerank` is a second stage around
//! all that. `cursors` remembers where a list goes on.

mod auto_cut;
mod candidates;
mod cursors;
mod diversity;
mod groups;
mod mode;
mod query;
mod rerank;
mod same_search;

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use siamese_encoder::InputKind;
use siamese_index::{
    Collection, Facet, Hit, HitSet, Moment, ScoredPassage, SearchOptions, Total, WordQuery,
};

use self::cursors::Place;
use self::mode::{Query, highlights};
use self::same_search::SameSearch;
use super::{Embedding, blocking_steps};
use crate::app::Engine;
use crate::error::ApiError;
use crate::queue::Lane;

pub(crate) use cursors::Cursors;
pub(crate) use groups::{GroupKey, Grouping};
pub(crate) use mode::Mode;
pub(crate) use query::SearchedFor;
pub(super) use query::stored_vector;
pub(crate) use rerank::Rerank;

/// A question that has passed its checks.
#[derive(Debug, Clone)]
pub(crate) struct Search {
    pub(crate) searched_for: SearchedFor,
    /// Modes other than semantic search for a text.
    pub(crate) mode: Mode,
    /// What the index is asked; its `limit` and `exclude` are set here.
    pub(crate) options: SearchOptions,
    pub(crate) top_k: usize,
    pub(crate) offset: usize,
    /// Go on after the hits that this stands for.
    pub(crate) cursor: Option<String>,
    /// Passages of each hit to return.
    pub(crate) passages_per_hit: usize,
    /// Mark words of the text that is searched for.
    pub(crate) highlights: bool,
    pub(crate) choice: Choice,
    /// Score the first hits again.
    pub(crate) rerank: Option<Rerank>,
    /// What `cursor` stands for; set here.
    pub(crate) from: Option<Arc<Place>>,
    /// Where the question stands in the request: nothing, or such as `/searches/3`.
    pub(crate) pointer: String,
}

/// How hits are chosen among what was found.
#[derive(Debug, Clone, Default)]
pub(crate) struct Choice {
    /// 0 to 1; nothing is plain order of scores.
    pub(crate) diversity: Option<f32>,
    pub(crate) group_by: Option<Grouping>,
    /// End at the largest gap between scores.
    pub(crate) auto_cut: bool,
    /// `limits.max_diversity_candidates`.
    pub(crate) max_diversity_candidates: usize,
    /// `limits.max_group_candidates`.
    pub(crate) max_group_candidates: usize,
}

/// What was found.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) hits: Vec<FoundHit>,
    pub(crate) total: Total,
    pub(crate) counted: Counted,
    /// By field that was asked for.
    pub(crate) facets: Vec<Facet>,
    moment: Moment,
    /// Where the list goes on, if it does.
    next: Option<Place>,
    /// The cursor that stands for it.
    pub(crate) next_cursor: Option<String>,
    pub(crate) timings: SearchTimings,
}

/// Which documents a total counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counted {
    /// All that pass the filter.
    PassingFilter,
    /// Those of them that have a word of the query.
    HavingWords,
    /// Those of them that reach the threshold.
    ReachingScore,
}

/// One hit, with what was asked for beside it.
#[derive(Debug, Clone)]
pub(crate) struct FoundHit {
    pub(crate) hit: Hit,
    /// The score before the hit was scored again, if it was.
    pub(crate) first_score: Option<f32>,
    pub(crate) group: Option<GroupKey>,
    /// Best first; the hit's own is the first.
    pub(crate) passages: Vec<ScoredPassage>,
    /// Bytes of the document's text, within the hit's passage.
    pub(crate) highlights: Vec<Range<usize>>,
}

/// Where the time of a search went.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SearchTimings {
    pub(crate) queued: Duration,
    pub(crate) encoding: Duration,
    pub(crate) searching: Duration,
    /// The second stage, waiting included, if there was one.
    pub(crate) reranking: Option<Duration>,
}

/// Answers questions to one collection, in order; all or none.
///
/// # Errors
/// 404 for an unknown document or without a reranker that is asked for, 410 for an old cursor, 422 for a vector that does
/// not fit, 503 when the queue is full.
pub(crate) async fn search(
    engine: &Engine,
    collection: &Arc<Collection>,
    mut searches: Vec<Search>,
) -> Result<Vec<Found>, ApiError> {
    let same = same_searches(engine, collection, &mut searches)?;
    let split = |search: &mut Search| {
        rerank::split(engine, search).map_err(|error| error.within(&search.pointer))
    };
    let second_stages = searches.iter_mut().map(split);
    let second_stages = second_stages.collect::<Result<Vec<_>, _>>()?;
    let mut found = first_stage(engine, collection, searches).await?;
    rerank::second_stages(engine, &mut found, second_stages).await?;
    for (found, same) in found.iter_mut().zip(same) {
        let next = found.next.take();
        found.next_cursor = next.map(|place| engine.cursors.keep(place, same));
    }
    Ok(found)
}

/// What cursors of these searches belong to. Searches that have a cursor learn what it stands for.
fn same_searches(
    engine: &Engine,
    collection: &Arc<Collection>,
    searches: &mut [Search],
) -> Result<Vec<SameSearch>, ApiError> {
    let same = |search: &mut Search| {
        let same = SameSearch::of(collection, search, &engine.cursors.hashing);
        if let Some(cursor) = &search.cursor {
            let place = engine.cursors.find(cursor, &same);
            let place = place.map_err(|error| error.within(&search.pointer))?;
            search.options.moment = Some(place.moment);
            search.from = Some(place);
        }
        Ok(same)
    };
    searches.iter_mut().map(same).collect()
}

async fn first_stage(
    engine: &Engine,
    collection: &Arc<Collection>,
    searches: Vec<Search>,
) -> Result<Vec<Found>, ApiError> {
    let mut embeddings = embed_queries(engine, &searches).await?.into_iter();
    let collection = Arc::clone(collection);
    blocking_steps(move |cancel| {
        let answer = |search: Search| {
            cancel.check()?;
            let pointer = search.pointer.clone();
            answer(&collection, search, &mut embeddings).map_err(|error| error.within(&pointer))
        };
        searches.into_iter().map(answer).collect()
    })
    .await
}

/// Embeddings of all texts of all questions, in order.
async fn embed_queries(engine: &Engine, searches: &[Search]) -> Result<Vec<Embedding>, ApiError> {
    let texts: Vec<String> = searches
        .iter()
        .flat_map(Search::texts_to_encode)
        .map(str::to_owned)
        .collect();
    let lane = Lane::for_texts(texts.len());
    engine.embed_asked(texts, InputKind::Query, lane).await
}

fn answer(
    collection: &Collection,
    mut search: Search,
    embeddings: &mut impl Iterator<Item = Embedding>,
) -> Result<Found, ApiError> {
    let own: Vec<Embedding> = embeddings.take(search.texts_to_encode().count()).collect();
    let mut timings = timings(&own);
    let started_at = Instant::now();
    search.options.exclude = search
        .searched_for
        .stored_ids()
        .map(str::to_owned)
        .collect();
    let query = search.query(collection, own)?;
    let chosen = candidates::chosen(collection, &query, &search)?;
    let next = chosen.has_more.then(|| Place {
        moment: chosen.moment,
        shown: search.shown_with(&chosen.hits),
        scores: Arc::default(),
    });
    let mut hits: Vec<FoundHit> = chosen.hits.into_iter().skip(search.offset).collect();
    if search.passages_per_hit > 0 {
        let found: Vec<&Hit> = hits.iter().map(|found| &found.hit).collect();
        let passages = query.best_passages(collection, &found, search.passages_per_hit)?;
        for (found, passages) in hits.iter_mut().zip(passages) {
            found.passages = passages;
        }
    }
    if search.highlights {
        let words = search.words()?;
        for found in &mut hits {
            found.highlights = highlights(&words, &found.hit);
        }
    }
    timings.searching = started_at.elapsed();
    Ok(Found {
        hits,
        total: chosen.total,
        counted: search.counted(),
        facets: chosen.facets,
        moment: chosen.moment,
        next,
        next_cursor: None,
        timings,
    })
}

impl Search {
    /// Texts whose vectors are needed; nothing is encoded to look for words.
    fn texts_to_encode(&self) -> impl Iterator<Item = &str> {
        let texts = (self.mode != Mode::Lexical).then(|| self.searched_for.texts());
        texts.into_iter().flatten()
    }

    /// What has been returned before and these hits.
    fn shown_with(&self, hits: &[FoundHit]) -> HitSet {
        let from = self.from.as_ref();
        let mut shown = from.map(|place| place.shown.clone()).unwrap_or_default();
        hits.iter().for_each(|found| shown.insert(&found.hit));
        shown
    }

    fn query(&self, collection: &Collection, own: Vec<Embedding>) -> Result<Query, ApiError> {
        Ok(match self.mode {
            Mode::Semantic => Query::Semantic(self.searched_for.vector(collection, own)?),
            Mode::Lexical => Query::Lexical(self.words()?),
            Mode::Hybrid(fusion) => Query::Hybrid {
                vector: self.searched_for.vector(collection, own)?,
                words: self.words()?,
                fusion,
            },
        })
    }

    fn words(&self) -> Result<WordQuery, ApiError> {
        let text: String = self.searched_for.texts().collect();
        Ok(WordQuery::new(&text)?)
    }

    fn counted(&self) -> Counted {
        match (self.options.min_score, self.mode) {
            (Some(_), _) => Counted::ReachingScore,
            (None, Mode::Lexical) => Counted::HavingWords,
            (None, Mode::Semantic | Mode::Hybrid(_)) => Counted::PassingFilter,
        }
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
