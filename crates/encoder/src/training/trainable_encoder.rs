//! A model folder, opened to learn.

use std::path::{Path, PathBuf};

use candle_core::{D, Device, Tensor, Var};
use serde::Deserialize;

use super::dropout::Dropout;
use super::saving;
use crate::backbones::{self, CandleBackbone, PackedBatch, Pass};
use crate::batch::{self, Batch};
use crate::device::DevicePreference;
use crate::encoder::window;
use crate::files::read_json;
use crate::model_folder::{
    self, InputModule, ModelDescription, PoolingSettings, PromptSettings, Step,
};
use crate::tokenize::{TextTokenizer, TokenizedText, TokenizerOptions, Truncation};
use crate::towers::Towers;
use crate::{Error, InputKind, PoolingMode};

/// What vectors are at least divided by when they are scaled to length 1, as in torch.
const MIN_LENGTH: f64 = 1e-12;

/// An encoder whose weights can be learned. Its vectors are tensors with derivatives.
#[derive(Debug)]
pub struct TrainableEncoder {
    folder: PathBuf,
    /// The folder with `config.json` and the weights.
    transformer: PathBuf,
    pooling: PoolingSettings,
    prompts: PromptSettings,
    tokenizer: TextTokenizer,
    backbone: CandleBackbone,
    weights: Vec<LearnedWeight>,
    device: Device,
}

/// A tensor of a model that is learned.
#[derive(Debug)]
pub struct LearnedWeight {
    /// Its name in the model's file.
    pub name: String,
    /// Its values.
    pub values: Var,
}

impl LearnedWeight {
    /// Whether it is a matrix. Others are biases and what norms multiply by, which are not pulled towards
    /// zero.
    #[must_use]
    pub fn is_matrix(&self) -> bool {
        self.values.rank() > 1
    }
}

/// The probabilities of leaving out values, under the names that families have for them.
#[derive(Debug, Deserialize)]
struct RawDropout {
    #[serde(default, alias = "dropout", alias = "mlp_dropout")]
    hidden_dropout_prob: f32,
    #[serde(default, alias = "attention_dropout")]
    attention_probs_dropout_prob: f32,
}

impl TrainableEncoder {
    /// Opens a sentence-transformers folder. Texts are cut after `max_tokens`, and never have more than the
    /// model's own window.
    ///
    /// # Errors
    /// As [`crate::Encoder::open`], and for a model of which derivatives are not known.
    pub fn open(
        folder: &Path,
        device: DevicePreference,
        max_tokens: Option<usize>,
    ) -> Result<Self, Error> {
        let ModelDescription { towers, prompts } = model_folder::describe(folder)?;
        let Towers::Shared(tower) = towers else {
            return Err(not_learnable("a model with a Router"));
        };
        if tower
            .steps
            .iter()
            .any(|step| matches!(step, Step::Dense(..)))
        {
            return Err(not_learnable("a model with a Dense module"));
        }
        let InputModule::Transformer {
            folder: transformer,
            settings,
            pooling,
        } = tower.input
        else {
            return Err(not_learnable("a static model"));
        };
        let options = TokenizerOptions {
            do_lower_case: settings.do_lower_case,
            ..TokenizerOptions::default()
        };
        let mut tokenizer = TextTokenizer::open(&transformer, options)?;
        let minimum = tokenizer.special_tokens()? + 1;
        tokenizer.set_window(window(max_tokens, settings.max_tokens, minimum)?);
        let device = device.open()?;
        let (backbone, learned) = backbones::open_to_learn(&transformer, settings.family, &device)?;
        let weights = learned.into_iter();
        let weights = weights.map(|(name, values)| LearnedWeight { name, values });
        Ok(Self {
            folder: folder.to_owned(),
            transformer,
            pooling,
            prompts,
            tokenizer,
            backbone,
            weights: weights.collect(),
            device,
        })
    }

    /// What is learned.
    #[must_use]
    pub fn weights(&self) -> &[LearnedWeight] {
        &self.weights
    }

    /// Where the arithmetic is done.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Dropout as the model's configuration has it.
    ///
    /// # Errors
    /// A configuration that cannot be read.
    pub fn dropout(&self, seed: u64) -> Result<Dropout, Error> {
        let raw: RawDropout = read_json(&self.transformer.join("config.json"))?;
        Ok(Dropout::new(
            raw.hidden_dropout_prob,
            raw.attention_probs_dropout_prob,
            seed,
        ))
    }

