//! What filters mean and how they are refused.

use serde_json::{Value, json};
use siamese_index::Filter;

use super::FilterShape;
use crate::config::{Overrides, Settings};

fn read(filter: Value) -> Result<Filter, (String, String)> {
    let limits = Settings::load(&Overrides::default()).unwrap().limits;
    let shape: FilterShape = serde_json::from_value(filter).unwrap();
    shape.read(&limits, "/filter").map_err(|error| {
        let problem = error.problem(None);
        (problem.pointer.unwrap(), problem.detail)
    })
}

#[track_caller]
fn passes(filter: Value, metadata: Value) -> bool {
    let metadata = serde_json::from_value(metadata).unwrap();
    read(filter).unwrap().matches(&metadata)
}

#[track_caller]
fn refused(filter: Value, pointer: &str) -> String {
    let (place, detail) = read(filter).unwrap_err();
    assert_eq!(place, pointer, "{detail}");
    detail
}

#[test]
fn every_operator_does_what_its_name_says() {
    for (condition, passing, failing) in [
        (json!(1), json!(1.0), json!(2)),
        (json!(null), json!(null), json!(0)),
        (json!({"$eq": "x"}), json!(["x"]), json!("xy")),
        (json!({"$ne": "x"}), json!("y"), json!(["x", "y"])),
        (json!({"$in": [1, "a"]}), json!("a"), json!("1")),
        (json!({"$nin": [1, "a"]}), json!("1"), json!([2, 1])),
        (json!({"$gt": 5}), json!(5.5), json!(5)),
        (json!({"$gte": 5}), json!(5), json!(4)),
        (json!({"$lt": "b"}), json!("a"), json!("b")),
        (json!({"$lte": "b"}), json!("b"), json!("ba")),
        (json!({"$gt": 1, "$lt": 3}), json!(2), json!(3)),
        (json!({"$contains": "or"}), json!("word"), json!(["word"])),
        (json!({"$contains": "or"}), json!(["or"]), json!("Or")),
        (json!({"$prefix": "wo"}), json!("word"), json!("sword")),
        (json!({"$not": {"$prefix": "wo"}}), json!(1), json!("word")),
    ] {
        let filter = json!({"f": condition});
        assert!(passes(filter.clone(), json!({"f": passing})), "{filter}");
        assert!(!passes(filter.clone(), json!({"f": failing})), "{filter}");
    }
}

#[test]
fn dates_compare_as_moments_whatever_their_spelling() {
    let date = json!({"$date": "2024-05-01T12:00:00+02:00"});
    let same = [
        "2024-05-01T10:00:00Z",
        "2024-05-01T10:00:00.000",
        "2024-05-01 03:00:00-0700",
    ];
    let other = [
        json!("2024-05-01T12:00:00Z"),
        json!("2024-05-01"),
        json!(1_714_557_600),
        json!("x"),
    ];
    for condition in [
        date.clone(),
        json!({"$eq": date}),
        json!({"$in": [date]}),
        json!({"$in": ["y", date]}),
        json!({"$gte": date, "$lte": date}),
        json!({"$not": {"$ne": date}}),
        json!({"$not": {"$nin": [date, 7]}}),
    ] {
        let filter = json!({"f": condition});
        for value in same {
            assert!(
                passes(filter.clone(), json!({"f": value})),
                "{filter} {value}"
            );
            assert!(
                passes(filter.clone(), json!({"f": ["x", value]})),
                "{filter} {value}"
            );
        }
        for value in &other {
            assert!(
                !passes(filter.clone(), json!({"f": value})),
                "{filter} {value}"
            );
        }
    }
    let since = json!({"f": {"$gt": date, "$lt": {"$date": "2024-05-02"}}});
    assert!(passes(
        since.clone(),
        json!({"f": "2024-05-02T01:00:00+02:00"})
    ));
    assert!(!passes(since, json!({"f": "2024-05-02T00:00:00"})));
    assert!(
        passes(
            json!({"f": {"$gte": "2024-05-01"}}),
            json!({"f": "2024-05-01T"})
        ),
        "strings stay strings"
    );
}

#[test]
fn what_is_no_date_is_refused_where_it_stands() {
    let detail = refused(
        json!({"f": {"$gte": {"$date": "2024-13-01"}}}),
        "/filter/f/$gte/$date",
    );
    assert!(
        detail.contains("2024-13-01") && detail.contains("+02:00"),
        "{detail}"
    );
    refused(json!({"f": {"$date": 1}}), "/filter/f/$date");
    refused(
        json!({"f": {"$in": ["a", {"$date": null}]}}),
        "/filter/f/$in/1/$date",
    );
    refused(
        json!({"f": {"$date": "2024-05-01", "$gt": 1}}),
        "/filter/f/$gt",
    );
    refused(
        json!({"f": {"$eq": {"$date": "2024-05-01", "x": 1}}}),
        "/filter/f/$eq/x",
    );
    refused(
        json!({"f": {"$prefix": {"$date": "2024-05-01"}}}),
        "/filter/f/$prefix",
    );
    refused(
        json!({"f": {"$contains": {"$date": "2024-05-01"}}}),
        "/filter/f/$contains",
    );
    refused(json!({"$date": "2024-05-01"}), "/filter/$date");
    refused(json!({"f": {"$date": "2".repeat(5000)}}), "/filter/f/$date");
}

