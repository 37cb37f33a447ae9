//! Collections of documents and vectors, durable on disk and searchable by vector and by words.
//!
//! An [`Index`] is one data folder. sled is the record of everything; vectors and words are held
//! in memory or mapped to it as well, in immutable states, so that searches never wait for writes.
//! The crate is synchronous and knows of encoders only their identity and the length of their
//! vectors.

mod aliases;
mod bell;
mod cancel;
mod clock;
mod collection;
mod collections;
mod compaction;
mod compactor;
mod content_hash;
mod data_folder;
mod document;
mod drops;
mod durable_files;
mod encoder_identity;
mod error;
mod feedback;
mod file_identity;
mod filter;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod generations;
mod health;
mod index;
mod job_files;
mod kept_collection;
mod lexical;
mod lock_file;
mod maintainer;
mod memory;
mod merge_patch;
mod metadata_index;
mod named_collection;
mod options;
mod priority;
mod private_files;
mod progress;
mod segments;
mod settings;
mod single_segment;
mod snapshots;
mod store;
mod successor;
mod temporary_file;
mod turn;
mod vectors;
mod watch;
mod workers;

pub use aliases::{Alias, AliasError};
pub use cancel::Cancel;
pub use collection::{
    Alike, AlikeMode, AlikeOptions, AlikePair, AlikeScope, AlikeSide, AlikeSides, Cluster,
    ClusterForm, ClusterMember, ClusterOptions, Clusters, Collection, CollectionMemory,
    CollectionStats, DocumentMap, Facet, FacetRequest, FacetValue, Fusion, Hit, HitContent,
    HitParts, HitScores, HitSet, ListsToFuse, MapOptions, MapPoint, Moment, PlannedGenerations,
    Query, Reader, ScoredPassage, SearchOptions, SearchResults, Total, UpsertStatus, Upserted,
    WritePlan, Writer, check_writes, document_vector,
};
pub use collections::{DEFAULT_COLLECTION, PutOutcome};
pub use compaction::{CompactionReport, compact};
pub use content_hash::ContentHash;
pub use document::{
    DocumentDraft, DocumentWrite, ImportedDocument, MAX_ID_BYTES, MAX_METADATA_BYTES, Metadata,
    NewPassage, StoredDocument, StoredPassage, check_metadata, check_vector, metadata_bytes,
};
pub use encoder_identity::{CollectionEncoder, DEFAULT_ENCODER, EncoderIdentity};
pub use error::Error;
pub use feedback::{
    FeedbackLimits, FeedbackOutcome, FeedbackStats, Judgement, MAX_JUDGED_QUERY_BYTES,
    StoredJudgement,
};
pub use filter::{
    Comparison, Condition, FieldPath, FieldPathError, Filter, MetadataValue, Number, Scalar,
    Timestamp, TimestampError, metadata_values,
};
pub use health::{Health, HealthCondition};
pub use index::Index;
pub use job_files::{JobFiles, JobResultFile};
pub use kept_collection::KeptCollection;
pub use lexical::{Language, MAX_QUERY_WORDS, WordCounts, WordQuery, WordSettings};
pub use memory::MemoryUse;
pub use merge_patch::merge as merge_metadata;
pub use named_collection::Generation;
pub use options::IndexOptions;
pub use priority::step_back;
pub use progress::Progress;
pub use settings::{
    Chunking, CollectionSettings, DuplicateAction, GraphSettings, OnDuplicate, PassageSize,
    VectorPrecision, check_collection_name,
};
pub use single_segment::{SingleSegment, VectorQuery};
pub use snapshots::{
    CollectionCounts, SnapshotInfo, SnapshotManifest, SnapshotOptions, restore_snapshot,
    verify_snapshot,
};
pub use store::{ContentCheck, GenerationState, Reclaim};
pub use vectors::{
    AllPairs, Candidate, MostAlike, Pair, PairSink, alike_pairs, cosine, mean_unit, most_alike,
    normalized, unit_or_zero,
};
pub use workers::Workers;
