//! Collections on a real cluster. `tests/cluster/run.sh` starts one; where none is named, every test says that it was
//! passed over.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::json;
use siamese_index::{
    CollectionEncoder, CollectionSettings, Comparison, Condition, DEFAULT_COLLECTION,
    DocumentDraft, DocumentWrite, EncoderIdentity, Error, FieldPath, Filter, HitParts, Metadata,
    NewPassage, PutOutcome, Scalar, SearchOptions, Timestamp, UpsertStatus, WritePlan, cosine,
};
use siamese_qdrant::{Cluster, ClusterCollection, ClusterSettings};

const DIMENSIONS: usize = 8;
const URLS: &str = "SIAMESE_QDRANT_URLS";

/// A cluster with collections that no other test has; nothing where none is named.
fn cluster() -> Option<Arc<Cluster>> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let Ok(urls) = std::env::var(URLS) else {
        eprintln!("SKIPPED: {URLS} names no Qdrant cluster; tests/cluster/run.sh starts one");
        return None;
    };
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let prefix = format!("test-{}-{number}", std::process::id());
    Some(open(&urls, &prefix))
}

fn open(urls: &str, prefix: &str) -> Arc<Cluster> {
    Cluster::open(
        settings(urls, prefix),
        CollectionSettings::default(),
        encoder(),
    )
    .unwrap()
}

fn settings(urls: &str, prefix: &str) -> ClusterSettings {
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
    }
}

fn encoder() -> CollectionEncoder {
    CollectionEncoder::default_of(&EncoderIdentity {
        id: "e".to_owned(),
        name: "n".to_owned(),
        dimensions: DIMENSIONS,
    })
}

fn default_of(cluster: &Cluster) -> ClusterCollection {
    cluster.get(DEFAULT_COLLECTION).unwrap()
}

/// A vector of its own for each number, near those of its neighbours.
fn vector(number: usize) -> Vec<f32> {
    let angle = number as f32 * 0.1;
    let mut vector = vec![0.01; DIMENSIONS];
    (vector[0], vector[1]) = (angle.cos(), angle.sin());
    vector
}

fn draft(id: &str, text: &str, metadata: serde_json::Value) -> DocumentDraft {
    DocumentDraft {
        id: id.to_owned(),
        title: Some(format!("title of {id}")),
        text: text.to_owned(),
        metadata: serde_json::from_value(metadata).unwrap(),
    }
}

/// A document with a passage for each of its vectors. With the same title, it is the same text.
fn write_with_title(
    title: &str,
    id: &str,
    metadata: serde_json::Value,
    vectors: &[Vec<f32>],
) -> DocumentWrite {
    let mut write = write(id, metadata, vectors);
    write.draft.title = Some(title.to_owned());
    write
}

