//! Settings: the embedded default file, a file, the environment, flags; later wins.
//!
//! [`Settings::load`] is the only place where raw values are read. What it returns has been
//! checked, so the rest of the crate never meets a limit of zero or an unknown key.

use std::net::SocketAddr;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use serde::Deserialize;
use siamese_index::Reclaim;

pub use crate::connections::{PeerNetwork, PeerNetworkError};
use crate::listen_address;
pub use crate::listen_address::parse_listen_address;
use crate::machine_memory;
use crate::origin::is_origin;
pub use crate::settings_error::SettingsError;

/// The documented default file, as shipped in `config/default.toml`.
pub const DEFAULT_TOML: &str = include_str!("../../../config/default.toml");

/// The data may take one part in so many of the memory. The rest is for the model, the store's cache,
/// requests and answers, and for building segments.
const MEMORY_SHARE: u64 = 2;
/// Smallest ratio over which a store is compacted: one takes up to about 2.2 times its live data
/// right after it was compacted.
const MIN_COMPACTION_RATIO: f64 = 2.5;
/// Smallest ratio over which writes free dead parts of the log: with all of them freed, a store takes
/// up to about 1.75 times its live data.
const MIN_RECLAIM_RATIO: f64 = 1.75;

/// Longest time in the settings of the server: a year. Clocks overflow somewhere beyond.
const MAX_TIME_MS: u64 = 365 * 24 * 60 * 60 * 1000;

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
}

/// Checked settings of one service.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Address, timeouts, concurrency.
    pub server: ServerSettings,
    /// Where the data is and how much room it may take.
    pub storage: StorageSettings,
    /// How vectors are indexed in the background.
    pub index: IndexSettings,
    /// Which model, on which device.
    pub encoder: EncoderSettings,
    /// Which cross-encoder scores hits again, if any.
    pub reranker: RerankerSettings,
    /// The queue in front of the models.
    pub queue: QueueSettings,
    /// Upper bounds of everything a request may ask for.
    pub limits: Limits,
    /// Long work that goes on without a request.
    pub jobs: JobsSettings,
    /// What is logged and how.
    pub log: LogSettings,
}

/// `[server]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerSettings {
    /// Address and port to listen on.
    #[serde(deserialize_with = "listen_address::deserialize")]
    pub listen: SocketAddr,
    /// Names that the service answers to beside loopback and its address.
    pub allowed_hosts: Vec<String>,
    /// Other origins whose pages may change something.
    pub allowed_origins: Vec<String>,
    request_timeout_ms: u64,
    bulk_timeout_ms: u64,
    stream_idle_timeout_ms: u64,
    /// Requests in progress at the same time.
    pub max_concurrent_requests: NonZeroUsize,
    /// Connections open at the same time.
    pub max_connections: NonZeroUsize,
    /// Connections open at the same time from one address.
    pub max_connections_per_peer: NonZeroUsize,
    /// Addresses that the limit above does not count.
    pub uncounted_peers: Vec<PeerNetwork>,
    header_timeout_ms: u64,
    keep_alive_timeout_ms: u64,
    /// Bytes of a body that must move in each second of waiting for them.
    pub min_body_bytes_per_second: u64,
    body_grace_ms: u64,
    write_stall_timeout_ms: u64,
    shutdown_grace_ms: u64,
}

impl ServerSettings {
    fn check_times(&self) -> Result<(), SettingsError> {
        for (key, value) in [
            ("server.request_timeout_ms", self.request_timeout_ms),
            ("server.bulk_timeout_ms", self.bulk_timeout_ms),
            ("server.stream_idle_timeout_ms", self.stream_idle_timeout_ms),
            ("server.header_timeout_ms", self.header_timeout_ms),
            ("server.keep_alive_timeout_ms", self.keep_alive_timeout_ms),
            (
                "server.min_body_bytes_per_second",
                self.min_body_bytes_per_second,
            ),
            ("server.body_grace_ms", self.body_grace_ms),
            ("server.write_stall_timeout_ms", self.write_stall_timeout_ms),
        ] {
            if value == 0 {
                return Err(SettingsError::Zero { key });
            }
            if value > MAX_TIME_MS {
                let max = MAX_TIME_MS;
                return Err(SettingsError::TooLarge { key, value, max });
            }
        }
        Ok(())
    }

