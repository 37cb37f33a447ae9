//! What differs between a pass that only computes and one that is learned from.

use candle_core::{D, Tensor};
use candle_nn::ops::softmax_last_dim;
use candle_nn::rotary_emb::{rope, rope_slow};
use candle_nn::{LayerNorm, Linear, Module};

use super::linear::LinearLayer;
use super::weights::Norm;
use crate::training::{Dropout, mask, ops};

/// A way through a transformer.
#[derive(Debug)]
pub(crate) enum Pass<'a> {
    /// By operations whose derivatives candle does not know.
    Inference,
    /// By operations that have derivatives, and with values left out at random where that is asked for, in the
    /// places where BERT does so.
    Learning(Option<&'a Dropout>),
}

impl Pass<'_> {
    pub(super) fn linear(
        &self,
        layer: &LinearLayer,
        states: &Tensor,
    ) -> candle_core::Result<Tensor> {
        let product = |states: &Tensor, weights: &Tensor, bias: Option<&Tensor>| match self {
            Self::Learning(_) if states.device().is_cpu() => ops::linear(states, weights, bias),
            _ => Linear::new(weights.clone(), bias.cloned()).forward(states),
        };
        let output = product(states, layer.linear.weight(), layer.linear.bias())?;
        match &layer.adapter {
            Some(adapter) => {
                let change = product(&product(states, &adapter.down, None)?, &adapter.up, None)?;
                output + (change * adapter.scale)?
            }
            None => Ok(output),
        }
    }

    pub(super) fn gelu(&self, states: &Tensor) -> candle_core::Result<Tensor> {
        match self {
            Self::Learning(_) if states.device().is_cpu() => ops::gelu(states),
            _ => states.gelu_erf(),
        }
    }

    pub(super) fn norm(&self, norm: &Norm, states: &Tensor) -> candle_core::Result<Tensor> {
        match (self, norm) {
            (Self::Inference, norm) => norm.forward(states),
            (Self::Learning(_), Norm::Layer(norm)) => layer_norm(norm, states),
            (Self::Learning(_), Norm::Rms(norm)) => norm.forward_diff(states),
        }
    }

    /// How much of each value a query takes: the softmax of scores `[texts, heads, queries, keys]`, multiplied by
    /// `scale` and with biases added.
    pub(super) fn attention_weights(
        &self,
        scores: &Tensor,
        scale: f32,
        biases: &[Tensor],
    ) -> candle_core::Result<Tensor> {
        let omissions = match self {
            Self::Inference => {
                return softmax_last_dim(&ops::biased_scores(scores, scale, biases)?);
            }
            Self::Learning(dropout) => dropout.and_then(Dropout::of_attention),
        };
        if scores.device().is_cpu() {
            return ops::attention_weights(scores, scale, biases, omissions);
        }
        let weights = ops::attention_weights_by_tensors(scores, scale, biases)?;
        match omissions {
            Some(omissions) => &weights * mask(&weights, omissions)?,
            None => Ok(weights),
        }
    }

    /// Turns pairs of values by angles, whose cosines and sines are given.
    pub(super) fn turn(
        &self,
        heads: &Tensor,
        cosines: &Tensor,
        sines: &Tensor,
    ) -> candle_core::Result<Tensor> {
        match self {
            Self::Inference => rope(heads, cosines, sines),
            Self::Learning(_) => rope_slow(heads, cosines, sines),
        }
    }

    /// Leaves out some values of states.
    pub(super) fn drop_states(&self, states: Tensor) -> candle_core::Result<Tensor> {
        match self {
            Self::Inference | Self::Learning(None) => Ok(states),
            Self::Learning(Some(dropout)) => dropout.of_states(states),
        }
    }
}

fn layer_norm(norm: &LayerNorm, states: &Tensor) -> candle_core::Result<Tensor> {
    let shift = norm.bias();
    if let (true, Some(shift)) = (states.device().is_cpu(), shift) {
        return ops::layer_norm(states, norm.weight(), shift, norm.eps());
    }
    let centred = states.broadcast_sub(&states.mean_keepdim(D::Minus1)?)?;
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
    let scaled = centred.broadcast_div(&(variance + norm.eps())?.sqrt()?)?;
    let scaled = scaled.broadcast_mul(norm.weight())?;
    match shift {
        Some(shift) => scaled.broadcast_add(shift),
        None => Ok(scaled),
    }
}
