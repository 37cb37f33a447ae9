//! One page of hits.

use std::sync::Arc;
use std::time::Duration;

use siamese_index::{Facet, Filter, Hit, Moment, ScoredPassage, Total, WordQuery};

use super::Grouping;
use super::cursors::ListState;
use crate::answer::Room;
use crate::service::Explanation;

/// Hits, with what the index says of all that match.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    pub(crate) hits: Vec<PageHit>,
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
    pub(super) moment: Moment,
    /// Where the list goes on, if it does.
    pub(super) next: Option<ListState>,
    /// The cursor that stands for it.
    pub(crate) next_cursor: Option<String>,
    pub(crate) timings: SearchTimings,
    /// What explanations of its hits take of the memory for answers.
    pub(super) explained_in: Option<Arc<Room>>,
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
pub(crate) struct PageHit {
    pub(crate) hit: Hit,
    /// The score before the hit was scored again, if it was.
    pub(crate) first_score: Option<f32>,
    /// Best first; the hit's own is the first.
    pub(crate) passages: Vec<ScoredPassage>,
    /// Which of the values that name groups it stands for, if there are groups.
    pub(crate) group: usize,
    /// Why its passage has its cosine with the query.
    pub(crate) explanation: Option<Arc<Explanation>>,
}

impl From<Hit> for PageHit {
    fn from(hit: Hit) -> Self {
        Self {
            hit,
            first_score: None,
            passages: Vec::new(),
            group: 0,
            explanation: None,
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
