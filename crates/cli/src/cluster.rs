//! The cluster that commands store documents on.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use siamese_qdrant::ClusterSettings;
use siamese_server::config::{Overrides, Settings};

/// Settings of the cluster in `[storage.qdrant]` of a file, or of the nodes at these addresses with the rest as the environment
/// has it.
///
/// # Errors
/// Settings that are not allowed, or name no node.
pub(crate) fn settings(
    file: Option<PathBuf>,
    urls: Option<Vec<String>>,
) -> Result<ClusterSettings> {
    let mut settings = Settings::load(&Overrides {
        config_file: file,
        ..Overrides::default()
    })?;
    if let Some(urls) = urls {
        settings.storage.qdrant.urls = urls;
    }
    let cluster = settings.storage.qdrant.cluster(&settings.limits)?;
    ensure!(
        !cluster.urls.is_empty(),
        "storage.qdrant.urls in the settings names no node of a cluster"
    );
    Ok(cluster)
}
