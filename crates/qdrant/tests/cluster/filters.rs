//! Filters and facets, against their definitions.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use siamese_index::{
    Comparison, Condition, DocumentDraft, DocumentWrite, Error, FacetRequest, FieldPath, Filter,
    Scalar, SearchOptions, Timestamp,
};

use crate::support::{cluster, default_of, ids, vector, write};

/// Metadata of every shape that conditions tell apart.
fn shapes(long: &str) -> Vec<Value> {
    vec![
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
        json!({"a": long}),
        json!({"a": "2024-05-01"}),
        json!({"a": "2024-05-01T00:00:00.5Z"}),
        json!({"a": "2024-05-01T02:00:00+02:00"}),
        json!({"a": "1969-12-31T23:59:59.5Z"}),
        json!({"a": ["2024-04-30", "2024-05-02"]}),
        json!({"_a b/c$": "x"}),
        json!({"": 0}),
    ]
}

fn scalar(value: &Value) -> Scalar {
    Scalar::of(value).unwrap()
}

fn moment(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

fn conditions(long: &str) -> Vec<Condition> {
    let mut conditions = vec![
        Condition::Exists,
        Condition::one_of([]),
        Condition::one_of([scalar(&json!(1)), scalar(&json!("x"))]),
        Condition::Contains(scalar(&json!(1))),
        Condition::Contains(scalar(&json!(null))),
        Condition::one_of_moments([moment("2024-05-01"), moment("2024-05-02")]),
    ];
    let equal = [
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
    ];
    conditions.extend(equal.map(|value| Condition::one_of([scalar(&value)])));
    for comparison in [
        Comparison::Greater,
        Comparison::AtLeast,
        Comparison::Less,
        Comparison::AtMost,
    ] {
        let numbers = [json!(1), json!(1.5), json!(-3), json!(0)];
        conditions.extend(numbers.map(|limit| Condition::Compares(comparison, scalar(&limit))));
        let moments = ["2024-05-01", "1970-01-01", "1969-12-31T23:59:59Z"];
        conditions
            .extend(moments.map(|limit| Condition::ComparesMoment(comparison, moment(limit))));
    }
    conditions
}

/// Every condition is true of exactly the documents of which [`Filter::matches`] says so.
#[test]
fn filters_mean_what_they_mean_in_a_data_folder() {
    let Some(cluster) = cluster() else { return };
    let collection = default_of(&cluster);
    let long = "long ".repeat(200);
    let shapes = shapes(&long);
    let documents = shapes.iter().enumerate();
    let documents: Vec<_> = documents
        .map(|(number, shape)| write(&format!("d{number}"), shape.clone(), &[vector(number)]))
        .collect();
    collection.writer.upsert(&documents).unwrap();
    let mut checked = 0;
    for path in ["a", "a.b", r"a\.b", "_a b/c$", ""] {
        let path = FieldPath::parse(path).unwrap();
        for condition in conditions(&long) {
            let filter = Filter::Field(path.clone(), condition);
            for filter in [
                filter.clone(),
                Filter::Not(Box::new(filter.clone())),
                Filter::All(vec![filter.clone(), Filter::Any(vec![])]),
                Filter::Any(vec![filter, Filter::All(vec![])]),
            ] {
                let passing = documents.iter().map(|document| &document.draft);
                let passing = passing.filter(|draft| filter.matches(&draft.metadata));
                let mut expected: Vec<String> = passing.map(|draft| draft.id.clone()).collect();
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

/// What a facet of these documents is by its definition.
fn expected<'a>(
    documents: impl Iterator<Item = &'a DocumentWrite>,
    path: &FieldPath,
    max_values: usize,
) -> (Vec<(Scalar, u64)>, u64) {
    let mut counts: BTreeMap<Scalar, u64> = BTreeMap::new();
    let mut of_documents = Vec::new();
    for document in documents {
        let values: BTreeSet<Scalar> = path.values(&document.draft.metadata).into_iter().collect();
        for value in &values {
            *counts.entry(value.clone()).or_default() += 1;
        }
        of_documents.push(values);
    }
    let mut expected: Vec<_> = counts.into_iter().collect();
    expected.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    expected.truncate(max_values);
    let shown: BTreeSet<&Scalar> = expected.iter().map(|(value, _)| value).collect();
    let has_other = |values: &&BTreeSet<Scalar>| values.iter().any(|it| !shown.contains(it));
    let other = of_documents.iter().filter(has_other).count();
    (expected, other as u64)
}

#[test]
fn facets_count_the_documents_of_the_filter_as_a_data_folder_does() {
    let Some(cluster) = cluster() else { return };
    let collection = default_of(&cluster);
    let documents = (0..60).map(|number| {
        let tags: Vec<String> = (0..number % 4).map(|tag| format!("t{tag}")).collect();
        let half = number % 2 == 0;
        let metadata =
            json!({"n": number % 3, "tags": tags, "x": number.to_string(), "half": half});
        write(&format!("d{number}"), metadata, &[vector(number)])
    });
    let documents: Vec<_> = documents.collect();
    collection.writer.upsert(&documents).unwrap();
    let half = FieldPath::parse("half").unwrap();
    let half = Filter::Field(half, Condition::one_of([Scalar::Bool(true)]));
    for filter in [None, Some(half)] {
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
                facets: FacetRequest {
                    paths: vec![path.clone()],
                    max_values,
                },
                ..SearchOptions::default()
            };
            let query = vector(0);
            let found = collection.reader.search(&(&query).into(), &options);
            let facet = &found.unwrap().facets[0];
            let values = facet.values.iter();
            let values: Vec<_> = values.map(|it| (it.value.clone(), it.count)).collect();
            let passes = |draft: &DocumentDraft| {
                let filter = filter.as_ref();
                draft.id != "d4" && filter.is_none_or(|filter| filter.matches(&draft.metadata))
            };
            let passing = documents.iter().filter(|document| passes(&document.draft));
            let (expected, other) = expected(passing, &path, max_values);
            assert_eq!(values, expected, "{path} {filter:?}");
            assert_eq!(facet.other, other, "{path} {filter:?} {max_values}");
        }
    }
}
