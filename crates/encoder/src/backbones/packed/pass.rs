//! The forward pass over one chunk of a batch, by one thread or by several together.
//!
//! All members run the same steps; between two steps of which one reads what others wrote, they
//! meet. A product is shared by panels of columns, attention by heads, everything else by rows.

use super::attention::Attention;
use super::shape::{Shape, Strides};
use super::team::Member;
use super::weights::{Layer, Weights};
use super::workspace::{Scratch, Workspace};
use crate::backbones::architecture::{Architecture, Norms};
use crate::backbones::backbone::Pause;
use crate::backbones::packed_batch::PackedBatch;
use siamese_kernels::{
    Activation, CodedKernels, CodedView, Kernels, LayerNorm, PackedMatrix, Precision, Product,
};

/// Everything that does not change from one pass to the next.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) kernels: &'static Kernels,
    /// How codes are multiplied, where weights are codes.
    pub(super) coded: Option<&'static CodedKernels>,
    pub(super) precision: Precision,
    pub(super) architecture: Architecture,
    pub(super) shape: Shape,
    pub(super) strides: Strides,
    pub(super) weights: Weights,
}

/// The buffers of a pass, shared by its members.
#[derive(Debug, Clone, Copy)]
struct Buffers {
    states: *mut f32,
    qkv: *mut f32,
    context: *mut f32,
    intermediate: *mut f32,
    coded: CodedView,
}

/// A chunk of a batch in the buffers it goes through.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    model: &'a Model,
    batch: &'a PackedBatch,
    texts: std::ops::Range<usize>,
    /// Where the chunk's tokens are in the batch.
    tokens: std::ops::Range<usize>,
    buffers: Buffers,
}

// SAFETY: the members of a pass write to disjoint parts of the buffers and meet before they read
// what others wrote; each step of `Pass::run` says what is whose.
unsafe impl Sync for Pass<'_> {}

impl<'a> Pass<'a> {
    /// A pass over some texts of a batch.
    pub(super) fn new(
        model: &'a Model,
        batch: &'a PackedBatch,
        texts: std::ops::Range<usize>,
        workspace: &'a mut Workspace,
    ) -> Self {
        let tokens = batch.tokens(texts.clone());
        workspace.reserve(tokens.len(), &model.strides);
        if model.coded.is_some() {
            workspace.reserve_codes(tokens.len(), &model.strides);
        }
        Self {
            model,
            batch,
            texts,
            tokens,
            buffers: Buffers {
                states: workspace.states.as_mut_ptr(),
                qkv: workspace.qkv.as_mut_ptr(),
                context: workspace.context.as_mut_ptr(),
                intermediate: workspace.intermediate.as_mut_ptr(),
                coded: workspace.coded.view(),
            },
        }
    }

    /// One member's part of the pass; all members must call it. `out` takes the last states of
    /// the chunk's tokens and is shared by the members; `pause` is called after each layer.
    pub(super) fn run(
        &self,
        member: &Member<'_>,
        scratch: &mut Scratch,
        out: &Output,
        pause: &Pause<'_>,
    ) {
        let model = self.model;
        let longest = self.ranges().map(|range| range.len()).max().unwrap_or(0);
        scratch.reserve(longest, &model.shape, model.kernels);
        self.embed(member);
        member.meet();
        for layer in &model.architecture.order {
            self.layer(&model.weights.layers[*layer], member, scratch);
            pause();
        }
        if let Some(norm) = &model.weights.last_norm {
            self.normalize(norm, member);
        }
        let (rows, hidden) = (self.rows(member), model.shape.hidden);
        for row in rows {
            // SAFETY: the row is this member's, in the states and in `out`.
            unsafe {
                let state = self.state(row).cast_const();
                let to = out.0.add((self.tokens.start + row) * hidden);
                std::ptr::copy_nonoverlapping(state, to, hidden);
            }
        }
    }

    /// The first states; each member has its own rows of the sums of tables' rows.
    fn embed(&self, member: &Member<'_>) {
        let Buffers {
            states,
            intermediate,
            ..
        } = self.buffers;
        let strides = &self.model.strides;
        let embeddings = &self.model.weights.embeddings;
        let (norm, projection) = (embeddings.norm.as_ref(), embeddings.projection.as_ref());
        let (sums, stride) = match projection {
            Some(_) => (intermediate, strides.intermediate),
            None => (states, strides.states),
        };
        for row in self.rows(member) {
            // SAFETY: the row is this member's, and holds as many values as the norm has; the zeros
            // beyond a token's features are set here and stay.
            unsafe {
                let sum = sums.add(row * stride);
                let sum = std::slice::from_raw_parts_mut(sum, self.model.shape.embedded);
                self.model.embed(self.batch, self.tokens.start + row, sum);
                if let Some(norm) = norm {
                    self.model.kernels.layer_norm(sum.as_mut_ptr(), norm);
                }
            }
        }
        if let Some(projection) = projection {
            member.meet();
            let product = self.product((sums, stride), (states, strides.states));
            self.multiply(&product, projection, member);
        }
    }

