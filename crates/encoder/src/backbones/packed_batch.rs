//! Batches without padding: all texts' tokens in one row, and where each text begins.

use std::ops::Range;

/// Tokens of several texts, one after the other.
#[derive(Debug, Default)]
pub(crate) struct PackedBatch {
    ids: Vec<u32>,
    type_ids: Vec<u32>,
    /// Row of the position table for each token; empty until it is asked for.
    positions: Vec<u32>,
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

    /// Numbers the tokens of each text from 0; or from `padding_id + 1`, counting only tokens
    /// other than `padding_id`, which itself has the position `padding_id`.
    pub(crate) fn set_positions(&mut self, padding_id: Option<u32>) {
        let mut positions = Vec::with_capacity(self.ids.len());
        for range in self.ranges() {
            match padding_id {
                None => positions.extend(0..range.len() as u32),
                Some(padding) => {
                    let mut last = padding;
                    positions.extend(self.ids[range].iter().map(|id| {
                        if *id == padding {
                            return padding;
                        }
                        last += 1;
                        last
                    }));
                }
            }
        }
        self.positions = positions;
    }

    /// Number of texts.
    pub(crate) fn texts(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Tokens of the longest text.
    pub(crate) fn longest(&self) -> usize {
        self.ranges().map(|range| range.len()).max().unwrap_or(0)
    }

    /// Tokens of each text.
    pub(crate) fn lengths(&self) -> Vec<usize> {
        self.ranges().map(|range| range.len()).collect()
    }

    /// Where each text's tokens stand.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.offsets.windows(2).map(|pair| pair[0]..pair[1])
    }

    /// Where one text's tokens stand.
    pub(crate) fn range(&self, text: usize) -> Range<usize> {
        self.offsets[text]..self.offsets[text + 1]
    }

    /// Where the tokens of consecutive texts stand.
    pub(crate) fn tokens(&self, texts: Range<usize>) -> Range<usize> {
        self.offsets[texts.start]..self.offsets[texts.end]
    }

    /// Token ids of all texts.
    pub(crate) fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Segment ids of all texts.
    pub(crate) fn type_ids(&self) -> &[u32] {
        &self.type_ids
    }

    /// Positions of all tokens, once set.
    pub(crate) fn positions(&self) -> &[u32] {
        &self.positions
    }
}

/// States of all tokens of a [`PackedBatch`], in its order.
#[derive(Debug)]
pub(crate) struct TokenStates {
    /// Row-major, `[tokens, width]`.
    pub(crate) values: Vec<f32>,
    pub(crate) width: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_restart_with_each_text_and_may_begin_after_padding() {
        let mut batch = PackedBatch::new();
        batch.push(&[7, 8, 9], &[0; 3]);
        batch.push(&[5, 1, 6], &[0; 3]);
        batch.set_positions(None);
        assert_eq!(batch.positions(), [0, 1, 2, 0, 1, 2]);
        batch.set_positions(Some(1));
        assert_eq!(batch.positions(), [2, 3, 4, 2, 1, 3]);
    }
}
