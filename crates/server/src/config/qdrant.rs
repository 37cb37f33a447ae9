//! The cluster that keeps the documents, if one does.

use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::values::time_ms;
use crate::settings_error::SettingsError;

/// Characters of a prefix.
const MAX_PREFIX_CHARS: usize = 64;

/// Who keeps the documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackendKind {
    /// A data folder.
    #[default]
    Embedded,
    /// A Qdrant cluster.
    Qdrant,
}

/// `[storage.qdrant]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QdrantSettings {
    /// Addresses of the nodes, for gRPC.
    pub urls: Vec<String>,
    api_key: Option<ApiKey>,
    api_key_file: Option<PathBuf>,
    /// Begins the names of all collections in the cluster.
    pub prefix: String,
    /// Shards of a collection that is made.
    pub shards: NonZeroU32,
    /// Copies of each shard.
    pub replicas: NonZeroU32,
    /// Copies that must have taken a write.
    pub write_consistency: NonZeroU32,
    /// How long one call may take.
    #[serde(rename = "call_timeout_ms", deserialize_with = "time_ms")]
    pub call_timeout: Duration,
    /// How long connecting may take.
    #[serde(rename = "connect_timeout_ms", deserialize_with = "time_ms")]
    pub connect_timeout: Duration,
    /// How long a call that failed for want of a node is made again.
    #[serde(rename = "retry_for_ms", deserialize_with = "time_ms")]
    pub retry_for: Duration,
}

/// A key that is in no log.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
struct ApiKey(String);

impl fmt::Debug for ApiKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("...")
    }
}

impl QdrantSettings {
    /// The key that the cluster asks for, if it does; that of the file when there is one.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn api_key(&self) -> std::io::Result<Option<String>> {
        match &self.api_key_file {
            Some(file) => Ok(Some(fs_err::read_to_string(file)?.trim().to_owned())),
            None => Ok(self.api_key.clone().map(|ApiKey(key)| key)),
        }
    }

    pub(super) fn check(&self) -> Result<(), SettingsError> {
        if self.urls.is_empty() {
            return Err(SettingsError::Qdrant(
                "storage.qdrant.urls names no node, and storage.backend is \"qdrant\"".to_owned(),
            ));
        }
        if let Some(url) = self.urls.iter().find(|url| !is_address(url)) {
            return Err(SettingsError::Qdrant(format!(
                "storage.qdrant.urls has {url:?}, which does not begin with http:// or https://"
            )));
        }
        let is_name =
            |character: char| character.is_ascii_alphanumeric() || "_-".contains(character);
        if !(1..=MAX_PREFIX_CHARS).contains(&self.prefix.len()) || !self.prefix.chars().all(is_name)
        {
            return Err(SettingsError::Qdrant(format!(
                "storage.qdrant.prefix is {:?}, and must be 1 to {MAX_PREFIX_CHARS} letters, digits, '_' and '-'",
                self.prefix
            )));
        }
        if self.write_consistency > self.replicas {
            return Err(SettingsError::Qdrant(format!(
                "storage.qdrant.write_consistency is {}, more than storage.qdrant.replicas = {}",
                self.write_consistency, self.replicas
            )));
        }
        Ok(())
    }
}

fn is_address(url: &str) -> bool {
    let schemes = ["http://", "https://"];
    schemes.iter().any(|scheme| url.starts_with(scheme))
}