    fn layer(&self, layer: &Layer, member: &Member<'_>, scratch: &mut Scratch) {
        let norm = layer.attention_norm.as_ref();
        let input = self.before_block(norm, member);
        self.attention_block(input, layer, member, scratch);
        self.after_block(norm, member);
        let norm = Some(&layer.feed_forward_norm);
        let input = self.before_block(norm, member);
        self.feed_forward_block(input, layer, member);
        self.after_block(norm, member);
    }

    /// Adds to the states what attention makes of `input`.
    fn attention_block(
        &self,
        input: (*mut f32, usize),
        layer: &Layer,
        member: &Member<'_>,
        scratch: &mut Scratch,
    ) {
        let (buffers, strides) = (&self.buffers, &self.model.strides);
        let to_qkv = self.product(input, (buffers.qkv, strides.qkv));
        self.multiply(&to_qkv, &layer.qkv, member);
        member.meet();
        self.attend(layer, member, scratch);
        member.meet();
        let context = (buffers.context, strides.context);
        let norm = layer.attention_output_norm.as_ref();
        self.add_to_states(context, &layer.attention_output, norm, member);
    }

    /// Adds to the states what a linear layer makes of `from`, normalised where there is a norm for it.
    fn add_to_states(
        &self,
        from: (*mut f32, usize),
        linear: &PackedMatrix,
        norm: Option<&LayerNorm>,
        member: &Member<'_>,
    ) {
        let (buffers, strides) = (&self.buffers, &self.model.strides);
        let to_states = self.product(from, (buffers.states, strides.states));
        let Some(norm) = norm else {
            let sum = Product {
                add: true,
                ..to_states
            };
            self.multiply(&sum, linear, member);
            return member.meet();
        };
        // Queries, keys and values have been used.
        let made = (buffers.qkv, strides.qkv);
        self.multiply(&self.product(from, made), linear, member);
        member.meet();
        for row in self.rows(member) {
            // SAFETY: the row is this member's in both buffers, which hold as many values as the norm
            // has.
            unsafe {
                let made = made.0.add(row * made.1);
                self.model.kernels.layer_norm(made, norm);
                let width = norm.gain.len();
                let state = std::slice::from_raw_parts_mut(self.state(row), width);
                let made = std::slice::from_raw_parts(made.cast_const(), width);
                state
                    .iter_mut()
                    .zip(made)
                    .for_each(|(sum, value)| *sum += value);
            }
        }
        member.meet();
    }

    /// Adds to the states what two linear layers make of `input`.
    fn feed_forward_block(&self, input: (*mut f32, usize), layer: &Layer, member: &Member<'_>) {
        let (buffers, strides) = (&self.buffers, &self.model.strides);
        let intermediate = (buffers.intermediate, strides.intermediate);
        let up = self.product(input, intermediate);
        if self.model.architecture.gated {
            self.multiply(&up, &layer.up, member);
            member.meet();
            self.gate(member);
        } else {
            let activation = Some(self.model.architecture.activation);
            self.multiply(&Product { activation, ..up }, &layer.up, member);
        }
        member.meet();
        let norm = layer.feed_forward_output_norm.as_ref();
        self.add_to_states(intermediate, &layer.down, norm, member);
    }

    /// Returns what a block gets, with its stride: the states, or a normalised copy of them.
    fn before_block(&self, norm: Option<&LayerNorm>, member: &Member<'_>) -> (*mut f32, usize) {
        let (context, stride) = (self.buffers.context, self.model.strides.context);
        let Some(norm) = norm.filter(|_| !self.normalises_after()) else {
            return (self.buffers.states, self.model.strides.states);
        };
        for row in self.rows(member) {
            // SAFETY: the row is this member's in both buffers, which hold as many values as the
            // norm has.
            unsafe {
                let copy = context.add(row * stride);
                let state = self.state(row).cast_const();
                std::ptr::copy_nonoverlapping(state, copy, norm.gain.len());
                self.model.kernels.layer_norm(copy, norm);
            }
        }
        member.meet();
        (context, stride)
    }

    /// Normalises what a block has been added to, where that is its place.
    fn after_block(&self, norm: Option<&LayerNorm>, member: &Member<'_>) {
        if let Some(norm) = norm.filter(|_| self.normalises_after()) {
            self.normalize(norm, member);
            member.meet();
        }
    }

    fn normalises_after(&self) -> bool {
        matches!(self.model.architecture.norms, Norms::After)
    }