fn write(id: &str, metadata: serde_json::Value, vectors: &[Vec<f32>]) -> DocumentWrite {
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

fn ids(collection: &ClusterCollection, query: &[f32], options: &SearchOptions) -> Vec<String> {
    let results = collection.reader.search(&query.into(), options).unwrap();
    results.hits.into_iter().map(|hit| hit.id).collect()
}

#[test]
fn documents_are_found_by_their_best_passage_and_read_as_they_were_written() {
    let Some(cluster) = cluster() else { return };
    let collection = default_of(&cluster);
    let documents: Vec<_> = (0..20)
        .map(|number| {
            let far = vector(number + 31);
            write(
                &format!("d{number}"),
                json!({"n": number}),
                &[far, vector(number)],
            )
        })
        .collect();
    let upserted = collection.writer.upsert(&documents).unwrap();
    assert_eq!(upserted.statuses, vec![UpsertStatus::Created; 20]);
    let query = vector(7);
    let results = collection
        .reader
        .search(
            &(&query).into(),
            &SearchOptions {
                limit: 3,
                ..SearchOptions::default()
            },
        )
        .unwrap();
    let found: Vec<&str> = results.hits.iter().map(|hit| hit.id.as_str()).collect();
    assert_eq!(found[0], "d7");
    assert_eq!(results.total.value, 20);
    let hit = &results.hits[0];
    assert!((hit.score - cosine(&query, &query)).abs() < 1e-6);
    let parts = HitParts {
        text: true,
        metadata: true,
        vector: true,
        ..HitParts::default()
    };
    let content = collection.reader.read_hit(hit, &parts).unwrap().unwrap();
    assert_eq!((content.passage.start, content.passage.end), (5, 9));
    assert_eq!(content.passage_text, "text");
    assert_eq!(content.title.as_deref(), Some("title of d7"));
    assert_eq!(content.metadata.unwrap()["n"], json!(7));
    let best = collection.reader.best_passages(hit, &query, 5).unwrap();
    assert_eq!(best.len(), 2);
    assert!(best[0].is_best_of(hit) && best[0].score > best[1].score);
    let stored = collection.reader.get("d7").unwrap().unwrap();
    assert_eq!((stored.text.as_str(), stored.passages), ("text text ", 2));
    assert!(collection.reader.get("none").unwrap().is_none());
    let stats = collection.reader.stats().unwrap();
    assert_eq!((stats.documents, stats.passages), (20, 40));
}

#[test]
fn what_is_stored_already_is_unchanged_and_new_metadata_keeps_the_vectors() {
    let Some(cluster) = cluster() else { return };
    let ClusterCollection { reader, writer } = default_of(&cluster);
    let first = write("a", json!({"k": 1}), &[vector(1)]);
    writer.upsert(std::slice::from_ref(&first)).unwrap();
    let same = writer.plan(std::slice::from_ref(&first.draft)).unwrap();
    assert_eq!(same, [WritePlan::Unchanged { passages: 1 }]);
    let again = writer.upsert(std::slice::from_ref(&first)).unwrap();
    assert_eq!(again.statuses, [UpsertStatus::Unchanged]);
    let mut other = first.draft.clone();
    other.metadata.insert("k".to_owned(), json!(2));
    let planned = writer.plan(std::slice::from_ref(&other)).unwrap();
    assert_eq!(planned, [WritePlan::MetadataOnly { passages: 1 }]);
    let changed = DocumentWrite {
        draft: other,
        passages: None,
    };
    assert_eq!(
        writer.upsert(&[changed]).unwrap().statuses,
        [UpsertStatus::Updated]
    );
    let (document, passages) = reader.get_whole("a", true).unwrap().unwrap();
    assert_eq!(document.metadata["k"], json!(2));
    assert!((cosine(passages[0].vector.as_ref().unwrap(), &vector(1)) - 1.0).abs() < 1e-6);
    let patch: Metadata = serde_json::from_value(json!({"k": null, "l": "x"})).unwrap();
    let patched = writer.patch_metadata("a", &patch, 1000).unwrap().unwrap();
    assert_eq!(json!(patched.metadata), json!({"l": "x"}));
    assert_eq!(reader.get("a").unwrap().unwrap(), patched);
    assert!(writer.patch_metadata("b", &patch, 1000).unwrap().is_none());
    let too_large = writer.patch_metadata("a", &patch, 1);
    assert!(
        too_large.is_ok(),
        "it does not become larger: {too_large:?}"
    );
    let unplanned = DocumentWrite {
        draft: draft("c", "x", json!({})),
        passages: None,
    };
    assert!(matches!(
        writer.upsert(&[unplanned]),
        Err(Error::Stale { .. })
    ));
    assert_eq!(
        reader.stats().unwrap().passages,
        1,
        "old versions are removed"
    );
}

#[test]
fn deleted_documents_are_gone_with_their_passages() {
    let Some(cluster) = cluster() else { return };
    let ClusterCollection { reader, writer } = default_of(&cluster);
    let documents: Vec<_> = (0..10)
        .map(|number| {
            write(
                &format!("d{number}"),
                json!({"even": number % 2 == 0}),
                &[vector(number)],
            )
        })
        .collect();
    writer.upsert(&documents).unwrap();
    let ids = ["d1".to_owned(), "none".to_owned(), "d1".to_owned()];
    assert_eq!(writer.delete(&ids).unwrap(), [true, false, false]);
    let even = Filter::Field(
        FieldPath::parse("even").unwrap(),
        Condition::one_of([Scalar::Bool(true)]),
    );
    assert_eq!(reader.count_matching(&even).unwrap(), 5);
    assert_eq!(writer.delete_matching(&even).unwrap(), 5);
    let stats = reader.stats().unwrap();
    assert_eq!((stats.documents, stats.passages), (4, 4));
    assert!(reader.get("d2").unwrap().is_none());
    let mut left = Vec::new();
    let visit = &mut |document: siamese_index::StoredDocument| {
        left.push(document.id);
        true
    };
    reader.visit_documents(None, true, visit).unwrap();
    left.sort();
    assert_eq!(left, ["d3", "d5", "d7", "d9"]);
}

#[test]
fn lists_go_on_after_any_document() {
    let Some(cluster) = cluster() else { return };
    let ClusterCollection { reader, writer } = default_of(&cluster);
    let documents: Vec<_> = (0..100)
        .map(|number| write(&format!("d{number}"), json!({}), &[vector(number)]))
        .collect();
    writer.upsert(&documents).unwrap();
    let (mut listed, mut after) = (Vec::new(), None::<String>);
    loop {
        let page = reader
            .list_whole(after.as_deref(), 7, usize::MAX, true)
            .unwrap();
        let Some((last, _)) = page.last() else { break };
        after = Some(last.id.clone());
        listed.extend(page.into_iter().map(|(document, passages)| {
            assert_eq!(passages.len(), 1);
            document.id
        }));
    }
    let expected: std::collections::BTreeSet<String> =
        (0..100).map(|number| format!("d{number}")).collect();
    assert_eq!(listed.len(), 100);
    assert_eq!(
        listed
            .into_iter()
            .collect::<std::collections::BTreeSet<_>>(),
        expected
    );
}

/// Every condition is true of exactly the documents of which [`Filter::matches`] says so.
#[test]
fn filters_mean_what_they_mean_in_a_data_folder() {
    let Some(cluster) = cluster() else { return };
    let collection = default_of(&cluster);
    let long = "long ".repeat(100);
    let values = [
        json!({}),
        json!({"a": null}),
        json!({"a": []}),
        json!({"a": {}}),
        json!({"a": 1}),
        json!({"a": 1.0}),
        json!({"a": 1.5}),
        json!({"a": -3}),
        json!({"a": 9_007_199_254_740_993_u64}),
        json!({"a": "1"}),
        json!({"a": true}),
        json!({"a": false}),
        json!({"a": [1, "x", null]}),
        json!({"a": ["x", ["y"]]}),
        json!({"a": "x"}),
        json!({"a": {"b": 1}}),
        json!({"a": [{"b": 1}, {"b": 2}]}),
        json!({"a.b": 1}),
        json!({"a": long.clone()}),
        json!({"a": "2024-05-01"}),
        json!({"a": "2024-05-01T00:00:00.5Z"}),
        json!({"a": "2024-05-01T02:00:00+02:00"}),
        json!({"a": "1969-12-31T23:59:59.5Z"}),
        json!({"a": ["2024-04-30", "2024-05-02"]}),
        json!({"_a b/c$": "x"}),
        json!({"": 0}),
    ];
    let documents: Vec<_> = values
        .iter()
        .enumerate()
        .map(|(number, metadata)| write(&format!("d{number}"), metadata.clone(), &[vector(number)]))
        .collect();
    collection.writer.upsert(&documents).unwrap();
    let scalar = |value: serde_json::Value| Scalar::of(&value).unwrap();
    let moment = |text: &str| Timestamp::parse(text).unwrap();
    let mut conditions = vec![Condition::Exists, Condition::one_of([])];
    for value in [
        json!(null),
        json!(1),
        json!(1.5),
        json!("1"),
        json!("x"),
        json!(true),
        json!(9_007_199_254_740_993_u64),
        json!(9_007_199_254_740_992_u64),
        json!(long),
        json!("y"),
    ] {
        conditions.push(Condition::one_of([scalar(value)]));
    }
    conditions.push(Condition::one_of([scalar(json!(1)), scalar(json!("x"))]));
    conditions.push(Condition::Contains(scalar(json!(1))));
    conditions.push(Condition::Contains(scalar(json!(null))));
    for comparison in [
        Comparison::Greater,
        Comparison::AtLeast,
        Comparison::Less,
        Comparison::AtMost,
    ] {
        for limit in [json!(1), json!(1.5), json!(-3), json!(0)] {
            conditions.push(Condition::Compares(comparison, scalar(limit)));
        }
        for limit in ["2024-05-01", "1970-01-01", "1969-12-31T23:59:59Z"] {
            conditions.push(Condition::ComparesMoment(comparison, moment(limit)));
        }
    }
    conditions.push(Condition::one_of_moments([
        moment("2024-05-01"),
        moment("2024-05-02"),
    ]));
    let mut checked = 0;
    for path in ["a", "a.b", r"a\.b", "_a b/c$", ""] {
        let path = FieldPath::parse(path).unwrap();
        for condition in &conditions {
            let filter = Filter::Field(path.clone(), condition.clone());
            for filter in [
                filter.clone(),
                Filter::Not(Box::new(filter.clone())),
                Filter::All(vec![filter.clone(), Filter::Any(vec![])]),
                Filter::Any(vec![filter, Filter::All(vec![])]),
            ] {
                let mut expected: Vec<String> = Vec::new();
                for (number, metadata) in values.iter().enumerate() {
                    let metadata: Metadata = serde_json::from_value(metadata.clone()).unwrap();
                    if filter.matches(&metadata) {
                        expected.push(format!("d{number}"));
                    }
                }
                expected.sort();
                let options = SearchOptions {
                    limit: 100,
                    filter: Some(filter.clone()),
                    ..SearchOptions::default()
                };
                let mut found = ids(&collection, &vector(0), &options);
                found.sort();
                assert_eq!(found, expected, "{filter:?}");
                let counted = collection.reader.count_matching(&filter).unwrap();
                assert_eq!(counted, expected.len() as u64, "{filter:?}");
                checked += 1;
            }
        }
    }
    assert!(checked > 500);
}

#[test]
fn what_cannot_be_meant_the_same_is_refused() {
    let Some(cluster) = cluster() else { return };
    let collection = default_of(&cluster);
    let path = FieldPath::parse("a").unwrap();
    for condition in [
        Condition::Prefix("x".to_owned()),
        Condition::Contains(Scalar::text("x")),
        Condition::Compares(Comparison::Less, Scalar::text("x")),
        Condition::Compares(
            Comparison::Less,
            Scalar::of(&json!(9_007_199_254_740_993_u64)).unwrap(),
        ),
        Condition::ComparesMoment(
            Comparison::Less,
            Timestamp::parse("2024-05-01T00:00:00.5Z").unwrap(),
        ),
    ] {
        let filter = Some(Filter::Field(path.clone(), condition));
        let options = SearchOptions {
            filter,
            ..SearchOptions::default()
        };
        let refused = collection.reader.search(&(&vector(0)).into(), &options);
        assert!(
            matches!(refused, Err(Error::NotSupportedHere { .. })),
            "{options:?}: {refused:?}"
        );
    }
}

#[test]
fn of_two_writers_of_one_document_one_is_told_that_it_was_late() {
    let Some(cluster) = cluster() else { return };
    let ClusterCollection { reader, writer } = default_of(&cluster);
    let rounds = 10;
    let mut stale = 0;
    for round in 0..rounds {
        let writes: Vec<_> = (0..4)
            .map(|number| {
                write_with_title(
                    &format!("{round} {number}"),
                    "same",
                    json!({"round": round, "number": number}),
                    &[vector(number), vector(number + 1)],
                )
            })
            .collect();
        let outcomes: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = writes
                .iter()
                .map(|write| scope.spawn(|| writer.upsert(std::slice::from_ref(write))))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        stale += outcomes
            .iter()
            .filter(|outcome| matches!(outcome, Err(Error::Stale { .. })))
            .count();
        assert!(outcomes.iter().any(Result::is_ok));
        let (document, passages) = reader.get_whole("same", true).unwrap().unwrap();
        assert_eq!(document.metadata["round"], json!(round));
        assert_eq!(passages.len(), 2);
        let number = document.metadata["number"].as_u64().unwrap() as usize;
        let first = passages[0].vector.as_ref().unwrap();
        assert!(
            cosine(first, &vector(number)) > 0.9999,
            "vectors of the version that counts"
        );
    }
    assert!(stale > 0, "they did not meet once");
    assert_eq!(reader.stats().unwrap().passages, 2);
}

#[test]
fn nobody_sees_half_of_a_document_while_it_is_replaced() {
    let Some(cluster) = cluster() else { return };
    let ClusterCollection { reader, writer } = default_of(&cluster);
    let of_round = |round: usize| {
        let passages = 1 + round % 5;
        write(
            "d",
            json!({"passages": passages}),
            &vec![vector(round); passages],
        )
    };
    writer.upsert(&[of_round(0)]).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut seen = 0;
                    while !stop.load(Ordering::Relaxed) {
                        let (document, passages) = reader.get_whole("d", true).unwrap().unwrap();
                        assert_eq!(document.metadata["passages"], json!(passages.len()));
                        let vectors: BTreeMap<String, ()> = passages
                            .iter()
                            .map(|passage| (format!("{:?}", passage.vector), ()))
                            .collect();
                        assert_eq!(vectors.len(), 1, "all of one version");
                        let options = SearchOptions {
                            limit: 5,
                            ..SearchOptions::default()
                        };
                        let hits = reader.search(&(&vector(0)).into(), &options).unwrap().hits;
                        assert_eq!(hits.len(), 1, "the document is always found, once");
                        seen += 1;
                    }
                    seen
                })
            })
            .collect();
        for round in 1..100 {
            writer.upsert(&[of_round(round)]).unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        for thread in readers {
            assert!(thread.join().unwrap() > 10);
        }
    });
}

