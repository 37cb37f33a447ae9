//! Counting values among the documents that a search matches.

use roaring::RoaringBitmap;

use super::Reader;
use super::filtered::MAX_RECORD_READS;
use crate::Error;
use crate::filter::{FieldPath, Scalar};
use crate::metadata_index::{FacetCounts, MetadataIndex};

/// Memory for the values that the facets of one search read from the record.
const MAX_READ_VALUES_BYTES: u64 = 32 << 20;

/// Which fields to count the values of.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FacetRequest {
    /// The fields.
    pub paths: Vec<FieldPath>,
    /// Values to return for each, the most frequent first.
    pub max_values: usize,
}

/// A value of a field and how many documents have it, bare or in an array.
#[derive(Debug, Clone, PartialEq)]
pub struct FacetValue {
    /// The value.
    pub value: Scalar,
    /// Documents that have it.
    pub count: u64,
}

/// The values of a field among the documents of a search.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Facet {
    /// The most frequent first; equally frequent ones in their order.
    pub values: Vec<FacetValue>,
    /// Documents that have a value which is not among these.
    pub other: u64,
}

impl Reader {
    /// For each field the most frequent values among `documents`; equally frequent ones in their
    /// order.
    pub(super) fn facets(
        &self,
        index: &MetadataIndex,
        request: &FacetRequest,
        documents: &RoaringBitmap,
    ) -> Result<Vec<Facet>, Error> {
        let mut facets = Vec::with_capacity(request.paths.len());
        let mut read_bytes = 0;
        for (place, path) in request.paths.iter().enumerate() {
            let in_record = index.partly_known(path, documents);
            if in_record.len() > MAX_RECORD_READS {
                return Err(Error::FacetTooBroad {
                    path: path.to_string(),
                    place,
                    documents: in_record.len(),
                    max_documents: MAX_RECORD_READS,
                });
            }
            let in_index = documents - &in_record;
            let mut counts = FacetCounts::default();
            for number in in_record {
                if let Some(metadata) = self.metadata_by_number(number)? {
                    counts.add(path, &metadata);
                }
                if read_bytes + counts.bytes() > MAX_READ_VALUES_BYTES {
                    return Err(Error::FacetTooLarge {
                        path: path.to_string(),
                        place,
                        max_bytes: MAX_READ_VALUES_BYTES,
                    });
                }
            }
            // The most frequent ones are kept until the answer is complete.
            read_bytes += counts.bytes();
            let found = index.most_frequent(path, &in_index, &counts, request.max_values);
            let values = found.values.into_iter();
            facets.push(Facet {
                values: values
                    .map(|(value, count)| FacetValue { value, count })
                    .collect(),
                other: found.other,
            });
        }
        Ok(facets)
    }
}
