//! From a text to its vector: tokenizer, backbone, pooling, later modules.

use std::path::PathBuf;
use std::sync::Arc;

use candle_core::Device;

use crate::backbones::{self, Backbone, BackboneOptions, StaticEmbeddings};
use crate::device;
use crate::encoder::window;
use crate::forward::TextStates;
use crate::model_folder::{
    InputModule, MOST_TOKENS, PoolingSettings, StaticSettings, StaticWindow, TowerDescription,
};
use crate::steps::{OpenStep, dimensions, open_steps};
use crate::tokenize::{TextTokenizer, TokenizerOptions};
use crate::{EncoderOptions, Error};

/// One side of the network, opened.
#[derive(Debug)]
pub(crate) struct Tower {
    /// Where tokenizer and weights came from.
    folder: PathBuf,
    pub(crate) tokenizer: TextTokenizer,
    pub(crate) max_tokens: usize,
    pub(crate) backbone: Arc<dyn Backbone>,
    pub(crate) pooling: PoolingSettings,
    pub(crate) steps: Vec<OpenStep>,
    /// Length of a token's state.
    pub(crate) state_width: usize,
    /// Length of a vector.
    pub(crate) dimensions: usize,
    /// Where the backbone runs.
    pub(crate) device: &'static str,
}

impl Tower {
    /// Opens a tower. One that has its backbone in the same folder as `other` shares it.
    ///
    /// # Errors
    /// A missing or damaged file, something unsupported (named), or options that do not fit.
    pub(crate) fn open(
        description: &TowerDescription,
        truncate_dimensions: Option<usize>,
        options: &EncoderOptions,
        backbone_options: &BackboneOptions,
        other: Option<&Self>,
    ) -> Result<Self, Error> {
        let input = &description.input;
        let (mut tokenizer, available) = open_tokenizer(input)?;
        let minimum = tokenizer.special_tokens()? + 1;
        // Of two towers, each reads as much of the window that was asked for as it can.
        let requested = options.max_tokens.map(|tokens| match other {
            Some(_) => tokens.min(available),
            None => tokens,
        });
        let max_tokens = window(requested, available, minimum)?;
        tokenizer.set_window(max_tokens);
        let shared = other.filter(|other| other.folder == input.folder());
        let (backbone, state_width): (Arc<dyn Backbone>, usize) = match (shared, input) {
            (Some(other), _) => (Arc::clone(&other.backbone), other.state_width),
            (None, InputModule::Static(settings)) => {
                let embeddings = StaticEmbeddings::open(&settings.folder)?;
                let width = embeddings.width();
                (Arc::new(embeddings), width)
            }
            (
                None,
                InputModule::Transformer {
                    folder, settings, ..
                },
            ) => {
                let backbone = backbones::open(folder, settings.family, backbone_options)?;
                (Arc::from(backbone), settings.hidden_size)
            }
        };
        let pooling = input.pooling();
        let pooled = state_width * pooling.modes.len();
        let steps = open_steps(&description.steps, pooled, truncate_dimensions)?;
        Ok(Self {
            folder: input.folder().to_owned(),
            tokenizer,
            max_tokens,
            backbone,
            dimensions: dimensions(pooled, &steps),
            pooling,
            steps,
            state_width,
            device: match input {
                InputModule::Static(_) => device::name(&Device::Cpu),
                InputModule::Transformer { .. } => device::name(&backbone_options.device),
            },
        })
    }

    /// Pools the states of one text and runs the later steps.
    pub(crate) fn vector(&self, states: TextStates<'_>, prompt_tokens: usize) -> Vec<f32> {
        let TextStates { values, width } = states;
        let mut vector = Vec::with_capacity(width * self.pooling.modes.len());
        for mode in &self.pooling.modes {
            mode.pool(values, width, prompt_tokens, &mut vector);
        }
        for step in &self.steps {
            step.apply(&mut vector);
        }
        vector
    }
}

/// The tokenizer of an input module, and the window that it has.
fn open_tokenizer(input: &InputModule) -> Result<(TextTokenizer, usize), Error> {
    match input {
        InputModule::Transformer {
            folder, settings, ..
        } => {
            let options = TokenizerOptions {
                do_lower_case: settings.do_lower_case,
                ..TokenizerOptions::default()
            };
            Ok((TextTokenizer::open(folder, options)?, settings.max_tokens))
        }
        InputModule::Static(StaticSettings {
            folder,
            window,
            skips_unknown,
        }) => {
            let options = TokenizerOptions {
                without_special_tokens: true,
                skips_unknown: *skips_unknown,
                ..TokenizerOptions::default()
            };
            let tokenizer = TextTokenizer::open(folder, options)?;
            let window = match window {
                StaticWindow::Tokens(tokens) => *tokens,
                StaticWindow::OfTokenizer => tokenizer.own_window().unwrap_or(MOST_TOKENS),
            };
            Ok((tokenizer, window.clamp(1, MOST_TOKENS)))
        }
    }
}
