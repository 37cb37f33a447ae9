//! A cluster for one test, and documents for it.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use siamese_index::{
    CollectionEncoder, CollectionSettings, DEFAULT_COLLECTION, DocumentDraft, DocumentWrite,
    EncoderIdentity, NewPassage, SearchOptions,
};
use siamese_qdrant::{Cluster, ClusterCollection, ClusterSettings};

pub(crate) const DIMENSIONS: usize = 8;
pub(crate) const URLS: &str = "SIAMESE_QDRANT_URLS";

/// A cluster with collections that no other test has; nothing where none is named.
pub(crate) fn cluster() -> Option<Arc<Cluster>> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let Ok(urls) = std::env::var(URLS) else {
        eprintln!("SKIPPED: {URLS} names no Qdrant cluster; tests/cluster/run.sh starts one");
        return None;
    };
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let prefix = format!("test-{}-{number}", std::process::id());
    Some(open(&urls, &prefix))
}

pub(crate) fn open(urls: &str, prefix: &str) -> Arc<Cluster> {
    Cluster::open(
        settings(urls, prefix),
        CollectionSettings::default(),
        encoder(),
    )
    .unwrap()
}

pub(crate) fn settings(urls: &str, prefix: &str) -> ClusterSettings {
    ClusterSettings {
        urls: urls.split(',').map(str::to_owned).collect(),
        api_key: None,
        prefix: prefix.to_owned(),
        shards: NonZeroU32::new(2).unwrap(),
        replicas: NonZeroU32::MIN,
        write_consistency: NonZeroU32::MIN,
        call_timeout: Duration::from_secs(10),
        connect_timeout: Duration::from_secs(2),
        retry_for: Duration::from_secs(5),
        max_collections: 100,
        on_call: |_| (),
        max_aliases: 3,
    }
}

pub(crate) fn encoder() -> CollectionEncoder {
    CollectionEncoder::default_of(&EncoderIdentity {
        id: "e".to_owned(),
        name: "n".to_owned(),
        dimensions: DIMENSIONS,
    })
}

pub(crate) fn default_of(cluster: &Cluster) -> ClusterCollection {
    cluster.get(DEFAULT_COLLECTION).unwrap()
}

/// A vector of its own for each number, near those of its neighbours.
pub(crate) fn vector(number: usize) -> Vec<f32> {
    let angle = number as f32 * 0.1;
    let mut vector = vec![0.01; DIMENSIONS];
    (vector[0], vector[1]) = (angle.cos(), angle.sin());
    vector
}

pub(crate) fn draft(id: &str, text: &str, metadata: serde_json::Value) -> DocumentDraft {
    DocumentDraft {
        id: id.to_owned(),
        title: Some(format!("title of {id}")),
        text: text.to_owned(),
        metadata: serde_json::from_value(metadata).unwrap(),
    }
}

/// A document with a passage for each of its vectors. With the same title, it is the same text.
pub(crate) fn write_with_title(
    title: &str,
    id: &str,
    metadata: serde_json::Value,
    vectors: &[Vec<f32>],
) -> DocumentWrite {
    let mut write = write(id, metadata, vectors);
    write.draft.title = Some(title.to_owned());
    write
}

pub(crate) fn write(id: &str, metadata: serde_json::Value, vectors: &[Vec<f32>]) -> DocumentWrite {
    let text: String = vectors.iter().map(|_| "text ").collect();
    let passages = vectors
        .iter()
        .enumerate()
        .map(|(place, vector)| NewPassage {
            start: place * 5,
            end: place * 5 + 4,
            vector: vector.clone(),
        });
    DocumentWrite {
        passages: Some(passages.collect()),
        draft: draft(id, &text, metadata),
    }
}

pub(crate) fn ids(
    collection: &ClusterCollection,
    query: &[f32],
    options: &SearchOptions,
) -> Vec<String> {
    let results = collection.reader.search(&query.into(), options).unwrap();
    results.hits.into_iter().map(|hit| hit.id).collect()
}
