//! A collection where it is held.

use std::sync::Arc;

use anyhow::Result;
use serde::Serialize;
use siamese_index::{
    Collection, CollectionEncoder, CollectionSettings, DocumentDraft, ImportedDocument,
    StoredDocument, StoredPassage, WritePlan,
};

/// A document and its passages with their vectors.
pub(super) type Whole = (StoredDocument, Vec<StoredPassage>);

/// A collection where it is held.
#[derive(Debug, Clone)]
pub(super) enum Held {
    Folder(Arc<Collection>),
    #[cfg(feature = "qdrant")]
    Cluster(siamese_qdrant::ClusterCollection),
}

/// How much is in a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Counts {
    pub(super) documents: u64,
    pub(super) passages: u64,
}

impl Held {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Folder(collection) => collection.name(),
            #[cfg(feature = "qdrant")]
            Self::Cluster(collection) => collection.reader.name(),
        }
    }

    pub(super) fn encoder(&self) -> Arc<CollectionEncoder> {
        match self {
            Self::Folder(collection) => collection.reader().encoder(),
            #[cfg(feature = "qdrant")]
            Self::Cluster(collection) => collection.reader.encoder(),
        }
    }

    /// The settings that the collection has in another place.
    pub(super) fn settings_in(&self, cluster: bool) -> CollectionSettings {
        let settings = match self {
            Self::Folder(collection) => collection.reader().settings(),
            #[cfg(feature = "qdrant")]
            Self::Cluster(collection) => collection.reader.settings(),
        };
        match cluster {
            true => Self::settings_on_cluster(settings),
            false => settings,
        }
    }

    /// Settings without what no cluster does.
    pub(super) fn settings_on_cluster(settings: CollectionSettings) -> CollectionSettings {
        CollectionSettings {
            on_duplicate: None,
            keep_queries: 0,
            ..settings
        }
    }

    /// What of the collection cannot be moved, in sentences.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) fn what_stays(
        &self,
        other_generations: usize,
        to_cluster: bool,
    ) -> Result<Vec<String>> {
        let mut stays = Vec::new();
        let name = self.name();
        if other_generations > 0 {
            stays.push(format!(
                "{name}: {other_generations} generations beside the active one"
            ));
        }
        let settings = self.settings_in(false);
        if to_cluster && settings.on_duplicate.is_some() {
            stays.push(format!(
                "{name}: a cluster takes documents that resemble others as any other (on_duplicate)"
            ));
        }
        if to_cluster && settings.keep_queries > 0 {
            stays.push(format!("{name}: a cluster keeps no queries (keep_queries)"));
        }
        let judgements = match self {
            Self::Folder(collection) => collection.reader().feedback_stats()?.judgements,
            #[cfg(feature = "qdrant")]
            Self::Cluster(_) => 0,
        };
        if judgements > 0 {
            stays.push(format!(
                "{name}: {judgements} judgements; GET /collections/{name}/feedback has them"
            ));
        }
        Ok(stays)
    }

    /// How much is in it.
    ///
    /// # Errors
    /// When the backend fails.
    pub(super) fn counts(&self) -> Result<Counts> {
        let stats = match self {
            Self::Folder(collection) => collection.stats(),
            #[cfg(feature = "qdrant")]
            Self::Cluster(collection) => collection.reader.stats()?,
        };
        Ok(Counts {
            documents: stats.documents,
            passages: stats.passages,
        })
    }

    /// Documents after `after` in the order of this place, until they take so many bytes.
    ///
    /// # Errors
    /// When the backend fails.
    pub(super) fn list(
        &self,
        after: Option<&str>,
        max_documents: usize,
        max_bytes: usize,
    ) -> Result<Vec<Whole>> {
        Ok(match self {
            Self::Folder(collection) => {
                collection
                    .reader()
                    .list_whole(after, max_documents, max_bytes, true)?
            }
            #[cfg(feature = "qdrant")]
            Self::Cluster(collection) => {
                collection
                    .reader
                    .list_whole(after, max_documents, max_bytes, true)?
            }
        })
    }

    /// A document, if it is there.
    ///
    /// # Errors
    /// When the backend fails.
    pub(super) fn get(&self, id: &str) -> Result<Option<Whole>> {
        Ok(match self {
            Self::Folder(collection) => collection.reader().get_whole(id, true)?,
            #[cfg(feature = "qdrant")]
            Self::Cluster(collection) => collection.reader.get_whole(id, true)?,
        })
    }

    /// What is to be done with each of these documents so that it is here as it is there.
    ///
    /// # Errors
    /// When the backend fails.
    pub(super) fn plan(&self, drafts: &[DocumentDraft]) -> Result<Vec<WritePlan>> {
        Ok(match self {
            Self::Folder(collection) => collection.writer().plan(drafts)?,
            #[cfg(feature = "qdrant")]
            Self::Cluster(collection) => collection.writer.plan(drafts)?,
        })
    }

    /// Stores documents with their vectors and times, durably.
    ///
    /// # Errors
    /// When the backend fails.
    pub(super) fn import(&self, documents: &[ImportedDocument]) -> Result<()> {
        match self {
            Self::Folder(collection) => collection.writer().import(documents)?,
            #[cfg(feature = "qdrant")]
            Self::Cluster(collection) => {
                collection.writer.import(documents)?;
            }
        }
        Ok(())
    }
}
