//! BERT through candle-transformers: any device, padded batches.
//!
//! The generic path, and the reference for faster ones.

use std::path::Path;

use candle_core::{DType, Device, IndexOp, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config};

use super::{Backbone, PackedBatch, TokenStates};
use crate::Error;
use crate::model_folder::{read, read_json};

/// BERT as candle-transformers has it.
pub(crate) struct CandleBert {
    model: BertModel,
    device: Device,
}

impl std::fmt::Debug for CandleBert {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("CandleBert")
            .field("device", &self.device)
            .finish_non_exhaustive()
    }
}

impl CandleBert {
    /// Opens the weights; `folder` holds `config.json`.
    pub(crate) fn open(folder: &Path, device: &Device) -> Result<Self, Error> {
        let config_path = folder.join("config.json");
        let config: Config = read_json(&config_path)?;
        let weights_path = folder.join("model.safetensors");
        let weights = read(&weights_path)?;
        let model = VarBuilder::from_buffered_safetensors(weights, DType::F32, device)
            .and_then(|weights| BertModel::load(weights, &config))
            .map_err(|error| Error::damaged(weights_path, error))?;
        Ok(Self {
            model,
            device: device.clone(),
        })
    }

    /// A `[texts, longest]` tensor, short rows filled with zeros.
    fn padded(&self, batch: &PackedBatch, values: &[u32]) -> Result<Tensor, Error> {
        let (texts, longest) = (batch.texts(), batch.longest());
        let mut padded = vec![0; texts * longest];
        for (row, range) in padded.chunks_exact_mut(longest).zip(batch.ranges()) {
            row[..range.len()].copy_from_slice(&values[range]);
        }
        Ok(Tensor::from_vec(padded, (texts, longest), &self.device)?)
    }
}

impl Backbone for CandleBert {
    fn forward(&self, batch: &mut PackedBatch) -> Result<TokenStates, Error> {
        let ids = self.padded(batch, batch.ids())?;
        let type_ids = self.padded(batch, batch.type_ids())?;
        let mask = self.padded(batch, &vec![1; batch.ids().len()])?;
        let states = self.model.forward(&ids, &type_ids, Some(&mask))?;
        let states = states.to_device(&Device::Cpu)?;
        let width = states.dim(2)?;
        let mut values = Vec::with_capacity(batch.ids().len() * width);
        for (text, range) in batch.ranges().enumerate() {
            let rows = states.i((text, ..range.len(), ..))?;
            values.extend(rows.flatten_all()?.to_vec1::<f32>()?);
        }
        Ok(TokenStates { values, width })
    }

    fn path(&self) -> String {
        "candle".to_owned()
    }

    fn brings_threads(&self) -> bool {
        false
    }
}
