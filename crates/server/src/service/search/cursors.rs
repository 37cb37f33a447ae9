//! Cursors: where lists of hits go on.
//!
//! A cursor stands for what has been returned of a list. The next page is searched anew, among the
//! documents that were there at the first page, without those that were returned. So no hit comes
//! twice, and none that is left alone is passed over, whatever is written between two pages and
//! whichever way hits are found and chosen.
//!
//! What a cursor stands for is kept in memory, for a bounded time and in bounded memory.

use std::collections::{HashMap, VecDeque};
use std::hash::RandomState;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use siamese_index::{HitSet, Moment};
use uuid::Uuid;

use super::same_search::SameSearch;
use crate::config::Limits;
use crate::error::{ApiError, ErrorCode};

/// About what a cursor takes besides the sets in it.
const CURSOR_BYTES: usize = 256;
/// A score by the number of its document, in a map.
const SCORE_BYTES: usize = 16;

/// What has been returned of a list of hits.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// When the first page was found.
    pub(super) moment: Moment,
    /// All hits that were returned or skipped.
    pub(super) shown: HitSet,
    /// What the reranker said, by the numbers of documents.
    pub(super) scores: Arc<HashMap<u32, f32>>,
}

/// The places that may still be asked for.
#[derive(Debug)]
pub(crate) struct Cursors {
    kept: Mutex<Kept>,
    /// What searches are told apart with.
    pub(super) hashing: RandomState,
    max_memory_bytes: usize,
    max_shown: usize,
    lifetime: Duration,
}

#[derive(Debug, Default)]
struct Kept {
    places: HashMap<Uuid, Issued>,
    /// The oldest first.
    order: VecDeque<Uuid>,
    memory_bytes: usize,
}

#[derive(Debug)]
struct Issued {
    place: Arc<Place>,
    search: SameSearch,
    issued_at: Instant,
}

impl Cursors {
    /// No cursors yet.
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            kept: Mutex::default(),
            hashing: RandomState::new(),
            max_memory_bytes: limits.max_cursor_memory_bytes,
            max_shown: limits.max_offset,
            lifetime: Duration::from_millis(limits.cursor_lifetime_ms),
        }
    }

    /// Keeps a place and returns the cursor that stands for it. The oldest go when there is no
    /// room.
    pub(super) fn keep(&self, place: Place, search: SameSearch) -> String {
        let cursor = Uuid::now_v7();
        let mut kept = self.lock();
        kept.memory_bytes += place.memory_bytes();
        kept.order.push_back(cursor);
        let issued = Issued {
            place: Arc::new(place),
            search,
            issued_at: Instant::now(),
        };
        kept.places.insert(cursor, issued);
        kept.drop_oldest(self.max_memory_bytes, self.lifetime);
        cursor.simple().to_string()
    }

    /// The place that a cursor stands for.
    ///
    /// # Errors
    /// 410 when it is kept no more, 422 when it is no cursor, when it is one of another search, or
    /// when more hits than allowed have been returned.
    pub(super) fn find(&self, cursor: &str, search: &SameSearch) -> Result<Arc<Place>, ApiError> {
        let cursor = Uuid::try_parse(cursor).map_err(|_| {
            ApiError::invalid("/cursor", "this is no cursor; take one from next_cursor")
        })?;
        let mut kept = self.lock();
        kept.drop_oldest(self.max_memory_bytes, self.lifetime);
        let Some(issued) = kept.places.get(&cursor) else {
            return Err(self.expired());
        };
        if issued.search.is_gone() {
            return Err(self.expired());
        }
        if issued.search != *search {
            let detail = "this cursor is of another search; everything but top_k, facets and include must be as it was";
            return Err(ApiError::invalid("/cursor", detail));
        }
        let (shown, max) = (issued.place.shown.len(), self.max_shown);
        if shown > max {
            let detail = format!(
                "{shown} hits have been returned or skipped, over limits.max_offset = {max}"
            );
            return Err(ApiError::invalid("/cursor", detail));
        }
        Ok(Arc::clone(&issued.place))
    }

    fn expired(&self) -> ApiError {
        let detail = format!(
            "the cursor is not known any more; cursors are kept for limits.cursor_lifetime_ms = {}, less when many are in use, and not over a restart. Search again without it",
            self.lifetime.as_millis()
        );
        ApiError::new(ErrorCode::CursorExpired, detail).at("/cursor")
    }

    /// Between two statements that can panic, the parts agree.
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn drop_oldest(&mut self, max_memory_bytes: usize, lifetime: Duration) {
        while let Some(oldest) = self.order.front() {
            let issued = self.places.get(oldest);
            let is_kept = issued.is_some_and(|issued| issued.issued_at.elapsed() < lifetime);
            if is_kept && self.memory_bytes <= max_memory_bytes {
                return;
            }
            let removed = self.places.remove(oldest);
            self.memory_bytes -= removed.map_or(0, |issued| issued.place.memory_bytes());
            self.order.pop_front();
        }
    }
}

impl Place {
    fn memory_bytes(&self) -> usize {
        CURSOR_BYTES + self.shown.memory_bytes() + SCORE_BYTES * self.scores.len()
    }
}
