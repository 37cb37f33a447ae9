//! One vector and whose it is.

use super::two_level::Values;

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

/// A vector that is held by somebody else, in any form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeldRow<'a> {
    pub(crate) values: Values<'a>,
    pub(crate) passage: u32,
    pub(crate) document: u32,
}

impl<'a> From<Row<'a>> for HeldRow<'a> {
    fn from(row: Row<'a>) -> Self {
        Self {
            values: Values::Exact(row.vector),
            passage: row.passage,
            document: row.document,
        }
    }
}
