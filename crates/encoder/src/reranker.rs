//! The reranker: a cross-encoder's folder, opened.
//!
//! A cross-encoder reads a query and a passage as one text and says how well they go together. It
//! makes no vectors, so every pair costs a forward pass.

use std::path::Path;

use rayon::ThreadPool;
use rayon::prelude::*;

use crate::backbones::{self, Backbone, BackboneOptions};
use crate::classification_head::ClassificationHead;
use crate::dense::Activation;
use crate::device::{self, DevicePreference};
use crate::encoder::{folder_name, thread_pool, threads, window};
use crate::forward;
use crate::model_folder::{self, CrossEncoderDescription};
use crate::tokenize::{TextTokenizer, TokenizedText, TokenizerOptions, Truncation};
use crate::{Error, Precision};
use siamese_kernels::Kernels;

/// How to open a reranker; the default is the model as it is, on the best device.
#[derive(Debug, Clone, Default)]
pub struct RerankerOptions {
    /// Where the forward pass runs.
    pub device: DevicePreference,
    /// Tokens of a pair that are read; at most the model's own window.
    pub max_tokens: Option<usize>,
    /// Threads of the forward pass on the CPU; one per core without it.
    pub threads: Option<usize>,
    /// How the packed path keeps its weights.
    pub precision: Precision,
}

/// What a reranker is.
#[derive(Debug, Clone)]
pub struct RerankerInfo {
    /// The model's name: that of its folder.
    pub model: String,
    /// The class of the model, such as `BertForSequenceClassification`.
    pub architecture: String,
    /// The window: tokens of a pair that are read, special tokens included.
    pub max_tokens: usize,
    /// What makes a score of the model's logit, such as `sigmoid` or `identity`.
    pub activation: &'static str,
    /// `cpu`, `cuda` or `metal`.
    pub device: String,
    /// Which implementation of the forward pass runs, and with which instructions.
    pub path: String,
}

/// Scores pairs of a query and a passage. It can be shared between threads.
#[derive(Debug)]
pub struct Reranker {
    info: RerankerInfo,
    tokenizer: TextTokenizer,
    backbone: Box<dyn Backbone>,
    head: ClassificationHead,
    activation: Activation,
    /// For tokenising, and for a backbone without threads of its own.
    threads: ThreadPool,
}

impl Reranker {
    /// Opens a folder with a sequence classification model of one logit, as sentence-transformers
    /// or Hugging Face's transformers save it.
    ///
    /// # Errors
    /// A missing or damaged file, something unsupported (named), or options that do not fit.
    pub fn open(model_dir: &Path, options: &RerankerOptions) -> Result<Self, Error> {
        let CrossEncoderDescription {
            transformer_dir: folder,
            transformer,
            architecture,
            head,
            sees_segments,
            activation,
        } = model_folder::describe_cross_encoder(model_dir)?;
        let mut tokenizer = TextTokenizer::open(
            &folder,
            TokenizerOptions {
                do_lower_case: transformer.do_lower_case,
                ..TokenizerOptions::default()
            },
        )?;
        let minimum = tokenizer.special_tokens_of_a_pair() + 2;
        let max_tokens = window(options.max_tokens, transformer.max_tokens, minimum)?;
        tokenizer.set_window(max_tokens);
        tokenizer.set_segments(sees_segments);
        let backbone_options = BackboneOptions {
            device: options.device.open()?,
            threads: threads(options.threads),
            precision: options.precision,
            generic: false,
            kernels: Kernels::detected(),
        };
        let backbone = backbones::open(&folder, transformer.family, &backbone_options)?;
        let info = RerankerInfo {
            model: folder_name(model_dir),
            architecture,
            max_tokens,
            activation: activation.name(),
            device: device::name(&backbone_options.device).to_owned(),
            path: backbone.path(),
        };
        Ok(Self {
            info,
            tokenizer,
            backbone,
            head: ClassificationHead::read(&folder, head, transformer.hidden_size)?,
            activation,
            threads: thread_pool(backbone_options.threads)?,
        })
    }

    /// What this reranker is.
    pub fn info(&self) -> &RerankerInfo {
        &self.info
    }

    /// Token ids of the query with each passage, on all threads, in their order. A pair over the
    /// window is cut: first the longer of the two texts, until both are equally long, then both.
    /// `truncation` says at which end.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn tokenize_pairs(
        &self,
        query: &str,
        passages: &[&str],
        truncation: Truncation,
    ) -> Result<Vec<TokenizedText>, Error> {
        let query = self.tokenizer.first_of_pairs(query, truncation)?;
        let tokenize = |passage: &&str| self.tokenizer.tokenize_pair(&query, passage);
        self.threads
            .install(|| passages.par_iter().map(tokenize).collect())
    }

    /// The model's logits for tokenised pairs, in their order, whatever their number and lengths.
    ///
    /// # Errors
    /// A failed forward pass, or a logit that is not finite.
    pub fn logits(&self, pairs: &[&TokenizedText]) -> Result<Vec<f32>, Error> {
        self.checked_logits(pairs, None)
    }

    /// As [`Self::logits`], in the background as [`crate::Encoder::encode_in_background`] does it.
    ///
    /// # Errors
    /// As there.
    pub fn logits_in_background(
        &self,
        pairs: &[&TokenizedText],
        pause: &(dyn Fn() + Sync),
    ) -> Result<Vec<f32>, Error> {
        self.checked_logits(pairs, Some(pause))
    }

    fn checked_logits(
        &self,
        pairs: &[&TokenizedText],
        pause: Option<&(dyn Fn() + Sync)>,
    ) -> Result<Vec<f32>, Error> {
        let logit = |index: usize, states: forward::TextStates<'_>| {
            let logit = self.head.logit(&states.values[..states.width]);
            match logit.is_finite() {
                true => Ok(logit),
                false => Err(Error::NonFinite { index }),
            }
        };
        forward::run(self.backbone.as_ref(), &self.threads, pairs, pause, logit)
    }

    /// The score of a logit, by the model's own activation; higher is better.
    pub fn score(&self, logit: f32) -> f32 {
        self.activation.apply(logit)
    }

    /// How well each passage answers the query; higher is better.
    ///
    /// # Errors
    /// As [`Self::tokenize_pairs`] and [`Self::logits`].
    pub fn rerank(&self, query: &str, passages: &[&str]) -> Result<Vec<f32>, Error> {
        let pairs = self.tokenize_pairs(query, passages, Truncation::End)?;
        let logits = self.logits(&pairs.iter().collect::<Vec<_>>())?;
        Ok(logits.into_iter().map(|logit| self.score(logit)).collect())
    }
}
