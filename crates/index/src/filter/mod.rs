//! Conditions on metadata.
//!
//! What a filter means is defined here, on one document's metadata ([`Filter::matches`]).
//! `metadata_index` answers it for a whole collection at once. How filters are written in
//! JSON is not known here. `docs/filters.md` is the description for users.

mod condition;
mod field_path;
mod number;
mod scalar;
mod timestamp;
mod tree;
pub(crate) mod walk;

pub use condition::{Comparison, Condition};
pub use field_path::{FieldPath, FieldPathError};
pub use number::Number;
pub use scalar::Scalar;
pub(crate) use scalar::ScalarRef;
pub use timestamp::{Timestamp, TimestampError};
pub use tree::Filter;
pub use walk::{MetadataValue, metadata_values};
