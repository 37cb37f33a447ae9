//! Attention of one head of keys, and of the queries that share it, over one text.
//!
//! Queries are taken a tile at a time: their scores against all keys, softmax, and the weighted
//! sum of values follow each other while the scores are in the first-level cache.

use std::ops::Range;

use super::shape::{Shape, Strides, stride};
use super::workspace::Scratch;
use crate::backbones::relative_bias::RelativeBias;
use crate::backbones::rotary::Rotary;
use siamese_kernels::{Kernels, LayerNorm, Tile, split};

/// Where attention reads and writes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attention<'a> {
    pub(super) kernels: &'static Kernels,
    pub(super) shape: &'a Shape,
    pub(super) strides: &'a Strides,
    /// What scores begin with.
    pub(super) bias: Option<&'a RelativeBias>,
    /// What Q and K are turned by.
    pub(super) rotary: Option<&'a Rotary>,
    /// What Q and K go through before, each head's by itself.
    pub(super) query_key_norms: Option<&'a [LayerNorm; 2]>,
    /// How many tokens before and after a query its keys may be.
    pub(super) window: Option<usize>,
    /// Whether no key is after its query.
    pub(super) causal: bool,
    /// The first token's Q, K and V.
    pub(super) qkv: *mut f32,
    /// The first token's results.
    pub(super) context: *mut f32,
}

