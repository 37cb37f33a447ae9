//! Static embeddings: a table of vectors, one for each token, and their mean.
//!
//! sentence-transformers lists them as its module `StaticEmbedding`. A folder of Model2Vec says
//! `model2vec` in its `config.json`; without a list of modules it is read as that library does,
//! which leaves out unknown tokens.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::Error;
use crate::files::read_json_if_present;

/// Tokens of a text that Model2Vec reads where its configuration says nothing.
const MODEL2VEC_WINDOW: usize = 512;
/// The window where there is none: a text must end somewhere.
pub(crate) const MOST_TOKENS: usize = 1 << 16;

/// A folder with a tokenizer and a table.
#[derive(Debug, Clone)]
pub(crate) struct StaticSettings {
    pub(crate) folder: PathBuf,
    pub(crate) window: StaticWindow,
    /// Whether tokens that stand for something unknown are left out.
    pub(crate) skips_unknown: bool,
}

/// What limits the tokens of a text that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StaticWindow {
    Tokens(usize),
    /// What `tokenizer.json` says of truncation.
    OfTokenizer,
}

#[derive(Debug, Deserialize)]
struct RawConfig {
    model_type: Option<String>,
    #[serde(default)]
    normalize: bool,
    /// Absent is the default, null is none.
    #[serde(default = "model2vec_window")]
    max_length: Option<usize>,
}

fn model2vec_window() -> Option<usize> {
    Some(MODEL2VEC_WINDOW)
}

impl StaticSettings {
    /// What sentence-transformers reads of a folder: no configuration at all.
    pub(super) fn of_sentence_transformers(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            window: StaticWindow::OfTokenizer,
            skips_unknown: false,
        }
    }

    /// What Model2Vec reads of a folder, and whether it scales vectors to length 1; nothing of
    /// another's folder.
    ///
    /// # Errors
    /// When the configuration is damaged.
    pub(super) fn of_model2vec(folder: &Path) -> Result<Option<(Self, bool)>, Error> {
        let path = folder.join("config.json");
        let config: Option<RawConfig> = read_json_if_present(&path)?;
        let Some(config) = config.filter(|it| it.model_type.as_deref() == Some("model2vec")) else {
            return Ok(None);
        };
        let tokens = config.max_length.unwrap_or(MOST_TOKENS);
        let settings = Self {
            folder: folder.to_owned(),
            window: StaticWindow::Tokens(tokens.min(MOST_TOKENS)),
            skips_unknown: true,
        };
        Ok(Some((settings, config.normalize)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Option<(StaticSettings, bool)> {
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(folder.path().join("config.json"), json).unwrap();
        StaticSettings::of_model2vec(folder.path()).unwrap()
    }

    #[test]
    fn a_configuration_of_model2vec_says_window_and_normalisation_or_means_the_defaults() {
        let of = |json| read(json).map(|(settings, normalize)| (settings.window, normalize));
        let tokens = |tokens, normalize| Some((StaticWindow::Tokens(tokens), normalize));
        assert_eq!(of(r#"{"model_type":"model2vec"}"#), tokens(512, false));
        let config = r#"{"model_type":"model2vec","normalize":true,"max_length":null}"#;
        assert_eq!(of(config), tokens(MOST_TOKENS, true));
        let config = r#"{"model_type":"model2vec","max_length":40}"#;
        assert_eq!(of(config), tokens(40, false));
        assert_eq!(of(r#"{"model_type":"bert"}"#), None);
    }
}