    /// Token ids of a text with the prompt of its kind, cut at the window.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn tokenize(&self, text: &str, kind: InputKind) -> Result<TokenizedText, Error> {
        let prompt = self.prompts.prompt(kind);
        let mut tokenized = self.tokenizer.tokenize(prompt, text, Truncation::End)?;
        if !self.pooling.include_prompt && !prompt.is_empty() {
            let alone = self.tokenizer.tokenize(prompt, "", Truncation::End)?;
            tokenized.prompt_tokens = alone.tokens_kept() - 1;
        }
        Ok(tokenized)
    }

    /// Vectors of length 1, `[texts, dimensions]`, in the order of the texts, with derivatives by all
    /// weights. At least one text.
    ///
    /// # Errors
    /// When a computation fails.
    pub fn encode(
        &self,
        texts: &[&TokenizedText],
        dropout: Option<&Dropout>,
    ) -> Result<Tensor, Error> {
        let (mut vectors, mut order) = (Vec::new(), vec![0_u32; texts.len()]);
        let mut place_of_next = 0;
        for Batch { places } in batch::plan(texts) {
            let batch: Vec<&TokenizedText> = places.iter().map(|place| texts[*place]).collect();
            vectors.push(self.encode_batch(&batch, &Pass::Learning(dropout))?);
            for place in places {
                order[place] = place_of_next;
                place_of_next += 1;
            }
        }
        let order = Tensor::from_vec(order, texts.len(), &self.device)?;
        Ok(Tensor::cat(&vectors, 0)?.index_select(&order, 0)?)
    }

    fn encode_batch(&self, texts: &[&TokenizedText], pass: &Pass<'_>) -> Result<Tensor, Error> {
        let mut packed = PackedBatch::new();
        for text in texts {
            packed.push(&text.ids, &text.type_ids);
        }
        let states = self.backbone.tensor(&mut packed, pass)?;
        let modes = self.pooling.modes.iter();
        let pooled = modes.map(|mode| pooled(*mode, &states, texts));
        let pooled = Tensor::cat(&pooled.collect::<Result<Vec<_>, _>>()?, D::Minus1)?;
        let length = (pooled.sqr()?.sum_keepdim(D::Minus1)? + MIN_LENGTH * MIN_LENGTH)?.sqrt()?;
        Ok(pooled.broadcast_div(&length)?)
    }

    /// Writes a folder that has everything that this one had, with the weights as they are now. It is written
    /// beside its place first, and takes it when it is whole.
    ///
    /// # Errors
    /// When there is something in its place already, or writing fails.
    pub fn save(&self, to: &Path) -> Result<(), Error> {
        saving::save(&self.folder, &self.transformer, &self.weights, to)
    }
}

/// One vector of each text's states, `[texts, width]`.
fn pooled(
    mode: PoolingMode,
    states: &Tensor,
    texts: &[&TokenizedText],
) -> candle_core::Result<Tensor> {
    let (count, longest, _) = states.dims3()?;
    let mut rows = vec![0.0; count * longest];
    let is_sum = mode != PoolingMode::Max;
    for (row, text) in rows.chunks_exact_mut(longest).zip(texts) {
        let (tokens, first) = (text.tokens_kept(), text.prompt_tokens);
        match mode.weights(tokens, first) {
            Some(weights) => row[..tokens].copy_from_slice(&weights),
            // Nothing for those that count, and all that there is below for the others.
            None => {
                row.fill(f32::MIN);
                row[first.min(tokens - 1)..tokens].fill(0.0);
            }
        }
    }
    let device = states.device();
    match is_sum {
        true => {
            let weights = Tensor::from_vec(rows, (count, 1, longest), device)?;
            weights.matmul(states)?.squeeze(1)
        }
        false => {
            let outside = Tensor::from_vec(rows, (count, longest, 1), device)?;
            states.broadcast_add(&outside)?.max(1)
        }
    }
}

fn not_learnable(what: &str) -> Error {
    Error::NotLearnable {
        what: what.to_owned(),
    }
}
