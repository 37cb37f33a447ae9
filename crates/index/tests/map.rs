//! A map of documents shows how far they are from each other.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail tests")]

mod support;

use std::num::NonZeroUsize;

use serde_json::json;
use siamese_index::{
    Cancel, Collection, Condition, DocumentDraft, DocumentMap, DocumentWrite, Error, FieldPath,
    Filter, Index, MapOptions, MapPoint, NewPassage, Scalar, VectorPrecision,
};
use support::{DIMENSIONS, open_with};

/// A vector of a plane: the quarter of a circle, from one axis to another.
fn vector(n: usize) -> Vec<f32> {
    let angle = n as f32 / 20.0 * std::f32::consts::FRAC_PI_2;
    let mut vector = vec![0.0; DIMENSIONS];
    (vector[1], vector[5]) = (angle.cos(), angle.sin());
    vector
}

fn stored(folder: &std::path::Path) -> Index {
    stored_with(folder, VectorPrecision::Full)
}

fn stored_with(folder: &std::path::Path, precision: VectorPrecision) -> Index {
    let index = open_with(folder, precision).unwrap();
    let writes = (0..20).map(|n| DocumentWrite {
        passages: Some(vec![NewPassage {
            start: 0,
            end: 4,
            vector: vector(n),
        }]),
        draft: DocumentDraft {
            id: format!("d{n}"),
            title: (n == 3).then(|| "The third".to_owned()),
            text: "text".to_owned(),
            metadata: serde_json::from_value(json!({ "odd": n % 2 == 1 })).unwrap(),
        },
    });
    let collection = index.collection("default").unwrap();
    let writes: Vec<_> = writes.collect();
    collection.writer().upsert(&writes).unwrap();
    drop(collection);
    index
}

fn options(max_points: usize) -> MapOptions {
    MapOptions {
        filter: None,
        max_points: NonZeroUsize::new(max_points).unwrap(),
    }
}

fn map(collection: &Collection, options: &MapOptions) -> DocumentMap {
    collection
        .reader()
        .map(options, &Cancel::default())
        .unwrap()
}

fn ids(collection: &Collection, map: &DocumentMap) -> Vec<String> {
    let read = map.points.iter();
    let read = read.filter_map(|point| collection.reader().read_point(point).unwrap());
    read.map(|document| document.id).collect()
}

#[test]
fn documents_are_as_far_from_each_other_as_their_vectors() {
    let folder = tempfile::tempdir().unwrap();
    let index = stored(folder.path());
    let collection = index.collection("default").unwrap();
    let found = map(&collection, &options(100));
    assert_eq!(found.points.len(), 20);
    assert!((found.shares[0] + found.shares[1] - 1.0).abs() < 1e-6);
    for (a, one) in found.points.iter().enumerate() {
        for (b, other) in found.points.iter().enumerate() {
            let shown = (one.x - other.x).hypot(one.y - other.y);
            let (left, right) = (vector(a), vector(b));
            let pairs = left.iter().zip(&right);
            let far: f32 = pairs.map(|(left, right)| (left - right).powi(2)).sum();
            assert!((shown - far.sqrt()).abs() < 1e-4, "{a} and {b}");
        }
    }
    assert_eq!(map(&collection, &options(100)), found);
}

#[test]
fn a_compact_collection_has_the_same_map() {
    let maps = VectorPrecision::ALL.map(|precision| {
        let folder = tempfile::tempdir().unwrap();
        let index = stored_with(folder.path(), precision);
        assert!(index.settle());
        let collection = index.collection("default").unwrap();
        assert!(collection.stats().segments > 0);
        map(&collection, &options(7)).points
    });
    assert_eq!(maps[0].len(), 7);
    let places = |map: &[MapPoint]| -> Vec<(f32, f32)> {
        map.iter().map(|point| (point.x, point.y)).collect()
    };
    assert_eq!(places(&maps[0]), places(&maps[1]));
}

#[test]
fn a_part_of_them_is_taken_evenly_and_one_that_has_gone_has_no_name() {
    let folder = tempfile::tempdir().unwrap();
    let index = stored(folder.path());
    let collection = index.collection("default").unwrap();
    let few = map(&collection, &options(4));
    assert_eq!((few.points.len(), few.documents), (4, 20));
    assert_eq!(ids(&collection, &few), ["d0", "d5", "d10", "d15"]);
    let odd = FieldPath::parse("odd").unwrap();
    let filter = Filter::Field(odd, Condition::one_of([Scalar::of(&json!(true)).unwrap()]));
    let filtered = MapOptions {
        filter: Some(filter),
        ..options(100)
    };
    let found = map(&collection, &filtered);
    assert_eq!((found.points.len(), found.documents), (10, 10));
    collection.writer().delete(&["d5".to_owned()]).unwrap();
    assert_eq!(ids(&collection, &few), ["d0", "d10", "d15"]);
    assert_eq!(map(&collection, &options(100)).documents, 19);
    let third = map(&collection, &options(100)).points[3];
    let third = collection.reader().read_point(&third).unwrap().unwrap();
    assert_eq!(third.title.as_deref(), Some("The third"));
}

#[test]
fn a_map_that_nobody_waits_for_ends() {
    let folder = tempfile::tempdir().unwrap();
    let index = stored(folder.path());
    let collection = index.collection("default").unwrap();
    let cancel = Cancel::default();
    cancel.cancel();
    let ended = collection.reader().map(&options(100), &cancel);
    assert!(matches!(ended, Err(Error::Cancelled)));
}
