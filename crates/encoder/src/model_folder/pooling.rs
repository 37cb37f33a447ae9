//! `1_Pooling/config.json`, in both dialects.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::files::read_json;
use crate::{Error, PoolingMode};

/// How token states become one vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PoolingSettings {
    /// Several modes are concatenated, in this order.
    pub(crate) modes: Vec<PoolingMode>,
    /// Whether the tokens of a prompt take part.
    pub(crate) include_prompt: bool,
}

/// Every key of both dialects.
#[derive(Debug, Deserialize)]
struct RawPooling {
    /// From 5.4 on: a mode or a list of modes.
    pooling_mode: Option<Value>,
    #[serde(default)]
    pooling_mode_cls_token: bool,
    #[serde(default)]
    pooling_mode_max_tokens: bool,
    #[serde(default)]
    pooling_mode_mean_tokens: bool,
    #[serde(default)]
    pooling_mode_mean_sqrt_len_tokens: bool,
    #[serde(default)]
    pooling_mode_weightedmean_tokens: bool,
    #[serde(default)]
    pooling_mode_lasttoken: bool,
    include_prompt: Option<bool>,
    /// Keys that are neither read nor a pooling mode.
    #[serde(flatten)]
    others: serde_json::Map<String, Value>,
}

impl PoolingSettings {
    pub(super) fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("config.json");
        let raw: RawPooling = read_json(&path)?;
        let modes = match &raw.pooling_mode {
            Some(named) => named_modes(&path, named)?,
            None => raw.flagged_modes()?,
        };
        Ok(Self {
            modes,
            include_prompt: raw.include_prompt.unwrap_or(true),
        })
    }
}

impl RawPooling {
    /// The boolean keys, in the order in which sentence-transformers concatenates; none is mean.
    fn flagged_modes(&self) -> Result<Vec<PoolingMode>, Error> {
        let unknown = self
            .others
            .iter()
            .find(|(key, value)| key.starts_with("pooling_mode_") && value.as_bool() == Some(true));
        if let Some((key, _)) = unknown {
            return Err(Error::UnsupportedPooling { mode: key.clone() });
        }
        let flags = [
            (self.pooling_mode_cls_token, PoolingMode::Cls),
            (self.pooling_mode_max_tokens, PoolingMode::Max),
            (self.pooling_mode_mean_tokens, PoolingMode::Mean),
            (
                self.pooling_mode_mean_sqrt_len_tokens,
                PoolingMode::MeanSqrtLen,
            ),
            (
                self.pooling_mode_weightedmean_tokens,
                PoolingMode::WeightedMean,
            ),
            (self.pooling_mode_lasttoken, PoolingMode::LastToken),
        ];
        let modes: Vec<_> = flags
            .into_iter()
            .filter(|(set, _)| *set)
            .map(|(_, mode)| mode)
            .collect();
        Ok(if modes.is_empty() {
            vec![PoolingMode::Mean]
        } else {
            modes
        })
    }
}

fn named_modes(path: &Path, named: &Value) -> Result<Vec<PoolingMode>, Error> {
    let names: Vec<&Value> = match named {
        Value::Array(names) => names.iter().collect(),
        name => vec![name],
    };
    if names.is_empty() {
        return Err(Error::damaged(path, "pooling_mode is an empty list"));
    }
    let mode = |name: &Value| {
        name.as_str()
            .and_then(PoolingMode::from_name)
            .ok_or_else(|| Error::UnsupportedPooling {
                mode: name.to_string(),
            })
    };
    names.into_iter().map(mode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<PoolingSettings, Error> {
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(folder.path().join("config.json"), json).unwrap();
        PoolingSettings::read(folder.path())
    }

    #[test]
    fn flags_and_names_mean_the_same() {
        let old = read(r#"{"pooling_mode_cls_token":true,"pooling_mode_mean_tokens":true}"#);
        let new = read(r#"{"embedding_dimension":8,"pooling_mode":["cls","mean"]}"#);
        assert_eq!(old.unwrap(), new.unwrap());
    }

    #[test]
    fn one_name_is_enough() {
        let settings = read(r#"{"pooling_mode":"lasttoken","include_prompt":false}"#).unwrap();
        assert_eq!(settings.modes, [PoolingMode::LastToken]);
        assert!(!settings.include_prompt);
    }

    #[test]
    fn no_flag_at_all_is_the_mean() {
        assert_eq!(
            read(r#"{"word_embedding_dimension":8}"#).unwrap().modes,
            [PoolingMode::Mean]
        );
    }

    #[test]
    fn an_unknown_mode_is_named_and_never_guessed() {
        let error = read(r#"{"pooling_mode":"attention"}"#).unwrap_err();
        assert!(error.to_string().contains("attention"), "{error}");
        let error = read(r#"{"pooling_mode_attention":true}"#).unwrap_err();
        assert!(
            error.to_string().contains("pooling_mode_attention"),
            "{error}"
        );
    }
}
