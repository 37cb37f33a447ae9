//! A condition on a document's metadata as a whole.

use super::{Condition, FieldPath, walk};
use crate::Metadata;

/// Which documents pass. Whoever makes a filter bounds how deep it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Filter {
    /// Every one of these passes; with none of them, everything does.
    All(Vec<Self>),
    /// At least one of these passes; with none of them, nothing does.
    Any(Vec<Self>),
    /// This one does not pass. A document without the field passes then.
    Not(Box<Self>),
    /// A value at the path meets the condition.
    Field(FieldPath, Condition),
}

impl Filter {
    /// Returns whether it lets everything pass because it says nothing.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::All(filters) if filters.is_empty())
    }

    /// Returns whether a document with this metadata passes.
    pub fn matches(&self, metadata: &Metadata) -> bool {
        match self {
            Self::All(filters) => filters.iter().all(|filter| filter.matches(metadata)),
            Self::Any(filters) => filters.iter().any(|filter| filter.matches(metadata)),
            Self::Not(filter) => !filter.matches(metadata),
            Self::Field(path, condition) => {
                walk::any_at(metadata, path, &mut |found| condition.accepts(found))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::{Comparison, Scalar};
    use serde_json::{Value, json};

    fn passes(metadata: Value, path: &str, condition: &Condition) -> bool {
        let metadata: Metadata = serde_json::from_value(metadata).unwrap();
        let path = FieldPath::parse(path).unwrap();
        Filter::Field(path, condition.clone()).matches(&metadata)
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers write json!(..) in place"
    )]
    fn scalar(value: Value) -> Scalar {
        Scalar::of(&value).unwrap()
    }

    fn equals(value: Value) -> Condition {
        Condition::one_of([scalar(value)])
    }

    #[test]
    fn a_value_in_an_array_counts_like_a_bare_one() {
        assert!(passes(json!({"a": 1}), "a", &equals(json!(1.0))));
        assert!(passes(json!({"a": [0, [1]]}), "a", &equals(json!(1))));
        assert!(!passes(json!({"a": []}), "a", &equals(json!(1))));
        assert!(!passes(json!({"a": {"b": 1}}), "a", &equals(json!(1))));
    }

    #[test]
    fn a_path_passes_through_arrays_of_objects() {
        let metadata = json!({"a": [{"b": 1}, [{"b": [2]}], 3, {"c": {"b": 4}}]});
        for (value, expected) in [(1, true), (2, true), (3, false), (4, false)] {
            let condition = equals(json!(value));
            assert_eq!(
                passes(metadata.clone(), "a.b", &condition),
                expected,
                "{value}"
            );
        }
    }

    #[test]
    fn types_are_never_mixed() {
        assert!(!passes(json!({"a": "1"}), "a", &equals(json!(1))));
        assert!(!passes(json!({"a": false}), "a", &equals(json!(0))));
        assert!(!passes(json!({"a": null}), "a", &equals(json!(""))));
        let above = Condition::Compares(Comparison::Greater, scalar(json!(5)));
        assert!(passes(json!({"a": 6}), "a", &above));
        assert!(!passes(json!({"a": "6"}), "a", &above));
    }

    #[test]
    fn null_is_there_and_an_absent_field_is_not() {
        assert!(passes(json!({"a": null}), "a", &Condition::Exists));
        assert!(passes(json!({"a": []}), "a", &Condition::Exists));
        assert!(passes(json!({"a": {"b": 1}}), "a", &Condition::Exists));
        assert!(!passes(json!({"b": 1}), "a", &Condition::Exists));
        assert!(passes(json!({"a": null}), "a", &equals(Value::Null)));
        assert!(!passes(json!({}), "a", &equals(Value::Null)));
    }

    #[test]
    fn contains_means_a_part_of_a_text_but_a_whole_element_of_an_array() {
        let contains = |value| Condition::Contains(scalar(value));
        assert!(passes(json!({"a": "dogma"}), "a", &contains(json!("dog"))));
        assert!(!passes(
            json!({"a": ["dogma"]}),
            "a",
            &contains(json!("dog"))
        ));
        assert!(passes(json!({"a": ["dog"]}), "a", &contains(json!("dog"))));
        assert!(passes(json!({"a": [7]}), "a", &contains(json!(7))));
        assert!(!passes(json!({"a": 7}), "a", &contains(json!(7))));
    }

    #[test]
    fn texts_compare_by_their_bytes_so_that_dates_sort() {
        let since = Condition::Compares(Comparison::AtLeast, scalar(json!("2024-05-01")));
        assert!(passes(json!({"a": "2024-05-01T00:00:00Z"}), "a", &since));
        assert!(!passes(json!({"a": "2024-04-30"}), "a", &since));
        assert!(passes(json!({"a": "é"}), "a", &since));
    }
}
