//! Vectors of the texts that were asked for last: search boxes ask for the same text again and again.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use lru::LruCache;
use siamese_encoder::InputKind;

use super::embedding::Embedding;
use crate::metrics;

/// Texts longer than this are not kept, bytes: hardly anyone asks for one twice.
const MAX_CACHED_TEXT_BYTES: usize = 1024;

/// A text, as an encoder reads it.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    /// Its identity.
    encoder: String,
    kind: InputKind,
    text: String,
}

/// A bounded map from texts to vectors; the one that was not asked for the longest goes first.
#[derive(Debug)]
pub(crate) struct QueryCache {
    /// `None` when nothing is to be kept.
    vectors: Option<Mutex<LruCache<Key, Embedding>>>,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// How much of a cache is used, and how much use it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QueryCacheUse {
    pub(crate) texts: usize,
    pub(crate) max_texts: usize,
    /// Texts since the start whose vectors were known.
    pub(crate) hits: u64,
    /// Those that were not.
    pub(crate) misses: u64,
}

impl QueryCache {
    /// A cache of at most so many texts; 0 keeps none.
    pub(crate) fn new(max_texts: usize) -> Self {
        let vectors = NonZeroUsize::new(max_texts).map(|max| Mutex::new(LruCache::new(max)));
        Self {
            vectors,
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// How much of it is used.
    pub(crate) fn usage(&self) -> QueryCacheUse {
        let (texts, max_texts) = self
            .lock()
            .map_or((0, 0), |vectors| (vectors.len(), vectors.cap().get()));
        QueryCacheUse {
            texts,
            max_texts,
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
        }
    }

    /// The vector of a text, if it is known.
    pub(super) fn get(&self, encoder: &str, text: &str, kind: InputKind) -> Option<Embedding> {
        let key = key(encoder, text, kind)?;
        let found = self.lock()?.get(&key).cloned();
        let counter = if found.is_some() {
            &self.hits
        } else {
            &self.misses
        };
        counter.fetch_add(1, Ordering::Relaxed);
        metrics::cached_query(found.is_some());
        found
    }

    /// Keeps a vector. Who gets it later has not waited for it.
    pub(super) fn put(&self, encoder: &str, text: &str, kind: InputKind, embedding: &Embedding) {
        if let (Some(key), Some(mut vectors)) = (key(encoder, text, kind), self.lock()) {
            vectors.put(key, embedding.without_times());
        }
    }

    /// Between two statements the map is consistent, whatever a panicking thread left behind.
    fn lock(&self) -> Option<MutexGuard<'_, LruCache<Key, Embedding>>> {
        let vectors = self.vectors.as_ref()?;
        Some(vectors.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn key(encoder: &str, text: &str, kind: InputKind) -> Option<Key> {
    (text.len() <= MAX_CACHED_TEXT_BYTES).then(|| Key {
        encoder: encoder.to_owned(),
        kind,
        text: text.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::service::Vocabulary;

    const ENCODER: &str = "e";

    fn embedding(value: f32) -> Embedding {
        Embedding {
            vector: vec![value],
            tokens_seen: 3,
            tokens_kept: 3,
            vocabulary: Vocabulary::default(),
            queued: Duration::from_millis(5),
            encoding: Duration::from_millis(7),
        }
    }

    fn vector(cache: &QueryCache, text: &str, kind: InputKind) -> Option<f32> {
        cache.get(ENCODER, text, kind).map(|found| found.vector[0])
    }

    #[test]
    fn a_text_is_known_again_as_what_it_was_asked_for() {
        let cache = QueryCache::new(4);
        cache.put(ENCODER, "lamp", InputKind::Query, &embedding(1.0));
        assert_eq!(vector(&cache, "lamp", InputKind::Query), Some(1.0));
        assert_eq!(vector(&cache, "lamp", InputKind::Document), None);
        assert_eq!(vector(&cache, "Lamp", InputKind::Query), None);
        let found = cache.get(ENCODER, "lamp", InputKind::Query).unwrap();
        assert_eq!((found.queued, found.encoding), Default::default());
        assert!(cache.get("another", "lamp", InputKind::Query).is_none());
    }

    #[test]
    fn the_text_that_was_not_asked_for_the_longest_goes_first() {
        let cache = QueryCache::new(2);
        for (text, value) in [("a", 1.0), ("b", 2.0)] {
            cache.put(ENCODER, text, InputKind::Query, &embedding(value));
        }
        assert!(cache.get(ENCODER, "a", InputKind::Query).is_some());
        cache.put(ENCODER, "c", InputKind::Query, &embedding(3.0));
        let known = ["a", "b", "c"].map(|text| vector(&cache, text, InputKind::Query));
        assert_eq!(known, [Some(1.0), None, Some(3.0)]);
    }

    #[test]
    fn long_texts_and_a_cache_of_none_keep_nothing() {
        let long = "x".repeat(MAX_CACHED_TEXT_BYTES + 1);
        for (max_texts, text) in [(0, "a"), (4, long.as_str())] {
            let cache = QueryCache::new(max_texts);
            cache.put(ENCODER, text, InputKind::Query, &embedding(1.0));
            assert!(cache.get(ENCODER, text, InputKind::Query).is_none());
        }
    }
}
