//! A Qdrant cluster as a backend.

use std::sync::Arc;

use siamese_index::{
    CollectionEncoder, CollectionSettings, CollectionStats, DocumentDraft, DocumentWrite, Error,
    Filter, Hit, HitContent, HitParts, Metadata, Query, ScoredPassage, SearchOptions,
    SearchResults, StoredDocument, StoredPassage, Upserted, WordQuery, WritePlan,
};
use siamese_qdrant::{Cluster, ClusterCollection, ClusterGeneration, Family};

use super::{Capability, Collection, Generation, Generations, Read, Reader, Write};

/// Hits read in one call: half a page as most ask for it, and few enough documents for memory, which may be of a megabyte each.
const HITS_PER_CALL: usize = 5;

/// A collection of a cluster.
pub(super) fn collection(cluster: &Arc<Cluster>, collection: ClusterCollection) -> Collection {
    Collection {
        writer: writer(cluster, &collection.writer),
        reader: collection.reader,
    }
}

/// A generation of such a collection.
pub(super) fn generation(cluster: &Arc<Cluster>, generation: ClusterGeneration) -> Generation {
    Generation {
        number: generation.number,
        state: generation.state,
        collection: collection(cluster, generation.collection),
    }
}

fn writer(cluster: &Arc<Cluster>, writer: &Arc<siamese_qdrant::Writer>) -> Arc<dyn Write> {
    Arc::new(ClusterWriter {
        cluster: Arc::clone(cluster),
        writer: Arc::clone(writer),
    })
}

impl Read for siamese_qdrant::Reader {
    fn name(&self) -> &str {
        self.name()
    }

    fn settings(&self) -> CollectionSettings {
        self.settings()
    }

    fn encoder(&self) -> Arc<CollectionEncoder> {
        self.encoder()
    }

    fn dimensions(&self) -> usize {
        self.dimensions()
    }

    fn stats(&self) -> Result<CollectionStats, Error> {
        self.stats()
    }

    fn get(&self, id: &str) -> Result<Option<StoredDocument>, Error> {
        self.get(id)
    }

    fn passages(&self, id: &str, with_vectors: bool) -> Result<Option<Vec<StoredPassage>>, Error> {
        self.passages(id, with_vectors)
    }

    fn get_whole(
        &self,
        id: &str,
        with_vectors: bool,
    ) -> Result<Option<(StoredDocument, Vec<StoredPassage>)>, Error> {
        self.get_whole(id, with_vectors)
    }

    fn list_whole(
        &self,
        after: Option<&str>,
        limit: usize,
        max_bytes: usize,
        with_vectors: bool,
    ) -> Result<Vec<(StoredDocument, Vec<StoredPassage>)>, Error> {
        self.list_whole(after, limit, max_bytes, with_vectors)
    }

    fn visit_documents(
        &self,
        after: Option<&str>,
        with_text: bool,
        visit: &mut dyn FnMut(StoredDocument) -> bool,
    ) -> Result<(), Error> {
        self.visit_documents(after, with_text, visit)
    }

    fn mean_vector(&self, id: &str) -> Result<Option<Vec<f32>>, Error> {
        self.mean_vector(id)
    }

    fn count_matching(&self, filter: &Filter) -> Result<u64, Error> {
        self.count_matching(filter)
    }

    fn search(&self, query: &Query<'_>, options: &SearchOptions) -> Result<SearchResults, Error> {
        self.search(query, options)
    }

    fn best_passages(
        &self,
        hit: &Hit,
        vector: &[f32],
        limit: usize,
    ) -> Result<Vec<ScoredPassage>, Error> {
        self.best_passages(hit, vector, limit)
    }

    fn best_passages_by_words(
        &self,
        hits: &[&Hit],
        words: &WordQuery,
        limit: usize,
    ) -> Result<Vec<Vec<ScoredPassage>>, Error> {
        self.best_passages_by_words(hits, words, limit)
    }

    fn read_hit(&self, hit: &Hit, parts: &HitParts<'_>) -> Result<Option<HitContent>, Error> {
        self.read_hit(hit, parts)
    }

    fn hits_read_together(&self) -> usize {
        HITS_PER_CALL
    }

    fn read_hits(&self, hits: &[(&Hit, HitParts<'_>)]) -> Result<Vec<Option<HitContent>>, Error> {
        self.read_hits(hits)
    }

    fn hit_metadata(&self, hit: &Hit) -> Result<Option<Metadata>, Error> {
        self.hit_metadata(hit)
    }

    fn hit_vector(&self, hit: &Hit) -> Result<Option<Vec<f32>>, Error> {
        self.hit_vector(hit)
    }

    fn embedded(&self, what: Capability) -> Result<&siamese_index::Reader, Error> {
        Err(what.not_supported())
    }

    fn embedded_arc(
        self: Arc<Self>,
        what: Capability,
    ) -> Result<Arc<siamese_index::Reader>, Error> {
        Err(what.not_supported())
    }
}

/// What writes a generation of a collection of a cluster. What it changes is changed in all of them.
#[derive(Debug)]
struct ClusterWriter {
    cluster: Arc<Cluster>,
    writer: Arc<siamese_qdrant::Writer>,
}

/// The generations that a write is planned for.
#[derive(Debug)]
pub(crate) struct ClusterGenerations {
    cluster: Arc<Cluster>,
    family: Arc<Family>,
}

impl ClusterGenerations {
    pub(super) fn lead(&self) -> Arc<dyn Write> {
        writer(&self.cluster, self.family.lead())
    }

    pub(super) fn writers(&self) -> Vec<Arc<dyn Write>> {
        let writers = self.family.writers();
        writers.map(|it| writer(&self.cluster, it)).collect()
    }

    pub(super) fn upsert(
        &self,
        writes: &[Vec<DocumentWrite<Arc<DocumentDraft>>>],
    ) -> Result<Upserted, Error> {
        self.cluster.upsert(&self.family, writes)
    }
}

impl ClusterWriter {
    fn family(&self) -> Result<Arc<Family>, Error> {
        self.cluster.family_of(&self.writer)
    }
}

impl Write for ClusterWriter {
    fn reader(&self) -> Arc<Reader> {
        Arc::<siamese_qdrant::Reader>::clone(self.writer.reader())
    }

    fn plan(&self, drafts: &[DocumentDraft]) -> Result<Vec<WritePlan>, Error> {
        self.writer.plan(drafts)
    }

    fn generations(&self) -> Result<Generations, Error> {
        Ok(Generations::Cluster(ClusterGenerations {
            cluster: Arc::clone(&self.cluster),
            family: self.family()?,
        }))
    }

    fn delete(&self, ids: &[String]) -> Result<Vec<bool>, Error> {
        self.cluster.delete_documents(&self.family()?, ids)
    }

    fn delete_matching(&self, filter: &Filter) -> Result<u64, Error> {
        self.cluster.delete_matching(&self.family()?, filter)
    }

    fn patch_metadata(
        &self,
        id: &str,
        patch: &Metadata,
        max_bytes: usize,
    ) -> Result<Option<StoredDocument>, Error> {
        let family = self.family()?;
        self.cluster.patch_metadata(&family, id, patch, max_bytes)
    }

    fn embedded(&self, what: Capability) -> Result<&siamese_index::Writer, Error> {
        Err(what.not_supported())
    }
}
