//! Weights, read from the file straight into the order the kernels want.
//!
//! Widths are filled up with zeros to whole registers or panels, each head's part of Q, K and V by
//! itself. The zeros stay zeros through every step, so nothing later has to know them.

use std::path::Path;

use super::config::FamilyConfig;
use super::names::Names;
use crate::Error;
use crate::tensor_file::TensorFile;
use siamese_kernels::{AlignedVec, Kernels, LayerNorm, PackedMatrix, Precision};

/// The tables that make a token's first state.
#[derive(Debug)]
pub(super) struct Embeddings {
    /// `[vocabulary, hidden]`, as are the others by their first dimension.
    pub(super) words: Vec<f32>,
    pub(super) positions: Vec<f32>,
    pub(super) segments: Vec<f32>,
    pub(super) norm: LayerNorm,
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

/// Widths of rows, filled up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// A token's state, without zeros.
    pub(super) hidden: usize,
    /// A token's state.
    pub(super) state: usize,
    pub(super) heads: usize,
    /// Without zeros.
    pub(super) head_features: usize,
    /// One head's part of Q, K or V.
    pub(super) head: usize,
    pub(super) qkv: usize,
    /// All heads' results, one after the other.
    pub(super) context: usize,
    pub(super) intermediate: usize,
}

impl Shape {
    pub(super) fn new(config: &FamilyConfig, kernels: &Kernels) -> Self {
        let head = kernels.fill_up(config.head());
        let panels = |width: usize| width.next_multiple_of(kernels.panel);
        Self {
            hidden: config.hidden,
            state: panels(config.hidden),
            heads: config.heads,
            head_features: config.head(),
            head,
            qkv: panels(3 * config.heads * head),
            context: config.heads * head,
            intermediate: panels(config.intermediate),
        }
    }
}

/// Reads weights of one file.
struct Reader<'a> {
    file: TensorFile,
    config: &'a FamilyConfig,
    shape: &'a Shape,
    kernels: &'static Kernels,
    precision: Precision,
}

/// Reads and packs all weights.
///
/// # Errors
/// When the file is damaged or its tensors are not those of the configuration.
pub(super) fn read(
    path: &Path,
    config: &FamilyConfig,
    shape: &Shape,
    kernels: &'static Kernels,
    precision: Precision,
) -> Result<(Embeddings, Vec<Layer>), Error> {
    let file = TensorFile::open(path)?;
    let names = Names::new(&config.model_type, &file);
    let mut reader = Reader {
        file,
        config,
        shape,
        kernels,
        precision,
    };
    let embeddings = reader.embeddings(&names)?;
    let layers = (0..config.layers)
        .map(|layer| reader.layer(&names, layer))
        .collect::<Result<_, _>>()?;
    Ok((embeddings, layers))
}

impl Reader<'_> {
    fn embeddings(&mut self, names: &Names) -> Result<Embeddings, Error> {
        let hidden = self.config.hidden;
        let mut table = |name: &str, rows: usize| {
            if rows == 0 {
                return Ok(Vec::new());
            }
            self.file.read(&names.embedding(name), &[rows, hidden])
        };
        let words = table("word_embeddings.weight", self.config.vocabulary)?;
        let positions = table("position_embeddings.weight", self.config.positions)?;
        let segments = table("token_type_embeddings.weight", self.config.segments)?;
        let norm = self.norm(&names.embedding("LayerNorm"))?;
        Ok(Embeddings {
            words,
            positions,
            segments,
            norm,
        })
    }

    fn layer(&mut self, names: &Names, layer: usize) -> Result<Layer, Error> {
        let (config, shape) = (self.config, self.shape);
        let mut up = self.matrix(config.hidden, config.intermediate);
        self.fill(
            &mut up,
            &names.up(layer),
            config.hidden,
            config.intermediate,
        )?;
        let mut down = self.matrix(config.intermediate, config.hidden);
        self.fill(
            &mut down,
            &names.down(layer),
            config.intermediate,
            config.hidden,
        )?;
        let mut attention_output = self.matrix(shape.context, config.hidden);
        let name = names.attention_output(layer);
        self.linear(
            &name,
            config.hidden,
            config.hidden,
            |input, output, weight| {
                attention_output.set(spread(input, shape), output, weight);
            },
        )?;
        self.biases(
            &mut attention_output,
            &name,
            config.hidden,
            |output| output,
            1.0,
        )?;
        let qkv = self.qkv(names, layer)?;
        Ok(Layer {
            qkv: self.finish(qkv),
            attention_output: self.finish(attention_output),
            attention_norm: self.norm(&names.attention_norm(layer))?,
            up: self.finish(up),
            down: self.finish(down),
            output_norm: self.norm(&names.output_norm(layer))?,
        })
    }

    /// Q, K and V side by side, head by head, Q scaled by the square root of a head's length.
    fn qkv(&mut self, names: &Names, layer: usize) -> Result<PackedMatrix, Error> {
        let (hidden, shape) = (self.config.hidden, self.shape);
        let mut qkv = self.matrix(hidden, 3 * shape.context);
        let scale = (shape.head_features as f32).sqrt().recip();
        let parts = [
            (names.query(layer), scale),
            (names.key(layer), 1.0),
            (names.value(layer), 1.0),
        ];
        for (part, (name, scale)) in parts.iter().enumerate() {
            let column = |output: usize| {
                let head = output / shape.head_features;
                (3 * head + part) * shape.head + output % shape.head_features
            };
            self.linear(name, hidden, hidden, |input, output, weight| {
                qkv.set(input, column(output), weight * scale);
            })?;
            self.biases(&mut qkv, name, hidden, column, *scale)?;
        }
        Ok(qkv)
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

    /// A linear layer whose inputs and outputs stay where they are.
    fn fill(
        &mut self,
        matrix: &mut PackedMatrix,
        name: &str,
        inputs: usize,
        outputs: usize,
    ) -> Result<(), Error> {
        self.linear(name, inputs, outputs, |input, output, weight| {
            matrix.set(input, output, weight);
        })?;
        self.biases(matrix, name, outputs, |output| output, 1.0)
    }

    /// Calls `set(input, output, weight)` for every weight; the file has `[outputs, inputs]`.
    fn linear(
        &mut self,
        name: &str,
        inputs: usize,
        outputs: usize,
        mut set: impl FnMut(usize, usize, f32),
    ) -> Result<(), Error> {
        let weights = self
            .file
            .read(&format!("{name}.weight"), &[outputs, inputs])?;
        for (output, row) in weights.chunks_exact(inputs).enumerate() {
            for (input, weight) in row.iter().enumerate() {
                set(input, output, *weight);
            }
        }
        Ok(())
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

    /// A layer norm; models from TensorFlow call its parts gamma and beta.
    fn norm(&mut self, name: &str) -> Result<LayerNorm, Error> {
        let hidden = self.config.hidden;
        let old = self.file.has(&format!("{name}.gamma"));
        let (gain, shift) = if old {
            ("gamma", "beta")
        } else {
            ("weight", "bias")
        };
        let mut read = |part: &str| {
            let values = self.file.read(&format!("{name}.{part}"), &[hidden])?;
            let mut filled = AlignedVec::zeros(self.shape.state);
            filled[..hidden].copy_from_slice(&values);
            Ok::<_, Error>(filled)
        };
        Ok(LayerNorm {
            gain: read(gain)?,
            shift: read(shift)?,
            features: hidden,
            epsilon: self.config.epsilon,
        })
    }
}

/// Where a value of all heads' results stands when each head is filled up.
fn spread(input: usize, shape: &Shape) -> usize {
    input / shape.head_features * shape.head + input % shape.head_features
}