    /// Time a request may take until its answer begins.
    pub fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }

    /// Time a request that encodes or deletes as much as it likes may take until its answer begins.
    pub fn bulk_timeout(&self) -> Duration {
        Duration::from_millis(self.bulk_timeout_ms)
    }

    /// Time a streamed ingest may stay silent.
    pub fn stream_idle_timeout(&self) -> Duration {
        Duration::from_millis(self.stream_idle_timeout_ms)
    }

    /// Time for the head of a request.
    pub fn header_timeout(&self) -> Duration {
        Duration::from_millis(self.header_timeout_ms)
    }

    /// Time for which a connection is kept open for a next request.
    pub fn keep_alive_timeout(&self) -> Duration {
        Duration::from_millis(self.keep_alive_timeout_ms)
    }

    /// Time of waiting after which the pace of a request's body is looked at.
    pub fn body_grace(&self) -> Duration {
        Duration::from_millis(self.body_grace_ms)
    }

    /// Time after which an answer that nobody reads is given up.
    pub fn write_stall_timeout(&self) -> Duration {
        Duration::from_millis(self.write_stall_timeout_ms)
    }

    /// Time within which the process ends after it was told to.
    pub fn shutdown_grace(&self) -> Duration {
        Duration::from_millis(self.shutdown_grace_ms)
    }
}

/// `[storage]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StorageSettings {
    /// Folder with everything that must survive.
    pub data_dir: PathBuf,
    /// Page cache of the store, bytes.
    pub cache_bytes: u64,
    max_memory_bytes: u64,
    /// Free disk space under which writes are refused, bytes.
    pub min_free_disk_bytes: u64,
    compact_at_start_over_ratio: f64,
    compact_over_ratio: f64,
    reclaim_over_ratio: f64,
    stall_after_ms: NonZeroU64,
    exit_after_stall_ms: u64,
    /// Folder with snapshots; `snapshots` in the data folder when absent.
    pub snapshots_dir: Option<PathBuf>,
    /// Snapshots that may lie there.
    pub max_snapshots: NonZeroUsize,
    /// Memory for what is replaced while a snapshot is taken, bytes.
    pub max_snapshot_memory_bytes: u64,
}

impl StorageSettings {
    /// Memory that the data may take; a share of what there is unless the settings say. Nothing where
    /// that cannot be told.
    pub fn max_memory_bytes(&self) -> Option<u64> {
        match self.max_memory_bytes {
            0 => machine_memory::bytes().map(|bytes| bytes / MEMORY_SHARE),
            bytes => Some(bytes),
        }
    }

    /// How many times its live data a store may take before it is compacted at the start.
    pub fn compact_at_start_over_ratio(&self) -> Option<f64> {
        (self.compact_at_start_over_ratio > 0.0).then_some(self.compact_at_start_over_ratio)
    }

    /// How many times its live data a store may take before it is compacted while it is in use.
    pub fn compact_over_ratio(&self) -> Option<f64> {
        (self.compact_over_ratio > 0.0).then_some(self.compact_over_ratio)
    }

    /// When writes free dead parts of a store's log.
    pub fn reclaim(&self) -> Option<Reclaim> {
        (self.reclaim_over_ratio > 0.0).then_some(Reclaim {
            over_ratio: self.reclaim_over_ratio,
            ..Reclaim::default()
        })
    }
}

impl StorageSettings {
    /// How long a write may make no progress before others are refused.
    pub fn stall_after(&self) -> Duration {
        Duration::from_millis(self.stall_after_ms.get())
    }

