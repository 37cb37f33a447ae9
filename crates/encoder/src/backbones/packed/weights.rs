//! Weights, read from the file straight into the order the kernels want.

use std::convert::identity;
use std::sync::Arc;

use super::shape::Shape;
use crate::Error;
use crate::backbones::architecture::{self, Architecture, Norms, Qkv, Table};
use crate::backbones::relative_bias::RelativeBias;
use crate::backbones::rotary::Rotary;
use crate::checkpoint::Checkpoint;
use siamese_kernels::{AlignedVec, Kernels, LayerNorm, PackedMatrix, Precision};

/// All weights of a transformer.
#[derive(Debug)]
pub(super) struct Weights {
    pub(super) embeddings: Embeddings,
    pub(super) layers: Vec<Layer>,
    pub(super) relative_bias: Option<RelativeBias>,
    /// Over the last states, where blocks do not normalise what they make.
    pub(super) last_norm: Option<LayerNorm>,
}

/// The tables that make a token's first state.
#[derive(Debug)]
pub(super) struct Embeddings {
    /// `[vocabulary, width]`, as are the others by their first dimension.
    pub(super) words: Vec<f32>,
    /// Empty where there are none, as the next.
    pub(super) positions: Vec<f32>,
    pub(super) segments: Vec<f32>,
    pub(super) norm: LayerNorm,
    /// From the tables' width to that of states, where they differ.
    pub(super) projection: Option<PackedMatrix>,
}

/// One transformer layer.
#[derive(Debug)]
pub(super) struct Layer {
    /// For each head Q, K and V, each [`Shape::head`] wide; Q is scaled already.
    pub(super) qkv: PackedMatrix,
    pub(super) attention_output: PackedMatrix,
    pub(super) attention_norm: Option<LayerNorm>,
    /// With gates it has their columns behind its own, filled up as these.
    pub(super) up: PackedMatrix,
    pub(super) down: PackedMatrix,
    pub(super) feed_forward_norm: LayerNorm,
    pub(super) window: Option<usize>,
    pub(super) rotary: Option<Arc<Rotary>>,
}

/// Reads weights of one file.
struct Reader<'a> {
    file: Checkpoint,
    architecture: &'a Architecture,
    shape: &'a Shape,
    kernels: &'static Kernels,
    precision: Precision,
    /// Those that layers have, by their bases.
    rotaries: Vec<(f32, Arc<Rotary>)>,
}

/// Reads and packs all weights.
///
/// # Errors
/// When the file is damaged or its tensors are not those of the architecture.
pub(super) fn read(
    file: Checkpoint,
    architecture: &Architecture,
    shape: &Shape,
    kernels: &'static Kernels,
    precision: Precision,
) -> Result<Weights, Error> {
    let mut reader = Reader {
        file,
        architecture,
        shape,
        kernels,
        precision,
        rotaries: Vec::new(),
    };
    let layers = architecture.layers.iter();
    Ok(Weights {
        embeddings: reader.embeddings()?,
        relative_bias: RelativeBias::read(&mut reader.file, architecture)?,
        layers: layers
            .map(|layer| reader.layer(layer))
            .collect::<Result<_, _>>()?,
        last_norm: match &architecture.norms {
            Norms::After => None,
            Norms::Before { last } => Some(reader.norm(last, shape.hidden)?),
        },
    })
}

