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

    /// The same for whoever opens the cluster.
    ///
    /// # Errors
    /// A file of the key that cannot be read.
    #[cfg(feature = "qdrant")]
    pub fn cluster(
        &self,
        limits: &super::Limits,
    ) -> std::io::Result<siamese_qdrant::ClusterSettings> {
        Ok(siamese_qdrant::ClusterSettings {
            urls: self.urls.clone(),
            api_key: self.api_key()?,
            prefix: self.prefix.clone(),
            shards: self.shards,
            replicas: self.replicas,
            write_consistency: self.write_consistency,
            call_timeout: self.call_timeout,
            connect_timeout: self.connect_timeout,
            retry_for: self.retry_for,
            max_collections: limits.max_collections,
            max_aliases: limits.max_aliases,
            on_call: crate::metrics::cluster_called,
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(changes: &[(&str, &str)]) -> QdrantSettings {
        let mut keys = std::collections::BTreeMap::from([
            ("urls", r#"["http://a:6334"]"#),
            ("prefix", r#""siamese""#),
            ("shards", "3"),
            ("replicas", "2"),
            ("write_consistency", "1"),
            ("call_timeout_ms", "1"),
            ("connect_timeout_ms", "1"),
            ("retry_for_ms", "1"),
        ]);
        keys.extend(changes.iter().copied());
        let lines = keys.iter().map(|(key, value)| format!("{key} = {value}\n"));
        toml::from_str(&lines.collect::<String>()).unwrap()
    }

    #[test]
    fn what_no_cluster_can_be_reached_with_is_refused_by_its_name() {
        assert!(settings(&[]).check().is_ok());
        for (key, value) in [
            ("urls", "[]"),
            ("urls", r#"["a:6334"]"#),
            ("prefix", r#""""#),
            ("prefix", r#""a b""#),
            ("write_consistency", "3"),
        ] {
            let refused = settings(&[(key, value)]).check().unwrap_err();
            assert!(
                refused
                    .to_string()
                    .contains(&format!("storage.qdrant.{key}")),
                "{refused}"
            );
        }
    }

    #[test]
    fn the_key_is_not_shown_and_that_of_the_file_counts() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs_err::write(file.path(), "from-the-file\n").unwrap();
        let given = settings(&[("api_key", r#""secret""#)]);
        assert!(!format!("{given:?}").contains("secret"));
        assert_eq!(given.api_key().unwrap().as_deref(), Some("secret"));
        let path = format!("{:?}", file.path().display().to_string());
        let given = settings(&[("api_key", r#""secret""#), ("api_key_file", &path)]);
        assert_eq!(given.api_key().unwrap().as_deref(), Some("from-the-file"));
    }
}