    /// How long a write may make no progress before the process ends; `None` when it never does.
    pub fn exit_after_stall(&self) -> Option<Duration> {
        (self.exit_after_stall_ms > 0).then(|| Duration::from_millis(self.exit_after_stall_ms))
    }
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

/// `[encoder]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderSettings {
    /// A name in the models folder or the path of a model folder.
    pub model: String,
    /// Where pulled models live.
    pub models_dir: Option<PathBuf>,
    /// Preferred device.
    pub device: Device,
    /// Dimensions to truncate vectors to.
    pub dimensions: Option<NonZeroUsize>,
    /// Tokens of a text that are read.
    pub max_tokens: Option<NonZeroUsize>,
    /// Threads of the forward pass.
    pub threads: Option<NonZeroUsize>,
    /// How weights are kept on the CPU.
    pub precision: EncoderPrecision,
    /// Texts of questions whose vectors are kept.
    pub max_cached_queries: usize,
}

/// `[reranker]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RerankerSettings {
    model: PathBuf,
    /// Tokens of a pair that are read.
    pub max_tokens: Option<NonZeroUsize>,
    /// How weights are kept on the CPU.
    pub precision: EncoderPrecision,
}

impl RerankerSettings {
    /// The folder of the model; nothing when there is none.
    pub fn folder(&self) -> Option<&Path> {
        Some(self.model.as_path()).filter(|folder| !folder.as_os_str().is_empty())
    }
}

/// How weights are kept on the CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EncoderPrecision {
    /// As in the model.
    F32,
    /// 16-bit codes where the CPU multiplies them, else as in the model.
    Int16,
    /// bfloat16 where the CPU multiplies it, else 16-bit codes.
    Bf16,
    /// 8-bit codes where the CPU multiplies them, else bfloat16.
    Int8,
}

/// Where the forward pass runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// A GPU when there is one, else the CPU.
    Auto,
    /// The CPU.
    Cpu,
    /// An NVIDIA GPU.
    Cuda,
    /// An Apple GPU.
    Metal,
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

