//! From queries to hits.
//!
//! All texts of all searches go through the encoder together; what follows is done search by search:
//! `query_input` makes its vector, `mode` says by what to search, `stage` has `candidates` ask the index,
//! and `diversity`, `groups` and `auto_cut` choose among what was found. `rerank` is a second stage after
//! that, and `explained` takes the scores of the first hits apart. `cursors` remembers where a list goes on.

mod auto_cut;
mod candidates;
mod cursors;
mod diversity;
mod explained;
mod groups;
mod mode;
mod page;
mod query_input;
mod rerank;
mod search_key;
mod stage;

use std::sync::{Arc, Mutex, PoisonError};

use siamese_encoder::InputKind;
use siamese_index::{Facet, Query, Scalar, SearchOptions, WordQuery};

use self::stage::Stage;
use super::{Cancel, Embedding, blocking_steps};
use crate::answer::Room;
use crate::app::Engine;
use crate::backend::Reader;
use crate::error::ApiError;
use crate::queue::Lane;
use crate::telemetry::{Clock, Step, Timeline, timeline};

pub(crate) use cursors::Cursors;
pub(crate) use explained::ExplainFirst;
pub(crate) use groups::Grouping;
pub(crate) use mode::{Mode, highlights};
pub(crate) use page::{Counted, Page, PageHit};
pub(crate) use query_input::QueryInput;
pub(super) use query_input::stored_vector;
pub(crate) use rerank::Rerank;

/// Searches that are run again because documents changed before they were read.
const MAX_ATTEMPTS: usize = 3;

