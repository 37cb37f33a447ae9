//! Which implementation runs a family's transformer.

use std::path::Path;

use candle_core::{DType, Device};

use super::architecture::Norms;
use super::backbone::{Backbone, BackboneOptions};
use super::candle::CandleBackbone;
use super::candle_models::DebertaV2Backbone;
use super::families::{Family, Transformer};
use super::packed::PackedBackbone;
use crate::Error;
use crate::training::Learned;
use siamese_kernels::Precision;

/// Opens a family's backbone; `folder` holds `config.json` and the weights.
///
/// # Errors
/// A configuration that asks for what the family lacks, or files that are missing or damaged.
pub(crate) fn open(
    folder: &Path,
    family: &Family,
    options: &BackboneOptions,
) -> Result<Box<dyn Backbone>, Error> {
    let (transformer, file) = family.open(folder)?;
    let architecture = match transformer {
        Transformer::Described(architecture) => architecture,
        Transformer::DebertaV2 { config, prefix } => {
            let backbone = DebertaV2Backbone::open(config, prefix, file, &options.device)?;
            options.device.synchronize()?;
            return Ok(Box::new(backbone));
        }
    };
    if matches!(options.device, Device::Cpu) && !options.generic {
        return Ok(Box::new(PackedBackbone::open(architecture, file, options)?));
    }
    let values = values(options.precision, &architecture.norms);
    let backbone = CandleBackbone::open(architecture, file, &options.device, values)?;
    // Weights are on their way to the device in the order of this thread, of which passes in others know nothing.
    options.device.synchronize()?;
    Ok(Box::new(backbone))
}

/// What the generic path computes with. f16 has more digits than bfloat16 and ends at 65 504: enough where each
/// block normalises its states, not where they add up from layer to layer.
fn values(precision: Precision, norms: &Norms) -> DType {
    match (precision, norms) {
        (Precision::Bf16, _) => DType::BF16,
        (Precision::Int16 | Precision::Int8, Norms::After) => DType::F16,
        (Precision::F32 | Precision::Int16 | Precision::Int8, _) => DType::F32,
    }
}

/// Opens a family's backbone to learn from its passes, and puts what may be learned of it into `learned`.
///
/// # Errors
/// As [`open`], and when nothing knows the derivatives of the family's passes.
pub(crate) fn open_to_learn(
    folder: &Path,
    family: &Family,
    device: &Device,
    learned: &mut Learned,
) -> Result<CandleBackbone, Error> {
    match family.open(folder)? {
        (Transformer::Described(architecture), file) => {
            CandleBackbone::open_to_learn(architecture, file, device, learned)
        }
        (Transformer::DebertaV2 { .. }, _) => Err(Error::NotLearnable {
            what: format!("a model of the type {}", family.model_type()),
        }),
    }
}
