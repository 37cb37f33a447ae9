//! What reads a collection, wherever that is kept.

use std::fmt::Debug;
use std::sync::Arc;

use siamese_index::{
    CollectionEncoder, CollectionSettings, CollectionStats, Error, Filter, Hit, HitContent,
    HitParts, Metadata, Query, ScoredPassage, SearchOptions, SearchResults, StoredDocument,
    StoredPassage, WordQuery,
};

use super::Capability;

/// What reads a collection. Two are of the same collection when they are the same allocation
/// ([`Arc::ptr_eq`]), so a backend makes one for each collection and hands out clones of it.
pub(crate) type Reader = dyn Read;

/// Searches, gets, lists and counts. Every method may wait for a disk or a network, but for the first four.
///
/// What [`siamese_index::Reader`] says of its methods holds for any other one that has them.
pub(crate) trait Read: Debug + Send + Sync + 'static {
    /// The collection's name.
    fn name(&self) -> &str;

    /// The collection's settings.
    fn settings(&self) -> CollectionSettings;

    /// What makes the collection's vectors.
    fn encoder(&self) -> Arc<CollectionEncoder>;

    /// Length of every vector.
    fn dimensions(&self) -> usize;

    /// How much is in it.
    ///
    /// # Errors
    /// When the backend fails.
    fn stats(&self) -> Result<CollectionStats, Error>;

    /// A document by its id.
    ///
    /// # Errors
    /// When the backend fails.
    fn get(&self, id: &str) -> Result<Option<StoredDocument>, Error>;

    /// A document's passages in their order; with their vectors when asked for.
    ///
    /// # Errors
    /// When the backend fails.
    fn passages(&self, id: &str, with_vectors: bool) -> Result<Option<Vec<StoredPassage>>, Error>;

    /// A document with its passages, both of one version; with their vectors when asked for.
    ///
    /// # Errors
    /// When the backend fails.
    fn get_whole(
        &self,
        id: &str,
        with_vectors: bool,
    ) -> Result<Option<(StoredDocument, Vec<StoredPassage>)>, Error>;

    /// Documents with their passages in the order of their ids, those after `after`; no more after those read so far take
    /// `max_bytes` together.
    ///
    /// # Errors
    /// When the backend fails.
    fn list_whole(
        &self,
        after: Option<&str>,
        limit: usize,
        max_bytes: usize,
        with_vectors: bool,
    ) -> Result<Vec<(StoredDocument, Vec<StoredPassage>)>, Error>;

    /// Calls `visit` for documents in the order of their ids, those after `after`, until it says false. Without
    /// `with_text`, texts are not read, and empty. Who visits keeps an error of their own aside.
    ///
    /// # Errors
    /// When the backend fails.
    fn visit_documents(
        &self,
        after: Option<&str>,
        with_text: bool,
        visit: &mut dyn FnMut(StoredDocument) -> bool,
    ) -> Result<(), Error>;

    /// The vector that stands for a document: the mean of its passages' vectors.
    ///
    /// # Errors
    /// When the backend fails.
    fn mean_vector(&self, id: &str) -> Result<Option<Vec<f32>>, Error>;

    /// Counts the documents that pass a filter.
    ///
    /// # Errors
    /// A filter that cannot be answered, or the backend fails.
    fn count_matching(&self, filter: &Filter) -> Result<u64, Error>;

    /// The documents whose best passage matches a query best. Of their content nothing is read.
    ///
    /// # Errors
    /// A query that does not fit the collection or the backend, or the backend fails.
    fn search(&self, query: &Query<'_>, options: &SearchOptions) -> Result<SearchResults, Error>;

    /// The passages of a hit that are nearest to a vector, best first; none when the document has been replaced since.
    ///
    /// # Errors
    /// When the backend fails.
    fn best_passages(
        &self,
        hit: &Hit,
        vector: &[f32],
        limit: usize,
    ) -> Result<Vec<ScoredPassage>, Error>;

    /// For each hit its passages with the highest scores by words, best first.
    ///
    /// # Errors
    /// A backend that knows no words, or that fails.
    fn best_passages_by_words(
        &self,
        hits: &[&Hit],
        words: &WordQuery,
        limit: usize,
    ) -> Result<Vec<Vec<ScoredPassage>>, Error>;

    /// What is asked for of a hit's content; none when the document is no longer what was found.
    ///
    /// # Errors
    /// When the backend fails.
    fn read_hit(&self, hit: &Hit, parts: &HitParts<'_>) -> Result<Option<HitContent>, Error>;

    /// Hits that are read together, and are in memory together: several where each reading takes a call.
    fn hits_read_together(&self) -> usize {
        1
    }

    /// As [`Self::read_hit`], of several hits in order.
    ///
    /// # Errors
    /// When the backend fails.
    fn read_hits(&self, hits: &[(&Hit, HitParts<'_>)]) -> Result<Vec<Option<HitContent>>, Error> {
        let read = |(hit, parts): &(&Hit, HitParts<'_>)| self.read_hit(hit, parts);
        hits.iter().map(read).collect()
    }

    /// The metadata of a hit's document, if that is still what was found.
    ///
    /// # Errors
    /// When the backend fails.
    fn hit_metadata(&self, hit: &Hit) -> Result<Option<Metadata>, Error>;

    /// The vector of a hit's best passage, if the document is still what was found.
    ///
    /// # Errors
    /// When the backend fails.
    fn hit_vector(&self, hit: &Hit) -> Result<Option<Vec<f32>>, Error>;

    /// What reads the same collection in a data folder, which alone can do this.
    ///
    /// # Errors
    /// [`Error::NotSupportedHere`] when the collection is kept elsewhere.
    fn embedded(&self, what: Capability) -> Result<&siamese_index::Reader, Error>;

    /// As [`Self::embedded`], for whoever keeps it.
    ///
    /// # Errors
    /// As there.
    fn embedded_arc(self: Arc<Self>, what: Capability)
    -> Result<Arc<siamese_index::Reader>, Error>;
}
