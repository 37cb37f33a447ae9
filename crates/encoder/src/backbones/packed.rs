//! Batches without padding: all texts' tokens in one row, and where each text begins.

/// Tokens of several texts, one after the other.
#[derive(Debug, Default)]
pub(crate) struct PackedBatch {
    ids: Vec<u32>,
    type_ids: Vec<u32>,
    /// Where each text begins, and where the last ends: one more than there are texts.
    offsets: Vec<usize>,
}

impl PackedBatch {
    /// An empty batch.
    pub(crate) fn new() -> Self {
        Self {
            offsets: vec![0],
            ..Self::default()
        }
    }

    /// Adds a text's tokens.
    pub(crate) fn push(&mut self, ids: &[u32], type_ids: &[u32]) {
        self.ids.extend_from_slice(ids);
        self.type_ids.extend_from_slice(type_ids);
        self.offsets.push(self.ids.len());
    }

    /// Number of texts.
    pub(crate) fn texts(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Tokens of the longest text.
    pub(crate) fn longest(&self) -> usize {
        self.ranges().map(|range| range.len()).max().unwrap_or(0)
    }

    /// Where each text's tokens stand.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = std::ops::Range<usize>> + '_ {
        self.offsets.windows(2).map(|pair| pair[0]..pair[1])
    }

    /// Token ids of all texts.
    pub(crate) fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Segment ids of all texts.
    pub(crate) fn type_ids(&self) -> &[u32] {
        &self.type_ids
    }
}

/// States of all tokens of a [`PackedBatch`], in its order.
#[derive(Debug)]
pub(crate) struct TokenStates {
    /// Row-major, `[tokens, width]`.
    pub(crate) values: Vec<f32>,
    pub(crate) width: usize,
}
