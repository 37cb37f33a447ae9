//! The transformer module's own settings: architecture, window, lower-casing.

use std::path::Path;

use serde::Deserialize;

use crate::Error;
use crate::backbones::Family;
use crate::files::{read_json, read_json_if_present};

/// Names of the module's settings file, by the class that wrote it.
const SETTINGS_FILES: [&str; 7] = [
    "sentence_bert_config.json",
    "sentence_roberta_config.json",
    "sentence_distilbert_config.json",
    "sentence_camembert_config.json",
    "sentence_albert_config.json",
    "sentence_xlm-roberta_config.json",
    "sentence_xlnet_config.json",
];

/// Values above this mean "no limit" in tokenizer_config.json.
const LARGEST_REAL_WINDOW_TOKENS: f64 = 1e9;

/// What is known before weights are read.
#[derive(Debug, Clone)]
pub(crate) struct TransformerSettings {
    /// What the `model_type` of `config.json` stands for.
    pub(crate) family: &'static Family,
    /// Length of a token state.
    pub(crate) hidden_size: usize,
    /// Tokens of a text that are read, special tokens included.
    pub(crate) max_tokens: usize,
    /// Lower-case the text before tokenising.
    pub(crate) do_lower_case: bool,
}

#[derive(Debug, Deserialize)]
struct RawConfig {
    model_type: String,
    #[serde(alias = "dim", alias = "n_embd")]
    hidden_size: usize,
    #[serde(alias = "n_positions")]
    max_position_embeddings: Option<usize>,
    pad_token_id: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawSettings {
    max_seq_length: Option<usize>,
    do_lower_case: bool,
}

#[derive(Debug, Deserialize)]
struct RawTokenizerConfig {
    /// A float: "no limit" is written as 1e30.
    model_max_length: Option<f64>,
}

impl TransformerSettings {
    pub(super) fn read(folder: &Path) -> Result<Self, Error> {
        let config: RawConfig = read_json(&folder.join("config.json"))?;
        let settings = module_settings(folder)?;
        let family = Family::of(&config.model_type)?;
        let positions = config
            .max_position_embeddings
            .map(|rows| family.positions_for_tokens(rows, config.pad_token_id));
        let window = match settings.max_seq_length {
            Some(tokens) => Some(tokens),
            None => tokenizer_window(folder)?,
        };
        let max_tokens = [window, positions]
            .into_iter()
            .flatten()
            .min()
            .ok_or_else(|| {
                Error::damaged(
                    folder.join("config.json"),
                    "the model's window is not stated anywhere",
                )
            })?;
        Ok(Self {
            family,
            hidden_size: config.hidden_size,
            max_tokens,
            do_lower_case: settings.do_lower_case,
        })
    }
}

fn module_settings(folder: &Path) -> Result<RawSettings, Error> {
    for name in SETTINGS_FILES {
        if let Some(settings) = read_json_if_present(&folder.join(name))? {
            return Ok(settings);
        }
    }
    Ok(RawSettings::default())
}

fn tokenizer_window(folder: &Path) -> Result<Option<usize>, Error> {
    let config: Option<RawTokenizerConfig> =
        read_json_if_present(&folder.join("tokenizer_config.json"))?;
    let window = config.and_then(|config| config.model_max_length);
    let real = window.filter(|tokens| (1.0..LARGEST_REAL_WINDOW_TOKENS).contains(tokens));
    Ok(real.map(|tokens| tokens as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(files: &[(&str, &str)]) -> TransformerSettings {
        let folder = tempfile::tempdir().unwrap();
        for (name, json) in files {
            fs_err::write(folder.path().join(name), json).unwrap();
        }
        TransformerSettings::read(folder.path()).unwrap()
    }

    const BERT: (&str, &str) = (
        "config.json",
        r#"{"model_type":"bert","hidden_size":8,"max_position_embeddings":512}"#,
    );

    #[test]
    fn the_old_dialect_states_the_window_in_its_own_file() {
        let old = (
            "sentence_bert_config.json",
            r#"{"max_seq_length":256,"do_lower_case":true}"#,
        );
        let tokenizer = ("tokenizer_config.json", r#"{"model_max_length":512}"#);
        let settings = read(&[BERT, old, tokenizer]);
        assert_eq!((settings.max_tokens, settings.do_lower_case), (256, true));
    }

    #[test]
    fn the_new_dialect_states_it_with_the_tokenizer() {
        let new = (
            "sentence_bert_config.json",
            r#"{"transformer_task":"feature-extraction"}"#,
        );
        let tokenizer = ("tokenizer_config.json", r#"{"model_max_length":128}"#);
        assert_eq!(read(&[BERT, new, tokenizer]).max_tokens, 128);
    }

    #[test]
    fn positions_bound_a_window_that_is_not_stated() {
        let tokenizer = (
            "tokenizer_config.json",
            r#"{"model_max_length":1000000000000000019884624838656}"#,
        );
        assert_eq!(read(&[BERT, tokenizer]).max_tokens, 512);
        let roberta = (
            "config.json",
            r#"{"model_type":"roberta","hidden_size":8,"max_position_embeddings":514,"pad_token_id":1}"#,
        );
        assert_eq!(read(&[roberta, tokenizer]).max_tokens, 512);
    }
}
