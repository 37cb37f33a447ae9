//! Weights, read from the file straight into the order the kernels want.

use super::shape::Shape;
use crate::Error;
use crate::backbones::architecture::{self, Architecture, Table};
use crate::backbones::relative_bias::RelativeBias;
use crate::tensor_file::TensorFile;
use siamese_kernels::{AlignedVec, Kernels, LayerNorm, PackedMatrix, Precision};

/// The tables that make a token's first state.
#[derive(Debug)]
pub(super) struct Embeddings {
    /// `[vocabulary, width]`, as are the others by their first dimension.
    pub(super) words: Vec<f32>,
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
    pub(super) attention_norm: LayerNorm,
    pub(super) up: PackedMatrix,
    pub(super) down: PackedMatrix,
    pub(super) output_norm: LayerNorm,
}

/// Reads weights of one file.
struct Reader<'a> {
    file: TensorFile,
    architecture: &'a Architecture,
    shape: &'a Shape,
    kernels: &'static Kernels,
    precision: Precision,
}

/// Reads and packs all weights.
///
/// # Errors
/// When the file is damaged or its tensors are not those of the architecture.
pub(super) fn read(
    file: TensorFile,
    architecture: &Architecture,
    shape: &Shape,
    kernels: &'static Kernels,
    precision: Precision,
) -> Result<(Embeddings, Option<RelativeBias>, Vec<Layer>), Error> {
    let mut reader = Reader {
        file,
        architecture,
        shape,
        kernels,
        precision,
    };
    let embeddings = reader.embeddings()?;
    let relative_bias = RelativeBias::read(&mut reader.file, architecture)?;
    let layers = architecture.layers.iter();
    let layers = layers
        .map(|names| reader.layer(names))
        .collect::<Result<_, _>>()?;
    Ok((embeddings, relative_bias, layers))
}

impl Reader<'_> {
    fn embeddings(&mut self) -> Result<Embeddings, Error> {
        let embeddings = &self.architecture.embeddings;
        let (width, hidden) = (self.shape.embedding, self.shape.hidden);
        let mut read = |table: &Table| self.file.read(&table.name, &[table.rows, width]);
        Ok(Embeddings {
            words: read(&embeddings.words)?,
            positions: read(&embeddings.positions)?,
            segments: embeddings.segments.as_ref().map_or(Ok(Vec::new()), read)?,
            norm: self.norm(&embeddings.norm, width)?,
            projection: match &embeddings.projection {
                Some(projection) => Some(self.linear(&projection.name, width, hidden)?),
                None => None,
            },
        })
    }

    fn layer(&mut self, names: &architecture::Layer) -> Result<Layer, Error> {
        let (hidden, intermediate) = (self.shape.hidden, self.architecture.intermediate);
        Ok(Layer {
            up: self.linear(&names.up, hidden, intermediate)?,
            down: self.linear(&names.down, intermediate, hidden)?,
            attention_output: self.attention_output(&names.attention_output)?,
            qkv: self.qkv(names)?,
            attention_norm: self.norm(&names.attention_norm, hidden)?,
            output_norm: self.norm(&names.output_norm, hidden)?,
        })
    }

    /// A linear layer whose inputs and outputs stay where they are.
    fn linear(&mut self, name: &str, inputs: usize, outputs: usize) -> Result<PackedMatrix, Error> {
        // Read first: their shape is checked before room is made for them.
        let weights = self.weights(name, inputs, outputs)?;
        let mut matrix = self.matrix(inputs, outputs);
        each(&weights, inputs, |input, output, weight| {
            matrix.set(input, output, weight);
        });
        self.biases(&mut matrix, name, outputs, |output| output, 1.0)?;
        Ok(self.finish(matrix))
    }

    /// The linear layer over all heads' results, which are filled up each by itself.
    fn attention_output(&mut self, name: &str) -> Result<PackedMatrix, Error> {
        let (hidden, shape) = (self.shape.hidden, self.shape);
        let weights = self.weights(name, hidden, hidden)?;
        let mut matrix = self.matrix(shape.context, hidden);
        each(&weights, hidden, |input, output, weight| {
            matrix.set(spread(input, shape), output, weight);
        });
        self.biases(&mut matrix, name, hidden, |output| output, 1.0)?;
        Ok(self.finish(matrix))
    }

    /// Q, K and V side by side, head by head, Q scaled by the square root of a head's length.
    fn qkv(&mut self, names: &architecture::Layer) -> Result<PackedMatrix, Error> {
        let (hidden, shape) = (self.shape.hidden, self.shape);
        let mut qkv = self.matrix(hidden, 3 * shape.context);
        let scale = (shape.head_features as f32).sqrt().recip();
        let parts = [
            (&names.query, scale),
            (&names.key, 1.0),
            (&names.value, 1.0),
        ];
        for (part, (name, scale)) in parts.into_iter().enumerate() {
            let column = |output: usize| {
                let head = output / shape.head_features;
                (3 * head + part) * shape.head + output % shape.head_features
            };
            let weights = self.weights(name, hidden, hidden)?;
            each(&weights, hidden, |input, output, weight| {
                qkv.set(input, column(output), weight * scale);
            });
            self.biases(&mut qkv, name, hidden, column, scale)?;
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

    fn biases(
        &mut self,
        matrix: &mut PackedMatrix,
        name: &str,
        outputs: usize,
        column: impl Fn(usize) -> usize,
        scale: f32,
    ) -> Result<(), Error> {
        let biases = self.file.read(&format!("{name}.bias"), &[outputs])?;
        for (output, bias) in biases.into_iter().enumerate() {
            matrix.set_bias(column(output), bias * scale);
        }
        Ok(())
    }

    fn norm(&mut self, name: &str, features: usize) -> Result<LayerNorm, Error> {
        let (gain, shift) = self.file.read_norm(name, features)?;
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

/// Calls `set(input, output, weight)` for every weight of `[outputs, inputs]`, as the file has them.
fn each(weights: &[f32], inputs: usize, mut set: impl FnMut(usize, usize, f32)) {
    for (output, row) in weights.chunks_exact(inputs).enumerate() {
        for (input, weight) in row.iter().enumerate() {
            set(input, output, *weight);
        }
    }
}

/// Where a value of all heads' results stands when each head is filled up.
fn spread(input: usize, shape: &Shape) -> usize {
    input / shape.head_features * shape.head + input % shape.head_features
}
