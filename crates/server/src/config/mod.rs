//! Settings: the embedded default file, a file, the environment, flags; later wins.
//!
//! [`Settings::load`] is the only place where raw values are read. What it returns has been
//! checked, so the rest of the crate never meets a limit of zero or an unknown key.

mod access;
mod limits;
mod models;
mod qdrant;
mod server;
mod storage;
mod telemetry;
mod tls;
mod training;
mod values;

use std::collections::BTreeMap;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use serde::Deserialize;
use siamese_index::{DEFAULT_ENCODER, check_collection_name};

pub use self::access::AccessSettings;
pub use self::limits::Limits;
pub use self::models::{
    Device, EncoderPrecision, EncoderSettings, ModelsSettings, NamedEncoderSettings,
    NamedRerankerSettings, RerankerSettings,
};
pub use self::qdrant::{BackendKind, QdrantSettings};
pub use self::server::ServerSettings;
pub use self::storage::StorageSettings;
pub use self::telemetry::TelemetrySettings;
pub use self::tls::TlsSettings;
pub use self::training::TrainingSettings;
pub use crate::connections::{PeerNetwork, PeerNetworkError};
pub use crate::listen_address::parse_listen_address;
use crate::origin::is_origin;
pub use crate::settings_error::SettingsError;

/// The documented default file, as shipped in `config/default.toml`.
pub const DEFAULT_TOML: &str = include_str!("../../../../config/default.toml");

/// What the command line said; stronger than any file or variable.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// A TOML file laid over the defaults.
    pub config_file: Option<PathBuf>,
    /// `server.listen`.
    pub listen: Option<String>,
    /// `storage.data_dir`.
    pub data_dir: Option<PathBuf>,
    /// `encoder.model`.
    pub model: Option<String>,
    /// `reranker.model`.
    pub reranker: Option<PathBuf>,
    /// `access.insecure`, when it is to be true.
    pub insecure: bool,
    /// `access.keys_file`.
    pub keys_file: Option<PathBuf>,
}

/// Checked settings of one service.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Address, timeouts, concurrency.
    pub server: ServerSettings,
    /// Who may use the service.
    pub access: AccessSettings,
    /// Where the data is and how much room it may take.
    pub storage: StorageSettings,
    /// How vectors are indexed in the background.
    pub index: IndexSettings,
    /// Which model, on which device.
    pub encoder: EncoderSettings,
    /// Which cross-encoder scores hits again, if any.
    pub reranker: RerankerSettings,
    /// Encoders beside the default one, by name.
    #[serde(default)]
    pub encoders: BTreeMap<String, NamedEncoderSettings>,
    /// Rerankers beside the default one, by name.
    #[serde(default)]
    pub rerankers: BTreeMap<String, NamedRerankerSettings>,
    /// What models may take together.
    pub models: ModelsSettings,
    /// The queue in front of the models.
    pub queue: QueueSettings,
    /// Upper bounds of everything a request may ask for.
    pub limits: Limits,
    /// Long work that goes on without a request.
    pub jobs: JobsSettings,
    /// Training of models by the service.
    pub training: TrainingSettings,
    /// What is logged and how.
    pub log: LogSettings,
    /// Traces for a collector.
    pub telemetry: TelemetrySettings,
}

/// `[index]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexSettings {
    /// New passages of a collection that are scanned one by one until they become a segment.
    pub max_head_passages: NonZeroUsize,
    /// Threads that build segments.
    pub build_threads: NonZeroUsize,
}

/// `[queue]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueSettings {
    /// Tokens that may wait in the query lane.
    pub max_query_tokens: NonZeroUsize,
    /// Tokens that may wait in the lane of the reranker.
    pub max_rerank_tokens: NonZeroUsize,
    /// Tokens that may wait in the bulk lane.
    pub max_bulk_tokens: NonZeroUsize,
    /// Tokens of one forward pass.
    pub max_batch_tokens: NonZeroUsize,
    /// Passes of more urgent lanes in a row while others wait.
    pub max_query_batches_in_a_row: NonZeroUsize,
    /// What `Retry-After` says, seconds.
    pub retry_after_s: u64,
}

/// `[jobs]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobsSettings {
    /// Jobs that may wait or run.
    pub max_unfinished: NonZeroUsize,
    /// Jobs that have ended and are still known.
    pub max_finished: NonZeroUsize,
    /// Results of all jobs, bytes.
    pub max_results_bytes: NonZeroU64,
}

/// `[log]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogSettings {
    /// `tracing` filter directives.
    pub filter: String,
    /// Lines for people or JSON for machines.
    pub format: LogFormat,
    /// Queries that take so long are logged; 0 for none.
    slow_query_ms: u64,
}