impl Attention<'_> {
    /// Computes one head of keys of the text whose tokens are `rows`.
    ///
    /// # Safety
    /// `qkv` and `context` hold all `rows`, nobody else uses these rows' part of this head and its
    /// queries, and `scratch` has room for a text of that length.
    pub(super) unsafe fn run(&self, rows: Range<usize>, key_head: usize, scratch: &mut Scratch) {
        let (tokens, width, group) = (rows.len(), self.shape.head, self.shape.group);
        let row = stride(self.kernels.fill_up(tokens));
        let (keys, scores) = (scratch.keys.as_mut_ptr(), scratch.scores.as_mut_ptr());
        let norms = self.query_key_norms;
        // SAFETY: all offsets are inside the rows and this head's part of them.
        unsafe {
            let queries = self
                .qkv
                .add(rows.start * self.strides.qkv + (group + 2) * key_head * width);
            let own_keys = queries.add(group * width);
            self.prepare(own_keys, norms.map(|[_, key]| key), tokens);
            self.transpose(own_keys, tokens, keys, row);
            for member in 0..group {
                let head = key_head * group + member;
                let query = queries.add(member * width);
                self.prepare(query, norms.map(|[query, _]| query), tokens);
                let context = self
                    .context
                    .add(rows.start * self.strides.context + head * width);
                let values = own_keys.add(width);
                self.attend(head, tokens, (query, values, context), (keys, scores, row));
            }
        }
    }

    /// Computes one head of queries, a tile at a time.
    ///
    /// # Safety
    /// As [`Self::run`]; the first three are the first token's, the others from the scratch with the
    /// length of their rows.
    unsafe fn attend(
        &self,
        head: usize,
        tokens: usize,
        (query, values, context): (*mut f32, *mut f32, *mut f32),
        (keys, scores, row): (*mut f32, *mut f32, usize),
    ) {
        // SAFETY: all offsets are inside what the caller promises.
        unsafe {
            for part in split(tokens, self.kernels.tile_rows()) {
                let seen = self.seen(&part, tokens);
                let columns = self.kernels.fill_up(seen.len());
                debug_assert!(seen.start + columns <= row, "keys beyond their rows");
                if let Some(bias) = self.bias {
                    for (at, query) in part.clone().enumerate() {
                        let biases = &bias.row(head, query, tokens)[seen.clone()];
                        let scores = scores.add(at * row);
                        std::ptr::copy_nonoverlapping(biases.as_ptr(), scores, seen.len());
                    }
                }
                self.kernels.multiply_tile(
                    &Tile {
                        depth: self.shape.head_features,
                        a: query.add(part.start * self.strides.qkv),
                        a_stride: self.strides.qkv,
                        b: keys.add(seen.start),
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
                self.weigh(values, context, part, seen, (scores, row));
            }
        }
    }

    /// Normalises and turns Q or K of one head.
    ///
    /// # Safety
    /// `values` holds the head's features of all tokens, and nobody else uses them.
    unsafe fn prepare(&self, values: *mut f32, norm: Option<&LayerNorm>, tokens: usize) {
        // SAFETY: as the caller promises; a norm is as wide as a head.
        unsafe {
            if let Some(norm) = norm {
                for token in 0..tokens {
                    let row = values.add(token * self.strides.qkv);
                    self.kernels.layer_norm(row, norm);
                }
            }
            if let Some(rotary) = self.rotary {
                self.turn(rotary, values, tokens);
            }
        }
    }

    /// The keys that some queries see. They begin with a whole register, so that no register goes
    /// beyond the end of the last feature's keys.
    fn seen(&self, queries: &Range<usize>, tokens: usize) -> Range<usize> {
        let end = match self.causal {
            true => queries.end,
            false => tokens,
        };
        let Some(window) = self.window else {
            return 0..end;
        };
        let register = self.kernels.fill_up(1);
        let start = queries.start.saturating_sub(window);
        start / register * register..queries.end.saturating_add(window).min(end)
    }

    /// Softmax over the scores of a few queries, then the weighted sum of the values that they see.
    ///
    /// # Safety
    /// As [`Self::run`]; `scores` has a row of keys for each query, and comes with its stride.
    unsafe fn weigh(
        &self,
        values: *const f32,
        context: *mut f32,
        queries: Range<usize>,
        seen: Range<usize>,
        (scores, row): (*mut f32, usize),
    ) {
        let columns = self.kernels.fill_up(seen.len());
        let mut factors = [0.0; 32];
        let factors = &mut factors[..queries.len()];
        // SAFETY: as the caller promises; a score's row has `columns` values.
        unsafe {
            for (at, factor) in factors.iter_mut().enumerate() {
                let scores = scores.add(at * row);
                let query = queries.start + at;
                let own = self.seen_alone(query, &seen);
                for column in (0..own.start).chain(own.end..columns) {
                    *scores.add(column) = f32::NEG_INFINITY;
                }
                *factor = self.kernels.softmax(scores, columns);
            }
            let tile = Tile {
                depth: seen.len(),
                a: scores.cast_const(),
                a_stride: row,
                b: values.add(seen.start * self.strides.qkv),
                b_stride: self.strides.qkv,
                c: context,
                c_stride: self.strides.context,
                bias: std::ptr::null(),
                add: false,
            };
            self.kernels
                .multiply_tile(&tile, factors.len(), self.shape.head);
            for (at, factor) in factors.iter().enumerate() {
                let context = context.add(at * self.strides.context);
                self.kernels.scale(context, *factor, self.shape.head);
            }
        }
    }

    /// Where the keys that one query sees are among those that its tile sees.
    fn seen_alone(&self, query: usize, seen: &Range<usize>) -> Range<usize> {
        let end = match self.causal {
            true => query + 1,
            false => seen.end,
        };
        let Some(window) = self.window else {
            return 0..end - seen.start;
        };
        let last = query.saturating_add(window).saturating_add(1);
        query.saturating_sub(window).max(seen.start) - seen.start..last.min(end) - seen.start
    }

    /// Turns Q or K of one head by their positions.
    ///
    /// # Safety
    /// `values` holds the head's features of all tokens, and nobody else uses them.
    unsafe fn turn(&self, rotary: &Rotary, values: *mut f32, tokens: usize) {
        for token in 0..tokens {
            // SAFETY: the row is inside what the caller promises.
            let row = unsafe {
                let first = values.add(token * self.strides.qkv);
                std::slice::from_raw_parts_mut(first, self.shape.head_features)
            };
            rotary.turn(row, token);
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