/// A request that has passed its checks.
#[derive(Debug, Clone)]
pub(crate) struct Search {
    pub(crate) query: QueryInput,
    /// Modes other than semantic search for a text.
    pub(crate) mode: Mode,
    /// Which documents the index is asked for, and how. How many, and which of them not, is the stage's.
    pub(crate) options: SearchOptions,
    pub(crate) top_k: usize,
    pub(crate) offset: usize,
    /// Go on after the hits that this stands for.
    pub(crate) cursor: Option<String>,
    /// Which generation of the collection is searched; the active one without it.
    pub(crate) generation: Option<u32>,
    /// Passages of each hit to return.
    pub(crate) passages_per_hit: usize,
    /// Mark words of the text that is searched for.
    pub(crate) highlights: bool,
    pub(crate) choice: Choice,
    /// Score the first hits again.
    pub(crate) rerank: Option<Rerank>,
    /// Say what words give to the scores of the first hits.
    pub(crate) explain: Option<ExplainFirst>,
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

/// A search, and where to search.
#[derive(Debug)]
pub(crate) struct SearchIn {
    pub(crate) collection: Arc<Reader>,
    /// What the request calls the collection: its name, or an alias.
    pub(crate) called: Arc<str>,
    pub(crate) search: Search,
}

/// Answers searches, in order; all or none. `render` makes the answer of their pages,
/// on a blocking thread. When it returns nothing, a document has been changed meanwhile so that it
/// is no longer a hit, and everything is searched again, a bounded number of times.
///
/// # Errors
/// 404 for an unknown document or without a reranker that is asked for, 410 for an old cursor, 422 for a vector that does
/// not fit, 503 when the queue is full, each saying which search it is about; and those of `render`.
pub(crate) async fn search<T, R>(
    engine: &Engine,
    searches: Vec<SearchIn>,
    room: Room,
    mut render: R,
) -> Result<T, ApiError>
where
    T: Send + 'static,
    R: FnMut(Vec<Page>, Attempt) -> Result<Option<T>, ApiError> + Send + 'static,
{
    let stages = searches.into_iter().enumerate();
    let stages = stages
        .map(|(nth, search)| Stage::new(engine, search).map_err(|error| error.of_search(nth)));
    let stages = stages.collect::<Result<Vec<_>, _>>()?;
    stages.iter().for_each(|stage| stage.keep_query(engine));
    let embeddings = embed_queries(engine, &stages).await?;
    let first_stage = Arc::new(FirstStage {
        cursors: Arc::clone(&engine.cursors),
        stages,
        embeddings,
        room: Mutex::new(room),
        timeline: timeline(),
    });
    let is_done = |stage: &Stage| stage.second.is_none() && stage.search.explain.is_none();
    if first_stage.stages.iter().all(is_done) {
        return blocking_steps(move |cancel| first_stage.answered(cancel, render)).await;
    }
    for number in 1..=MAX_ATTEMPTS {
        let first = Arc::clone(&first_stage);
        let mut pages = blocking_steps(move |cancel| first.pages(cancel)).await?;
        rerank::second_stages(engine, &mut pages, &first_stage.stages).await?;
        explained::explain(engine, &mut pages, &first_stage.stages, &first_stage.room).await?;
        let first = Arc::clone(&first_stage);
        let answer;
        (answer, render) = blocking_steps(move |cancel| {
            first.keep_lists(&mut pages);
            let _clock = Clock::of(first.timeline.as_ref(), Step::Answer);
            Ok((render(pages, Attempt::new(number, cancel))?, render))
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

/// What is searched, and all that it takes.
#[derive(Debug)]
struct FirstStage {
    cursors: Arc<Cursors>,
    stages: Vec<Stage>,
    /// Of all texts, in order.
    embeddings: Vec<Embedding>,
    /// Taken by the values of facets, which may be long texts.
    room: Mutex<Room>,
    /// Of the request, for the threads that it goes on on.
    timeline: Option<Arc<Timeline>>,
}

impl FirstStage {
    /// Searches until there is an answer.
    fn answered<T>(
        &self,
        cancel: &Cancel,
        mut render: impl FnMut(Vec<Page>, Attempt) -> Result<Option<T>, ApiError>,
    ) -> Result<T, ApiError> {
        for number in 1..=MAX_ATTEMPTS {
            let mut pages = self.pages(cancel)?;
            self.keep_lists(&mut pages);
            let _clock = Clock::of(self.timeline.as_ref(), Step::Answer);
            if let Some(answer) = render(pages, Attempt::new(number, cancel))? {
                return Ok(answer);
            }
        }
        Err(ApiError::internal("a search has no answer"))
    }

    fn pages(&self, cancel: &Cancel) -> Result<Vec<Page>, ApiError> {
        let _clock = Clock::of(self.timeline.as_ref(), Step::Search);
        let mut embeddings = self.embeddings.iter();
        let page = |(nth, stage): (usize, &Stage)| {
            cancel.step()?;
            let texts = stage.search.texts_to_encode().count();
            let own = embeddings.by_ref().take(texts).cloned().collect();
            let page = stage.page(own);
            let page = page.map_err(|error| error.of_search(nth))?;
            let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
            room.hold_part(facet_bytes(&page.facets))?;
            Ok(page)
        };
        self.stages.iter().enumerate().map(page).collect()
    }

    /// Makes a cursor of where each list goes on.
    fn keep_lists(&self, pages: &mut [Page]) {
        for (page, stage) in pages.iter_mut().zip(&self.stages) {
            let next = page.next.take();
            page.next_cursor = next.map(|state| self.cursors.keep(state, stage.key.clone()));
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

/// Embeddings of all texts of all searches, in order. Those of one collection are encoded together.
async fn embed_queries(engine: &Engine, stages: &[Stage]) -> Result<Vec<Embedding>, ApiError> {
    let texts = stages.iter().flat_map(|stage| {
        let texts = stage.search.texts_to_encode();
        texts.map(|text| (&stage.collection, text.to_owned()))
    });
    let mut waiting: Vec<(usize, (&Arc<Reader>, String))> = texts.enumerate().collect();
    let mut embeddings = vec![None; waiting.len()];
    // Searches by words or by vectors need no encoder, and go on without one.
    while let Some((_, (collection, _))) = waiting.first() {
        let collection = Arc::clone(collection);
        let is_own =
            |(_, (other, _)): &mut (usize, (&Arc<Reader>, String))| Arc::ptr_eq(other, &collection);
        let own = waiting.extract_if(.., is_own);
        let (places, texts): (Vec<_>, Vec<_>) = own.map(|(place, (_, text))| (place, text)).unzip();
        let encoder = engine.models.encoder_of(&*collection).await?;
        let lane = Lane::for_texts(texts.len());
        let made = engine.embed_asked(&encoder, texts, InputKind::Query, lane);
        for (place, embedding) in places.into_iter().zip(made.await?) {
            embeddings[place] = Some(embedding);
        }
    }
    Ok(embeddings.into_iter().flatten().collect())
}

impl Search {
    /// Texts whose vectors are needed; nothing is encoded to look for words.
    fn texts_to_encode(&self) -> impl Iterator<Item = &str> {
        let texts = (self.mode != Mode::Lexical).then(|| self.query.texts());
        texts.into_iter().flatten()
    }

    /// What the index is asked; `embeddings` are those of the texts to encode.
    fn query(
        &self,
        collection: &Reader,
        embeddings: Vec<Embedding>,
    ) -> Result<Query<'static>, ApiError> {
        let vector = || self.query.vector(collection, embeddings);
        self.mode.query(vector, || self.words(collection))
    }

    fn words(&self, collection: &Reader) -> Result<WordQuery, ApiError> {
        let text: String = self.query.texts().collect();
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
