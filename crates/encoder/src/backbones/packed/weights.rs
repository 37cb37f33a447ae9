//! Weights, read from the file straight into the order the kernels want.

use std::convert::identity;
use std::sync::Arc;

use super::shape::Shape;
use crate::Error;
use crate::backbones::architecture::{self, Architecture, Norm, Qkv, Rotation, Table, Up};
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
    pub(super) norm: Option<LayerNorm>,
    /// From the tables' width to that of states, where they differ.
    pub(super) projection: Option<PackedMatrix>,
}

/// One transformer layer.
#[derive(Debug)]
pub(super) struct Layer {
    /// For each head of keys the Qs of its group, K and V, each [`Shape::head`] wide; Q is scaled already,
    /// or by its norm.
    pub(super) qkv: PackedMatrix,
    /// Over each Q and each K.
    pub(super) query_key_norms: Option<[LayerNorm; 2]>,
    pub(super) attention_output: PackedMatrix,
    pub(super) attention_norm: Option<LayerNorm>,
    pub(super) attention_output_norm: Option<LayerNorm>,
    /// With gates it has their columns behind its own, filled up as these.
    pub(super) up: PackedMatrix,
    pub(super) down: PackedMatrix,
    pub(super) feed_forward_norm: LayerNorm,
    pub(super) feed_forward_output_norm: Option<LayerNorm>,
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
    /// Those that layers have.
    rotaries: Vec<(Rotation, Arc<Rotary>)>,
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
        last_norm: reader.state_norm(architecture.norms.last())?,
    })
}

