//! Random metadata and random filters: the index must agree with looking at every document.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use roaring::RoaringBitmap;
use serde_json::{Value, json};

use super::{FacetCounts, MetadataIndex};
use crate::Metadata;
use crate::filter::{Comparison, Condition, FieldPath, Filter, Scalar, Timestamp};

const KEYS: [&str; 6] = ["a", "b", "c.d", "é\\", "", "$f"];

fn key() -> impl Strategy<Value = &'static str> {
    prop_oneof![4 => Just("a"), 4 => Just("b"), 1 => prop::sample::select(&KEYS[..])]
}

/// Long texts that are alike up to the place where the index cuts them, or just beyond it.
fn long_text() -> impl Strategy<Value = String> {
    let ending = prop::sample::select(vec!["", "a", "é", "日本", "ab", "b"]);
    (250..258_usize, ending).prop_map(|(length, ending)| "a".repeat(length) + ending)
}

fn text() -> impl Strategy<Value = String> {
    let short = [
        "",
        "a",
        "ab",
        "abc",
        "b",
        "é",
        "日本",
        "2024-01-02",
        "2024-01-02T03:04:05Z",
        "2024-01-01T23:00:00-04:00",
        "2024-01-02 05:04:05.000+02:00",
        "2024-01-03T03:04:05+23:00",
    ];
    prop_oneof![
        8 => prop::sample::select(short.to_vec()).prop_map(str::to_owned),
        2 => long_text(),
        1 => any::<String>(),
    ]
}

fn scalar() -> impl Strategy<Value = Value> {
    let near_2_pow_53 = (0..4_i64).prop_map(|n| json!((1_i64 << 53) + n));
    prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        3 => (-2..3_i64).prop_map(Value::from),
        2 => prop::sample::select(vec![-0.5, -0.0, 0.5, 1.0, 2.0, 9_007_199_254_740_992.0, 1e300])
            .prop_map(Value::from),
        1 => near_2_pow_53,
        1 => Just(json!(u64::MAX)),
        5 => text().prop_map(Value::from),
    ]
}

fn object(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Metadata> {
    prop::collection::vec((key(), value), 0..4)
        .prop_map(|fields| fields.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
}

fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            object(inner).prop_map(Value::from),
        ]
    })
}

fn metadata() -> impl Strategy<Value = Metadata> {
    let deep = value().prop_map(|value| {
        let nested = (0..20).fold(value, |value, _| json!({"a": value}));
        Metadata::from_iter([("a".to_owned(), nested)])
    });
    prop_oneof![20 => object(value()), 1 => deep]
}

fn path() -> impl Strategy<Value = FieldPath> {
    let short = prop::collection::vec(key(), 1..4);
    let deep = Just(vec!["a"; 17]);
    prop_oneof![30 => short, 1 => deep].prop_map(|keys| {
        let escaped = keys
            .iter()
            .map(|key| key.replace('\\', "\\\\").replace('.', "\\."));
        FieldPath::parse(&escaped.collect::<Vec<_>>().join(".")).unwrap()
    })
}

fn comparison() -> impl Strategy<Value = Comparison> {
    prop::sample::select(vec![
        Comparison::Greater,
        Comparison::AtLeast,
        Comparison::Less,
        Comparison::AtMost,
    ])
}

fn moment() -> impl Strategy<Value = Timestamp> {
    text().prop_filter_map("a date", |text| Timestamp::parse(&text).ok())
}

fn condition() -> impl Strategy<Value = Condition> {
    let operand = || scalar().prop_map(|value| Scalar::of(&value).unwrap());
    prop_oneof![
        1 => Just(Condition::Exists),
        3 => prop::collection::vec(operand(), 1..4).prop_map(Condition::one_of),
        3 => (comparison(), operand()).prop_map(|(how, limit)| Condition::Compares(how, limit)),
        3 => operand().prop_map(Condition::Contains),
        2 => text().prop_map(Condition::Prefix),
        1 => prop::collection::vec(moment(), 1..3).prop_map(Condition::one_of_moments),
        2 => (comparison(), moment()).prop_map(|(how, limit)| Condition::ComparesMoment(how, limit)),
    ]
}

fn filter() -> impl Strategy<Value = Filter> {
    let field = (path(), condition()).prop_map(|(path, asked)| Filter::Field(path, asked));
    field.prop_recursive(3, 10, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Filter::All),
            prop::collection::vec(inner.clone(), 0..3).prop_map(Filter::Any),
            inner.prop_map(|filter| Filter::Not(Box::new(filter))),
        ]
    })
}

