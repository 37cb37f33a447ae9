//! A cross-encoder's folder: a transformer with a classification head, and what makes a score of
//! its logit.
//!
//! sentence-transformers saves it with `modules.json` and `config_sentence_transformers.json`
//! since 5.4, and before as Hugging Face's transformers do, with keys of its own in `config.json`.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::modules::only_transformer;
use super::prompts::PromptSettings;
use super::transformer::TransformerSettings;
use crate::Error;
use crate::classification_head::HeadNames;
use crate::dense::Activation;
use crate::files::{read_json, read_json_if_present};

/// Labels of a model that does not say how many it has, as in Hugging Face's transformers.
const DEFAULT_LABELS: usize = 2;
/// What a head's `pooler_hidden_act` is, where there is one; all others have it fixed in code.
const POOLER_ACTIVATION: &str = "gelu";
/// Activations with such a path are known; sentence-transformers takes no others without asking.
const TRUSTED_PATHS: &str = "torch.";

/// The class of tokenizers that names no segments among a model's inputs unless it is told to.
const GENERIC_TOKENIZER: &str = "TokenizersBackend";
const SEGMENTS: &str = "token_type_ids";

/// A cross-encoder's folder, described.
#[derive(Debug)]
pub(crate) struct CrossEncoderDescription {
    /// The folder with `config.json`, tokenizer and weights.
    pub(crate) transformer_dir: PathBuf,
    pub(crate) transformer: TransformerSettings,
    pub(crate) architecture: String,
    pub(crate) head: HeadNames,
    /// Whether the model is told which token belongs to which text of a pair.
    pub(crate) sees_segments: bool,
    /// From the logit to the score.
    pub(crate) activation: Activation,
}

#[derive(Debug, Deserialize)]
struct RawConfig {
    #[serde(default)]
    architectures: Vec<String>,
    num_labels: Option<usize>,
    id2label: Option<Map<String, Value>>,
    /// DeBERTa's.
    pooler_hidden_act: Option<String>,
    sentence_transformers: Option<RawActivation>,
    sbert_ce_default_activation_function: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct RawTokenizerConfig {
    model_input_names: Option<Vec<String>>,
    tokenizer_class: Option<String>,
}

impl RawTokenizerConfig {
    fn names_segments(&self) -> bool {
        match &self.model_input_names {
            Some(names) => names.iter().any(|name| name == SEGMENTS),
            None => self.tokenizer_class.as_deref() != Some(GENERIC_TOKENIZER),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
struct RawActivation {
    activation_fn: Option<String>,
}

/// Reads the description of a cross-encoder's folder.
///
/// # Errors
/// A missing or damaged file, or something that is not supported.
pub(crate) fn describe_cross_encoder(folder: &Path) -> Result<CrossEncoderDescription, Error> {
    let transformer_dir = only_transformer(folder)?;
    let config: RawConfig = read_json(&transformer_dir.join("config.json"))?;
    let architecture = config.architectures.first().cloned().unwrap_or_default();
    let Some(head) = HeadNames::of(&architecture) else {
        return Err(Error::UnsupportedArchitecture { architecture });
    };
    let labels = config.labels();
    if labels != 1 {
        return Err(unsupported("num_labels", labels.to_string()));
    }
    if let Some(name) = &config.pooler_hidden_act
        && name != POOLER_ACTIVATION
    {
        return Err(unsupported("pooler_hidden_act", name.clone()));
    }
    let prompts = PromptSettings::read(folder)?;
    if let Some(name) = prompts.default_prompt_name {
        return Err(unsupported("default_prompt_name", name));
    }
    let path = transformer_dir.join("tokenizer_config.json");
    let tokenizer: RawTokenizerConfig = read_json_if_present(&path)?.unwrap_or_default();
    let path = folder.join("config_sentence_transformers.json");
    let said: RawActivation = read_json_if_present(&path)?.unwrap_or_default();
    Ok(CrossEncoderDescription {
        transformer: TransformerSettings::read(&transformer_dir)?,
        sees_segments: tokenizer.names_segments(),
        activation: activation(said.activation_fn.or_else(|| config.activation()))?,
        transformer_dir,
        architecture,
        head,
    })
}

impl RawConfig {
    fn labels(&self) -> usize {
        let named = self.id2label.as_ref().map(Map::len);
        self.num_labels.or(named).unwrap_or(DEFAULT_LABELS)
    }

    /// The activation's path, under its key since 4.0 or the one before.
    fn activation(self) -> Option<String> {
        let own = self.sentence_transformers.and_then(|own| own.activation_fn);
        own.or(self.sbert_ce_default_activation_function)
    }
}

/// The activation with this Python path; without one, or with one that is not torch's, the
/// logistic function.
fn activation(path: Option<String>) -> Result<Activation, Error> {
    let Some(path) = path else {
        return Ok(Activation::Sigmoid);
    };
    if !path.starts_with(TRUSTED_PATHS) {
        tracing::warn!(activation = %path, "the activation is not one of torch's; sigmoid is used");
        return Ok(Activation::Sigmoid);
    }
    Activation::from_path(&path).ok_or_else(|| unsupported("activation_fn", path))
}

fn unsupported(key: &'static str, value: String) -> Error {
    Error::UnsupportedSetting { key, value }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn labels(config: Value) -> usize {
        serde_json::from_value::<RawConfig>(config)
            .unwrap()
            .labels()
    }

    #[test]
    fn labels_are_counted_where_they_are_named() {
        assert_eq!(labels(json!({"id2label": {"0": "LABEL_0"}})), 1);
        assert_eq!(labels(json!({"num_labels": 1})), 1);
        assert_eq!(
            labels(json!({"id2label": {"0": "a", "1": "b", "2": "c"}})),
            3
        );
        assert_eq!(labels(json!({})), 2);
    }

    #[test]
    fn a_tokenizers_configuration_says_whether_the_model_sees_segments() {
        let sees = |config: Value| {
            serde_json::from_value::<RawTokenizerConfig>(config)
                .unwrap()
                .names_segments()
        };
        assert!(sees(json!({})));
        assert!(sees(json!({"tokenizer_class": "BertTokenizer"})));
        assert!(!sees(json!({"tokenizer_class": "TokenizersBackend"})));
        let names = json!(["input_ids", "token_type_ids", "attention_mask"]);
        assert!(sees(
            json!({"tokenizer_class": "TokenizersBackend", "model_input_names": names})
        ));
        let names = json!(["input_ids", "attention_mask"]);
        assert!(!sees(json!({"model_input_names": names})));
    }

    #[test]
    fn the_newer_key_says_the_activation() {
        let config: RawConfig = serde_json::from_value(json!({
            "sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"},
            "sbert_ce_default_activation_function": "torch.nn.modules.activation.Tanh",
        }))
        .unwrap();
        let read = |path: &str| activation(Some(path.to_owned()));
        assert_eq!(
            activation(config.activation()).unwrap(),
            Activation::Identity
        );
        assert_eq!(activation(None).unwrap(), Activation::Sigmoid);
        assert_eq!(read("my.own.Identity").unwrap(), Activation::Sigmoid);
        let error = read("torch.nn.modules.activation.Mish").unwrap_err();
        assert!(error.to_string().contains("Mish"), "{error}");
    }
}
