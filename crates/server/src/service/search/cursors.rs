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

use super::search_key::SearchKey;
use crate::config::Limits;
use crate::error::{ApiError, ErrorCode};
use crate::request_part::RequestPart;

/// About what a cursor takes besides the sets in it.
const CURSOR_BYTES: usize = 256;
/// A score by the number of its document, in a map.
const SCORE_BYTES: usize = 16;

/// What has been returned of a list of hits.
#[derive(Debug, Clone)]
pub(crate) struct ListState {
    /// When the first page was found.
    pub(super) moment: Moment,
    /// All hits that were returned or skipped.
    pub(super) shown: HitSet,
    /// What the reranker said, by the numbers of documents.
    pub(super) scores: Arc<HashMap<u64, f32>>,
}

/// The cursors that may still be asked for.
#[derive(Debug)]
pub(crate) struct Cursors {
    kept: Mutex<Table>,
    /// What searches are told apart with.
    pub(super) hashing: RandomState,
    max_memory_bytes: usize,
    max_shown: usize,
    lifetime: Duration,
}

#[derive(Debug, Default)]
struct Table {
    cursors: HashMap<Uuid, Cursor>,
    /// The oldest first.
    order: VecDeque<Uuid>,
    memory_bytes: usize,
}

#[derive(Debug)]
struct Cursor {
    state: Arc<ListState>,
    key: SearchKey,
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

    /// Keeps a state and returns the cursor that stands for it. The oldest go when there is no
    /// room.
    pub(super) fn keep(&self, state: ListState, key: SearchKey) -> String {
        let cursor = Uuid::now_v7();
        let mut kept = self.lock();
        kept.memory_bytes += state.memory_bytes();
        kept.order.push_back(cursor);
        let issued = Cursor {
            state: Arc::new(state),
            key,
            issued_at: Instant::now(),
        };
        kept.cursors.insert(cursor, issued);
        kept.drop_oldest(self.max_memory_bytes, self.lifetime);
        cursor.simple().to_string()
    }

    /// What a cursor stands for.
    ///
    /// # Errors
    /// 410 when it is kept no more, 422 when it is no cursor, when it is one of another search, or
    /// when more hits than allowed have been returned.
    pub(super) fn find(&self, cursor: &str, key: &SearchKey) -> Result<Arc<ListState>, ApiError> {
        let cursor = Uuid::try_parse(cursor).map_err(|_| {
            ApiError::about(
                RequestPart::Cursor,
                "this is no cursor; take one from next_cursor",
            )
        })?;
        let mut kept = self.lock();
        kept.drop_oldest(self.max_memory_bytes, self.lifetime);
        let Some(issued) = kept.cursors.get(&cursor) else {
            return Err(self.expired());
        };
        if issued.key.is_gone() || issued.key.is_of_what_was_before(key) {
            return Err(self.expired());
        }
        if issued.key != *key {
            let detail = "this cursor is of another search; everything but top_k, facets and include must be as it was";
            return Err(ApiError::about(RequestPart::Cursor, detail));
        }
        let (shown, max) = (issued.state.shown.len(), self.max_shown);
        if shown > max {
            let detail = format!(
                "{shown} hits have been returned or skipped, over limits.max_offset = {max}"
            );
            return Err(ApiError::about(RequestPart::Cursor, detail));
        }
        Ok(Arc::clone(&issued.state))
    }

    /// How many there are, and about the bytes of what they stand for.
    pub(crate) fn usage(&self) -> (usize, usize) {
        let mut kept = self.lock();
        kept.drop_oldest(self.max_memory_bytes, self.lifetime);
        (kept.cursors.len(), kept.memory_bytes)
    }

    fn expired(&self) -> ApiError {
        let detail = format!(
            "the cursor is not known any more; cursors are kept for limits.cursor_lifetime_ms = {}, less when many are in use, and not over a restart. Search again without it",
            self.lifetime.as_millis()
        );
        ApiError::new(ErrorCode::CursorExpired, detail).at_part(RequestPart::Cursor)
    }

    /// Between two statements that can panic, the parts agree.
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn drop_oldest(&mut self, max_memory_bytes: usize, lifetime: Duration) {
        while let Some(oldest) = self.order.front() {
            let issued = self.cursors.get(oldest);
            let is_kept = issued.is_some_and(|issued| issued.issued_at.elapsed() < lifetime);
            if is_kept && self.memory_bytes <= max_memory_bytes {
                return;
            }
            let removed = self.cursors.remove(oldest);
            self.memory_bytes -= removed.map_or(0, |issued| issued.state.memory_bytes());
            self.order.pop_front();
        }
    }
}

impl ListState {
    fn memory_bytes(&self) -> usize {
        CURSOR_BYTES + self.shown.memory_bytes() + SCORE_BYTES * self.scores.len()
    }
}

#[cfg(test)]
mod tests {
    use siamese_index::{
        EncoderIdentity, Index, IndexOptions, Reader, SearchOptions, SearchResults,
    };

    use super::super::{Choice, Mode, QueryInput, Search, SearchIn};
    use super::*;
    use crate::config::{Overrides, Settings};

    fn index(folder: &std::path::Path) -> Index {
        let encoder = EncoderIdentity {
            id: "e".to_owned(),
            name: "n".to_owned(),
            dimensions: 2,
        };
        Index::open(folder, &encoder, &IndexOptions::default()).unwrap()
    }

    fn cursors(change: impl Fn(&mut Limits)) -> Cursors {
        let mut limits = Settings::load(&Overrides::default()).unwrap().limits;
        change(&mut limits);
        Cursors::new(&limits)
    }

