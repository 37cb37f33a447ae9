//! Which implementation runs a family's transformer.

use std::path::Path;

use candle_core::Device;

use super::backbone::{Backbone, BackboneOptions};
use super::candle::CandleBackbone;
use super::candle_models::DebertaV2Backbone;
use super::families::{Family, Transformer};
use super::packed::PackedBackbone;
use crate::Error;
use crate::training::Learned;

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
            return Ok(Box::new(backbone));
        }
    };
    if matches!(options.device, Device::Cpu) && !options.generic {
        return Ok(Box::new(PackedBackbone::open(architecture, file, options)?));
    }
    let backbone = CandleBackbone::open(architecture, file, &options.device)?;
    Ok(Box::new(backbone))
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