impl Reader<'_> {
    fn embeddings(&mut self) -> Result<Embeddings, Error> {
        let embeddings = &self.architecture.embeddings;
        let (width, hidden) = (self.shape.embedding, self.shape.hidden);
        let mut read = |table: &Table| self.file.read(&table.name, &[table.rows, width]);
        let words = read(&embeddings.words)?;
        let positions = embeddings.positions.as_ref().map(&mut read).transpose()?;
        let segments = embeddings.segments.as_ref().map(&mut read).transpose()?;
        let projection = embeddings.projection.as_ref();
        let projection = projection.map(|it| self.linear(&it.name, width, hidden, true));
        Ok(Embeddings {
            words,
            positions: positions.unwrap_or_default(),
            segments: segments.unwrap_or_default(),
            norm: self.norm(&embeddings.norm, width)?,
            projection: projection.transpose()?,
        })
    }

    fn layer(&mut self, names: &architecture::Layer) -> Result<Layer, Error> {
        let (hidden, intermediate) = (self.shape.hidden, self.architecture.intermediate);
        let has_bias = self.architecture.has_bias.feed_forward;
        let attention_norm = names.attention_norm.as_ref();
        let attention_norm = attention_norm.map(|name| self.norm(name, hidden));
        Ok(Layer {
            up: match self.architecture.gated {
                true => self.gated(&names.up, hidden, intermediate, has_bias)?,
                false => self.linear(&names.up, hidden, intermediate, has_bias)?,
            },
            down: self.linear(&names.down, intermediate, hidden, has_bias)?,
            attention_output: self.attention_output(&names.attention_output)?,
            qkv: self.qkv(&names.qkv)?,
            attention_norm: attention_norm.transpose()?,
            feed_forward_norm: self.norm(&names.feed_forward_norm, hidden)?,
            window: names.window,
            rotary: names.rotary_base.map(|base| self.rotary(base)),
        })
    }

    /// The rotations with a base, made once for all layers that have it.
    fn rotary(&mut self, base: f32) -> Arc<Rotary> {
        let made = self.rotaries.iter().find(|(other, _)| *other == base);
        if let Some((_, rotary)) = made {
            return Arc::clone(rotary);
        }
        let head = self.shape.head_features;
        let rotary = Arc::new(Rotary::new(base, head, self.architecture.positions));
        self.rotaries.push((base, Arc::clone(&rotary)));
        rotary
    }

    /// A linear layer whose inputs and outputs stay where they are.
    fn linear(
        &mut self,
        name: &str,
        inputs: usize,
        outputs: usize,
        has_bias: bool,
    ) -> Result<PackedMatrix, Error> {
        // Read first: their shape is checked before room is made for them.
        let weights = self.weights(name, inputs, outputs)?;
        let biases = self.biases(name, outputs, has_bias)?;
        let mut matrix = self.matrix(inputs, outputs);
        place(&mut matrix, &weights, &biases, identity, identity, 1.0);
        Ok(self.finish(matrix))
    }

    /// A linear layer with gates behind its outputs, both filled up by themselves.
    fn gated(
        &mut self,
        name: &str,
        inputs: usize,
        outputs: usize,
        has_bias: bool,
    ) -> Result<PackedMatrix, Error> {
        let weights = self.weights(name, inputs, 2 * outputs)?;
        let biases = self.biases(name, 2 * outputs, has_bias)?;
        let gates = self.shape.intermediate;
        let mut matrix = self.matrix(inputs, 2 * gates);
        let column = |output| output / outputs * gates + output % outputs;
        place(&mut matrix, &weights, &biases, identity, column, 1.0);
        Ok(self.finish(matrix))
    }

    /// The linear layer over all heads' results, which are filled up each by itself.
    fn attention_output(&mut self, name: &str) -> Result<PackedMatrix, Error> {
        let (hidden, shape) = (self.shape.hidden, self.shape);
        let weights = self.weights(name, hidden, hidden)?;
        let biases = self.biases(name, hidden, self.architecture.has_bias.attention)?;
        let mut matrix = self.matrix(shape.context, hidden);
        let step = |input| spread(input, shape);
        place(&mut matrix, &weights, &biases, step, identity, 1.0);
        Ok(self.finish(matrix))
    }

    /// Q, K and V side by side, head by head, Q scaled by the square root of a head's length.
    fn qkv(&mut self, names: &Qkv) -> Result<PackedMatrix, Error> {
        let (hidden, shape) = (self.shape.hidden, self.shape);
        let has_bias = self.architecture.has_bias.attention;
        let mut qkv = self.matrix(hidden, 3 * shape.context);
        let scale = (shape.head_features as f32).sqrt().recip();
        let mut place_part = |part: usize, weights: &[f32], biases: &[f32]| {
            let column = |output: usize| {
                let head = output / shape.head_features;
                (3 * head + part) * shape.head + output % shape.head_features
            };
            let scale = if part == 0 { scale } else { 1.0 };
            place(&mut qkv, weights, biases, identity, column, scale);
        };
        match names {
            Qkv::Apart(names) => {
                for (part, name) in names.iter().enumerate() {
                    let weights = self.weights(name, hidden, hidden)?;
                    place_part(part, &weights, &self.biases(name, hidden, has_bias)?);
                }
            }
            Qkv::Joined(name) => {
                let weights = self.weights(name, hidden, 3 * hidden)?;
                let biases = self.biases(name, 3 * hidden, has_bias)?;
                let parts = weights.chunks(hidden * hidden).zip(biases.chunks(hidden));
                for (part, (weights, biases)) in parts.enumerate() {
                    place_part(part, weights, biases);
                }
            }
        }
        Ok(self.finish(qkv))
    }

    fn weights(&mut self, name: &str, inputs: usize, outputs: usize) -> Result<Vec<f32>, Error> {
        self.file
            .read(&format!("{name}.weight"), &[outputs, inputs])
    }

    fn matrix(&self, depth: usize, columns: usize) -> PackedMatrix {
        // Codes are made of a whole column at a time.
        let precision = match self.kernels.coded(self.precision) {
            Some(_) => Precision::F32,
            None => self.precision,
        };
        PackedMatrix::zeros(self.kernels, precision, depth, columns)
    }

    fn finish(&self, matrix: PackedMatrix) -> PackedMatrix {
        match self.kernels.coded(self.precision) {
            Some(coded) => matrix.coded(coded),
            None => matrix,
        }
    }

    fn biases(&mut self, name: &str, outputs: usize, has_bias: bool) -> Result<Vec<f32>, Error> {
        match has_bias {
            true => self.file.read(&format!("{name}.bias"), &[outputs]),
            false => Ok(vec![0.0; outputs]),
        }
    }

    fn norm(&mut self, name: &str, features: usize) -> Result<LayerNorm, Error> {
        let (gain, shift) =
            self.file
                .read_norm(name, features, self.architecture.has_bias.norms)?;
        let fill_up = |values: &[f32]| {
            let width = features.next_multiple_of(self.kernels.panel);
            let mut filled = AlignedVec::zeros(width);
            filled[..features].copy_from_slice(values);
            filled
        };
        Ok(LayerNorm {
            gain: fill_up(&gain),
            shift: fill_up(&shift),
            features,
            epsilon: self.architecture.epsilon,
        })
    }
}

/// Puts `[outputs, inputs]` weights, as the file has them, and biases into their places, scaled.
fn place(
    matrix: &mut PackedMatrix,
    weights: &[f32],
    biases: &[f32],
    step: impl Fn(usize) -> usize,
    column: impl Fn(usize) -> usize,
    scale: f32,
) {
    let inputs = weights.len() / biases.len();
    for (output, (row, bias)) in weights.chunks_exact(inputs).zip(biases).enumerate() {
        for (input, weight) in row.iter().enumerate() {
            matrix.set(step(input), column(output), weight * scale);
        }
        matrix.set_bias(column(output), bias * scale);
    }
}

/// Where a value of all heads' results stands when each head is filled up.
fn spread(input: usize, shape: &Shape) -> usize {
    input / shape.head_features * shape.head + input % shape.head_features
}
