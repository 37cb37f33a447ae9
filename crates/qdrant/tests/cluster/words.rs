//! Searching by words, and by both.

use siamese_index::{
    CollectionSettings, DocumentDraft, DocumentWrite, Error, Metadata, NewPassage, SearchOptions,
    cosine,
};
use siamese_qdrant::ClusterCollection;

use crate::support::{cluster, default_of, encoder, ids, vector};

fn words(text: &str) -> siamese_index::WordQuery {
    siamese_index::WordQuery::new(text, siamese_index::WordSettings::default()).unwrap()
}

/// A document of one passage.
fn text(id: &str, text: &str, vector: Vec<f32>) -> DocumentWrite {
    DocumentWrite {
        draft: DocumentDraft {
            id: id.to_owned(),
            title: None,
            text: text.to_owned(),
            metadata: Metadata::new(),
        },
        passages: Some(vec![NewPassage {
            start: 0,
            end: text.len(),
            vector,
        }]),
    }
}

#[test]
fn words_find_the_documents_that_have_them_the_rare_ones_first() {
    let Some(cluster) = cluster() else { return };
    let ClusterCollection { reader, writer } = default_of(&cluster);
    let mut documents: Vec<_> = (0..30)
        .map(|number| text(&format!("d{number}"), "a lamp for the desk", vector(number)))
        .collect();
    documents.push(text("rare", "a lamp of brass", vector(30)));
    documents.push(text("none", "nothing of the kind", vector(31)));
    writer.upsert(&documents).unwrap();
    let query = words("brass lamp");
    let options = SearchOptions {
        limit: 40,
        ..SearchOptions::default()
    };
    let found = reader.search(&(&query).into(), &options).unwrap();
    assert_eq!(found.hits.len(), 31, "all that have a word");
    assert_eq!(found.hits[0].id, "rare");
    assert!(
        found.hits[0].score > 2.0 * found.hits[1].score,
        "{:?}",
        &found.hits[..2]
    );
    let hits: Vec<&siamese_index::Hit> = found.hits.iter().collect();
    let best = reader
        .best_passages_by_words(&hits[..2], &query, 3)
        .unwrap();
    assert_eq!(best[0][0].score, found.hits[0].score);
    assert_eq!((best[0][0].passage.start, best[0][0].passage.end), (0, 15));
    writer
        .upsert(&[text("rare", "something else", vector(30))])
        .unwrap();
    let found = reader.search(&(&query).into(), &options).unwrap();
    assert_eq!(
        found.hits.len(),
        30,
        "a document is found by the words that it has now"
    );
    assert!(
        reader
            .search(&(&words("...")).into(), &options)
            .unwrap()
            .hits
            .is_empty()
    );
}

#[test]
fn both_sides_are_fused_as_in_a_data_folder() {
    let Some(cluster) = cluster() else { return };
    let ClusterCollection { reader, writer } = default_of(&cluster);
    let documents: Vec<_> = (0..80)
        .map(|number| {
            let with_word = if number % 10 == 0 {
                "a brass lamp"
            } else {
                "a chair"
            };
            text(&format!("d{number:02}"), with_word, vector(number))
        })
        .collect();
    writer.upsert(&documents).unwrap();
    let (near, word) = (vector(3), words("brass"));
    for fusion in [
        siamese_index::Fusion::ReciprocalRank,
        siamese_index::Fusion::Weighted { alpha: 0.5 },
    ] {
        let query = siamese_index::Query::hybrid(&near, &word, fusion);
        let found = reader.search(&query, &SearchOptions::default()).unwrap();
        assert_eq!(found.hits.len(), 10);
        assert!(found.total.exact && found.total.value == 80);
        // How rare a word is, each shard says for itself, so that of several with the word any may be first.
        let first = found.hits[0].scores.unwrap();
        assert!(
            first.lexical > 0.0 && first.semantic > 0.5,
            "{fusion:?} {first:?}"
        );
        for hit in &found.hits {
            let scores = hit.scores.unwrap();
            let number: usize = hit.id[1..].parse().unwrap();
            assert!((scores.semantic - cosine(&near, &vector(number))).abs() < 1e-6);
            assert_eq!(scores.lexical > 0.0, number.is_multiple_of(10), "{hit:?}");
        }
    }
}

#[test]
fn a_collection_without_words_refuses_them() {
    let Some(cluster) = cluster() else { return };
    let settings = CollectionSettings {
        lexical: false,
        ..CollectionSettings::default()
    };
    let (collection, _) = cluster.put("silent", &settings, &encoder()).unwrap();
    collection
        .writer
        .upsert(&[text("a", "lamp", vector(1))])
        .unwrap();
    let refused = collection
        .reader
        .search(&(&words("lamp")).into(), &SearchOptions::default());
    assert!(
        matches!(refused, Err(Error::WordsNotIndexed { .. })),
        "{refused:?}"
    );
    assert_eq!(
        ids(&collection, &vector(1), &SearchOptions::default()),
        ["a"]
    );
}
