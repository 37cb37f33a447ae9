//! Operations with derivatives in one step, on a CPU. candle makes them of many, each of which writes a whole
//! tensor, and its products use fewer of the instructions that the CPU has.

mod attention_weights;
mod dropout;
mod gelu;
mod layer_norm;
mod linear;
mod power_of_e;

use candle_core::{CpuStorage, Layout, Result, Storage, Tensor, bail};

pub(crate) use attention_weights::{
    attention_weights, attention_weights_by_tensors, biased_scores,
};
pub(crate) use dropout::{Omissions, dropout};
pub(crate) use gelu::gelu;
pub(crate) use layer_norm::layer_norm;
pub(crate) use linear::linear;

/// Rows that a thread takes at once.
const ROWS: usize = 64;

/// The values of a tensor that stands in one piece.
fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((start, end))) => Ok(&values[start..end]),
        _ => bail!("a tensor of f32 in one piece was expected"),
    }
}

/// Computes something of the values of tensors, which are put into one piece each where they are not.
fn with<const N: usize, T>(
    tensors: [&Tensor; N],
    compute: impl FnOnce([&[f32]; N]) -> T,
) -> Result<T> {
    let tensors = tensors.map(Tensor::contiguous);
    let mut held = Vec::with_capacity(N);
    for tensor in &tensors {
        match tensor {
            Ok(tensor) => held.push(tensor.storage_and_layout()),
            Err(error) => bail!("{error}"),
        }
    }
    let mut slices = [&[][..]; N];
    for (slice, (storage, layout)) in slices.iter_mut().zip(&held) {
        let Storage::Cpu(storage) = &**storage else {
            bail!("the tensor is not in the memory of the CPU");
        };
        *slice = values(storage, layout)?;
    }
    Ok(compute(slices))
}