#[test]
fn negated_operators_pass_documents_without_the_field() {
    for condition in [
        json!({"$ne": 1}),
        json!({"$nin": [1]}),
        json!({"$exists": false}),
        json!({"$not": {"$gt": 1}}),
    ] {
        assert!(passes(json!({"f": condition}), json!({})), "{condition}");
    }
    assert!(!passes(json!({"f": {"$exists": true}}), json!({})));
    assert!(!passes(json!({"f": {"$lt": 1}}), json!({})));
}

#[test]
fn several_fields_mean_and_and_operators_combine() {
    let both = json!({"a": 1, "b.c": 2});
    assert!(passes(both.clone(), json!({"a": 1, "b": {"c": 2}})));
    assert!(!passes(both, json!({"a": 1, "b": {"c": 3}})));
    let either = json!({"$or": [{"a": 1}, {"$and": [{"b": 2}, {"$not": {"c": 3}}]}]});
    assert!(passes(either.clone(), json!({"b": 2})));
    assert!(!passes(either, json!({"b": 2, "c": 3})));
    assert!(passes(json!({}), json!({})));
    assert!(passes(json!({r"\$a\.b": 1}), json!({"$a.b": 1})));
}

#[test]
fn what_is_wrong_is_pointed_at() {
    let detail = refused(json!({"a": {"$regex": "x"}}), "/filter/a/$regex");
    assert!(detail.contains("$prefix"), "{detail}");
    let detail = refused(json!({"a": {"b": 1}}), "/filter/a/b");
    assert!(detail.contains("\"a.b\""), "{detail}");
    refused(json!({"$nor": []}), "/filter/$nor");
    refused(json!({"$and": []}), "/filter/$and");
    refused(json!({"$and": {"a": 1}}), "/filter/$and");
    refused(json!({"$or": [{"a": 1}, 7]}), "/filter/$or/1");
    refused(json!({"$or": [{"a": 1}, {}]}), "/filter/$or/1");
    refused(json!({"$not": {}}), "/filter/$not");
    refused(json!({"$not": 1}), "/filter/$not");
    refused(json!({"a": {}}), "/filter/a");
    refused(json!({"a": [1]}), "/filter/a");
    refused(json!({"a/b~c": {"$in": []}}), "/filter/a~1b~0c/$in");
    refused(json!({"a": {"$in": "x"}}), "/filter/a/$in");
    refused(json!({"a": {"$nin": [1, [2]]}}), "/filter/a/$nin/1");
    refused(json!({"a": {"$gt": null}}), "/filter/a/$gt");
    refused(json!({"a": {"$lte": true}}), "/filter/a/$lte");
    refused(json!({"a": {"$lt": [1]}}), "/filter/a/$lt");
    refused(json!({"a": {"$exists": 1}}), "/filter/a/$exists");
    refused(json!({"a": {"$prefix": 1}}), "/filter/a/$prefix");
    refused(json!({"a": {"$contains": {}}}), "/filter/a/$contains");
    refused(json!({"a": {"$eq": {"b": 1}}}), "/filter/a/$eq");
    refused(json!({r"a\x": 1}), r"/filter/a\x");
}

#[test]
fn limits_hold_at_the_edge_and_are_named_over_it() {
    let nested = |depth| (1..depth).fold(json!({"a": 1}), |inner, _| json!({"$not": inner}));
    assert!(read(nested(16)).is_ok());
    let (pointer, detail) = read(nested(17)).unwrap_err();
    assert_eq!(pointer, format!("/filter{}", "/$not".repeat(16)));
    assert!(detail.contains("limits.max_filter_depth = 16"), "{detail}");
    let inner = (1..17).fold(json!({"$eq": 1}), |inner, _| json!({"$not": inner}));
    assert!(read(json!({"a": inner})).is_err());

    let wide = |clauses: usize| json!({"$or": vec![json!({"a": 1}); clauses - 1]});
    assert!(read(wide(256)).is_ok());
    let detail = refused(wide(257), "/filter/$or/255/a");
    assert!(
        detail.contains("limits.max_filter_clauses = 256"),
        "{detail}"
    );

    let values = |count: usize| json!({"a": {"$in": (0..count).collect::<Vec<_>>()}});
    assert!(read(values(10_000)).is_ok());
    let detail = refused(values(10_001), "/filter/a/$in");
    assert!(
        detail.contains("limits.max_filter_values = 10000"),
        "{detail}"
    );

    assert!(read(json!({"a": "x".repeat(4096)})).is_ok());
    let detail = refused(json!({"a": "x".repeat(4097)}), "/filter/a");
    assert!(
        detail.contains("limits.max_filter_text_bytes = 4096"),
        "{detail}"
    );
}
