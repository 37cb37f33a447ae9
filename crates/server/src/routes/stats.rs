//! `GET /stats`: how much there is of everything, on one page.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use siamese_index::{Error, Index};
use utoipa::ToSchema;

use super::problems::EngineProblems;
use super::timestamp::rfc3339;
use crate::access::Principal;
use crate::app::{App, Engine};
use crate::backend::{Capability, Reader};
use crate::config::Settings;
use crate::error::ApiError;
use crate::jobs::Jobs;
use crate::models::{ModelAccount, ModelKind};
use crate::process_memory;
use crate::queue::Lane;
use crate::service::{QueryCacheUse, blocking};

/// How much there is of everything.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Stats {
    /// The version of siamese.
    version: &'static str,
    /// Since when the service answers, RFC 3339, UTC.
    #[schema(format = DateTime)]
    ready_since: String,
    /// Documents of the collections below together.
    documents: u64,
    /// Their passages; each has one vector.
    passages: u64,
    /// Ordered by name; with a key those that it is for. Of each, its active generation.
    collections: Vec<CollectionStatsShape>,
    /// Null for a key that is for some collections only.
    service: Option<ServiceStats>,
}

/// How much is in a collection.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CollectionStatsShape {
    #[schema(example = "default")]
    name: String,
    documents: u64,
    passages: u64,
    /// Passages that every search scores one by one, until they become a segment.
    head_passages: u64,
    /// Deleted passages that still take up space.
    dead_passages: u64,
    /// Segments of the index over vectors.
    segments: u64,
    /// Size of the segments' files.
    segment_bytes: u64,
    /// Size of the files of the index over words.
    lexical_bytes: u64,
    memory: CollectionMemoryShape,
}

/// About the memory that a collection takes beside files that are mapped.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct CollectionMemoryShape {
    /// Vectors that no segment holds yet, and which passages are alive.
    vector_bytes: u64,
    /// Words that no segment holds yet.
    word_bytes: u64,
    /// The index of metadata.
    metadata_bytes: u64,
}

/// What belongs to no collection.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ServiceStats {
    /// Null while the data folder cannot be read, and where there is none.
    disk: Option<DiskStats>,
    memory: MemoryStats,
    /// The lines before the models, the most urgent first.
    queue: Vec<LaneStats>,
    /// Encoders and rerankers, the default ones first.
    models: Vec<ModelStats>,
    caches: CacheStats,
    jobs: JobStats,
    /// Open connections.
    connections: usize,
}

/// What the data takes on the disk, all generations of all collections.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DiskStats {
    /// All files.
    bytes: u64,
    /// Those of the record, with what it holds of the past.
    store_bytes: u64,
    /// Keys and values of the record; 0 until they have been counted after a start.
    live_bytes: u64,
}

/// What is in memory.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MemoryStats {
    /// What the process takes, mapped files included; null where the system does not say.
    process_bytes: Option<u64>,
    /// What the data takes: metadata, and vectors and words that no segment holds.
    data_bytes: u64,
    /// What it may take (`storage.max_memory_bytes`); null when nothing bounds it.
    max_data_bytes: Option<u64>,
    /// Weights of the models that are open.
    model_bytes: u64,
    /// What the store's cache may take (`storage.cache_bytes`).
    max_store_cache_bytes: u64,
    /// Bodies that are being read, parsed or worked on, and what is made of them.
    body_bytes: usize,
    /// Answers that are being made or sent.
    answer_bytes: usize,
}

/// A line before the models.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LaneStats {
    /// `query`, `rerank` or `bulk`.
    #[schema(example = "query")]
    lane: &'static str,
    /// Tokens that wait or are being encoded.
    tokens: usize,
    /// More than so many are refused.
    max_tokens: usize,
}

/// A model.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ModelStats {
    /// Its name in the settings, `default` for `[encoder]` and `[reranker]`.
    #[schema(example = "default")]
    name: String,
    /// `encoder` or `reranker`.
    #[schema(example = "encoder")]
    kind: &'static str,
    /// Whether it is open. One that is not is opened by its first use.
    open: bool,
    /// Size of its weights while it is open.
    bytes: Option<u64>,
}

/// What is kept for a next time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CacheStats {
    queries: QueryCacheStats,
    cursors: CursorStats,
    /// Texts that collections were told to keep (`keep_queries`).
    kept_query_bytes: usize,
    max_kept_query_bytes: usize,
}

/// Vectors of texts that were asked for.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct QueryCacheStats {
    texts: usize,
    max_texts: usize,
    /// Texts since the start whose vectors were known.
    hits: u64,
    /// Those whose vectors had to be made.
    misses: u64,
}

/// Cursors that may still be asked for.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CursorStats {
    cursors: usize,
    /// About what they stand for.
    bytes: usize,
    max_bytes: usize,
}

/// Jobs that are known of.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobStats {
    /// Those that wait or run.
    unfinished: usize,
    /// More than so many are refused.
    max_unfinished: usize,
    /// Those that have ended.
    finished: usize,
}

