//! What writes a collection, wherever that is kept.

use std::fmt::Debug;
use std::sync::Arc;

use siamese_index::{
    DocumentDraft, DocumentWrite, Error, Filter, Metadata, PlannedGenerations, StoredDocument,
    Upserted, WritePlan,
};

use super::{Capability, Reader};

/// What writes a collection.
pub(crate) type Writer = dyn Write;

/// Plans, stores, changes and deletes. Every method but the first may wait for a disk or a network.
///
/// What [`siamese_index::Writer`] says of its methods holds for any other one that has them.
pub(crate) trait Write: Debug + Send + Sync + 'static {
    /// What reads the same collection.
    fn reader(&self) -> Arc<Reader>;

    /// Returns what each document needs to be stored.
    ///
    /// # Errors
    /// When the backend fails.
    fn plan(&self, drafts: &[DocumentDraft]) -> Result<Vec<WritePlan>, Error>;

    /// Returns all generations of the collection that are written to, this one first unless it has been deleted.
    ///
    /// # Errors
    /// [`Error::CollectionNotFound`] when the whole collection has been deleted.
    fn generations(&self) -> Result<Generations, Error>;

    /// Deletes documents, and returns for each id whether there was one.
    ///
    /// # Errors
    /// When the backend fails.
    fn delete(&self, ids: &[String]) -> Result<Vec<bool>, Error>;

    /// Deletes every document that passes a filter, and returns how many those were.
    ///
    /// # Errors
    /// A filter that cannot be answered, or the backend fails.
    fn delete_matching(&self, filter: &Filter) -> Result<u64, Error>;

    /// Merges metadata into that of a document, and returns the document if there is one.
    ///
    /// # Errors
    /// Metadata over `max_bytes`, or the backend fails.
    fn patch_metadata(
        &self,
        id: &str,
        patch: &Metadata,
        max_bytes: usize,
    ) -> Result<Option<StoredDocument>, Error>;

    /// What writes the same collection in a data folder, which alone can do this.
    ///
    /// # Errors
    /// [`Error::NotSupportedHere`] when the collection is kept elsewhere.
    fn embedded(&self, what: Capability) -> Result<&siamese_index::Writer, Error>;
}

/// The generations that a write is planned for, each of which needs passages and vectors of its own.
#[derive(Debug)]
pub(crate) enum Generations {
    /// Those of a collection in a data folder.
    Embedded(PlannedGenerations),
    /// Those of a collection on a cluster.
    #[cfg(feature = "qdrant")]
    Cluster(super::cluster::ClusterGenerations),
}

impl Generations {
    /// Returns the one that answers are about.
    pub(crate) fn lead(&self) -> Arc<Writer> {
        match self {
            Self::Embedded(planned) => Arc::<siamese_index::Writer>::clone(planned.lead()),
            #[cfg(feature = "qdrant")]
            Self::Cluster(planned) => planned.lead(),
        }
    }

    /// Returns all, [`Self::lead`] first.
    pub(crate) fn writers(&self) -> Vec<Arc<Writer>> {
        match self {
            Self::Embedded(planned) => {
                let writers = planned.writers().cloned();
                writers.map(|writer| writer as Arc<Writer>).collect()
            }
            #[cfg(feature = "qdrant")]
            Self::Cluster(planned) => planned.writers(),
        }
    }

    /// Stores documents with distinct ids, in a data folder all or none, with what each of [`Self::writers`] needs of the same documents, in
    /// the same order. On return they are durable and found by searches.
    ///
    /// # Errors
    /// Bad input, a full disk, a backend that fails, or [`Error::Stale`] when a document is no longer stored as it was
    /// planned, or when there is another generation by now. Nothing has been written then.
    pub(crate) fn upsert(
        &self,
        writes: &[Vec<DocumentWrite<Arc<DocumentDraft>>>],
    ) -> Result<Upserted, Error> {
        match self {
            Self::Embedded(planned) => planned.upsert(writes),
            #[cfg(feature = "qdrant")]
            Self::Cluster(planned) => planned.upsert(writes),
        }
    }
}
