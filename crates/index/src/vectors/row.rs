//! One vector and whose it is.

/// A vector to add.
#[derive(Debug)]
pub(crate) struct NewRow {
    pub(crate) passage: u32,
    pub(crate) document: u32,
    /// Of length 1.
    pub(crate) vector: Vec<f32>,
}

/// A vector that is held by somebody else.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'a> {
    pub(crate) vector: &'a [f32],
    pub(crate) passage: u32,
    pub(crate) document: u32,
}
