//! Opening what keeps the documents.

use std::path::PathBuf;
use std::sync::Arc;

use siamese_encoder::Encoder;
use siamese_index::{CollectionSettings, Error, Index, IndexOptions, SnapshotOptions};

use super::{Backend, Loading};
use crate::config::{BackendKind, Settings};
use crate::models::identity_of;
use crate::service::default_chunking;

/// Why the documents cannot be reached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The data folder cannot be opened.
    #[error("cannot open the data folder {folder}: {source}", folder = folder.display())]
    Data {
        /// The folder from the settings.
        folder: PathBuf,
        /// What is wrong with it.
        source: Error,
    },
    /// The program knows no clusters.
    #[error(
        "storage.backend is \"qdrant\", and this program was built without the feature `qdrant`; build it with `--features qdrant`, or take the image"
    )]
    NotBuilt,
    /// The cluster's key cannot be read.
    #[error("cannot read storage.qdrant.api_key_file: {0}")]
    Key(std::io::Error),
    /// The cluster can never be used so.
    #[error("cannot use the cluster in storage.qdrant: {0}")]
    Cluster(Error),
}

/// Opens what the settings name.
///
/// # Errors
/// A data folder that cannot be opened. A cluster that does not answer is waited for.
pub(crate) fn open(
    settings: &Settings,
    encoder: &Encoder,
    loading: &Loading,
) -> Result<Backend, OpenError> {
    match settings.storage.backend {
        BackendKind::Embedded => Ok(Backend::Embedded(Arc::new(open_index(settings, encoder)?))),
        BackendKind::Qdrant => open_cluster(settings, encoder, loading),
    }
}

/// What a collection has whose request does not say.
fn default_settings(encoder: &Encoder) -> CollectionSettings {
    CollectionSettings {
        chunking: default_chunking(encoder),
        ..CollectionSettings::default()
    }
}

fn open_index(settings: &Settings, encoder: &Encoder) -> Result<Index, OpenError> {
    let identity = identity_of(encoder);
    let storage = &settings.storage;
    let options = IndexOptions {
        cache_bytes: storage.cache_bytes,
        min_free_disk_bytes: storage.min_free_disk_bytes,
        default_settings: default_settings(encoder),
        max_collections: settings.limits.max_collections,
        max_aliases: settings.limits.max_aliases,
        max_head_passages: settings.index.max_head_passages.get(),
        build_threads: settings.index.build_threads.get(),
        compact_at_start_over_ratio: storage.compact_at_start_over_ratio(),
        compact_over_ratio: storage.compact_over_ratio(),
        reclaim: storage.reclaim(),
        stall_after: storage.stall_after,
        check: storage.check(),
        max_memory_bytes: storage.max_memory_bytes(),
        snapshots: SnapshotOptions {
            folder: storage.snapshots_dir.clone(),
            max_snapshots: storage.max_snapshots.get(),
            max_memory_bytes: storage.max_snapshot_memory_bytes,
        },
    };
    Index::open(&storage.data_dir, &identity, &options).map_err(|source| OpenError::Data {
        folder: storage.data_dir.clone(),
        source,
    })
}

#[cfg(not(feature = "qdrant"))]
fn open_cluster(_: &Settings, _: &Encoder, _: &Loading) -> Result<Backend, OpenError> {
    Err(OpenError::NotBuilt)
}

/// Tries until the cluster answers, since it may be started later, or at the same time.
#[cfg(feature = "qdrant")]
fn open_cluster(
    settings: &Settings,
    encoder: &Encoder,
    loading: &Loading,
) -> Result<Backend, OpenError> {
    use std::time::Duration;

    use siamese_index::CollectionEncoder;
    use siamese_qdrant::Cluster;

    /// Time between two tries.
    const TRY_EVERY: Duration = Duration::from_secs(1);

    let qdrant = &settings.storage.qdrant;
    let cluster_settings = qdrant.cluster(&settings.limits).map_err(OpenError::Key)?;
    let default_encoder = CollectionEncoder::default_of(&identity_of(encoder));
    loop {
        let opened = Cluster::open(
            cluster_settings.clone(),
            default_settings(encoder),
            default_encoder.clone(),
        );
        match opened {
            Ok(cluster) => return Ok(Backend::Cluster(cluster)),
            Err(error @ (Error::ClusterUnavailable { .. } | Error::ClusterFailed { .. }))
                if !loading.is_given_up() =>
            {
                tracing::warn!(%error, "waiting for the cluster");
                loading.waits_for(format!("cluster_unavailable: {error}"));
                std::thread::sleep(TRY_EVERY);
            }
            Err(error) => return Err(OpenError::Cluster(error)),
        }
    }
}