impl Reader<'_> {
    fn embeddings(&mut self) -> Result<Embeddings, Error> {
        let embeddings = &self.architecture.embeddings;
        let (width, hidden) = (self.shape.embedding, self.shape.hidden);
        let words = self.architecture.read_words(&mut self.file)?;
        let mut read = |table: &Table| self.file.read(&table.name, &[table.rows, width]);
        let positions = embeddings.positions.as_ref().map(&mut read).transpose()?;
        let segments = embeddings.segments.as_ref().map(&mut read).transpose()?;
        let norm = embeddings.norm.as_ref();
        let norm = norm.map(|name| self.norm(name, width)).transpose()?;
        let projection = embeddings.projection.as_ref();
        let projection = projection.map(|it| self.linear(&it.name, width, hidden, true));
        Ok(Embeddings {
            words,
            positions: positions.unwrap_or_default(),
            segments: segments.unwrap_or_default(),
            norm,
            projection: projection.transpose()?,
        })
    }

    fn layer(&mut self, names: &architecture::Layer) -> Result<Layer, Error> {
        let (hidden, intermediate) = (self.shape.hidden, self.architecture.intermediate);
        let has_bias = self.architecture.has_bias;
        Ok(Layer {
            up: self.up(&names.up, hidden, intermediate)?,
            down: self.linear(&names.down, intermediate, hidden, has_bias.down)?,
            attention_output: self.attention_output(&names.attention_output)?,
            query_key_norms: self.query_key_norms(names)?,
            qkv: self.qkv(names)?,
            attention_norm: self.state_norm(names.attention_norm.as_deref())?,
            attention_output_norm: self.state_norm(names.attention_output_norm.as_deref())?,
            feed_forward_norm: self.norm(&names.feed_forward_norm, hidden)?,
            feed_forward_output_norm: self.state_norm(names.feed_forward_output_norm.as_deref())?,
            window: names.window,
            rotary: names.rotation.map(|rotation| self.rotary(rotation)),
        })
    }

    /// A norm over states, where there is one.
    fn state_norm(&mut self, name: Option<&str>) -> Result<Option<LayerNorm>, Error> {
        let hidden = self.shape.hidden;
        name.map(|name| self.norm(name, hidden)).transpose()
    }

    /// The norms over queries and over keys; the first scales as well.
    fn query_key_norms(
        &mut self,
        names: &architecture::Layer,
    ) -> Result<Option<[LayerNorm; 2]>, Error> {
        let Some([query, key]) = &names.query_key_norms else {
            return Ok(None);
        };
        let (features, width) = (self.shape.head_features, self.shape.head);
        let mut query = self.filled_norm(query, features, width)?;
        let scale = self.architecture.score_scale;
        let parts = query.gain.iter_mut().chain(query.shift.iter_mut());
        parts.for_each(|value| *value *= scale);
        let key = self.filled_norm(key, features, width)?;
        Ok(Some([query, key]))
    }

    /// Rotations, made once for all layers that have them.
    fn rotary(&mut self, rotation: Rotation) -> Arc<Rotary> {
        let made = self.rotaries.iter().find(|(other, _)| *other == rotation);
        if let Some((_, rotary)) = made {
            return Arc::clone(rotary);
        }
        let head = self.shape.head_features;
        let rotary = Arc::new(Rotary::new(rotation, head, self.architecture.positions));
        self.rotaries.push((rotation, Arc::clone(&rotary)));
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

    /// The first linear layer of a feed-forward block, with gates behind its outputs where there are some,
    /// both filled up by themselves.
    fn up(&mut self, names: &Up, inputs: usize, outputs: usize) -> Result<PackedMatrix, Error> {
        let has_bias = self.architecture.has_bias.up;
        if let (Up::Whole(name), false) = (names, self.architecture.gated) {
            return self.linear(name, inputs, outputs, has_bias);
        }
        let (gates, rows) = (self.shape.intermediate, outputs);
        let (mut weights, mut biases) = (Vec::new(), Vec::new());
        let whole = match names {
            Up::Whole(name) | Up::GatesFirst(name) => vec![(name, 2 * rows)],
            Up::Apart { activated, gates } => vec![(activated, rows), (gates, rows)],
        };
        for (name, rows) in whole {
            weights.extend(self.weights(name, inputs, rows)?);
            biases.extend(self.biases(name, rows, has_bias)?);
        }
        let first = usize::from(matches!(names, Up::GatesFirst(_)));
        let column = |output| (output / rows + first) % 2 * gates + output % rows;
        let mut matrix = self.matrix(inputs, 2 * gates);
        place(&mut matrix, &weights, &biases, identity, column, 1.0);
        Ok(self.finish(matrix))
    }

    /// The linear layer over all heads' results, which are filled up each by itself.
    fn attention_output(&mut self, name: &str) -> Result<PackedMatrix, Error> {
        let (hidden, shape) = (self.shape.hidden, self.shape);
        let weights = self.weights(name, self.architecture.queries(), hidden)?;
        let biases = self.biases(name, hidden, self.architecture.has_bias.attention)?;
        let mut matrix = self.matrix(shape.context, hidden);
        let step = |input| spread(input, shape);
        place(&mut matrix, &weights, &biases, step, identity, 1.0);
        Ok(self.finish(matrix))
    }

    /// Q, K and V side by side, head by head, Q scaled unless its norm does that.
    fn qkv(&mut self, names: &architecture::Layer) -> Result<PackedMatrix, Error> {
        let (hidden, shape) = (self.shape.hidden, self.shape);
        let has_bias = self.architecture.has_bias.attention;
        let (queries, keys) = (self.architecture.queries(), self.architecture.keys());
        let (heads, group) = (shape.heads / shape.group, shape.group);
        let mut qkv = self.matrix(hidden, heads * (group + 2) * shape.head);
        let scale = match names.query_key_norms {
            Some(_) => 1.0,
            None => self.architecture.score_scale,
        };
        let mut place_part = |part: usize, weights: &[f32], biases: &[f32]| {
            // Of one head of keys: how many rows of heads it has in this part, and where they begin.
            let (own, start) = match part {
                0 => (group, 0),
                part => (1, group + part - 1),
            };
            let column = |output: usize| {
                let head = output / shape.head_features;
                let place = head / own * (group + 2) + start + head % own;
                place * shape.head + output % shape.head_features
            };
            let scale = if part == 0 { scale } else { 1.0 };
            place(&mut qkv, weights, biases, identity, column, scale);
            if part == 2 {
                // What is left out of V is left out of all tokens alike, and no mean takes it away.
                (0..biases.len()).for_each(|output| qkv.set_fine(column(output)));
            }
        };
        let sizes = [queries, keys, keys];
        match &names.qkv {
            Qkv::Apart(names) => {
                for (part, (name, size)) in names.iter().zip(sizes).enumerate() {
                    let weights = self.weights(name, hidden, size)?;
                    place_part(part, &weights, &self.biases(name, size, has_bias)?);
                }
            }
            Qkv::Joined(name) => {
                let all = sizes.iter().sum();
                let (weights, biases) = (
                    self.weights(name, hidden, all)?,
                    self.biases(name, all, has_bias)?,
                );
                let (mut weights, mut biases) = (&weights[..], &biases[..]);
                for (part, size) in sizes.into_iter().enumerate() {
                    let (own, others) = weights.split_at(size * hidden);
                    let (own_biases, other_biases) = biases.split_at(size);
                    place_part(part, own, own_biases);
                    (weights, biases) = (others, other_biases);
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
        let width = features.next_multiple_of(self.kernels.panel);
        self.filled_norm(name, features, width)
    }

    /// A norm over rows that are filled up to `width`.
    fn filled_norm(
        &mut self,
        name: &str,
        features: usize,
        width: usize,
    ) -> Result<LayerNorm, Error> {
        let (gain, shift) = (self.architecture).read_norm(&mut self.file, name, features)?;
        let fill_up = |values: &[f32]| {
            let mut filled = AlignedVec::zeros(width);
            filled[..features].copy_from_slice(values);
            filled
        };
        Ok(LayerNorm {
            gain: fill_up(&gain),
            shift: fill_up(&shift),
            features,
            epsilon: self.architecture.epsilon,
            centred: self.architecture.norm == Norm::Layer,
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