/// Say how much there is of everything.
///
/// Documents, passages and bytes of each collection that the caller sees; and for those who see all of them, disk,
/// memory by part, queue, models, caches and jobs of the service. `GET /metrics` has the same for Prometheus.
#[utoipa::path(
    get, path = "/stats", operation_id = "stats", tag = "operations",
    responses((status = 200, body = Stats), EngineProblems)
)]
pub(crate) async fn get(
    State(app): State<App>,
    principal: Principal,
) -> Result<Json<Stats>, ApiError> {
    app.engine()?;
    // Sizes of folders are read from the disk.
    blocking(move || Ok(Json(stats(&app, &principal)?))).await
}

fn stats(app: &App, principal: &Principal) -> Result<Stats, ApiError> {
    let engine = app.engine()?;
    let collections = engine.backend.collections()?.into_iter();
    let collections = collections
        .filter(|collection| principal.sees(collection.reader.name()))
        .map(|collection| CollectionStatsShape::of(&*collection.reader));
    let collections = collections.collect::<Result<Vec<_>, _>>()?;
    let ready_since_ms = engine.loaded_at.as_millisecond();
    Ok(Stats {
        version: env!("CARGO_PKG_VERSION"),
        ready_since: rfc3339(u64::try_from(ready_since_ms).unwrap_or_default()),
        documents: collections.iter().map(|stats| stats.documents).sum(),
        passages: collections.iter().map(|stats| stats.passages).sum(),
        collections,
        service: principal
            .sees_everything()
            .then(|| ServiceStats::of(app, engine)),
    })
}

impl CollectionStatsShape {
    fn of(collection: &Reader) -> Result<Self, Error> {
        let stats = collection.stats()?;
        Ok(Self {
            name: collection.name().to_owned(),
            documents: stats.documents,
            passages: stats.passages,
            head_passages: stats.head_passages,
            dead_passages: stats.dead_passages,
            segments: stats.segments,
            segment_bytes: stats.segment_bytes,
            lexical_bytes: stats.lexical_bytes,
            memory: CollectionMemoryShape::of(collection),
        })
    }
}

impl CollectionMemoryShape {
    /// A collection that is kept elsewhere takes none here.
    fn of(collection: &Reader) -> Self {
        let Ok(embedded) = collection.embedded(Capability::Sizes) else {
            return Self::default();
        };
        let memory = embedded.memory();
        Self {
            vector_bytes: memory.vectors,
            word_bytes: memory.words,
            metadata_bytes: memory.metadata,
        }
    }
}

impl ServiceStats {
    fn of(app: &App, engine: &Engine) -> Self {
        let models = engine.models.accounts();
        Self {
            disk: engine
                .backend
                .index()
                .and_then(|index| DiskStats::of(index)),
            memory: MemoryStats::of(app, engine, &models),
            queue: Lane::ALL
                .map(|lane| LaneStats {
                    lane: lane.label(),
                    tokens: engine.queue.waiting_tokens(lane),
                    max_tokens: engine.queue.max_tokens(lane),
                })
                .into(),
            models: models.into_iter().map(ModelStats::of).collect(),
            caches: CacheStats::of(engine, app.settings()),
            jobs: JobStats::of(engine, app.settings()),
            connections: app.connections().count(),
        }
    }
}

impl DiskStats {
    /// A folder that was moved has no size.
    fn of(index: &Index) -> Option<Self> {
        Some(Self {
            bytes: index.disk_bytes().ok()?,
            store_bytes: index.store_bytes().ok()?,
            live_bytes: index.live_bytes(),
        })
    }
}

impl MemoryStats {
    fn of(app: &App, engine: &Engine, models: &[ModelAccount]) -> Self {
        let data = engine.backend.index().map(|index| index.memory());
        Self {
            process_bytes: process_memory::resident_bytes(),
            data_bytes: data.map_or(0, |data| data.used_bytes),
            max_data_bytes: data
                .map(|data| data.max_bytes)
                .filter(|max| *max < u64::MAX),
            model_bytes: models.iter().filter_map(|model| model.bytes).sum(),
            max_store_cache_bytes: app.settings().storage.cache_bytes,
            body_bytes: app.body_budget().in_flight_bytes(),
            answer_bytes: app.answers_in_flight_bytes(),
        }
    }
}

impl ModelStats {
    fn of(account: ModelAccount) -> Self {
        Self {
            kind: match account.kind {
                ModelKind::Encoder => "encoder",
                ModelKind::Reranker => "reranker",
            },
            open: account.open.is_some(),
            bytes: account.bytes,
            name: account.name,
        }
    }
}

impl CacheStats {
    fn of(engine: &Engine, settings: &Settings) -> Self {
        let QueryCacheUse {
            texts,
            max_texts,
            hits,
            misses,
        } = engine.cache.usage();
        let (cursors, bytes) = engine.cursors.usage();
        Self {
            queries: QueryCacheStats {
                texts,
                max_texts,
                hits,
                misses,
            },
            cursors: CursorStats {
                cursors,
                bytes,
                max_bytes: settings.limits.max_cursor_memory_bytes,
            },
            kept_query_bytes: engine.recent_queries.bytes(),
            max_kept_query_bytes: settings.limits.max_kept_query_bytes,
        }
    }
}

impl JobStats {
    fn of(engine: &Engine, settings: &Settings) -> Self {
        let jobs = engine.jobs.as_ref().map(Jobs::list).unwrap_or_default();
        let finished = jobs.iter().filter(|job| job.state.is_final()).count();
        Self {
            unfinished: jobs.len() - finished,
            max_unfinished: settings.jobs.max_unfinished.get(),
            finished,
        }
    }
}
