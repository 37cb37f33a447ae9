//! Which documents have which values in their metadata, held in memory.
//!
//! Made from the record when a collection is opened and changed with every write. Cloning copies
//! pointers; a clone that is then changed copies the blocks that it changes. So each published
//! state of a collection carries the index that belongs to it.
//!
//! What does not fit (long texts, too many paths) leaves the answer open for single documents
//! instead of making it wrong; those are then read from the record. Nothing here reads a file.

mod allocation;
mod bounds;
mod condition_bounds;
mod document_passages;
mod document_union;
mod facet_counts;
mod gathering;
mod index;
mod memory;
mod path_values;
mod posting;
mod sorted_blocks;
mod unindexed_paths;

pub(crate) use facet_counts::FacetCounts;
pub(crate) use gathering::GatheredMetadata;
pub(crate) use index::MetadataIndex;

#[cfg(test)]
mod model_tests;
