//! At most so many hits for each value of a metadata field.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use siamese_index::{FieldPath, Hit, Metadata, Scalar};

use super::PageHit;
use crate::backend::Reader;
use crate::error::ApiError;

/// How hits are grouped.
#[derive(Debug, Clone)]
pub(crate) struct Grouping {
    /// Where the values are that name groups.
    pub(crate) field: FieldPath,
    /// Hits of a group, at least 1.
    pub(crate) size: usize,
}

impl Grouping {
    /// The group that a hit is in.
    pub(crate) fn group(&self, found: &PageHit, metadata: &Metadata) -> Option<Scalar> {
        self.field.values(metadata).into_iter().nth(found.group)
    }
}

/// The first `wanted` hits of those that are among the best `size` of their group.
///
/// Groups are named by the values that filters compare and facets count: 1 and 1.0 are one, and an array
/// stands for each of its elements. A document of several groups is a hit of the first that has room. One
/// without a value belongs to no group and is left out.
///
/// # Errors
/// When the store fails.
pub(super) fn grouped(
    collection: &Reader,
    hits: Vec<Hit>,
    grouping: &Grouping,
    wanted: usize,
) -> Result<Vec<PageHit>, ApiError> {
    // Groups may have long names and are many, so that only a hash of each is kept; with 128 bits no two
    // of them are alike.
    let hashing = [RandomState::new(), RandomState::new()];
    let key = |group: &Scalar| hashing.each_ref().map(|hashing| hashing.hash_one(group));
    let mut sizes: HashMap<[u64; 2], usize> = HashMap::new();
    let mut found = Vec::new();
    for hit in hits {
        if found.len() == wanted {
            break;
        }
        let metadata = collection.hit_metadata(&hit)?.unwrap_or_default();
        let groups = grouping.field.values(&metadata);
        let keys = groups.iter().map(key);
        let has_room = |key: &[u64; 2]| sizes.get(key).is_none_or(|size| *size < grouping.size);
        if let Some((place, key)) = keys.enumerate().find(|(_, key)| has_room(key)) {
            *sizes.entry(key).or_default() += 1;
            found.push(PageHit {
                group: place,
                ..PageHit::from(hit)
            });
        }
    }
    Ok(found)
}
