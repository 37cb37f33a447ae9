//! A model folder, opened to learn.

use std::path::{Path, PathBuf};

use candle_core::{D, Device, Tensor};
use serde::Deserialize;

use super::adapter::Adapters;
use super::dropout::Dropout;
use super::learned::{Learned, LearnedWeight};
use super::{parts, saving};
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
    learned: Learned,
    device: Device,
}

/// How a model is opened to learn.
#[derive(Debug, Clone, Copy, Default)]
pub struct LearningOptions {
    /// Where the arithmetic is done.
    pub device: DevicePreference,
    /// Texts are cut after so many tokens; they never have more than the model's own window.
    pub max_tokens: Option<usize>,
    /// Learn thin matrices beside those of linear layers, and leave everything else as it is.
    pub adapters: Option<Adapters>,
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
    /// Opens a sentence-transformers folder.
    ///
    /// # Errors
    /// As [`crate::Encoder::open`], and for a model of which derivatives are not known.
    pub fn open(folder: &Path, options: &LearningOptions) -> Result<Self, Error> {
        let LearningOptions {
            device,
            max_tokens,
            adapters,
        } = *options;
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
        let of_tokenizer = TokenizerOptions {
            do_lower_case: settings.do_lower_case,
            ..TokenizerOptions::default()
        };
        let mut tokenizer = TextTokenizer::open(&transformer, of_tokenizer)?;
        let minimum = tokenizer.special_tokens()? + 1;
        tokenizer.set_window(window(max_tokens, settings.max_tokens, minimum)?);
        let device = device.open()?;
        let mut learned = Learned::new(adapters);
        let family = settings.family;
        let backbone = backbones::open_to_learn(&transformer, family, &device, &mut learned)?;
        Ok(Self {
            folder: folder.to_owned(),
            transformer,
            pooling,
            prompts,
            tokenizer,
            backbone,
            learned,
            device,
        })
    }

    /// What is learned.
    #[must_use]
    pub fn weights(&self) -> &[LearnedWeight] {
        self.learned.weights()
    }

    /// Where the arithmetic is done.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Places of texts that go through the encoder together, so that in each part there are at most
    /// `max_texts`, and passes with derivatives take about `max_bytes` at most; one part where all do. Texts of
    /// similar length are in the same part.
    #[must_use]
    pub fn parts(
        &self,
        texts: &[&TokenizedText],
        max_texts: usize,
        max_bytes: u64,
    ) -> Vec<Vec<usize>> {
        let bytes_of = |longest: usize| {
            (longest * self.backbone.values_kept(longest) * size_of::<f32>()) as u64
        };
        let lengths: Vec<usize> = texts.iter().map(|text| text.tokens_kept()).collect();
        let batches = batch::plan_closely(&lengths);
        parts::parts(&batches, &lengths, max_texts, max_bytes, bytes_of)
    }

    /// Dropout as the model's configuration has it.
    ///
    /// # Errors
    /// A configuration that cannot be read.
    pub fn dropout(&self) -> Result<Dropout, Error> {
        let raw: RawDropout = read_json(&self.transformer.join("config.json"))?;
        Ok(Dropout::new(
            raw.hidden_dropout_prob,
            raw.attention_probs_dropout_prob,
            0,
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
        let lengths: Vec<usize> = texts.iter().map(|text| text.tokens_kept()).collect();
        for Batch { places } in batch::plan_closely(&lengths) {
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
        saving::save(
            &self.folder,
            &self.transformer,
            &self.learned.changed()?,
            to,
        )
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
