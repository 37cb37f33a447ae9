//! A text's vector as a sum over its tokens.

use std::ops::Range;

use super::{TokenSource, TracedText};
use crate::forward::TextStates;
use crate::pooling::PoolingMode;
use crate::steps::OpenStep;
use crate::{Encoder, Error, InputKind};

/// A text's vector as a sum of parts: one for each token, and one for the biases of Dense modules where
/// there are any.
#[derive(Debug, Clone)]
pub struct VectorParts {
    sources: Vec<TokenSource>,
    parts: Rows,
    vector: Vec<f32>,
}

/// Vectors of one length, one after the other.
#[derive(Debug, Clone)]
pub(super) struct Rows {
    values: Vec<f32>,
    width: usize,
}

impl VectorParts {
    /// For each part, where it comes from.
    pub fn sources(&self) -> &[TokenSource] {
        &self.sources
    }

    /// The vector, as [`Encoder::encode`] returns it; the sum of all parts but for rounding.
    pub fn vector(&self) -> &[f32] {
        &self.vector
    }

    /// The same vector as a sum of fewer parts, each of which is the sum of a range of these.
    #[must_use]
    pub fn grouped(&self, groups: impl IntoIterator<Item = Range<usize>>) -> Self {
        let (mut values, mut sources) = (Vec::new(), Vec::new());
        for group in groups {
            values.extend(self.parts.sum(group.clone()));
            sources.extend(self.sources.get(group.start).cloned());
        }
        let width = self.parts.width;
        Self {
            sources,
            parts: Rows { values, width },
            vector: self.vector.clone(),
        }
    }

    pub(super) fn rows(&self) -> &Rows {
        &self.parts
    }
}

impl Rows {
    pub(super) fn count(&self) -> usize {
        self.values.len() / self.width
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.width)
    }

    pub(super) fn get(&self, row: usize) -> &[f32] {
        &self.values[row * self.width..(row + 1) * self.width]
    }

    fn sum(&self, rows: Range<usize>) -> Vec<f32> {
        let mut sum = vec![0.0; self.width];
        for row in rows {
            let values = self.get(row).iter();
            sum.iter_mut()
                .zip(values)
                .for_each(|(sum, value)| *sum += value);
        }
        sum
    }

    fn map(&self, row: impl Fn(&[f32]) -> Vec<f32>) -> Self {
        let values: Vec<f32> = self.iter().flat_map(row).collect();
        Self {
            width: values.len() / self.count(),
            values,
        }
    }

    /// The last states of a text's tokens, pooled in each of these ways, and a row for the bias.
    fn pooled(states: TextStates<'_>, modes: &[PoolingMode], first_row: usize) -> Self {
        let TextStates { values, width } = states;
        let shares: Vec<Vec<f32>> = modes
            .iter()
            .map(|mode| mode.shares(values, width, first_row))
            .collect();
        let tokens = values.len() / width;
        let mut pooled = Vec::with_capacity(modes.len() * (values.len() + width));
        for token in 0..tokens {
            for shares in &shares {
                pooled.extend_from_slice(&shares[token * width..(token + 1) * width]);
            }
        }
        pooled.resize(modes.len() * (values.len() + width), 0.0);
        Self {
            values: pooled,
            width: modes.len() * width,
        }
    }

    /// What a module after pooling makes of each row. The last one, which is the bias, takes what it adds.
    fn after(self, step: &OpenStep) -> Self {
        match step {
            OpenStep::Dense(dense) => {
                let mut out = self.map(|row| dense.forward_part(row));
                let start = out.values.len() - out.width;
                let biases = out.values[start..].iter_mut().zip(dense.bias());
                biases.for_each(|(sum, bias)| *sum += bias);
                out
            }
            OpenStep::Normalize => {
                let sum = self.sum(0..self.count());
                let length = sum.iter().map(|value| value * value).sum::<f32>().sqrt();
                // As the encoder divides a vector that has hardly a length.
                let length = length.max(1e-12);
                self.map(|row| row.iter().map(|value| value / length).collect())
            }
            OpenStep::Truncate(dimensions) => self.map(|row| row[..*dimensions].to_vec()),
        }
    }
}

impl Encoder {
    /// Whether vectors of this model are sums over tokens, so that [`Self::vector_parts`] exist.
    ///
    /// # Errors
    /// [`Error::NotLinear`] names what is in the way.
    pub fn check_linear(&self) -> Result<(), Error> {
        let mut steps = self.towers().flat_map(|tower| &tower.steps);
        let in_the_way = steps.find_map(|step| match step {
            OpenStep::Dense(dense) if !dense.is_linear() => Some(dense.activation().name()),
            OpenStep::Dense(_) | OpenStep::Normalize | OpenStep::Truncate(_) => None,
        });
        match in_the_way {
            Some(activation) => Err(Error::NotLinear {
                model: self.info().model.clone(),
                activation,
            }),
            None => Ok(()),
        }
    }

    /// The parts of a text's vector; `states` is what this encoder returned for its tokens.
    ///
    /// # Errors
    /// As [`Self::check_linear`].
    ///
    /// # Panics
    /// When the states are of another text.
    pub fn vector_parts(&self, text: TracedText, states: &[f32]) -> Result<VectorParts, Error> {
        self.check_linear()?;
        let tower = self.tower(text.tokens.kind);
        let width = tower.state_width;
        assert_eq!(
            states.len(),
            text.sources.len() * width,
            "the states are of another text"
        );
        let states = TextStates {
            values: states,
            width,
        };
        let prompt_tokens = text.tokens.prompt_tokens;
        let pooled = Rows::pooled(states, &tower.pooling.modes, prompt_tokens);
        let mut parts = tower.steps.iter().fold(pooled, Rows::after);
        let mut sources = text.sources;
        if parts.get(sources.len()).iter().any(|value| *value != 0.0) {
            sources.push(TokenSource::Bias);
        } else {
            parts.values.truncate(sources.len() * parts.width);
        }
        Ok(VectorParts {
            sources,
            parts,
            vector: tower.vector(states, prompt_tokens),
        })
    }

    /// Encodes texts and returns the parts of their vectors, in order.
    ///
    /// # Errors
    /// As [`Self::trace`], [`Self::encode_tokenized`] and [`Self::vector_parts`].
    pub fn explain(&self, texts: &[&str], kind: InputKind) -> Result<Vec<VectorParts>, Error> {
        self.check_linear()?;
        let traced: Vec<TracedText> = texts
            .iter()
            .map(|text| self.trace(text, kind))
            .collect::<Result<_, _>>()?;
        let tokens: Vec<_> = traced.iter().map(|text| &text.tokens).collect();
        let states = self.encode_tokenized(&tokens)?;
        let parts = traced.into_iter().zip(states);
        parts
            .map(|(text, states)| self.vector_parts(text, &states))
            .collect()
    }
}