    fn search(text: &str) -> Search {
        Search {
            query: QueryInput::Text(text.to_owned()),
            mode: Mode::Semantic,
            options: SearchOptions::default(),
            top_k: 10,
            offset: 0,
            cursor: None,
            generation: None,
            passages_per_hit: 0,
            highlights: false,
            choice: Choice::default(),
            rerank: None,
            explain: None,
        }
    }

    fn state(collection: &Reader) -> ListState {
        let SearchResults { moment, .. } = collection
            .search(&[1.0, 0.0], &SearchOptions::default())
            .unwrap();
        ListState {
            moment,
            shown: HitSet::default(),
            scores: Arc::default(),
        }
    }

    fn key(
        cursors: &Cursors,
        collection: &Arc<Reader>,
        called: &str,
        search: &Search,
    ) -> SearchKey {
        let search = SearchIn {
            collection: Arc::<Reader>::clone(collection),
            called: called.into(),
            search: search.clone(),
        };
        SearchKey::of(&search, &cursors.hashing)
    }

    #[test]
    fn a_cursor_ends_when_its_alias_stands_for_another_collection() {
        let folder = tempfile::tempdir().unwrap();
        let index = index(folder.path());
        let first = index.collection("default").unwrap();
        let (other, _) = index.put_collection("other", &Default::default()).unwrap();
        let cursors = cursors(|_| {});
        let key = |reader| key(&cursors, reader, "alias", &search("lamp"));
        let cursor = cursors.keep(state(first.reader()), key(first.reader()));
        assert!(cursors.find(&cursor, &key(first.reader())).is_ok());
        let refused = cursors.find(&cursor, &key(other.reader())).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::CursorExpired);
    }

    #[test]
    fn a_cursor_belongs_to_one_search_of_one_collection() {
        let folder = tempfile::tempdir().unwrap();
        let index = index(folder.path());
        let first = index.collection("default").unwrap();
        let first = first.reader();
        let (other, _) = index.put_collection("other", &Default::default()).unwrap();
        let other = other.reader();
        let cursors = cursors(|_| {});
        let same = |collection: &Arc<Reader>, search: &Search| {
            key(&cursors, collection, collection.name(), search)
        };
        let lamp = same(first, &search("lamp"));
        let cursor = cursors.keep(state(first), lamp.clone());
        assert!(cursors.find(&cursor, &lamp).is_ok());
        let of_a_larger_page = Search {
            top_k: 50,
            ..search("lamp")
        };
        assert!(
            cursors
                .find(&cursor, &same(first, &of_a_larger_page))
                .is_ok()
        );
        let mut others = vec![same(other, &search("lamp"))];
        let changes: [fn(&mut Search); 5] = [
            |search| search.query = QueryInput::Text("lamps".to_owned()),
            |search| search.query = QueryInput::Document("lamp".to_owned()),
            |search| search.mode = Mode::Lexical,
            |search| search.options.min_score = Some(0.5),
            |search| search.choice.diversity = Some(0.5),
        ];
        for change in changes {
            let mut changed = search("lamp");
            change(&mut changed);
            others.push(same(first, &changed));
        }
        for other in &others {
            let refused = cursors.find(&cursor, other).unwrap_err().problem(None);
            assert_eq!(
                (refused.status, refused.pointer.as_deref()),
                (422, Some("/cursor"))
            );
        }
        let refused = cursors.find("nonsense", &lamp).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::InvalidRequest);
    }

    #[test]
    fn old_cursors_and_those_of_deleted_collections_have_expired() {
        let folder = tempfile::tempdir().unwrap();
        let index = index(folder.path());
        let reader = || {
            let (collection, _) = index.put_collection("gone", &Default::default()).unwrap();
            Arc::clone(collection.reader())
        };
        let gone = reader();
        let cursors = cursors(|_| {});
        let same = key(&cursors, &gone, "gone", &search("lamp"));
        let cursor = cursors.keep(state(&gone), same);
        drop(gone);
        index.delete_collection("gone").unwrap();
        let again = reader();
        let same = key(&cursors, &again, "gone", &search("lamp"));
        let code =
            |cursors: &Cursors, cursor: &str| cursors.find(cursor, &same).unwrap_err().code();
        assert_eq!(code(&cursors, &cursor), ErrorCode::CursorExpired);
        let short = self::cursors(|limits| limits.cursor_lifetime_ms = 1);
        let cursor = short.keep(state(&again), same.clone());
        std::thread::sleep(Duration::from_millis(5));
        assert_eq!(code(&short, &cursor), ErrorCode::CursorExpired);
        assert!(short.lock().cursors.is_empty());
    }

    #[test]
    fn the_oldest_go_when_there_is_no_room() {
        let folder = tempfile::tempdir().unwrap();
        let index = index(folder.path());
        let collection = index.collection("default").unwrap();
        let collection = collection.reader();
        let bytes = state(collection).memory_bytes();
        let cursors = cursors(|limits| limits.max_cursor_memory_bytes = 3 * bytes);
        let same = key(&cursors, collection, "default", &search("lamp"));
        let kept: Vec<String> = (0..5)
            .map(|_| cursors.keep(state(collection), same.clone()))
            .collect();
        let found = kept
            .iter()
            .map(|cursor| cursors.find(cursor, &same).is_ok());
        assert_eq!(found.collect::<Vec<_>>(), [false, false, true, true, true]);
        assert_eq!(cursors.lock().memory_bytes, 3 * bytes);
    }
}