#[test]
fn collections_are_made_changed_and_deleted_for_all_who_use_the_cluster() {
    let Some(cluster) = cluster() else { return };
    let urls = std::env::var(URLS).unwrap();
    let prefix = format!("test-{}-shared", std::process::id());
    let (one, other) = (open(&urls, &prefix), open(&urls, &prefix));
    drop(cluster);
    let settings = CollectionSettings::default();
    let (made, outcome) = one.put("things", &settings, &encoder()).unwrap();
    assert_eq!(outcome, PutOutcome::Created);
    let (_, again) = other.put("things", &settings, &encoder()).unwrap();
    assert_eq!(again, PutOutcome::Unchanged);
    made.writer
        .upsert(&[write("a", json!({}), &[vector(1)])])
        .unwrap();
    let seen = other.get("things").unwrap();
    assert_eq!(ids(&seen, &vector(1), &SearchOptions::default()), ["a"]);
    let keeping = CollectionSettings {
        keep_queries: 5,
        ..settings
    };
    assert_eq!(
        other.put("things", &keeping, &encoder()).unwrap().1,
        PutOutcome::Changed
    );
    let words = CollectionSettings {
        lexical: false,
        ..settings
    };
    let refused = one.put("things", &words, &encoder());
    assert!(
        matches!(refused, Err(Error::SettingsConflict { .. })),
        "{refused:?}"
    );
    other.delete("things").unwrap();
    assert!(matches!(
        other.get("things"),
        Err(Error::CollectionNotFound { .. })
    ));
    let gone = made.reader.get("a");
    assert!(
        matches!(gone, Err(Error::CollectionNotFound { .. })),
        "{gone:?}"
    );
    std::thread::sleep(Duration::from_secs(2));
    assert!(
        one.get("things").is_err(),
        "others learn of it within a second"
    );
    one.delete(DEFAULT_COLLECTION).unwrap();
    assert_eq!(default_of(&one).reader.stats().unwrap().documents, 0);
}

