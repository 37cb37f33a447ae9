//! Random operations against a plain map and brute force: every answer must be the same.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail tests")]

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};
use siamese_index::{
    Collection, CollectionSettings, Comparison, Condition, ContentCheck, DocumentDraft,
    DocumentWrite, EncoderIdentity, Error, Facet, FacetRequest, FieldPath, Filter, GraphSettings,
    Hit, HitParts, Index, IndexOptions, Metadata, NewPassage, Scalar, SearchOptions, StoredPassage,
    UpsertStatus, VectorPrecision, WritePlan,
};

const DIMENSIONS: usize = 4;

#[derive(Debug, Clone)]
enum Operation {
    Upsert(Vec<(u8, u8, u8)>),
    MetadataOnly(u8, u8),
    Patch(u8, u8),
    Delete(Vec<u8>),
    DeleteMatching(u8),
    Search {
        direction: u8,
        limit: usize,
        min_score: Option<f32>,
        exclude: Vec<u8>,
        filter: Option<u8>,
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
        1 => any::<u8>().prop_map(Operation::DeleteMatching),
        5 => (any::<u8>(), 0..15_usize, prop::option::of(-1.0..1.0_f32),
            prop::collection::vec(id, 0..4), prop::option::of(any::<u8>()), any::<bool>())
            .prop_map(|(direction, limit, min_score, exclude, filter, exact)| Operation::Search {
                direction, limit, min_score, exclude, filter, exact
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
    let metadata = json!({
        "content": content,
        "tags": [content % 3, format!("t{}", content % 4)],
        // Some are longer than the index keeps.
        "note": format!("note {}", content % 7).repeat(if content.is_multiple_of(3) { 60 } else { 1 }),
    });
    let metadata: Metadata = serde_json::from_value(metadata).unwrap();
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

/// Filters of every kind over the metadata of [`draft`] and of patches.
fn filter(seed: u8) -> Filter {
    let field = |path: &str, condition| Filter::Field(FieldPath::parse(path).unwrap(), condition);
    let scalar = |value: Value| Scalar::of(&value).unwrap();
    let small = field("tags", Condition::one_of([scalar(json!(seed % 3))]));
    let note = format!("note {}", seed % 7);
    match seed % 8 {
        0 => small,
        1 => Filter::Not(Box::new(small)),
        2 => field("only", Condition::Exists),
        3 => field(
            "patched",
            Condition::Compares(Comparison::AtLeast, scalar(json!(seed))),
        ),
        4 => field("note", Condition::Contains(scalar(json!(note)))),
        5 => field("note", Condition::one_of([scalar(json!(note.repeat(60)))])),
        6 => Filter::Any(vec![
            small,
            field("tags", Condition::Prefix("t1".to_owned())),
        ]),
        _ => Filter::All(vec![
            field(
                "content",
                Condition::Compares(Comparison::Less, scalar(json!(seed))),
            ),
            Filter::Not(Box::new(field(
                "note",
                Condition::Contains(scalar(json!("4note"))),
            ))),
        ]),
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

fn open(folder: &Path, precision: VectorPrecision) -> Index {
    let encoder = EncoderIdentity {
        id: "e".to_owned(),
        name: "n".to_owned(),
        dimensions: DIMENSIONS,
    };
    let options = IndexOptions {
        max_head_passages: 8,
        check: ContentCheck::BeforeWrites,
        default_settings: CollectionSettings {
            graph: GraphSettings {
                precision,
                ..GraphSettings::default()
            },
            ..CollectionSettings::default()
        },
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
    assert_eq!(
        collection.writer().upsert(&writes).unwrap(),
        expected_statuses
    );
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
            collection.writer().upsert(&[write]),
            Err(Error::Stale { .. })
        ));
        return;
    };
    expected.draft.metadata.insert("only".to_owned(), json!(n));
    let write = DocumentWrite {
        draft: expected.draft.clone(),
        passages: None,
    };
    collection.writer().upsert(&[write]).unwrap();
}

fn patch(collection: &Collection, model: &mut Model, id: u8, n: u8) {
    let id = format!("d{id}");
    let patch: Metadata = serde_json::from_value(json!({"patched": n, "only": null})).unwrap();
    let patched = collection
        .writer()
        .patch_metadata(&id, &patch, usize::MAX)
        .unwrap();
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
        .filter(|document| !options.exclude.contains(&document.draft.id))
        .filter(|document| {
            let filter = options.filter.as_ref();
            filter.is_none_or(|filter| filter.matches(&document.draft.metadata))
        })
        .map(|document| {
            let best = document.vectors.iter().map(dot).fold(f32::MIN, f32::max);
            (best, document.draft.id.as_str())
        })
        // Scores at the very edge may fall on either side of it.
        .filter(|(score, _)| options.min_score.is_none_or(|min| *score >= min))
        .collect();
    expected.sort_by(|a, b| b.0.total_cmp(&a.0));
    let results = collection.reader().search(query, options).unwrap();
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
        let found = expected.iter().map(|(_, id)| &model[*id].draft.metadata);
        check_facets(&results.facets, &options.facets, &found.collect::<Vec<_>>());
    }
    assert_eq!(results.hits.len(), expected.len().min(options.limit));
    for (hit, (score, _)) in results.hits.iter().zip(&expected) {
        assert!((hit.score - score).abs() < 1e-5, "{} {score}", hit.score);
        let document = &model[&hit.id];
        check_content(collection, hit, &document.draft);
        let mut own: Vec<f32> = document.vectors.iter().map(dot).collect();
        own.sort_by(|a, b| b.total_cmp(a));
        assert!((hit.score - own[0]).abs() < 1e-5);
        let passages = collection.reader().best_passages(hit, query, 2).unwrap();
        assert_eq!(passages.len(), own.len().min(2));
        // To the last digit what the vectors in the record have.
        assert_eq!(hit.score, passages[0].score);
        for (passage, score) in passages.iter().zip(own) {
            assert!((passage.score - score).abs() < 1e-5);
        }
    }
}

fn check_facets(facets: &[Facet], request: &FacetRequest, found: &[&Metadata]) {
    let values_in = |metadata: &Metadata, path: &FieldPath| -> Vec<Scalar> {
        let value = metadata.get(&path.to_string());
        let elements = value.map(|value| value.as_array().cloned().unwrap_or(vec![value.clone()]));
        let elements = elements.unwrap_or_default().into_iter();
        elements
            .map(|element| Scalar::of(&element).unwrap())
            .collect()
    };
    for (facet, path) in facets.iter().zip(&request.paths) {
        let mut expected: BTreeMap<Scalar, u64> = BTreeMap::new();
        for metadata in found {
            for value in values_in(metadata, path) {
                *expected.entry(value).or_default() += 1;
            }
        }
        let mut expected: Vec<(Scalar, u64)> = expected.into_iter().collect();
        expected.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let rest = expected.split_off(request.max_values.min(expected.len()));
        let is_in_rest = |value: &Scalar| rest.iter().any(|(other, _)| other == value);
        let has_other = |metadata: &&&Metadata| values_in(metadata, path).iter().any(is_in_rest);
        let other = found.iter().filter(has_other).count() as u64;
        assert_eq!(facet.other, other, "{path}");
        let counted = facet
            .values
            .iter()
            .map(|facet| (facet.value.clone(), facet.count));
        assert_eq!(counted.collect::<Vec<_>>(), expected, "{path}");
    }
}

fn facet_request() -> FacetRequest {
    let paths = ["tags", "note", "patched", "nowhere"];
    FacetRequest {
        paths: paths.map(|path| FieldPath::parse(path).unwrap()).into(),
        max_values: 2,
    }
}

fn check_all(collection: &Collection, model: &Model) {
    let listed = collection.reader().list(None, 1000).unwrap();
    let ids: Vec<&str> = listed.iter().map(|document| document.id.as_str()).collect();
    assert_eq!(ids, model.keys().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(collection.stats().documents, model.len() as u64);
    for (id, expected) in model {
        let stored = collection.reader().get(id).unwrap().unwrap();
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
                .writer()
                .plan(std::slice::from_ref(&expected.draft))
                .unwrap(),
            [WritePlan::Unchanged {
                passages: expected.vectors.len()
            }]
        );
        let passages = collection.reader().passages(id, true).unwrap().unwrap();
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
        operations in prop::collection::vec(operation(), 1..40),
        precision in prop::sample::select(VectorPrecision::ALL.to_vec())
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut index = open(folder.path(), precision);
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
                    prop_assert_eq!(collection.writer().delete(&ids).unwrap(), expected);
                }
                Operation::DeleteMatching(seed) => {
                    let filter = filter(seed);
                    let before = model.len();
                    let counted = collection.reader().count_matching(&filter).unwrap();
                    model.retain(|_, expected| !filter.matches(&expected.draft.metadata));
                    let gone = (before - model.len()) as u64;
                    prop_assert_eq!(counted, gone);
                    prop_assert_eq!(collection.writer().delete_matching(&filter).unwrap(), gone);
                }
                Operation::Settle => prop_assert!(index.settle()),
                Operation::Search { direction: seed, limit, min_score, exclude, filter: asked, exact } => {
                    let options = SearchOptions {
                        limit,
                        min_score,
                        exclude: exclude.into_iter().map(|id| format!("d{id}")).collect(),
                        filter: asked.map(filter),
                        facets: facet_request(),
                        exact,
                        ef: None,
                        ..SearchOptions::default()
                    };
                    search(&collection, &model, &direction(seed, 0), &options);
                }
                Operation::Reopen => {
                    drop(collection);
                    drop(index);
                    index = open(folder.path(), precision);
                    collection = index.collection("default").unwrap();
                }
            }
        }
        check_all(&collection, &model);
    }
}

/// Each part of a hit is what was stored, and comes only when it is asked for.
fn check_content(collection: &Collection, hit: &Hit, draft: &DocumentDraft) {
    let read = |parts| collection.reader().read_hit(hit, &parts).unwrap().unwrap();
    let bare = read(HitParts::default());
    let span = bare.passage.start..bare.passage.end;
    assert_eq!(bare.passage_text, draft.text[span]);
    assert_eq!(bare.title, draft.title);
    assert_eq!(
        (bare.text, bare.metadata, bare.passage.vector),
        (None, None, None)
    );
    let whole = StoredPassage {
        start: 0,
        end: draft.text.len(),
        vector: None,
    };
    let all = read(HitParts {
        text: true,
        metadata: true,
        vector: true,
        passages: &[whole],
        filter: None,
    });
    assert_eq!(all.text.as_ref(), Some(&draft.text));
    assert_eq!(all.metadata.as_ref(), Some(&draft.metadata));
    assert!(all.passage_texts.iter().eq([&draft.text]));
    assert!(all.passage.vector.is_some());
}
