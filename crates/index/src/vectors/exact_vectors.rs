//! Where vectors are as they were given, for segments that hold codes alone.

use std::convert::Infallible;

/// Reads vectors by the numbers of their passages.
pub(crate) trait ExactVectors {
    /// Why one cannot be read.
    type Error;

    /// Reads the vector of a passage, of length 1; `None` when the passage has been removed since.
    fn vector(&self, passage: u32) -> Result<Option<Vec<f32>>, Self::Error>;
}

/// For those who do with what codes say, up to their bound.
#[derive(Debug)]
pub(crate) struct NoVectors;

impl ExactVectors for NoVectors {
    type Error = Infallible;

    fn vector(&self, _passage: u32) -> Result<Option<Vec<f32>>, Infallible> {
        Ok(None)
    }
}