#[test]
fn a_cluster_that_nobody_answers_for_is_told_of_in_time() {
    if std::env::var(URLS).is_err() {
        return;
    }
    let mut settings = settings("http://127.0.0.1:9", "nobody");
    settings.retry_for = Duration::from_millis(500);
    let started = std::time::Instant::now();
    let failed = Cluster::open(settings, CollectionSettings::default(), encoder());
    assert!(
        matches!(failed, Err(Error::ClusterUnavailable { .. })),
        "{failed:?}"
    );
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn facets_count_the_documents_of_the_filter_as_a_data_folder_does() {
    let Some(cluster) = cluster() else { return };
    let collection = default_of(&cluster);
    let documents: Vec<_> = (0..60)
        .map(|number| {
            let tags: Vec<String> = (0..number % 4).map(|tag| format!("t{tag}")).collect();
            let metadata = json!({"n": number % 3, "tags": tags, "x": format!("{number}"), "half": number % 2 == 0});
            write(&format!("d{number}"), metadata, &[vector(number)])
        })
        .collect();
    collection.writer.upsert(&documents).unwrap();
    let half = FieldPath::parse("half").unwrap();
    let filter = Filter::Field(half, Condition::one_of([Scalar::Bool(true)]));
    for filter in [None, Some(filter)] {
        for (path, max_values) in [
            ("n", 10),
            ("n", 2),
            ("tags", 1),
            ("tags", 3),
            ("x", 5),
            ("none", 5),
            ("half", 5),
        ] {
            let path = FieldPath::parse(path).unwrap();
            let options = SearchOptions {
                limit: 1,
                filter: filter.clone(),
                exclude: vec!["d4".to_owned()],
                facets: siamese_index::FacetRequest {
                    paths: vec![path.clone()],
                    max_values,
                },
                ..SearchOptions::default()
            };
            let found = collection
                .reader
                .search(&(&vector(0)).into(), &options)
                .unwrap();
            let mut counts: BTreeMap<Scalar, u64> = BTreeMap::new();
            let mut of_documents = Vec::new();
            for document in &documents {
                let metadata = &document.draft.metadata;
                if document.draft.id == "d4"
                    || filter
                        .as_ref()
                        .is_some_and(|filter| !filter.matches(metadata))
                {
                    continue;
                }
                let values: std::collections::BTreeSet<Scalar> =
                    path.values(metadata).into_iter().collect();
                values
                    .iter()
                    .for_each(|value| *counts.entry(value.clone()).or_default() += 1);
                of_documents.push(values);
            }
            let mut expected: Vec<_> = counts.into_iter().collect();
            expected.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
            expected.truncate(max_values);
            let shown: std::collections::BTreeSet<&Scalar> =
                expected.iter().map(|(value, _)| value).collect();
            let other = of_documents
                .iter()
                .filter(|values| values.iter().any(|value| !shown.contains(value)))
                .count();
            let facet = &found.facets[0];
            let values: Vec<_> = facet
                .values
                .iter()
                .map(|it| (it.value.clone(), it.count))
                .collect();
            assert_eq!(values, expected, "{path} {filter:?}");
            assert_eq!(facet.other, other as u64, "{path} {filter:?} {max_values}");
        }
    }
}

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
            assert_eq!(scores.lexical > 0.0, number % 10 == 0, "{hit:?}");
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