/// `[limits]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    missing_docs,
    reason = "each limit is documented in config/default.toml"
)]
pub struct Limits {
    pub max_body_bytes: usize,
    pub max_bodies_in_flight_bytes: usize,
    pub max_json_values: usize,
    pub max_line_bytes: usize,
    pub max_text_bytes: usize,
    pub max_title_bytes: usize,
    pub max_query_bytes: usize,
    pub max_metadata_bytes: usize,
    pub max_documents_per_request: usize,
    pub max_ids_per_request: usize,
    pub max_page_documents: usize,
    pub max_response_bytes: usize,
    pub max_responses_in_flight_bytes: usize,
    pub max_passages_per_document: usize,
    pub max_passages_per_hit: usize,
    pub max_hits_with_passages: usize,
    pub max_top_k: usize,
    pub max_offset: usize,
    pub cursor_lifetime_ms: u64,
    pub max_cursor_memory_bytes: usize,
    pub max_filter_depth: usize,
    pub max_filter_clauses: usize,
    pub max_filter_values: usize,
    pub max_filter_text_bytes: usize,
    pub max_facets: usize,
    pub max_facet_values: usize,
    pub max_searches_per_batch: usize,
    pub max_batch_hits: usize,
    pub max_search_examples: usize,
    pub max_diversity_candidates: usize,
    pub max_group_candidates: usize,
    pub max_rerank_candidates: usize,
    pub max_embed_texts: usize,
    pub max_similarity_items: usize,
    pub max_similarity_scores: usize,
    pub max_pairs: usize,
    pub max_comparisons_at_once: usize,
    pub max_collections: usize,
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
        self.check_limits()?;
        self.server.check_times()?;
        self.check_store_ratios()?;
        let queue = &self.queue;
        let smallest = queue.max_query_tokens.min(queue.max_bulk_tokens);
        let smallest = smallest.min(queue.max_rerank_tokens).get();
        let batch = queue.max_batch_tokens.get();
        if batch > smallest {
            return Err(SettingsError::BatchOverQueue { batch, smallest });
        }
        let mut origins = self.server.allowed_origins.iter();
        if let Some(origin) = origins.find(|origin| !is_origin(origin)) {
            let origin = origin.clone();
            return Err(SettingsError::Origin { origin });
        }
        Ok(())
    }

    fn check_limits(&self) -> Result<(), SettingsError> {
        let limits = &self.limits;
        for (key, value) in [
            ("limits.max_body_bytes", limits.max_body_bytes),
            (
                "limits.max_bodies_in_flight_bytes",
                limits.max_bodies_in_flight_bytes,
            ),
            ("limits.max_json_values", limits.max_json_values),
            ("limits.max_line_bytes", limits.max_line_bytes),
            ("limits.max_text_bytes", limits.max_text_bytes),
            ("limits.max_title_bytes", limits.max_title_bytes),
            ("limits.max_query_bytes", limits.max_query_bytes),
            ("limits.max_metadata_bytes", limits.max_metadata_bytes),
            (
                "limits.max_documents_per_request",
                limits.max_documents_per_request,
            ),
            ("limits.max_ids_per_request", limits.max_ids_per_request),
            ("limits.max_page_documents", limits.max_page_documents),
            ("limits.max_response_bytes", limits.max_response_bytes),
            (
                "limits.max_responses_in_flight_bytes",
                limits.max_responses_in_flight_bytes,
            ),
            ("limits.max_top_k", limits.max_top_k),
            ("limits.max_filter_depth", limits.max_filter_depth),
            ("limits.max_filter_clauses", limits.max_filter_clauses),
            ("limits.max_filter_values", limits.max_filter_values),
            ("limits.max_filter_text_bytes", limits.max_filter_text_bytes),
            ("limits.max_facets", limits.max_facets),
            ("limits.max_facet_values", limits.max_facet_values),
            (
                "limits.max_passages_per_document",
                limits.max_passages_per_document,
            ),
            ("limits.max_passages_per_hit", limits.max_passages_per_hit),
            (
                "limits.max_hits_with_passages",
                limits.max_hits_with_passages,
            ),
            (
                "limits.max_searches_per_batch",
                limits.max_searches_per_batch,
            ),
            ("limits.max_batch_hits", limits.max_batch_hits),
            ("limits.max_search_examples", limits.max_search_examples),
            (
                "limits.max_diversity_candidates",
                limits.max_diversity_candidates,
            ),
            ("limits.max_group_candidates", limits.max_group_candidates),
            ("limits.max_rerank_candidates", limits.max_rerank_candidates),
            ("limits.max_embed_texts", limits.max_embed_texts),
            ("limits.max_similarity_items", limits.max_similarity_items),
            ("limits.max_similarity_scores", limits.max_similarity_scores),
            ("limits.max_pairs", limits.max_pairs),
            (
                "limits.max_comparisons_at_once",
                limits.max_comparisons_at_once,
            ),
            ("limits.max_collections", limits.max_collections),
        ] {
            if value == 0 {
                return Err(SettingsError::Zero { key });
            }
        }
        Ok(())
    }

    fn check_store_ratios(&self) -> Result<(), SettingsError> {
        let storage = &self.storage;
        for (key, ratio, min_ratio) in [
            (
                "storage.compact_at_start_over_ratio",
                storage.compact_at_start_over_ratio,
                MIN_COMPACTION_RATIO,
            ),
            (
                "storage.compact_over_ratio",
                storage.compact_over_ratio,
                MIN_COMPACTION_RATIO,
            ),
            (
                "storage.reclaim_over_ratio",
                storage.reclaim_over_ratio,
                MIN_RECLAIM_RATIO,
            ),
        ] {
            if ratio != 0.0 && (ratio.is_nan() || ratio < min_ratio) {
                return Err(SettingsError::StoreRatio {
                    key,
                    ratio,
                    min_ratio,
                });
            }
        }
        Ok(())
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
    fn a_batch_larger_than_its_queue_is_refused() {
        let error = load_with_file("[queue]\nmax_batch_tokens = 1000000\n").unwrap_err();
        assert!(matches!(error, SettingsError::BatchOverQueue { .. }));
    }

    #[test]
    fn a_bad_value_is_named_with_its_setting_and_what_is_possible() {
        for (toml, parts) in [
            (
                "[limits]\nmax_top_k = -1",
                ["limits.max_top_k", "is -1", "0 or more"],
            ),
            (
                "[limits]\nmax_top_k = \"many\"",
                ["limits.max_top_k", "is \"many\"", "a whole number"],
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
