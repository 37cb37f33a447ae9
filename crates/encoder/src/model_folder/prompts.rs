//! `config_sentence_transformers.json`: prompts and the similarity the model was trained for.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::files::read_json_if_present;
use crate::{Error, InputKind, SimilarityFunction};

/// Names under which a document's prompt may stand, first found wins (as sentence-transformers).
const DOCUMENT_PROMPT_NAMES: [&str; 3] = ["document", "passage", "corpus"];

/// Prompts, and what else the model says of itself.
#[derive(Debug, Clone)]
pub(crate) struct PromptSettings {
    pub(crate) prompts: BTreeMap<String, String>,
    pub(crate) default_prompt_name: Option<String>,
    pub(crate) similarity: SimilarityFunction,
    /// Dimensions the model truncates to by itself.
    pub(crate) truncate_dim: Option<usize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawSettings {
    prompts: BTreeMap<String, Option<String>>,
    default_prompt_name: Option<String>,
    similarity_fn_name: Option<String>,
    truncate_dim: Option<usize>,
}

impl PromptSettings {
    pub(super) fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("config_sentence_transformers.json");
        let raw: RawSettings = read_json_if_present(&path)?.unwrap_or_default();
        let prompts = raw.prompts.into_iter();
        let prompts: BTreeMap<_, _> = prompts
            .map(|(name, text)| (name, text.unwrap_or_default()))
            .collect();
        if let Some(name) = &raw.default_prompt_name
            && !prompts.contains_key(name)
        {
            return Err(Error::damaged(path, format!("it has no prompt {name:?}")));
        }
        Ok(Self {
            prompts,
            default_prompt_name: raw.default_prompt_name,
            similarity: similarity(raw.similarity_fn_name.as_deref())?,
            truncate_dim: raw.truncate_dim,
        })
    }

    /// The text put before an input of this kind; empty for symmetric models.
    pub(crate) fn prompt(&self, kind: InputKind) -> &str {
        let names: &[&str] = match kind {
            InputKind::Query => &["query"],
            InputKind::Document => &DOCUMENT_PROMPT_NAMES,
        };
        let own = names.iter().find_map(|name| self.prompts.get(*name));
        let default = || self.prompts.get(self.default_prompt_name.as_deref()?);
        own.or_else(default).map_or("", String::as_str)
    }
}

fn similarity(name: Option<&str>) -> Result<SimilarityFunction, Error> {
    match name {
        None | Some("cosine") => Ok(SimilarityFunction::Cosine),
        Some("dot") => Ok(SimilarityFunction::Dot),
        Some("euclidean") => Ok(SimilarityFunction::Euclidean),
        Some("manhattan") => Ok(SimilarityFunction::Manhattan),
        Some(other) => Err(Error::UnsupportedSetting {
            key: "similarity_fn_name",
            value: other.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> PromptSettings {
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(
            folder.path().join("config_sentence_transformers.json"),
            json,
        )
        .unwrap();
        PromptSettings::read(folder.path()).unwrap()
    }

    #[test]
    fn queries_and_documents_have_their_own_prompts() {
        let settings = read(r#"{"prompts":{"query":"q: ","passage":"p: ","corpus":"c: "}}"#);
        assert_eq!(settings.prompt(InputKind::Query), "q: ");
        assert_eq!(settings.prompt(InputKind::Document), "p: ");
    }

    #[test]
    fn the_default_prompt_serves_what_has_none() {
        let settings =
            read(r#"{"prompts":{"query":"q: ","sts":"s: "},"default_prompt_name":"sts"}"#);
        assert_eq!(settings.prompt(InputKind::Query), "q: ");
        assert_eq!(settings.prompt(InputKind::Document), "s: ");
    }

    #[test]
    fn a_symmetric_model_has_no_prompt() {
        assert_eq!(read("{}").prompt(InputKind::Query), "");
    }
}
