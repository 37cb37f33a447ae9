//! DeBERTa-v2 through candle-transformers: any device, no kernels of ours.

use std::path::Path;
use std::sync::Mutex;

use candle_core::{DType, Device, Error as CandleError, IndexOp, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::debertav2::{Config, DebertaV2Model};

use super::tensors::Tensors;
use crate::Error;
use crate::backbones::architecture::check;
use crate::backbones::backbone::Backbone;
use crate::backbones::packed_batch::{PackedBatch, TokenStates};
use crate::checkpoint::Checkpoint;

/// Texts that are computed together. More take memory without being faster: the model makes a copy
/// of its table of distances for each.
const MAX_TEXTS: usize = 16;
/// The same in tokens: scores are held for each pair of a text's tokens, several times.
const MAX_TOKENS: usize = 2048;

/// A DeBERTa-v2 on a device.
pub(crate) struct DebertaV2Backbone {
    model: DebertaV2Model,
    config: Config,
    device: Device,
}

impl std::fmt::Debug for DebertaV2Backbone {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("DebertaV2Backbone")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl DebertaV2Backbone {
    /// Reads the weights onto a device.
    ///
    /// # Errors
    /// A damaged file, or a device without room.
    pub(crate) fn open(
        config: Config,
        prefix: String,
        file: Checkpoint,
        device: &Device,
    ) -> Result<Self, Error> {
        let path = file.path().to_owned();
        let file = Mutex::new(file);
        let tensors = Box::new(Tensors { file, prefix });
        let weights = VarBuilder::from_backend(tensors, DType::F32, device.clone());
        let model = DebertaV2Model::load(weights, &config);
        Ok(Self {
            model: model.map_err(|error| damaged_or_failed(&path, error))?,
            config,
            device: device.clone(),
        })
    }

    /// # Errors
    /// When a token, its position or its segment has no row.
    fn check(&self, batch: &mut PackedBatch) -> Result<(), Error> {
        let config = &self.config;
        batch.set_positions(None);
        check(batch.ids(), config.vocab_size, "word_embeddings")?;
        let positions = config.max_position_embeddings;
        check(batch.positions(), positions, "position_embeddings")?;
        match config.type_vocab_size {
            0 => Ok(()),
            rows => check(batch.type_ids(), rows, "token_type_embeddings"),
        }
    }

    /// How many texts are computed together.
    fn most_texts(&self) -> usize {
        match self.config.position_biased_input {
            // Its rows of positions are for one text.
            true => 1,
            false => MAX_TEXTS,
        }
    }

    /// The states of texts of one length, `[texts, length, hidden]`.
    fn states(
        &self,
        batch: &PackedBatch,
        texts: &[usize],
        length: usize,
    ) -> Result<Tensor, CandleError> {
        let tensor = |values: &[u32]| {
            let rows = texts.iter().flat_map(|text| &values[batch.range(*text)]);
            Tensor::from_iter(rows.copied(), &self.device)?.reshape((texts.len(), length))
        };
        let (ids, type_ids) = (tensor(batch.ids())?, tensor(batch.type_ids())?);
        let states = self.model.forward(&ids, Some(type_ids), None)?;
        states.to_device(&Device::Cpu)
    }
}

/// What reading weights failed with: the file's fault, or the device's.
fn damaged_or_failed(path: &Path, error: CandleError) -> Error {
    match error {
        CandleError::Wrapped(reason) => Error::damaged(path, reason.to_string()),
        other => other.into(),
    }
}

/// Texts of equal length, not too many at once. Without padding, a text does not depend on others.
fn groups(lengths: &[usize], most_texts: usize) -> Vec<(usize, Vec<usize>)> {
    let mut texts: Vec<usize> = (0..lengths.len()).filter(|it| lengths[*it] > 0).collect();
    texts.sort_by_key(|text| lengths[*text]);
    let mut groups = Vec::new();
    for equal in texts.chunk_by(|left, right| lengths[*left] == lengths[*right]) {
        let length = lengths[equal[0]];
        let most = (MAX_TOKENS / length).clamp(1, most_texts);
        groups.extend(equal.chunks(most).map(|texts| (length, texts.to_vec())));
    }
    groups
}

impl Backbone for DebertaV2Backbone {
    fn forward(&self, batch: &mut PackedBatch) -> Result<TokenStates, Error> {
        self.check(batch)?;
        let width = self.config.hidden_size;
        let mut values = vec![0.0; batch.ids().len() * width];
        for (length, texts) in groups(&batch.lengths(), self.most_texts()) {
            let states = self.states(batch, &texts, length)?;
            for (row, text) in texts.into_iter().enumerate() {
                let range = batch.range(text);
                let own = &mut values[range.start * width..range.end * width];
                own.copy_from_slice(&states.i(row)?.flatten_all()?.to_vec1::<f32>()?);
            }
        }
        Ok(TokenStates { values, width })
    }

    fn path(&self) -> String {
        "candle-transformers".to_owned()
    }

    fn brings_threads(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_one_length_are_computed_together_up_to_a_limit() {
        assert_eq!(
            groups(&[5, 3, 0, 5, 3, 9], MAX_TEXTS),
            [(3, vec![1, 4]), (5, vec![0, 3]), (9, vec![5])]
        );
        let sizes = |length, texts: usize| -> Vec<usize> {
            let groups = groups(&vec![length; texts], MAX_TEXTS);
            groups.iter().map(|(_, texts)| texts.len()).collect()
        };
        assert_eq!(sizes(8, 40), [16, 16, 8]);
        assert_eq!(sizes(1000, 3), [2, 1]);
        assert_eq!(sizes(5000, 2), [1, 1]);
    }
}