impl LogSettings {
    /// Time after which a query is slow; nothing when none is.
    pub fn slow_query(&self) -> Option<Duration> {
        (self.slow_query_ms > 0).then(|| Duration::from_millis(self.slow_query_ms))
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One readable line an event.
    Text,
    /// One JSON object an event.
    Json,
}

impl Settings {
    /// Reads defaults, file, environment (`SIAMESE__SECTION__KEY`) and flags.
    ///
    /// # Errors
    /// A missing file, an unknown key, a value of the wrong form, or a limit of zero.
    pub fn load(overrides: &Overrides) -> Result<Self, SettingsError> {
        let mut figment = Figment::from(Toml::string(DEFAULT_TOML));
        if let Some(path) = &overrides.config_file {
            figment = figment.merge(Toml::file(existing(path)?));
        }
        figment = figment.merge(Env::prefixed("SIAMESE__").split("__"));
        figment = overrides.apply(figment);
        let settings: Self = figment.extract().map_err(Box::new)?;
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), SettingsError> {
        self.storage.check_ratios()?;
        self.storage.check_backend()?;
        self.server.tls.check()?;
        self.telemetry.check()?;
        let queue = &self.queue;
        let smallest = queue.max_query_tokens.min(queue.max_bulk_tokens);
        let smallest = smallest.min(queue.max_rerank_tokens).get();
        let batch = queue.max_batch_tokens.get();
        if batch > smallest {
            return Err(SettingsError::BatchOverQueue { batch, smallest });
        }
        self.check_model_names()?;
        let mut origins = self.server.allowed_origins.iter();
        if let Some(origin) = origins.find(|origin| !is_origin(origin)) {
            let origin = origin.clone();
            return Err(SettingsError::Origin { origin });
        }
        Ok(())
    }
}

impl Settings {
    /// Names of models stand in paths and in records of collections, as those of collections do.
    fn check_model_names(&self) -> Result<(), SettingsError> {
        let encoders = self.encoders.keys().map(|name| ("encoders", name));
        let rerankers = self.rerankers.keys().map(|name| ("rerankers", name));
        let is_bad = |name: &str| name == DEFAULT_ENCODER || check_collection_name(name).is_err();
        match encoders.chain(rerankers).find(|(_, name)| is_bad(name)) {
            Some((section, name)) => Err(SettingsError::ModelName {
                section,
                name: name.clone(),
            }),
            None => Ok(()),
        }
    }
}

fn existing(path: &Path) -> Result<&Path, SettingsError> {
    if path.is_file() {
        Ok(path)
    } else {
        Err(SettingsError::MissingFile {
            path: path.to_owned(),
        })
    }
}

impl Overrides {
    fn apply(&self, mut figment: Figment) -> Figment {
        if let Some(listen) = &self.listen {
            figment = figment.merge(Serialized::default("server.listen", listen));
        }
        if let Some(data_dir) = &self.data_dir {
            figment = figment.merge(Serialized::default("storage.data_dir", data_dir));
        }
        if let Some(model) = &self.model {
            figment = figment.merge(Serialized::default("encoder.model", model));
        }
        if let Some(reranker) = &self.reranker {
            figment = figment.merge(Serialized::default("reranker.model", reranker));
        }
        if self.insecure {
            figment = figment.merge(Serialized::default("access.insecure", true));
        }
        if let Some(keys_file) = &self.keys_file {
            figment = figment.merge(Serialized::default("access.keys_file", keys_file));
        }
        figment
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load_with_file(toml: &str) -> Result<Settings, SettingsError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("siamese.toml");
        fs_err::write(&path, toml).unwrap();
        Settings::load(&Overrides {
            config_file: Some(path),
            ..Overrides::default()
        })
    }

    #[test]
    fn the_embedded_defaults_are_valid() {
        let settings = Settings::load(&Overrides::default()).unwrap();
        assert_eq!(settings.server.listen.port(), 8080);
        assert!(settings.server.listen.ip().is_loopback());
    }

    #[test]
    fn a_file_wins_over_the_defaults_and_a_flag_over_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("siamese.toml");
        fs_err::write(
            &path,
            "[server]\nlisten = \"127.0.0.1:1\"\n[limits]\nmax_top_k = 7\n",
        )
        .unwrap();
        let overrides = Overrides {
            config_file: Some(path),
            listen: Some("127.0.0.1:2".to_owned()),
            ..Overrides::default()
        };
        let settings = Settings::load(&overrides).unwrap();
        assert_eq!(
            (settings.server.listen.port(), settings.limits.max_top_k),
            (2, 7)
        );
    }

    #[test]
    fn an_unknown_key_is_refused_and_named() {
        let error = load_with_file("[limits]\nmax_topk = 7\n").unwrap_err();
        assert!(error.to_string().contains("max_topk"), "{error}");
    }

