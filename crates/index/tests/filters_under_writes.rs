//! A search filters, ranks and counts one state, whatever is being written.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail tests")]

mod support;

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use siamese_index::{
    Condition, DocumentDraft, DocumentWrite, FacetRequest, FieldPath, Filter, HitParts, Index,
    IndexOptions, NewPassage, Scalar, SearchOptions,
};
use support::encoder;

const WRITES: usize = 150;

fn document(id: &str, text: &str, metadata: Value) -> DocumentWrite {
    let draft = DocumentDraft {
        id: id.to_owned(),
        title: None,
        text: text.to_owned(),
        metadata: serde_json::from_value(metadata).unwrap(),
    };
    let passage = |n: usize| NewPassage {
        start: 0,
        end: text.len(),
        vector: vec![1.0, n as f32],
    };
    let passages = Some((0..3).map(passage).collect());
    DocumentWrite { draft, passages }
}

/// Two documents of which one has the lamp on; every third pair comes with new texts.
fn pair(write: usize) -> [DocumentWrite; 2] {
    let lamp = |is_on| if is_on { "on" } else { "off" };
    let text = format!("text {}", write / 3);
    ["left", "right"].map(|id| {
        let is_on = write.is_multiple_of(2) == (id == "left");
        document(id, &text, json!({"lamp": lamp(is_on)}))
    })
}

#[test]
fn exactly_one_of_two_that_change_together_passes_at_every_moment() {
    let folder = tempfile::tempdir().unwrap();
    let encoder = encoder(2);
    let index = Index::open(folder.path(), &encoder, &IndexOptions::default()).unwrap();
    let collection = index.collection("default").unwrap();
    collection.writer().upsert(&pair(0)).unwrap();
    let lamp = FieldPath::parse("lamp").unwrap();
    let on = Scalar::text("on");
    let options = SearchOptions {
        filter: Some(Filter::Field(lamp.clone(), Condition::one_of([on.clone()]))),
        facets: FacetRequest {
            paths: vec![lamp],
            max_values: 10,
        },
        ..SearchOptions::default()
    };
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for write in 1..WRITES {
                collection.writer().upsert(&pair(write)).unwrap();
            }
            is_done.store(true, Ordering::Release);
        });
        while !is_done.load(Ordering::Acquire) {
            let results = collection.reader().search(&[1.0, 0.5], &options).unwrap();
            assert_eq!(results.total.value, 1);
            assert_eq!(results.facets[0].values.len(), 1);
            assert_eq!(
                (
                    &results.facets[0].values[0].value,
                    results.facets[0].values[0].count
                ),
                (&on, 1)
            );
            // The document may have been replaced three times while it was being read.
            assert!(results.hits.len() <= 1);
            for hit in &results.hits {
                let parts = HitParts {
                    metadata: true,
                    filter: options.filter.as_ref(),
                    ..HitParts::default()
                };
                // What has been switched off meanwhile is not returned.
                if let Some(content) = collection.reader().read_hit(hit, &parts).unwrap() {
                    assert_eq!(content.metadata.unwrap()["lamp"], "on");
                }
            }
        }
    });
    let results = collection.reader().search(&[1.0, 0.5], &options).unwrap();
    assert_eq!(results.hits.len(), 1);
}

#[test]
fn deleting_by_filter_takes_more_than_one_batch_and_leaves_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let encoder = encoder(2);
    let index = Index::open(folder.path(), &encoder, &IndexOptions::default()).unwrap();
    let collection = index.collection("default").unwrap();
    let documents: Vec<_> = (0..3300)
        .map(|n| document(&format!("d{n}"), "text", json!({"n": n, "third": n % 3})))
        .collect();
    collection.writer().upsert(&documents).unwrap();
    let third = FieldPath::parse("third").unwrap();
    let two_thirds =
        Condition::one_of([Scalar::Number(0_i64.into()), Scalar::Number(2_i64.into())]);
    let filter = Filter::Field(third, two_thirds);
    assert_eq!(collection.reader().count_matching(&filter).unwrap(), 2200);
    assert_eq!(collection.writer().delete_matching(&filter).unwrap(), 2200);
    assert_eq!(collection.stats().documents, 1100);
    assert_eq!(collection.reader().count_matching(&filter).unwrap(), 0);
    assert_eq!(
        collection
            .reader()
            .count_matching(&Filter::Not(Box::new(filter)))
            .unwrap(),
        1100
    );
}
