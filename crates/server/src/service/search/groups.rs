//! At most so many hits for each value of a metadata field.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use serde_json::Value;
use siamese_index::{Collection, Hit, Metadata};

use super::FoundHit;
use crate::error::ApiError;

/// A string, number or boolean of the metadata.
pub(crate) type GroupKey = Value;

/// How hits are grouped.
#[derive(Debug, Clone)]
pub(crate) struct Grouping {
    /// Path into the metadata, names between dots.
    pub(crate) field: String,
    /// Hits of a group, at least 1.
    pub(crate) size: usize,
}

/// The first `wanted` hits of those that are among the best `size` of their group.
///
/// A document whose field is absent, null, an array or an object belongs to no group and is left
/// out.
///
/// # Errors
/// When the store fails.
pub(super) fn grouped(
    collection: &Collection,
    hits: Vec<Hit>,
    grouping: &Grouping,
    wanted: usize,
) -> Result<Vec<FoundHit>, ApiError> {
    // Groups may have long names and are many, so that only a hash of each is kept; with 128 bits no two
    // of them are alike.
    let hashing = [RandomState::new(), RandomState::new()];
    let mut sizes: HashMap<[u64; 2], usize> = HashMap::new();
    let mut found = Vec::new();
    for hit in hits {
        if found.len() == wanted {
            break;
        }
        let metadata = collection.hit_metadata(&hit)?.unwrap_or_default();
        let Some(group) = group_of(&metadata, &grouping.field) else {
            continue;
        };
        // As JSON the number 1 and the string "1" differ.
        let name = group.to_string();
        let key = hashing.each_ref().map(|hashing| hashing.hash_one(&name));
        let size = sizes.entry(key).or_default();
        if *size < grouping.size {
            *size += 1;
            found.push(FoundHit::from(hit));
        }
    }
    Ok(found)
}

/// The group of a document.
pub(crate) fn group_of(metadata: &Metadata, field: &str) -> Option<GroupKey> {
    let mut names = field.split('.');
    let first = metadata.get(names.next()?)?;
    let value = names.try_fold(first, |value, name| value.as_object()?.get(name))?;
    match value {
        Value::Bool(_) | Value::Number(_) | Value::String(_) => Some(value.clone()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn group(metadata: Value, field: &str) -> Option<GroupKey> {
        let Value::Object(metadata) = metadata else {
            return None;
        };
        group_of(&metadata, field)
    }

    #[test]
    fn dots_lead_into_objects_and_only_scalars_are_groups() {
        let metadata = json!({"a": {"b": 1}, "list": ["x"], "null": null, "flag": false});
        assert_eq!(group(metadata.clone(), "a.b"), Some(json!(1)));
        assert_eq!(group(metadata.clone(), "flag"), Some(json!(false)));
        for field in ["a", "a.c", "list", "null", "flag.x", "", "a..b"] {
            assert_eq!(group(metadata.clone(), field), None, "{field}");
        }
    }
}
