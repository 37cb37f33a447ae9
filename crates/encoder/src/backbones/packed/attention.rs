//! Attention of one head over one text.
//!
//! Queries are taken a tile at a time: their scores against all keys, softmax, and the weighted
//! sum of values follow each other while the scores are in the first-level cache.

use std::ops::Range;

use super::shape::{Shape, Strides, stride};
use super::workspace::Scratch;
use crate::backbones::relative_bias::RelativeBias;
use siamese_kernels::{Kernels, Tile, split};

/// Where attention reads and writes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attention<'a> {
    pub(super) kernels: &'static Kernels,
    pub(super) shape: &'a Shape,
    pub(super) strides: &'a Strides,
    /// What scores begin with.
    pub(super) bias: Option<&'a RelativeBias>,
    /// The first token's Q, K and V.
    pub(super) qkv: *const f32,
    /// The first token's results.
    pub(super) context: *mut f32,
}

impl Attention<'_> {
    /// Computes one head of the text whose tokens are `rows`.
    ///
    /// # Safety
    /// `qkv` and `context` hold all `rows`, nobody else writes to these rows' part of this head,
    /// and `scratch` has room for a text of that length.
    pub(super) unsafe fn run(&self, rows: Range<usize>, head: usize, scratch: &mut Scratch) {
        let (tokens, width) = (rows.len(), self.shape.head);
        let columns = self.kernels.fill_up(tokens);
        let row = stride(columns);
        let (keys, scores) = (scratch.keys.as_mut_ptr(), scratch.scores.as_mut_ptr());
        // SAFETY: all offsets are inside the rows and this head's part of them.
        unsafe {
            let query = self
                .qkv
                .add(rows.start * self.strides.qkv + 3 * head * width);
            self.transpose(query.add(width), tokens, keys, row);
            let context = self
                .context
                .add(rows.start * self.strides.context + head * width);
            for part in split(tokens, self.kernels.tile_rows()) {
                if let Some(bias) = self.bias {
                    for (at, query) in part.clone().enumerate() {
                        let biases = bias.row(head, query, tokens);
                        std::ptr::copy_nonoverlapping(
                            biases.as_ptr(),
                            scores.add(at * row),
                            tokens,
                        );
                    }
                }
                self.kernels.multiply_tile(
                    &Tile {
                        depth: self.shape.head_features,
                        a: query.add(part.start * self.strides.qkv),
                        a_stride: self.strides.qkv,
                        b: keys,
                        b_stride: row,
                        c: scores,
                        c_stride: row,
                        bias: std::ptr::null(),
                        add: self.bias.is_some(),
                    },
                    part.len(),
                    columns,
                );
                let context = context.add(part.start * self.strides.context);
                self.weigh(query.add(2 * width), context, part.len(), tokens, scores);
            }
        }
    }

    /// Softmax over the scores of a few queries, then the weighted sum of all values.
    ///
    /// # Safety
    /// As [`Self::run`].
    unsafe fn weigh(
        &self,
        values: *const f32,
        context: *mut f32,
        queries: usize,
        tokens: usize,
        scores: *mut f32,
    ) {
        let columns = self.kernels.fill_up(tokens);
        let row = stride(columns);
        let mut factors = [0.0; 32];
        // SAFETY: as the caller promises; a score's row has `columns` values.
        unsafe {
            for (query, factor) in factors[..queries].iter_mut().enumerate() {
                let scores = scores.add(query * row);
                for column in tokens..columns {
                    *scores.add(column) = f32::NEG_INFINITY;
                }
                *factor = self.kernels.softmax(scores, columns);
            }
            let tile = Tile {
                depth: tokens,
                a: scores.cast_const(),
                a_stride: row,
                b: values,
                b_stride: self.strides.qkv,
                c: context,
                c_stride: self.strides.context,
                bias: std::ptr::null(),
                add: false,
            };
            self.kernels.multiply_tile(&tile, queries, self.shape.head);
            for (query, factor) in factors[..queries].iter().enumerate() {
                let context = context.add(query * self.strides.context);
                self.kernels.scale(context, *factor, self.shape.head);
            }
        }
    }

    /// Writes K of one head with a row for each feature.
    ///
    /// # Safety
    /// `keys` holds the head's features of all tokens, `to` as many rows of `row` values.
    unsafe fn transpose(&self, keys: *const f32, tokens: usize, to: *mut f32, row: usize) {
        /// Tokens whose features are moved together: a cache line of each feature's row.
        const BLOCK: usize = 16;
        for start in (0..tokens).step_by(BLOCK) {
            let end = tokens.min(start + BLOCK);
            for feature in 0..self.shape.head_features {
                for token in start..end {
                    // SAFETY: both are inside what the caller promises.
                    unsafe {
                        *to.add(feature * row + token) =
                            *keys.add(token * self.strides.qkv + feature);
                    }
                }
            }
        }
    }
}