    #[test]
    fn a_limit_of_zero_is_refused_and_named() {
        let error = load_with_file("[limits]\nmax_top_k = 0\n").unwrap_err();
        assert!(error.to_string().contains("limits.max_top_k"), "{error}");
    }

    #[test]
    fn a_missing_file_is_refused_and_named() {
        let overrides = Overrides {
            config_file: Some("nowhere.toml".into()),
            ..Overrides::default()
        };
        let error = Settings::load(&overrides).unwrap_err();
        assert!(error.to_string().contains("nowhere.toml"), "{error}");
    }

    #[test]
    fn a_ratio_that_a_store_cannot_stay_under_is_refused_and_zero_switches_it_off() {
        let keys = [
            "compact_at_start_over_ratio",
            "compact_over_ratio",
            "reclaim_over_ratio",
        ];
        for key in keys {
            for ratio in ["1.0", "-1.0", "1.7", "nan"] {
                let error = load_with_file(&format!("[storage]\n{key} = {ratio}\n")).unwrap_err();
                assert!(
                    matches!(error, SettingsError::StoreRatio { .. })
                        && error.to_string().contains(key),
                    "{error}"
                );
            }
        }
        assert!(load_with_file("[storage]\ncompact_over_ratio = 2.4\n").is_err());
        let off = keys.map(|key| format!("{key} = 0\n")).concat();
        let settings = load_with_file(&format!("[storage]\n{off}")).unwrap();
        assert_eq!(settings.storage.compact_at_start_over_ratio(), None);
        assert_eq!(settings.storage.compact_over_ratio(), None);
        assert_eq!(settings.storage.reclaim(), None);
    }

    #[test]
    fn models_beside_the_default_ones_have_names_of_their_own() {
        let settings = load_with_file(
            "[encoders.small]\nmodel = \"m\"\ndimensions = 256\n[rerankers.r-1]\nmodel = \"n\"\n",
        )
        .unwrap();
        assert_eq!(settings.encoders["small"].dimensions.unwrap().get(), 256);
        assert_eq!(settings.rerankers["r-1"].model, "n");
        for (section, name) in [("encoders", "default"), ("rerankers", "\"a b\"")] {
            let toml = format!("[{section}.{name}]\nmodel = \"m\"\n");
            let error = load_with_file(&toml).unwrap_err().to_string();
            assert!(
                error.contains(section) && error.contains("default"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_batch_larger_than_its_queue_is_refused() {
        let error = load_with_file("[queue]\nmax_batch_tokens = 1000000\n").unwrap_err();
        assert!(matches!(error, SettingsError::BatchOverQueue { .. }));
    }

    #[test]
    fn a_bad_value_is_named_with_its_setting_and_what_is_possible() {
        for (toml, parts) in [
            (
                "[limits]\nmax_top_k = -1",
                ["limits.max_top_k", "is -1", "1 or more"],
            ),
            (
                "[limits]\nmax_top_k = \"many\"",
                ["limits.max_top_k", "is \"many\"", "a whole number"],
            ),
            (
                "[server]\nheader_timeout_ms = 0",
                ["server.header_timeout_ms", "is 0", "1 or more"],
            ),
            (
                "[server]\nshutdown_grace_ms = 31536000001",
                [
                    "server.shutdown_grace_ms",
                    "is 31536000001",
                    "at most 31536000000",
                ],
            ),
            (
                "[server]\nmax_connections = 0",
                ["server.max_connections", "is 0", "1 or more"],
            ),
            (
                "[log]\nformat = \"xml\"",
                ["log.format", "is \"xml\"", "text, json"],
            ),
            (
                "[server]\nlisten = \"localhost:99999\"",
                ["server.listen", "the port 99999", "0 to 65535"],
            ),
            (
                "[server]\nallowed_origins = [\"example.org\"]",
                ["server.allowed_origins", "\"example.org\"", "https://"],
            ),
            (
                "[limits]\nmax_topk = 7",
                ["limits.max_topk", "not a setting", "max_top_k"],
            ),
            ("limits = 3", ["limits", "is 3", "a table of settings"]),
        ] {
            let error = load_with_file(toml).unwrap_err().to_string();
            for part in parts {
                assert!(error.contains(part), "{part}: {error}");
            }
            assert!(!error.contains(".rs"), "{error}");
        }
    }

    #[test]
    fn what_a_flag_says_is_named_with_the_flag() {
        let load = |listen: &str| {
            Settings::load(&Overrides {
                listen: Some(listen.to_owned()),
                ..Overrides::default()
            })
        };
        for listen in ["localhost:8080", ":8080", "8080", "[::1]:8080"] {
            assert_eq!(load(listen).unwrap().server.listen.port(), 8080);
        }
        let error = load("127.0.0.1:http").unwrap_err().to_string();
        assert!(
            error.contains("--listen") && !error.contains(".rs"),
            "{error}"
        );
    }
}
