//! The index of a data folder as a backend: what it has is what handlers ask for, so everything is passed on.
//!
//! In here, a method of the index goes before one of the same name of the trait.

use std::sync::Arc;

use siamese_index::{
    CollectionEncoder, CollectionSettings, CollectionStats, DocumentDraft, Error, Filter, Hit,
    HitContent, HitParts, Metadata, Query, ScoredPassage, SearchOptions, SearchResults,
    StoredDocument, StoredPassage, WordQuery, WritePlan,
};

use super::{Capability, Collection, Generations, Read, Reader, Write};

impl From<&siamese_index::Collection> for Collection {
    /// The readers and writers are the same ones, of which others hold clones: cursors are told apart by that.
    fn from(collection: &siamese_index::Collection) -> Self {
        Self {
            reader: Arc::<siamese_index::Reader>::clone(collection.reader()),
            writer: Arc::<siamese_index::Writer>::clone(collection.writer()),
        }
    }
}

impl Read for siamese_index::Reader {
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
        Ok(self.stats())
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
        self.visit_documents(after, with_text, |document| Ok::<_, Error>(visit(document)))
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

    fn hit_metadata(&self, hit: &Hit) -> Result<Option<Metadata>, Error> {
        self.hit_metadata(hit)
    }

    fn hit_vector(&self, hit: &Hit) -> Result<Option<Vec<f32>>, Error> {
        self.hit_vector(hit)
    }

    fn embedded(&self, _what: Capability) -> Result<&siamese_index::Reader, Error> {
        Ok(self)
    }

    fn embedded_arc(
        self: Arc<Self>,
        _what: Capability,
    ) -> Result<Arc<siamese_index::Reader>, Error> {
        Ok(self)
    }
}

impl Write for siamese_index::Writer {
    fn reader(&self) -> Arc<Reader> {
        Arc::<siamese_index::Reader>::clone(self.reader())
    }

    fn plan(&self, drafts: &[DocumentDraft]) -> Result<Vec<WritePlan>, Error> {
        self.plan(drafts)
    }

    fn generations(&self) -> Result<Generations, Error> {
        Ok(Generations::Embedded(self.generations()?))
    }

    fn delete(&self, ids: &[String]) -> Result<Vec<bool>, Error> {
        self.delete(ids)
    }

    fn delete_matching(&self, filter: &Filter) -> Result<u64, Error> {
        self.delete_matching(filter)
    }

    fn patch_metadata(
        &self,
        id: &str,
        patch: &Metadata,
        max_bytes: usize,
    ) -> Result<Option<StoredDocument>, Error> {
        self.patch_metadata(id, patch, max_bytes)
    }

    fn embedded(&self, _what: Capability) -> Result<&siamese_index::Writer, Error> {
        Ok(self)
    }
}
