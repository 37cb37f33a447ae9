//! Reading and writing the payloads of points.

use std::collections::HashMap;

use qdrant_client::qdrant::value::Kind;
use qdrant_client::qdrant::with_payload_selector::SelectorOptions;
use qdrant_client::qdrant::{
    ListValue, PayloadIncludeSelector, Struct, Value, WithPayloadSelector,
};
use siamese_index::Error;

use crate::error::unreadable;

pub(crate) type Payload = HashMap<String, Value>;

pub(crate) fn text(value: impl Into<String>) -> Value {
    Value {
        kind: Some(Kind::StringValue(value.into())),
    }
}

pub(crate) fn integer(value: u64) -> Value {
    Value {
        kind: Some(Kind::IntegerValue(value.cast_signed())),
    }
}

pub(crate) fn list(values: impl IntoIterator<Item = Value>) -> Value {
    let values = values.into_iter().collect();
    Value {
        kind: Some(Kind::ListValue(ListValue { values })),
    }
}

pub(crate) fn number(value: f64) -> Value {
    Value {
        kind: Some(Kind::DoubleValue(value)),
    }
}

pub(crate) fn object(fields: HashMap<String, Value>) -> Value {
    Value {
        kind: Some(Kind::StructValue(Struct { fields })),
    }
}

/// A text of a payload.
///
/// # Errors
/// When it is not there, as nobody but this crate would write it.
pub(crate) fn read_text<'a>(payload: &'a Payload, key: &str) -> Result<&'a str, Error> {
    optional_text(payload, key).ok_or_else(|| unreadable(&format!("the field {key:?} of a point")))
}

pub(crate) fn optional_text<'a>(payload: &'a Payload, key: &str) -> Option<&'a str> {
    match payload.get(key)?.kind.as_ref()? {
        Kind::StringValue(text) => Some(text),
        _ => None,
    }
}

/// # Errors
/// As [`read_text`].
pub(crate) fn read_integer(payload: &Payload, key: &str) -> Result<u64, Error> {
    let value = payload.get(key).and_then(|value| value.kind.as_ref());
    match value {
        Some(Kind::IntegerValue(value)) => Ok(value.cast_unsigned()),
        _ => Err(unreadable(&format!("the field {key:?} of a point"))),
    }
}

/// # Errors
/// As [`read_text`].
pub(crate) fn read_integers(payload: &Payload, key: &str) -> Result<Vec<u64>, Error> {
    let failed = || unreadable(&format!("the field {key:?} of a point"));
    let Some(Kind::ListValue(list)) = payload.get(key).and_then(|value| value.kind.as_ref()) else {
        return Err(failed());
    };
    let values = list.values.iter().map(|value| match &value.kind {
        Some(Kind::IntegerValue(value)) => Ok(value.cast_unsigned()),
        _ => Err(failed()),
    });
    values.collect()
}

/// These fields and no others.
pub(crate) fn only(fields: &[&str]) -> WithPayloadSelector {
    let fields = fields.iter().map(|field| (*field).to_owned()).collect();
    WithPayloadSelector {
        selector_options: Some(SelectorOptions::Include(PayloadIncludeSelector { fields })),
    }
}