    /// Each member has its own rows.
    fn gate(&self, member: &Member<'_>) {
        let (width, stride) = (
            self.model.shape.intermediate,
            self.model.strides.intermediate,
        );
        let activation = self.model.architecture.activation;
        for row in self.rows(member) {
            // SAFETY: the row is this member's, and has as many gates behind as many values.
            unsafe {
                let values = self.buffers.intermediate.add(row * stride);
                let gates = values.add(width).cast_const();
                self.model.kernels.gate(values, gates, width, activation);
            }
        }
    }

    fn product(&self, from: (*mut f32, usize), to: (*mut f32, usize)) -> Product {
        Product {
            rows: self.tokens.len(),
            a: from.0,
            a_stride: from.1,
            c: to.0,
            c_stride: to.1,
            add: false,
            activation: None::<Activation>,
        }
    }

    /// Each member has its own panels of columns.
    fn multiply(&self, product: &Product, weights: &PackedMatrix, member: &Member<'_>) {
        let kernels = self.model.kernels;
        if let Some(coded) = self.model.coded {
            self.multiply_coded(coded, product, weights, member);
        } else {
            let panels = member.share(weights.panels());
            // SAFETY: the buffers hold all rows, and nobody else writes to these columns.
            unsafe { kernels.multiply(product, weights, panels) }
        }
    }

    /// Each member codes its own rows first.
    fn multiply_coded(
        &self,
        coded: &CodedKernels,
        product: &Product,
        weights: &PackedMatrix,
        member: &Member<'_>,
    ) {
        let kernels = self.model.kernels;
        let (view, width) = (&self.buffers.coded, kernels.fill_up(weights.depth()));
        for row in self.rows(member) {
            // SAFETY: the row is this member's, filled up with zeros to `width`.
            unsafe {
                let values = product.a.add(row * product.a_stride);
                coded.code_row(values, width, view, row);
            }
        }
        member.meet();
        let panels = member.share(weights.panels());
        // SAFETY: the buffers hold all rows, and nobody else writes to these columns.
        unsafe { kernels.multiply_coded(coded, product, (view, width), weights, panels) }
    }

    /// Each member has its own pairs of a text and a head of keys.
    fn attend(&self, layer: &Layer, member: &Member<'_>, scratch: &mut Scratch) {
        let attention = Attention {
            kernels: self.model.kernels,
            shape: &self.model.shape,
            strides: &self.model.strides,
            bias: self.model.weights.relative_bias.as_ref(),
            rotary: layer.rotary.as_deref(),
            query_key_norms: layer.query_key_norms.as_ref(),
            window: layer.window,
            causal: self.model.architecture.causal,
            qkv: self.buffers.qkv,
            context: self.buffers.context,
        };
        let heads = self.model.shape.heads / self.model.shape.group;
        for item in member.share(self.texts.len() * heads) {
            let range = self.batch.range(self.texts.start + item / heads);
            let rows = range.start - self.tokens.start..range.end - self.tokens.start;
            // SAFETY: the text is in the chunk, the pair is this member's, and the scratch was
            // made for the longest text.
            unsafe { attention.run(rows, item % heads, scratch) };
        }
    }

    /// Each member has its own rows.
    fn normalize(&self, norm: &LayerNorm, member: &Member<'_>) {
        for row in self.rows(member) {
            // SAFETY: the row is this member's and as wide as the norm.
            unsafe { self.model.kernels.layer_norm(self.state(row), norm) };
        }
    }

    fn rows(&self, member: &Member<'_>) -> std::ops::Range<usize> {
        member.share(self.tokens.len())
    }

    fn ranges(&self) -> impl Iterator<Item = std::ops::Range<usize>> + '_ {
        self.texts.clone().map(|text| self.batch.range(text))
    }

    /// # Safety
    /// `row` is a token of the chunk.
    unsafe fn state(&self, row: usize) -> *mut f32 {
        // SAFETY: the buffer holds all tokens of the chunk.
        unsafe { self.buffers.states.add(row * self.model.strides.states) }
    }
}

/// Where the last states go, `[tokens, hidden]`; each token is written by one thread.
#[derive(Debug)]
pub(super) struct Output(pub(super) *mut f32);

// SAFETY: every thread writes to rows of its own.
unsafe impl Sync for Output {}

impl Model {
    /// The sum of a token's embeddings, and zeros after it.
    fn embed(&self, batch: &PackedBatch, token: usize, sum: &mut [f32]) {
        let width = self.shape.embedding;
        sum.fill(0.0);
        let sum = &mut sum[..width];
        let tables = [
            (&self.weights.embeddings.words, batch.ids()[token]),
            (&self.weights.embeddings.positions, batch.positions()[token]),
            (&self.weights.embeddings.segments, batch.type_ids()[token]),
        ];
        for (table, index) in tables {
            let start = index as usize * width;
            let row = table.get(start..start + width).unwrap_or_default();
            for (value, part) in sum.iter_mut().zip(row) {
                *value += part;
            }
        }
    }
}
