//! Random operations against a plain map and brute force: every answer must be the same.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail tests")]

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};
use siamese_index::{
    Collection, DocumentDraft, DocumentWrite, EncoderIdentity, Error, Index, IndexOptions,
    Metadata, NewPassage, SearchOptions, UpsertStatus, WritePlan,
};

const DIMENSIONS: usize = 4;

#[derive(Debug, Clone)]
enum Operation {
    Upsert(Vec<(u8, u8, u8)>),
    MetadataOnly(u8, u8),
    Patch(u8, u8),
    Delete(Vec<u8>),
    Search {
        direction: u8,
        limit: usize,
        min_score: Option<f32>,
        exclude: Option<u8>,
        exact: bool,
    },
    Settle,
    Reopen,
}

fn operation() -> impl Strategy<Value = Operation> {
    let id = 0..12_u8;
    prop_oneof![
        4 => prop::collection::vec((id.clone(), any::<u8>(), 1..4_u8), 1..5)
            .prop_map(Operation::Upsert),
        1 => (id.clone(), any::<u8>()).prop_map(|(id, n)| Operation::MetadataOnly(id, n)),
        1 => (id.clone(), any::<u8>()).prop_map(|(id, n)| Operation::Patch(id, n)),
        1 => prop::collection::vec(id.clone(), 0..4).prop_map(Operation::Delete),
        3 => (any::<u8>(), 0..15_usize, prop::option::of(-1.0..1.0_f32), prop::option::of(id), any::<bool>())
            .prop_map(|(direction, limit, min_score, exclude, exact)| Operation::Search {
                direction, limit, min_score, exclude, exact
            }),
        1 => Just(Operation::Settle),
        1 => Just(Operation::Reopen),
    ]
}

#[derive(Debug, Clone)]
struct Expected {
    draft: DocumentDraft,
    vectors: Vec<Vec<f32>>,
}

type Model = BTreeMap<String, Expected>;

fn direction(seed: u8, passage: usize) -> Vec<f32> {
    let angle = f32::from(seed) * 0.7 + passage as f32;
    let vector = [angle.sin(), angle.cos(), (angle * 1.7).sin(), 0.3];
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    vector.iter().map(|value| value / length).collect()
}

fn draft(id: u8, content: u8) -> DocumentDraft {
    let metadata: Metadata = serde_json::from_value(json!({"content": content})).unwrap();
    // Some texts are long enough to need several pieces.
    let text = format!("text {content} ").repeat(if content.is_multiple_of(5) { 900 } else { 1 });
    let title = content
        .is_multiple_of(2)
        .then(|| format!("title {content}"));
    DocumentDraft {
        id: format!("d{id}"),
        title,
        text,
        metadata,
    }
}

fn write(draft: &DocumentDraft, vectors: &[Vec<f32>]) -> DocumentWrite {
    let passage = |vector: &Vec<f32>| NewPassage {
        start: 0,
        end: draft.text.len(),
        // Any length: the index scales.
        vector: vector.iter().map(|value| value * 3.0).collect(),
    };
    let passages = Some(vectors.iter().map(passage).collect());
    DocumentWrite {
        draft: draft.clone(),
        passages,
    }
}

fn open(folder: &Path) -> Index {
    let encoder = EncoderIdentity {
        id: "e".to_owned(),
        name: "n".to_owned(),
        dimensions: DIMENSIONS,
    };
    let options = IndexOptions {
        max_head_passages: 8,
        ..IndexOptions::default()
    };
    Index::open(folder, &encoder, &options).unwrap()
}

fn upsert(collection: &Collection, model: &mut Model, documents: &[(u8, u8, u8)]) {
    let documents: BTreeMap<u8, (u8, u8)> = documents
        .iter()
        .map(|(id, content, passages)| (*id, (*content, *passages)))
        .collect();
    let (mut writes, mut expected_statuses, mut changes) = (Vec::new(), Vec::new(), Vec::new());
    for (id, (content, passages)) in documents {
        let draft = draft(id, content);
        let vectors: Vec<_> = (0..passages)
            .map(|n| direction(content, n.into()))
            .collect();
        writes.push(write(&draft, &vectors));
        let old = model.get(&draft.id);
        expected_statuses.push(match old {
            None => UpsertStatus::Created,
            Some(old) if old.draft == draft => UpsertStatus::Unchanged,
            Some(_) => UpsertStatus::Updated,
        });
        // Title and text as stored: the stored vectors stay.
        let same =
            old.filter(|old| (&old.draft.title, &old.draft.text) == (&draft.title, &draft.text));
        let vectors = same.map_or(vectors, |old| old.vectors.clone());
        changes.push(Expected { draft, vectors });
    }
    assert_eq!(collection.upsert(&writes).unwrap(), expected_statuses);
    model.extend(
        changes
            .into_iter()
            .map(|expected| (expected.draft.id.clone(), expected)),
    );
}

