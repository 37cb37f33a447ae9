//! Documents as they are stored, found, listed and deleted.

use serde_json::json;
use siamese_index::{
    Condition, DocumentWrite, Error, FieldPath, Filter, HitParts, Metadata, Scalar, SearchOptions,
    UpsertStatus, WritePlan, cosine,
};
use siamese_qdrant::ClusterCollection;

use crate::support::{cluster, default_of, draft, vector, write};

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
    assert_eq!(writer.delete_matching(&even, |_| ()).unwrap(), 5);
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
