//! Everything that an index refuses or fails at.

use std::path::PathBuf;
use std::time::Duration;

use crate::EncoderIdentity;

/// Why an operation did not happen. Nothing is stored when one is returned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No collection has this name.
    #[error("no collection is called {name:?}")]
    CollectionNotFound {
        /// The name asked for.
        name: String,
    },
    /// The collection exists with other settings and holds documents.
    #[error("the collection {name:?} holds documents and has other settings")]
    SettingsConflict {
        /// The collection.
        name: String,
    },
    /// There is no room for another collection.
    #[error("there are limits.max_collections = {max_collections} collections already")]
    TooManyCollections {
        /// The limit.
        max_collections: usize,
    },
    /// No document of the collection has this id.
    #[error("no document has the id {id:?}")]
    DocumentNotFound {
        /// The id asked for.
        id: String,
    },
    /// There is as much feedback as there may be; what deletes some is not refused.
    #[error(
        "the feedback of the collection {name:?} would be over {limit} = {max}; delete some, or raise the limit"
    )]
    FeedbackFull {
        /// The collection.
        name: String,
        /// The limit's name.
        limit: &'static str,
        /// The limit.
        max: u64,
    },
    /// The query of a judgement is empty or too long.
    #[error("the query has {bytes} bytes; 1 to {max_bytes} are allowed")]
    JudgedQueryLength {
        /// Bytes given.
        bytes: usize,
        /// The limit.
        max_bytes: usize,
    },
    /// An alias cannot be made, or does not allow what is to be done.
    #[error(transparent)]
    Alias(#[from] crate::AliasError),
    /// The document changed since the write was planned; plan again.
    #[error("the document {id:?} changed while it was being written")]
    Stale {
        /// The document.
        id: String,
    },
    /// The disk has too little room; reads go on.
    #[error(
        "the disk has {free_bytes} bytes free, but the write needs {needed_bytes} to leave the reserve untouched"
    )]
    StorageFull {
        /// The write and the reserve, bytes.
        needed_bytes: u64,
        /// What is free, bytes.
        free_bytes: u64,
    },
    /// The data folder is not where it was opened. Writes go on once it is put back.
    #[error(
        "{path} is not the file that was opened, so the data folder was moved, removed or replaced while it was in use; nothing is written until it is back in its place, or the server is started again; reads go on",
        path = path.display()
    )]
    DataFolderMoved {
        /// The file that is missing or another.
        path: PathBuf,
    },
    /// Another process has the folder open.
    #[error("the data folder {path} is in use by another process", path = path.display())]
    DataDirInUse {
        /// The folder.
        path: PathBuf,
    },
    /// The collection holds vectors of another encoder.
    #[error(
        "the collection {name:?} holds vectors of the encoder {stored_name} ({stored_id}), which cannot be compared with those of {wanted_name} ({wanted_id})", stored_name = stored.name, stored_id = stored.id, wanted_name = wanted.name, wanted_id = wanted.id
    )]
    OtherEncoder {
        /// The collection.
        name: String,
        /// What made its vectors.
        stored: Box<EncoderIdentity>,
        /// What was asked for.
        wanted: Box<EncoderIdentity>,
    },
    /// A collection has no generation of this number.
    #[error("the collection {name:?} has no generation {number}")]
    GenerationNotFound {
        /// The collection.
        name: String,
        /// The number asked for.
        number: u32,
    },
    /// A generation is not in a state for what is to be done with it.
    #[error("generation {number} of the collection {name:?} {reason}")]
    GenerationState {
        /// The collection.
        name: String,
        /// The generation.
        number: u32,
        /// Why it cannot be done.
        reason: &'static str,
    },
    /// There is no room for another generation.
    #[error("the collection {name:?} has {max_generations} generations already; delete one first")]
    TooManyGenerations {
        /// The collection.
        name: String,
        /// The limit.
        max_generations: usize,
    },
    /// Documents come with vectors for one generation of several.
    #[error(
        "the collection {name:?} has several generations, and vectors are given for one; delete the others first"
    )]
    OtherGenerations {
        /// The collection.
        name: String,
    },
    /// The data was written by a newer version of this program.
    #[error(
        "the data has format {stored}, but this version reads formats up to {supported} only; use the newer version that wrote it"
    )]
    NewerFormat {
        /// The format found.
        stored: u32,
        /// The newest format known here.
        supported: u32,
    },
    /// An earlier write failed half way, so that what is on the disk is not known.
    #[error(
        "writing failed ({reason}), so nothing more is written until the server is started again; reads go on"
    )]
    WritesStopped {
        /// What failed first.
        reason: String,
    },
    /// An earlier write makes no progress.
    #[error(
        "an earlier write has made no progress for {seconds} s, so no other begins; reads may wait, too",
        seconds = stalled_for.as_secs()
    )]
    StorageStalled {
        /// For how long.
        stalled_for: Duration,
    },
    /// The store is being compacted already.
    #[error("the store is being compacted already")]
    RewriteInProgress,
    /// More was written while the store was being compacted than could be copied.
    #[error(
        "the store was not compacted: more than {max_keys} keys were written while it was copied"
    )]
    RewriteOverrun {
        /// The most that may wait to be copied again.
        max_keys: usize,
    },
    /// The store is whole, but ends before the last write that was acknowledged.
    #[error(
        "the store in {path} has lost acknowledged writes: it ends with write {stored}, and write {acknowledged} was acknowledged; restore a snapshot with `siamese snapshot restore`, or go on without them with `siamese accept-loss --data {data}`",
        path = path.display(), data = path.parent().unwrap_or(path).display()
    )]
    LostWrites {
        /// The store's folder.
        path: PathBuf,
        /// Number of the last write that is there.
        stored: u64,
        /// Number of the last write that was acknowledged.
        acknowledged: u64,
    },
    /// The store cannot be read. Restore it from a copy.
    #[error("the store in {path} is damaged: {reason}; restore a snapshot with `siamese snapshot restore`", path = path.display())]
    Corrupt {
        /// The store's folder.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The program was linked so that its own functions do not stand in for those of the system.
    #[error(
        "this program cannot keep what it acknowledges through a power cut: sled's calls of sync_file_range and rename do not reach the functions that make them durable, because of how the program was linked; use an official build, or build it with `cargo build --release`"
    )]
    SyncNotInPlace,
    /// A vector is not as long as the encoder's.
    #[error("the vector has {length} values; the encoder makes {dimensions}")]
    VectorLength {
        /// Values given.
        length: usize,
        /// Values wanted.
        dimensions: usize,
    },
    /// A vector holds NaN or an infinity.
    #[error("value {place} of the vector is not a finite number")]
    VectorNotFinite {
        /// Place in the vector, from 0.
        place: usize,
    },
    /// A vector has no direction.
    #[error("the vector is zero and has no direction")]
    VectorZero,
    /// An id is empty or too long.
    #[error("the id has {bytes} bytes; 1 to {max_bytes} are allowed")]
    IdLength {
        /// Bytes given.
        bytes: usize,
        /// The limit.
        max_bytes: usize,
    },
    /// Metadata is too large, perhaps after a patch was merged.
    #[error("the metadata would have {bytes} bytes of JSON; {max_bytes} are allowed")]
    MetadataSize {
        /// Bytes of JSON.
        bytes: usize,
        /// The limit.
        max_bytes: usize,
    },
    /// A passage is not a part of its text, or splits a character.
    #[error("the passage {start}..{end} is not a part of the text of {id:?}")]
    PassageSpan {
        /// The document.
        id: String,
        /// First byte.
        start: usize,
        /// Byte after the last.
        end: usize,
    },
    /// A document has no passage or too many.
    #[error("the document {id:?} has {passages} passages; 1 to {max_passages} are allowed")]
    PassageCount {
        /// The document.
        id: String,
        /// Passages given.
        passages: usize,
        /// The limit.
        max_passages: usize,
    },
    /// One write names a document twice.
    #[error("the id {id:?} appears twice in one write")]
    DuplicateId {
        /// The id.
        id: String,
    },
    /// A setting of the graph is out of its range.
    #[error("{field} is {value}; {min} to {max} are allowed")]
    GraphSetting {
        /// The setting.
        field: &'static str,
        /// What was given.
        value: usize,
        /// The least that is allowed.
        min: usize,
        /// The most that is allowed.
        max: usize,
    },
    /// The threshold of duplicates is no cosine.
    #[error("min_score is {min_score}, and must be -1 to 1")]
    ScoreSetting {
        /// What was given.
        min_score: f32,
    },
    /// A collection is to keep more queries than it may.
    #[error("keep_queries is {value}; 0 to {max} are allowed")]
    KeptQueries {
        /// What was given.
        value: u32,
        /// The limit.
        max: u32,
    },
    /// A size of passages is out of its range.
    #[error("{field} is {value}; {min} to {max} are allowed")]
    PassageSetting {
        /// The setting.
        field: &'static str,
        /// What was given.
        value: u32,
        /// The least that is allowed.
        min: u32,
        /// The most that is allowed.
        max: u32,
    },
    /// The name of a collection is not one that it may have.
    #[error(
        "a collection's name has 1 to {max_bytes} letters, digits, '_' and '-'; {name:?} does not fit"
    )]
    CollectionName {
        /// What was given, perhaps cut short.
        name: String,
        /// The limit.
        max_bytes: usize,
    },
    /// A collection has used up its 2^32 internal numbers.
    #[error("the collection {name:?} has used up its internal numbers; copy it into a new one")]
    NumbersExhausted {
        /// The collection.
        name: String,
    },
    /// Too many documents have metadata that the index does not hold whole, so that the filter
    /// would have to read them from the disk.
    #[error(
        "the filter leaves {documents} documents to be read from the disk, because their metadata has long texts or too many paths; at most {max_documents} are read: add a condition on a short field"
    )]
    FilterTooBroad {
        /// Documents that would be read.
        documents: u64,
        /// The limit.
        max_documents: u64,
    },
    /// The same for counting the values of a field.
    #[error(
        "counting the values of {path:?} would read {documents} documents from the disk, because they have long texts or too many paths; at most {max_documents} are read: narrow the search by a filter"
    )]
    FacetTooBroad {
        /// The field.
        path: String,
        /// Place in the list of facets, from 0.
        place: usize,
        /// Documents that would be read.
        documents: u64,
        /// The limit.
        max_documents: u64,
    },
    /// The values of a field that only the disk tells take too much memory to be counted.
    #[error(
        "counting the values of {path:?} would take more than {max_bytes} bytes of memory, because documents have long or many texts there; narrow the search by a filter"
    )]
    FacetTooLarge {
        /// The field.
        path: String,
        /// Place in the list of facets, from 0.
        place: usize,
        /// The limit.
        max_bytes: u64,
    },
    /// The data, or a comparison of it, would take more memory than it may; other reads and deletions go on.
    #[error(
        "the data takes {used_bytes} bytes of memory and {needed_bytes} more are needed, over storage.max_memory_bytes = {max_bytes}; delete documents, store less metadata, or raise the limit"
    )]
    MemoryFull {
        /// What the data takes, bytes.
        used_bytes: u64,
        /// What would be added, bytes.
        needed_bytes: u64,
        /// The limit.
        max_bytes: u64,
    },
    /// A data folder does not fit into memory.
    #[error(
        "the data takes more than {used_bytes} bytes of memory, and storage.max_memory_bytes is {max_bytes}; raise the limit, or give the container or machine more memory"
    )]
    DataOverMemory {
        /// What has been loaded so far, bytes.
        used_bytes: u64,
        /// The limit.
        max_bytes: u64,
    },
    /// One snapshot is taken at a time.
    #[error("another snapshot is being taken; try again when it is done")]
    SnapshotInProgress,
    /// So much was written while a snapshot was taken that it could not be kept consistent.
    #[error(
        "more than storage.max_snapshot_memory_bytes = {max_bytes} bytes were replaced while the snapshot was taken; try again when less is written, or raise the limit"
    )]
    SnapshotOverrun {
        /// The limit.
        max_bytes: u64,
    },
    /// Whoever asked for long work wants it no more, or the program is about to end.
    #[error("the work was cancelled before it was done")]
    Cancelled,
    /// So many neighbours of documents would have to be kept that memory would not be bounded.
    #[error(
        "over {max_neighbours} pairs would have to be kept; raise min_score, compare fewer documents, or set a smaller top_k_per_document"
    )]
    TooManyNeighbours {
        /// The limit.
        max_neighbours: usize,
    },
    /// The folder holds as many snapshots as it may.
    #[error(
        "there are storage.max_snapshots = {max_snapshots} snapshots already; delete one first"
    )]
    TooManySnapshots {
        /// The limit.
        max_snapshots: usize,
    },
    /// No snapshot has this name.
    #[error("no snapshot is called {name:?}")]
    SnapshotNotFound {
        /// The name asked for.
        name: String,
    },
    /// A snapshot's file is not as it was written.
    #[error("the snapshot {path} cannot be used: {reason}", path = path.display())]
    SnapshotDamaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// A snapshot was made by a newer version of this program.
    #[error(
        "the snapshot {path} has {what} {stored}, but this version reads up to {supported} only; use the newer version that wrote it", path = path.display()
    )]
    NewerSnapshot {
        /// The file.
        path: PathBuf,
        /// `version`, or `data of format`.
        what: &'static str,
        /// What was found.
        stored: u32,
        /// The newest known here.
        supported: u32,
    },
    /// A snapshot is restored into an empty folder only.
    #[error("{path} is not empty; restore into an empty folder or one that does not exist yet", path = path.display())]
    FolderNotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// A restore was interrupted before the folder had a store.
    #[error("restoring a snapshot into {path} was not finished; run `siamese snapshot restore` again, or remove its folder store.restoring", path = path.display())]
    RestoreUnfinished {
        /// The data folder.
        path: PathBuf,
    },
    /// There is no data in the folder.
    #[error("{path} is no data folder: it holds no store", path = path.display())]
    NoData {
        /// The folder.
        path: PathBuf,
    },
    /// A query by words in a collection whose words are not indexed.
    #[error(
        "the words of the collection {name:?} are not indexed; it was made with `lexical: false`"
    )]
    WordsNotIndexed {
        /// The collection.
        name: String,
    },
    /// Whoever keeps the documents cannot do this, as only a data folder can.
    #[error("the backend that keeps the documents cannot do this (GET /capabilities): {what}")]
    NotSupportedHere {
        /// What cannot be done.
        what: &'static str,
    },
    /// The cluster that keeps the documents does not answer, or not now.
    #[error("the cluster that keeps the documents cannot be asked now: {detail}")]
    ClusterUnavailable {
        /// What it said, or why it could not be asked.
        detail: String,
    },
    /// The cluster that keeps the documents has answered with what cannot be used.
    #[error("the cluster that keeps the documents failed: {detail}")]
    ClusterFailed {
        /// What it said.
        detail: String,
    },
    /// A query has more words than are looked up.
    #[error("the query has {words} different words; at most {max_words} are allowed")]
    TooManyWords {
        /// Words given.
        words: usize,
        /// The limit.
        max_words: usize,
    },
    /// Vectors that cannot be compared with each other.
    #[error("comparing needs at least two vectors, all of the same length")]
    NotComparable,
    /// The operating system failed; the message names the file.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl Error {
    /// Returns whether the caller's input is at fault, rather than the store or its state.
    pub fn is_bad_input(&self) -> bool {
        matches!(
            self,
            Self::VectorLength { .. }
                | Self::VectorNotFinite { .. }
                | Self::VectorZero
                | Self::IdLength { .. }
                | Self::MetadataSize { .. }
                | Self::PassageSpan { .. }
                | Self::PassageCount { .. }
                | Self::DuplicateId { .. }
                | Self::FilterTooBroad { .. }
                | Self::FacetTooBroad { .. }
                | Self::FacetTooLarge { .. }
                | Self::GraphSetting { .. }
                | Self::PassageSetting { .. }
                | Self::ScoreSetting { .. }
                | Self::CollectionName { .. }
                | Self::JudgedQueryLength { .. }
                | Self::TooManyWords { .. }
                | Self::WordsNotIndexed { .. }
                | Self::TooManyNeighbours { .. }
        )
    }
}
