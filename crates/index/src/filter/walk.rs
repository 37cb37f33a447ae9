//! Which values a path leads to, and which paths lead to a value: one definition for both.
//!
//! Arrays stand for each of their elements, at any depth, so a path passes through arrays of
//! objects without naming them.

use serde_json::Value;

use super::field_path::push_key;
use super::{FieldPath, Scalar, ScalarRef};
use crate::Metadata;

/// What is found at a path.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Found<'a> {
    /// Anything at all; also an empty array, an object, null.
    Field,
    /// A value that stands there by itself.
    Bare(ScalarRef<'a>),
    /// A value in an array that stands there.
    Element(ScalarRef<'a>),
}

/// Calls `visit` for everything that `path` leads to, until it says true; returns whether it did.
pub(crate) fn any_at<'a>(
    metadata: &'a Metadata,
    path: &FieldPath,
    visit: &mut impl FnMut(Found<'a>) -> bool,
) -> bool {
    let Some((first, rest)) = path.keys().split_first() else {
        return false;
    };
    let field = metadata.get(first);
    field.is_some_and(|value| any_below(value, rest, visit))
}

impl FieldPath {
    /// The values that it leads to in `metadata`, in their order: what conditions compare and facets
    /// count. Arrays stand for each of their elements.
    pub fn values(&self, metadata: &Metadata) -> Vec<Scalar> {
        let mut values = Vec::new();
        any_at(metadata, self, &mut |found| {
            if let Found::Bare(value) | Found::Element(value) = found {
                values.push(value.to_owned());
            }
            false
        });
        values
    }
}

fn any_below<'a>(
    value: &'a Value,
    keys: &[String],
    visit: &mut impl FnMut(Found<'a>) -> bool,
) -> bool {
    let Some((first, rest)) = keys.split_first() else {
        return visit(Found::Field) || any_value(value, visit);
    };
    match value {
        Value::Object(object) => object
            .get(first)
            .is_some_and(|value| any_below(value, rest, visit)),
        Value::Array(elements) => elements
            .iter()
            .any(|element| any_below(element, keys, visit)),
        _ => false,
    }
}

fn any_value<'a>(value: &'a Value, visit: &mut impl FnMut(Found<'a>) -> bool) -> bool {
    match (value, ScalarRef::of(value)) {
        (_, Some(scalar)) => visit(Found::Bare(scalar)),
        (Value::Array(elements), _) => elements.iter().any(|element| any_element(element, visit)),
        _ => false,
    }
}

fn any_element<'a>(value: &'a Value, visit: &mut impl FnMut(Found<'a>) -> bool) -> bool {
    match (value, ScalarRef::of(value)) {
        (_, Some(scalar)) => visit(Found::Element(scalar)),
        (Value::Array(elements), _) => elements.iter().any(|element| any_element(element, visit)),
        _ => false,
    }
}

/// Receives everything that stands in metadata, with its path.
pub(crate) trait Visitor {
    /// Takes what stands at a path in canonical form. For [`Found::Field`], the answer says
    /// whether to go on below it.
    fn visit(&mut self, path: &str, keys: usize, found: Found<'_>) -> bool;
}

/// Shows all of `metadata` to `visitor`.
pub(crate) fn all(metadata: &Metadata, visitor: &mut impl Visitor) {
    let mut path = String::new();
    object(metadata, &mut path, 0, visitor);
}

/// What stands at a path of a document's metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetadataValue {
    /// Something, be it null, an empty array or an object.
    Field,
    /// A value that stands by itself.
    Bare(Scalar),
    /// A value in an array.
    Element(Scalar),
}

/// All that conditions on a document can be about: each path, in its canonical form, with all that stands there. It is
/// what [`Filter::matches`](super::Filter::matches) looks at.
pub fn metadata_values(metadata: &Metadata) -> Vec<(String, MetadataValue)> {
    struct Gathered(Vec<(String, MetadataValue)>);
    impl Visitor for Gathered {
        fn visit(&mut self, path: &str, _keys: usize, found: Found<'_>) -> bool {
            let value = match found {
                Found::Field => MetadataValue::Field,
                Found::Bare(value) => MetadataValue::Bare(value.to_owned()),
                Found::Element(value) => MetadataValue::Element(value.to_owned()),
            };
            self.0.push((path.to_owned(), value));
            true
        }
    }
    let mut gathered = Gathered(Vec::new());
    all(metadata, &mut gathered);
    gathered.0
}

fn object(object: &Metadata, path: &mut String, depth: usize, visitor: &mut impl Visitor) {
    let length = path.len();
    for (key, value) in object {
        if depth > 0 {
            path.push('.');
        }
        push_key(path, key);
        if visitor.visit(path, depth + 1, Found::Field) {
            field(value, path, depth + 1, visitor);
        }
        path.truncate(length);
    }
}

fn field(value: &Value, path: &mut String, depth: usize, visitor: &mut impl Visitor) {
    match (value, ScalarRef::of(value)) {
        (_, Some(scalar)) => {
            visitor.visit(path, depth, Found::Bare(scalar));
        }
        (Value::Object(inner), _) => object(inner, path, depth, visitor),
        _ => element(value, path, depth, visitor),
    }
}

fn element(value: &Value, path: &mut String, depth: usize, visitor: &mut impl Visitor) {
    match (value, ScalarRef::of(value)) {
        (_, Some(scalar)) => {
            visitor.visit(path, depth, Found::Element(scalar));
        }
        (Value::Object(inner), _) => object(inner, path, depth, visitor),
        (Value::Array(elements), _) => {
            for value in elements {
                element(value, path, depth, visitor);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_leads_to_every_element_in_order() {
        let Value::Object(metadata) = json!({
            "a": {"b": 1},
            "tags": ["x", ["y", null], {"z": 1}],
            "authors": [{"name": "m"}, {"name": ["n", "o"]}, {}],
        }) else {
            return;
        };
        let values = |path: &str| {
            let path = FieldPath::parse(path).unwrap();
            let values = path.values(&metadata).into_iter();
            values.map(|value| format!("{value:?}")).collect::<Vec<_>>()
        };
        let expected = |values: &[Value]| {
            let values = values.iter().map(|value| Scalar::of(value).unwrap());
            values.map(|value| format!("{value:?}")).collect::<Vec<_>>()
        };
        assert_eq!(values("a.b"), expected(&[json!(1)]));
        assert_eq!(
            values("tags"),
            expected(&[json!("x"), json!("y"), json!(null)])
        );
        assert_eq!(
            values("authors.name"),
            expected(&[json!("m"), json!("n"), json!("o")])
        );
        for path in ["a", "a.c", "none", "a.b.c", ""] {
            assert!(values(path).is_empty(), "{path}");
        }
    }
}