fn metadata_only(collection: &Collection, model: &mut Model, id: u8, n: u8) {
    let id = format!("d{id}");
    let Some(expected) = model.get_mut(&id) else {
        let write = DocumentWrite {
            draft: draft(0, 0),
            passages: None,
        };
        let write = DocumentWrite {
            draft: DocumentDraft { id, ..write.draft },
            passages: None,
        };
        assert!(matches!(
            collection.upsert(&[write]),
            Err(Error::Stale { .. })
        ));
        return;
    };
    expected.draft.metadata.insert("only".to_owned(), json!(n));
    let write = DocumentWrite {
        draft: expected.draft.clone(),
        passages: None,
    };
    collection.upsert(&[write]).unwrap();
}

fn patch(collection: &Collection, model: &mut Model, id: u8, n: u8) {
    let id = format!("d{id}");
    let patch: Metadata = serde_json::from_value(json!({"patched": n, "only": null})).unwrap();
    let patched = collection.patch_metadata(&id, &patch).unwrap();
    assert_eq!(patched.is_some(), model.contains_key(&id));
    if let Some(expected) = model.get_mut(&id) {
        expected
            .draft
            .metadata
            .insert("patched".to_owned(), json!(n));
        expected.draft.metadata.remove("only");
    }
}

fn search(collection: &Collection, model: &Model, query: &[f32], options: &SearchOptions) {
    let dot = |vector: &Vec<f32>| vector.iter().zip(query).map(|(a, b)| a * b).sum::<f32>();
    let mut expected: Vec<(f32, &str)> = model
        .values()
        .filter(|document| Some(&document.draft.id) != options.exclude.as_ref())
        .map(|document| {
            let best = document.vectors.iter().map(dot).fold(f32::MIN, f32::max);
            (best, document.draft.id.as_str())
        })
        // Scores at the very edge may fall on either side of it.
        .filter(|(score, _)| options.min_score.is_none_or(|min| *score >= min))
        .collect();
    expected.sort_by(|a, b| b.0.total_cmp(&a.0));
    let results = collection.search(query, options).unwrap();
    let edge = |score: f32| {
        options
            .min_score
            .is_some_and(|min| (score - min).abs() < 1e-4)
    };
    if !expected.iter().any(|(score, _)| edge(*score)) {
        assert!(results.total.exact || !options.exact);
        assert!(results.total.value as usize <= expected.len());
        if results.total.exact {
            assert_eq!(results.total.value as usize, expected.len());
        }
    }
    assert_eq!(results.hits.len(), expected.len().min(options.limit));
    for (hit, (score, _)) in results.hits.iter().zip(&expected) {
        assert!((hit.score - score).abs() < 1e-5, "{} {score}", hit.score);
        let document = &model[&hit.document.id];
        assert_eq!(hit.document.text, document.draft.text);
        let own = document.vectors.iter().map(dot).fold(f32::MIN, f32::max);
        assert!((hit.score - own).abs() < 1e-5);
    }
}

fn check_all(collection: &Collection, model: &Model) {
    let listed = collection.list(None, 1000).unwrap();
    let ids: Vec<&str> = listed.iter().map(|document| document.id.as_str()).collect();
    assert_eq!(ids, model.keys().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(collection.stats().documents, model.len() as u64);
    for (id, expected) in model {
        let stored = collection.get(id).unwrap().unwrap();
        assert_eq!(
            (&stored.title, &stored.text),
            (&expected.draft.title, &expected.draft.text)
        );
        assert_eq!(
            Value::from(stored.metadata),
            Value::from(expected.draft.metadata.clone())
        );
        assert_eq!(
            collection
                .plan(std::slice::from_ref(&expected.draft))
                .unwrap(),
            [WritePlan::Unchanged]
        );
        let passages = collection.passages(id, true).unwrap().unwrap();
        assert_eq!(passages.len(), expected.vectors.len());
        for (passage, vector) in passages.iter().zip(&expected.vectors) {
            let stored = passage.vector.as_ref().unwrap();
            assert!(stored.iter().zip(vector).all(|(a, b)| (a - b).abs() < 1e-6));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_answer_equals_that_of_a_map_and_brute_force(
        operations in prop::collection::vec(operation(), 1..40)
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut index = open(folder.path());
        let mut collection = index.collection("default").unwrap();
        let mut model = Model::new();
        for operation in operations {
            match operation {
                Operation::Upsert(documents) => upsert(&collection, &mut model, &documents),
                Operation::MetadataOnly(id, n) => metadata_only(&collection, &mut model, id, n),
                Operation::Patch(id, n) => patch(&collection, &mut model, id, n),
                Operation::Delete(ids) => {
                    let ids: Vec<String> = ids.iter().map(|id| format!("d{id}")).collect();
                    let expected: Vec<bool> =
                        ids.iter().map(|id| model.remove(id).is_some()).collect();
                    prop_assert_eq!(collection.delete(&ids).unwrap(), expected);
                }
                Operation::Settle => prop_assert!(index.settle()),
                Operation::Search { direction: seed, limit, min_score, exclude, exact } => {
                    let exclude = exclude.map(|id| format!("d{id}"));
                    let options = SearchOptions { limit, min_score, exclude, exact, ef: None };
                    search(&collection, &model, &direction(seed, 0), &options);
                }
                Operation::Reopen => {
                    drop(collection);
                    drop(index);
                    index = open(folder.path());
                    collection = index.collection("default").unwrap();
                }
            }
        }
        check_all(&collection, &model);
    }
}
