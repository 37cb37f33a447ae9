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

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use siamese_encoder::InputKind;
use siamese_index::{
    Collection, Facet, Filter, Hit, HitSet, Moment, Scalar, ScoredPassage, SearchOptions, Total,
    WordQuery,
};

use self::cursors::Place;
use self::mode::Query;
use self::same_search::SameSearch;
use super::{Cancel, Embedding, blocking_steps};
use crate::answer::Room;
use crate::app::Engine;
use crate::error::ApiError;
use crate::queue::Lane;

pub(crate) use cursors::Cursors;
pub(crate) use groups::Grouping;
pub(crate) use mode::{Mode, highlights};
pub(crate) use query::SearchedFor;
pub(super) use query::stored_vector;
pub(crate) use rerank::Rerank;

/// Searches that are run again because documents changed before they were read.
const MAX_ATTEMPTS: usize = 3;

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
    /// What hits have to pass when they are read.
    pub(crate) filter: Option<Filter>,
    /// Say the group of each hit.
    pub(crate) group_by: Option<Grouping>,
    /// Words to mark in the passages.
    pub(crate) highlighted: Option<WordQuery>,
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

/// One hit, with what was asked for beside it. What its document says is read when it is laid out.
#[derive(Debug, Clone)]
pub(crate) struct FoundHit {
    pub(crate) hit: Hit,
    /// The score before the hit was scored again, if it was.
    pub(crate) first_score: Option<f32>,
    /// Best first; the hit's own is the first.
    pub(crate) passages: Vec<ScoredPassage>,
    /// Which of the values that name groups it stands for, if there are groups.
    pub(crate) group: usize,
}

impl From<Hit> for FoundHit {
    fn from(hit: Hit) -> Self {
        Self {
            hit,
            first_score: None,
            passages: Vec::new(),
            group: 0,
        }
    }
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

/// Answers questions to one collection, in order; all or none. `render` makes the answer of what was
/// found, on a blocking thread. When it returns nothing, a document has been changed meanwhile so that it
/// is no longer a hit, and everything is searched again, a bounded number of times.
///
/// # Errors
/// 404 for an unknown document or without a reranker that is asked for, 410 for an old cursor, 422 for a vector that does
/// not fit, 503 when the queue is full, and those of `render`.
pub(crate) async fn search<T, R>(
    engine: &Engine,
    collection: &Arc<Collection>,
    mut searches: Vec<Search>,
    room: Room,
    mut render: R,
) -> Result<T, ApiError>
where
    T: Send + 'static,
    R: FnMut(Vec<Found>, Attempt) -> Result<Option<T>, ApiError> + Send + 'static,
{
    let same = same_searches(engine, collection, &mut searches)?;
    let split = |search: &mut Search| {
        rerank::split(engine, search).map_err(|error| error.within(&search.pointer))
    };
    let second_stages = searches.iter_mut().map(split);
    let second_stages = second_stages.collect::<Result<Vec<_>, _>>()?;
    let embeddings = embed_queries(engine, &searches).await?;
    let first_stage = Arc::new(FirstStage {
        collection: Arc::clone(collection),
        cursors: Arc::clone(&engine.cursors),
        searches,
        embeddings,
        same,
        room: Mutex::new(room),
    });
    if second_stages.iter().all(Option::is_none) {
        return blocking_steps(move |cancel| first_stage.answered(cancel, render)).await;
    }
    for number in 1..=MAX_ATTEMPTS {
        let stage = Arc::clone(&first_stage);
        let mut found = blocking_steps(move |cancel| stage.found(cancel)).await?;
        rerank::second_stages(engine, collection, &mut found, &second_stages).await?;
        let stage = Arc::clone(&first_stage);
        let answer;
        (answer, render) = blocking_steps(move |cancel| {
            stage.keep_places(&mut found);
            Ok((render(found, Attempt::new(number, cancel))?, render))
        })
        .await?;
        if let Some(answer) = answer {
            return Ok(answer);
        }
    }
    Err(ApiError::internal("a search has no answer"))
}

/// One of several tries to answer.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    /// There is no other: what has changed meanwhile is left out.
    pub(crate) is_last: bool,
    /// Ends it.
    pub(crate) cancel: Cancel,
}

impl Attempt {
    fn new(number: usize, cancel: &Cancel) -> Self {
        Self {
            is_last: number == MAX_ATTEMPTS,
            cancel: cancel.clone(),
        }
    }
}

