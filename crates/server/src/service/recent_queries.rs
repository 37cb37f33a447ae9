//! The texts that were searched for last, of collections that are to remember them.
//!
//! They are kept in memory and nowhere else: they may be personal, and what is on no disk is gone when it is deleted.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lru::LruCache;

use crate::backend::Reader;

/// Longer texts are not kept, bytes: few people search for one.
const MAX_KEPT_TEXT_BYTES: usize = 1024;
/// What a text takes beside its bytes.
const ENTRY_BYTES: usize = 128;

/// Queries by the names of collections.
#[derive(Debug)]
pub(crate) struct RecentQueries {
    kept: Mutex<Kept>,
    max_bytes: usize,
}

#[derive(Debug, Default)]
struct Kept {
    /// Each text once, the newest first.
    by_collection: HashMap<String, LruCache<String, ()>>,
    bytes: usize,
}

impl RecentQueries {
    /// Nothing yet, and never more than so many bytes.
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self {
            kept: Mutex::default(),
            max_bytes,
        }
    }

    /// Remembers a query, if the collection is to.
    pub(super) fn keep(&self, collection: &Reader, text: &str) {
        let max = collection.settings().keep_queries as usize;
        if let (Some(max), ..=MAX_KEPT_TEXT_BYTES) = (NonZeroUsize::new(max), text.len()) {
            self.lock()
                .keep(collection.name(), text, max, self.max_bytes);
        }
    }

    /// The queries of a collection, the newest first.
    pub(crate) fn of(&self, collection: &Reader) -> Vec<String> {
        let max = collection.settings().keep_queries as usize;
        let kept = self.lock();
        let queries = kept.by_collection.get(collection.name()).into_iter();
        let texts = queries.flatten().map(|(text, ())| text.clone());
        texts.take(max).collect()
    }

    /// About the bytes of all queries that are kept.
    pub(crate) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Forgets the queries of a collection, but for the newest so many.
    pub(crate) fn forget(&self, name: &str, but_for: usize) {
        self.lock().forget(name, but_for);
    }

    /// Between two statements that can panic, the parts agree.
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn keep(&mut self, name: &str, text: &str, max: NonZeroUsize, max_bytes: usize) {
        let bytes = text.len() + ENTRY_BYTES;
        if bytes > max_bytes {
            return;
        }
        if !self.by_collection.contains_key(name) {
            let queries = LruCache::unbounded();
            self.by_collection.insert(name.to_owned(), queries);
        }
        let Some(queries) = self.by_collection.get_mut(name) else {
            return;
        };
        if queries.put(text.to_owned(), ()).is_none() {
            self.bytes += bytes;
        }
        while queries.len() > max.get() || (self.bytes > max_bytes && queries.len() > 1) {
            if let Some((oldest, ())) = queries.pop_lru() {
                self.bytes -= oldest.len() + ENTRY_BYTES;
            }
        }
        // The room is taken by other collections.
        if self.bytes > max_bytes {
            self.forget(name, 0);
        }
    }

    fn forget(&mut self, name: &str, but_for: usize) {
        let Some(queries) = self.by_collection.get_mut(name) else {
            return;
        };
        while queries.len() > but_for {
            if let Some((oldest, ())) = queries.pop_lru() {
                self.bytes -= oldest.len() + ENTRY_BYTES;
            }
        }
        if queries.is_empty() {
            self.by_collection.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(kept: &mut Kept, name: &str, text: &str, max: usize, max_bytes: usize) {
        kept.keep(name, text, NonZeroUsize::new(max).unwrap(), max_bytes);
    }

    fn texts(kept: &Kept, name: &str) -> Vec<String> {
        let queries = kept.by_collection.get(name).into_iter().flatten();
        queries.map(|(text, ())| text.clone()).collect()
    }

    #[test]
    fn the_last_queries_are_kept_each_once() {
        let mut kept = Kept::default();
        for text in ["a", "b", "a", "c", "d"] {
            keep(&mut kept, "one", text, 3, 10_000);
        }
        assert_eq!(texts(&kept, "one"), ["d", "c", "a"]);
        assert_eq!(kept.bytes, 3 * (1 + ENTRY_BYTES));
        kept.forget("one", 1);
        assert_eq!(texts(&kept, "one"), ["d"]);
        kept.forget("one", 0);
        assert!(kept.by_collection.is_empty() && kept.bytes == 0);
    }

    #[test]
    fn memory_is_bounded_over_all_collections() {
        let mut kept = Kept::default();
        let max_bytes = 3 * (1 + ENTRY_BYTES);
        for text in ["a", "b", "c", "d"] {
            keep(&mut kept, "one", text, 100, max_bytes);
        }
        assert_eq!(texts(&kept, "one"), ["d", "c", "b"]);
        keep(&mut kept, "two", "x", 100, max_bytes);
        assert!(texts(&kept, "two").is_empty());
        assert_eq!(kept.bytes, max_bytes);
        kept.forget("one", 2);
        keep(&mut kept, "two", "x", 100, max_bytes);
        assert_eq!(texts(&kept, "two"), ["x"]);
    }
}
