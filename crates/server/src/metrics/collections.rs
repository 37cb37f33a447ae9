//! Metrics of collections.

use siamese_index::CollectionStats;

const DOCUMENTS: &str = "siamese_documents";
const PASSAGES: &str = "siamese_passages";
const HEAD_PASSAGES: &str = "siamese_index_head_passages";
const DEAD_PASSAGES: &str = "siamese_index_dead_passages";
const SEGMENTS: &str = "siamese_index_segments";
const SEGMENT_BYTES: &str = "siamese_index_segment_bytes";
const LEXICAL_BYTES: &str = "siamese_index_lexical_bytes";

/// The sizes of collections as metrics in the text format. They are not in the recorder, which
/// forgets no series: those of a deleted collection would stay for ever.
pub(crate) fn collections_text(collections: &[(String, CollectionStats)]) -> String {
    let mut text = String::new();
    for (name, help, value) in COLLECTION_GAUGES {
        text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} gauge\n"));
        for (collection, stats) in collections {
            // Names of collections are letters, digits, - and _, so there is nothing to escape.
            let value = value(stats);
            text.push_str(&format!("{name}{{collection=\"{collection}\"}} {value}\n"));
        }
        text.push('\n');
    }
    text
}

type CollectionGauge = (&'static str, &'static str, fn(&CollectionStats) -> u64);

const COLLECTION_GAUGES: [CollectionGauge; 7] = [
    (DOCUMENTS, "Documents stored, by collection", |stats| {
        stats.documents
    }),
    (PASSAGES, "Passages stored, by collection", |stats| {
        stats.passages
    }),
    (
        HEAD_PASSAGES,
        "Passages that every search scores one by one until they become a segment, by collection",
        |stats| stats.head_passages,
    ),
    (
        DEAD_PASSAGES,
        "Deleted passages that still take up space, by collection",
        |stats| stats.dead_passages,
    ),
    (
        SEGMENTS,
        "Segments of the vector index, by collection",
        |stats| stats.segments,
    ),
    (
        SEGMENT_BYTES,
        "Size of the segments' files, by collection",
        |stats| stats.segment_bytes,
    ),
    (
        LEXICAL_BYTES,
        "Size of the files of the index over words, by collection",
        |stats| stats.lexical_bytes,
    ),
];