/// What is searched, and all that a search needs.
#[derive(Debug)]
struct FirstStage {
    collection: Arc<Collection>,
    cursors: Arc<Cursors>,
    searches: Vec<Search>,
    /// Of all texts, in order.
    embeddings: Vec<Embedding>,
    same: Vec<SameSearch>,
    /// Taken by the values of facets, which may be long texts.
    room: Mutex<Room>,
}

impl FirstStage {
    /// Searches until there is an answer.
    fn answered<T>(
        &self,
        cancel: &Cancel,
        mut render: impl FnMut(Vec<Found>, Attempt) -> Result<Option<T>, ApiError>,
    ) -> Result<T, ApiError> {
        for number in 1..=MAX_ATTEMPTS {
            let mut found = self.found(cancel)?;
            self.keep_places(&mut found);
            if let Some(answer) = render(found, Attempt::new(number, cancel))? {
                return Ok(answer);
            }
        }
        Err(ApiError::internal("a search has no answer"))
    }

    fn found(&self, cancel: &Cancel) -> Result<Vec<Found>, ApiError> {
        let mut embeddings = self.embeddings.iter();
        let answer = |search: &Search| {
            cancel.step()?;
            let found = answer(&self.collection, search, &mut embeddings)
                .map_err(|error| error.within(&search.pointer))?;
            let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
            room.hold_part(facet_bytes(&found.facets))?;
            Ok(found)
        };
        self.searches.iter().map(answer).collect()
    }

    /// Makes a cursor of where each list goes on.
    fn keep_places(&self, found: &mut [Found]) {
        for (found, same) in found.iter_mut().zip(&self.same) {
            let next = found.next.take();
            found.next_cursor = next.map(|place| self.cursors.keep(place, same.clone()));
        }
    }
}

/// Bytes of the texts among the values of facets.
fn facet_bytes(facets: &[Facet]) -> usize {
    let values = facets.iter().flat_map(|facet| &facet.values);
    let bytes = values.map(|value| match &value.value {
        Scalar::Text(text) => text.len(),
        Scalar::Null | Scalar::Bool(_) | Scalar::Number(_) => 0,
    });
    bytes.sum()
}

/// What cursors of these searches belong to. Searches that have a cursor learn what it stands for.
fn same_searches(
    engine: &Engine,
    collection: &Arc<Collection>,
    searches: &mut [Search],
) -> Result<Vec<SameSearch>, ApiError> {
    let same = |search: &mut Search| {
        let same = SameSearch::of(collection, search, &engine.cursors.hashing);
        let excluded = search.searched_for.stored_ids().map(str::to_owned);
        search.options.exclude = excluded.collect();
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

fn answer<'a>(
    collection: &Collection,
    search: &Search,
    embeddings: &mut impl Iterator<Item = &'a Embedding>,
) -> Result<Found, ApiError> {
    let own = embeddings.take(search.texts_to_encode().count());
    let own: Vec<Embedding> = own.cloned().collect();
    let mut timings = timings(&own);
    let started_at = Instant::now();
    let query = search.query(collection, own)?;
    let chosen = candidates::chosen(collection, &query, search)?;
    let next = chosen.has_more.then(|| Place {
        moment: chosen.moment,
        shown: search.shown_with(&chosen.hits),
        scores: Arc::default(),
    });
    let mut hits = chosen.hits;
    drop(hits.drain(..search.offset.min(hits.len())));
    // Those that are skipped are many more than those that stay.
    hits.shrink_to_fit();
    if search.passages_per_hit > 0 {
        let found: Vec<&Hit> = hits.iter().map(|found| &found.hit).collect();
        let passages = query.best_passages(collection, &found, search.passages_per_hit)?;
        for (found, passages) in hits.iter_mut().zip(passages) {
            found.passages = passages;
        }
    }
    timings.searching = started_at.elapsed();
    Ok(Found {
        hits,
        total: chosen.total,
        counted: search.counted(),
        facets: chosen.facets,
        filter: search.options.filter.clone(),
        group_by: search.choice.group_by.clone(),
        highlighted: search
            .highlights
            .then(|| search.words(collection))
            .transpose()?,
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
            Mode::Lexical => Query::Lexical(self.words(collection)?),
            Mode::Hybrid(fusion) => Query::Hybrid {
                vector: self.searched_for.vector(collection, own)?,
                words: self.words(collection)?,
                fusion,
            },
        })
    }

    fn words(&self, collection: &Collection) -> Result<WordQuery, ApiError> {
        let text: String = self.searched_for.texts().collect();
        Ok(WordQuery::new(&text, collection.settings().words)?)
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
