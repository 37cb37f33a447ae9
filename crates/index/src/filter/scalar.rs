//! A value that a condition can be about.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde_json::Value;

use super::Number;

/// A JSON value that is neither array nor object. Values sort by type, then within it; texts sort
/// by their bytes.
#[derive(Debug, Clone)]
pub enum Scalar {
    /// `null`, which is not the same as an absent field.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string. Shared, because the index copies values when it is written to.
    Text(Arc<str>),
}

/// A borrowed [`Scalar`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum ScalarRef<'a> {
    // The order of the variants is the order of types.
    Null,
    Bool(bool),
    Number(Number),
    Text(&'a str),
}

impl Scalar {
    /// A string.
    pub fn text(text: &str) -> Self {
        Self::Text(Arc::from(text))
    }

    /// A JSON value, unless it is an array or an object.
    pub fn of(value: &Value) -> Option<Self> {
        ScalarRef::of(value).map(ScalarRef::to_owned)
    }

    pub(crate) fn by_ref(&self) -> ScalarRef<'_> {
        match self {
            Self::Null => ScalarRef::Null,
            Self::Bool(value) => ScalarRef::Bool(*value),
            Self::Number(number) => ScalarRef::Number(*number),
            Self::Text(text) => ScalarRef::Text(text),
        }
    }
}

impl<'a> ScalarRef<'a> {
    pub(crate) fn of(value: &'a Value) -> Option<Self> {
        match value {
            Value::Null => Some(Self::Null),
            Value::Bool(value) => Some(Self::Bool(*value)),
            Value::Number(number) => Some(Self::Number(Number::of(number))),
            Value::String(text) => Some(Self::Text(text)),
            Value::Array(_) | Value::Object(_) => None,
        }
    }

    pub(crate) fn to_owned(self) -> Scalar {
        match self {
            Self::Null => Scalar::Null,
            Self::Bool(value) => Scalar::Bool(value),
            Self::Number(number) => Scalar::Number(number),
            Self::Text(text) => Scalar::text(text),
        }
    }
}

impl Ord for Scalar {
    fn cmp(&self, other: &Self) -> Ordering {
        self.by_ref().cmp(&other.by_ref())
    }
}

impl PartialOrd for Scalar {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        self.by_ref() == other.by_ref()
    }
}

impl Eq for Scalar {}

impl Hash for Scalar {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.by_ref().hash(hasher);
    }
}