/// What a path leads to, written once more and differently: lists instead of visits.
fn at<'a>(value: &'a Value, keys: &[String]) -> Vec<&'a Value> {
    match (keys.split_first(), value) {
        (None, value) => vec![value],
        (Some((first, rest)), Value::Object(object)) => object
            .get(first)
            .map(|value| at(value, rest))
            .unwrap_or_default(),
        (Some(_), Value::Array(elements)) => elements
            .iter()
            .flat_map(|element| at(element, keys))
            .collect(),
        _ => Vec::new(),
    }
}

fn elements(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(inner) => inner.iter().flat_map(elements).collect(),
        Value::Object(_) => Vec::new(),
        scalar => vec![scalar],
    }
}

/// The sign of `left - right` for two values of one type, as exact as JSON numbers are.
fn compare(left: &Value, right: &Value) -> Option<std::cmp::Ordering> {
    let integer = |value: &Value| {
        let whole = value
            .as_i64()
            .map(i128::from)
            .or(value.as_u64().map(i128::from));
        let float = value
            .as_f64()
            .filter(|float| float.fract() == 0.0 && float.abs() < 1e30);
        whole.or(float.map(|float| float as i128))
    };
    match (left, right) {
        (Value::Number(_), Value::Number(_)) => match (integer(left), integer(right)) {
            (Some(left), Some(right)) => Some(left.cmp(&right)),
            // One is a fraction or huge, so that f64 tells them apart.
            _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
        },
        (Value::String(left), Value::String(right)) => Some(left.as_bytes().cmp(right.as_bytes())),
        (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
        (Value::Null, Value::Null) => Some(std::cmp::Ordering::Equal),
        _ => None,
    }
}

fn json_of(scalar: &Scalar) -> Value {
    match scalar {
        Scalar::Null => Value::Null,
        Scalar::Bool(value) => json!(value),
        Scalar::Text(text) => json!(**text),
        Scalar::Number(number) => match number.as_integer().map(i64::try_from) {
            Some(Ok(integer)) => json!(integer),
            _ if number.as_integer() == Some(u64::MAX.into()) => json!(u64::MAX),
            _ => json!(number.as_f64()),
        },
    }
}

fn holds(how: Comparison, order: std::cmp::Ordering) -> bool {
    match how {
        Comparison::Greater => order.is_gt(),
        Comparison::AtLeast => order.is_ge(),
        Comparison::Less => order.is_lt(),
        Comparison::AtMost => order.is_le(),
    }
}

fn moment_of(value: &Value) -> Option<Timestamp> {
    Timestamp::parse(value.as_str()?).ok()
}

fn asked(found: &Value, condition: &Condition) -> bool {
    let equal = |left: &Value, right: &Scalar| {
        compare(left, &json_of(right)).is_some_and(std::cmp::Ordering::is_eq)
    };
    let values = elements(found);
    match condition {
        Condition::Exists => true,
        Condition::OneOf(wanted) => {
            let is_wanted = |value: &&Value| wanted.iter().any(|wanted| equal(value, wanted));
            values.iter().any(is_wanted)
        }
        Condition::Compares(how, limit) => values.iter().any(|value| {
            let ordered = value.is_number() || value.is_string();
            let order = compare(value, &json_of(limit)).filter(|_| ordered);
            order.is_some_and(|order| holds(*how, order))
        }),
        Condition::AtOneOf(moments) => values.iter().any(|value| {
            moments
                .iter()
                .any(|moment| moment_of(value) == Some(*moment))
        }),
        Condition::ComparesMoment(how, limit) => values
            .iter()
            .any(|value| moment_of(value).is_some_and(|moment| holds(*how, moment.cmp(limit)))),
        Condition::Contains(part) => match (found, part) {
            (Value::Array(_), part) => values.iter().any(|value| equal(value, part)),
            (Value::String(text), Scalar::Text(part)) => text.contains(&**part),
            _ => false,
        },
        Condition::Prefix(prefix) => values
            .iter()
            .any(|value| value.as_str().is_some_and(|text| text.starts_with(prefix))),
    }
}

fn passes(metadata: &Value, filter: &Filter) -> bool {
    match filter {
        Filter::All(filters) => filters.iter().all(|filter| passes(metadata, filter)),
        Filter::Any(filters) => filters.iter().any(|filter| passes(metadata, filter)),
        Filter::Not(filter) => !passes(metadata, filter),
        Filter::Field(path, condition) => at(metadata, path.keys())
            .into_iter()
            .any(|found| asked(found, condition)),
    }
}

type Documents = BTreeMap<u32, Metadata>;

fn brute_force(documents: &Documents, filter: &Filter) -> RoaringBitmap {
    let passing = documents
        .iter()
        .filter(|(_, metadata)| passes(&Value::from((*metadata).clone()), filter));
    passing.map(|(number, _)| *number).collect()
}

fn check_filter(index: &MetadataIndex, documents: &Documents, filter: &Filter) {
    let expected = brute_force(documents, filter);
    let by_definition = documents
        .iter()
        .filter(|(_, metadata)| filter.matches(metadata));
    let by_definition: RoaringBitmap = by_definition.map(|(number, _)| *number).collect();
    assert_eq!(by_definition, expected, "{filter:?}");
    let bounds = index.bounds(filter);
    assert!(
        bounds.certain.is_subset(&expected),
        "{filter:?} {bounds:?} {expected:?}"
    );
    assert!(
        expected.is_subset(&bounds.possible),
        "{filter:?} {bounds:?} {expected:?}"
    );
    assert!(bounds.possible.is_subset(index.documents()));
    for number in bounds.undecided() {
        assert!(
            may_be_undecided(index, &documents[&number]),
            "{number} {filter:?}"
        );
    }
}

/// Only long texts, long paths and paths without room may leave something open.
fn may_be_undecided(index: &MetadataIndex, metadata: &Metadata) -> bool {
    fn has_long_text(value: &Value) -> bool {
        match value {
            Value::String(text) => text.len() > super::path_values::MAX_INDEXED_TEXT_BYTES,
            Value::Array(elements) => elements.iter().any(has_long_text),
            Value::Object(object) => object.values().any(has_long_text),
            _ => false,
        }
    }
    let is_deep = metadata
        .get("a")
        .is_some_and(|value| value.to_string().contains(&"{\"a\":".repeat(15)));
    has_long_text(&Value::from(metadata.clone())) || is_deep || index.is_crowded()
}

fn check_facet(index: &MetadataIndex, documents: &Documents, path: &FieldPath, among: &Filter) {
    let among = brute_force(documents, among);
    let values = |number: u32| -> BTreeSet<Scalar> {
        let metadata = Value::from(documents[&number].clone());
        let found = at(&metadata, path.keys()).into_iter().flat_map(elements);
        found.map(|value| Scalar::of(value).unwrap()).collect()
    };
    let mut expected: BTreeMap<Scalar, u64> = BTreeMap::new();
    for value in among.iter().flat_map(values) {
        *expected.entry(value).or_default() += 1;
    }
    let mut expected: Vec<(Scalar, u64)> = expected.into_iter().collect();
    expected.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    for limit in [0, 1, 2, usize::MAX] {
        let in_record = index.partly_known(path, &among);
        let in_index = &among - &in_record;
        let mut counts = FacetCounts::default();
        for number in &in_record {
            counts.add(path, &documents[&number]);
        }
        let found = index.most_frequent(path, &in_index, &counts, limit);
        let (listed, rest) = expected.split_at(limit.min(expected.len()));
        assert_eq!(found.values, listed, "{path}");
        let is_in_rest = |value: &Scalar| rest.iter().any(|(other, _)| other == value);
        let other = among
            .iter()
            .filter(|number| values(*number).iter().any(is_in_rest));
        assert_eq!(found.other, other.count() as u64, "{path}");
    }
}

#[derive(Debug, Clone)]
enum Change {
    Add(Metadata),
    Replace(prop::sample::Index, Metadata),
    Remove(prop::sample::Index),
}

fn change() -> impl Strategy<Value = Change> {
    let place = any::<prop::sample::Index>;
    prop_oneof![
        5 => metadata().prop_map(Change::Add),
        1 => (place(), metadata()).prop_map(|(place, new)| Change::Replace(place, new)),
        1 => place().prop_map(Change::Remove),
    ]
}

fn chosen(documents: &Documents, place: &prop::sample::Index) -> Option<u32> {
    let numbers: Vec<u32> = documents.keys().copied().collect();
    (!numbers.is_empty()).then(|| *place.get(&numbers))
}

/// Document `n` has the passages `2n` and, if `n` is odd, `2n + 1`.
fn passages(document: u32) -> std::ops::Range<u32> {
    2 * document..2 * document + 1 + document % 2
}

fn apply(index: &mut MetadataIndex, documents: &mut Documents, number: u32, change: Change) {
    match change {
        Change::Add(metadata) => {
            index.add(number, passages(number), &metadata);
            documents.insert(number, metadata);
        }
        Change::Replace(place, new) => {
            if let Some(number) = chosen(documents, &place) {
                index.replace(number, &documents[&number], &new);
                documents.insert(number, new);
            }
        }
        Change::Remove(place) => {
            if let Some(number) = chosen(documents, &place) {
                index.remove(number, &documents[&number]);
                documents.remove(&number);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn the_index_agrees_with_looking_at_every_document(
        changes in prop::collection::vec(change(), 1..40),
        filters in prop::collection::vec(filter(), 1..20),
        paths in prop::collection::vec(path(), 1..5),
    ) {
        let (mut index, mut documents) = (MetadataIndex::default(), Documents::new());
        let mut earlier = None;
        let half = changes.len() / 2;
        for (number, change) in (0..).zip(changes) {
            apply(&mut index, &mut documents, number, change);
            prop_assert_eq!(index.bytes(), index.counted_bytes());
            if number as usize == half {
                earlier = Some((index.clone(), documents.clone()));
            }
        }
        for (index, documents) in [(index.clone(), documents.clone())].into_iter().chain(earlier) {
            for filter in &filters {
                check_filter(&index, &documents, filter);
                check_facet(&index, &documents, &paths[0], filter);
            }
            for path in &paths {
                check_facet(&index, &documents, path, &Filter::All(Vec::new()));
            }
            let expected: RoaringBitmap = documents.keys().flat_map(|number| passages(*number)).collect();
            prop_assert_eq!(index.passages_of(index.documents()), expected);
        }
        for (number, metadata) in &documents {
            index.remove(*number, metadata);
        }
        prop_assert!(index.is_empty(), "{index:?}");
    }
}

fn stored(index: &mut MetadataIndex, number: u32, metadata: Value) {
    let Value::Object(metadata) = metadata else {
        panic!("metadata is an object");
    };
    index.add(number, passages(number), &metadata);
}

fn equals(path: &str, value: &str) -> Filter {
    let condition = Condition::one_of(vec![Scalar::text(value)]);
    Filter::Field(FieldPath::parse(path).unwrap(), condition)
}

#[test]
fn a_document_with_very_many_paths_leaves_room_for_those_of_the_others() {
    let mut index = MetadataIndex::default();
    let many: Metadata = (0..2000)
        .map(|n| (format!("only-{n}"), json!("x")))
        .collect();
    stored(&mut index, 0, Value::from(many.clone()));
    for number in 1..50 {
        let keys = (0..20).map(|n| (format!("common-{n}"), json!("y")));
        stored(&mut index, number, Value::from(keys.collect::<Metadata>()));
    }
    for n in 0..20 {
        assert!(index.is_indexed(&format!("common-{n}")), "{n}");
        let bounds = index.bounds(&equals(&format!("common-{n}"), "y"));
        assert!(bounds.undecided().len() <= 1, "{bounds:?}");
        assert!(bounds.certain.len() >= 48, "{bounds:?}");
    }
    // A path without room is read from the documents that have it, and from no others.
    let bounds = index.bounds(&equals("only-1999", "x"));
    assert_eq!(bounds.undecided(), [0].into_iter().collect());
    let nowhere = index.bounds(&equals("nowhere", "x"));
    assert!(nowhere.possible.is_empty());
    index.remove(0, &many);
    let nowhere = index.bounds(&equals("only-1999", "x"));
    assert!(nowhere.possible.is_empty());
}

#[test]
fn a_key_that_one_document_has_often_is_not_taken_for_a_common_one() {
    let mut index = MetadataIndex::default();
    let first = (0..24).map(|n| (format!("first-{n}"), json!(1)));
    stored(&mut index, 0, Value::from(first.collect::<Metadata>()));
    let often = json!({"list": (0..9).map(|_| json!({"often": 1})).collect::<Vec<_>>()});
    stored(&mut index, 1, often);
    assert!(!index.is_indexed("list.often"));
    assert!((0..24).all(|n| index.is_indexed(&format!("first-{n}"))));
}
