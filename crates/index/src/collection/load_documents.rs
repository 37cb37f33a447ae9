//! Loading what documents say: their metadata and, as far as no lexical segment holds them, their
//! words.
//!
//! Lexical segments are believed only as far as the record confirms them; otherwise all are made
//! anew. Either way nothing that was deleted comes back and nothing is lost.

use std::iter::Peekable;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use roaring::RoaringBitmap;

use super::body::{Body, metadata_of};
use super::load::Source;
use crate::lexical::{LexicalIndex, LexicalSegment, Piece, PieceBuilder, WordCounts, WordSettings};
use crate::memory::MemoryShare;
use crate::metadata_index::MetadataIndex;
use crate::segments::{FoundSegments, SegmentList};
use crate::store::{CollectionId, Counters, Key, KeyRange, PassageRecord, Store};
use crate::{Error, Metadata};

/// Passages of each lexical segment whose words are compared with the record.
const COMPARED_PASSAGES: usize = 16;
/// Passages whose words are put into the head together.
const MAX_PIECE_PASSAGES: usize = 4096;
/// Documents that are decoded before they are handed over together, fewer if their bodies are large, and
/// how many such batches may wait.
const DECODED_DOCUMENTS: usize = 256;
const DECODED_BYTES: usize = 4 << 20;
const MAX_BATCHES_AHEAD: usize = 4;

/// All documents of a collection as the record has them.
#[derive(Debug)]
pub(super) struct LoadedDocuments {
    pub(super) metadata: MetadataIndex,
    pub(super) words: LexicalIndex,
}

/// Reads all documents, by one pass over passages and one over bodies. `words` is nothing where words
/// are not indexed, and otherwise how they are told apart, with the segments, if there are any.
pub(super) fn documents(
    source: &Source<'_>,
    words: Option<(WordSettings, Option<FoundSegments<LexicalSegment>>)>,
    counters: &Counters,
) -> Result<LoadedDocuments, Error> {
    let Source {
        store, collection, ..
    } = *source;
    let Some((settings, found)) = words else {
        let nothing = SegmentList::default();
        return Ok(Loading::new(source, nothing, None).run(collection)?.0);
    };
    // A head holds only passages after those of all segments, so one that is lost cannot be replaced
    // alone.
    let found = found.filter(|found| {
        let list = &found.list;
        found.is_complete() && list.is_in_order() && list.end <= counters.next_passage
    });
    if let Some(found) = found
        && confirms(store, collection, settings, &found.list)?
    {
        let (loaded, is_whole) =
            Loading::new(source, found.list, Some(settings)).run(collection)?;
        if is_whole {
            return Ok(loaded);
        }
        tracing::warn!(
            collection = collection.0,
            "the lexical index lacks passages and is made anew"
        );
    }
    let nothing = SegmentList::default();
    Ok(Loading::new(source, nothing, Some(settings))
        .run(collection)?
        .0)
}

/// Compares some passages of each segment with the record. They differ when a store was put back
/// from a copy and the segments were not.
fn confirms(
    store: &Store,
    collection: CollectionId,
    settings: WordSettings,
    list: &SegmentList<LexicalSegment>,
) -> Result<bool, Error> {
    let segments = list.segments.iter();
    for (passage, checksum) in segments.flat_map(|segment| segment.samples(COMPARED_PASSAGES)) {
        // A passage that has been removed has no words any more.
        if let Some(words) = words(store, collection, settings, passage)?
            && words.checksum() != checksum
        {
            tracing::warn!(
                collection = collection.0,
                "the lexical index is of other data and is made anew"
            );
            return Ok(false);
        }
    }
    Ok(true)
}

/// The words of a passage, if the record has it.
fn words(
    store: &Store,
    collection: CollectionId,
    settings: WordSettings,
    passage: u32,
) -> Result<Option<WordCounts>, Error> {
    let Some(bytes) = store.get(&Key::passage(collection, passage))? else {
        return Ok(None);
    };
    let record = PassageRecord::from_bytes(&bytes);
    let record = record.ok_or_else(|| store.corrupt("a passage's record cannot be read"))?;
    let mut bytes = Vec::new();
    let mut piece = 0;
    while let Some(next) = store.get(&Key::body(collection, record.document, piece))? {
        bytes.extend_from_slice(&next);
        piece += 1;
    }
    let body = Body::from_bytes(&bytes);
    let body = body.ok_or_else(|| store.corrupt("a document's body cannot be read"))?;
    Ok(Some(words_in(&body, &record, settings)))
}

fn words_in(body: &Body, passage: &PassageRecord, settings: WordSettings) -> WordCounts {
    let text = body.text.get(passage.start as usize..passage.end as usize);
    WordCounts::of(body.title.as_deref(), text.unwrap_or_default(), settings)
}

/// One pass over the record.
struct Loading<'a> {
    store: &'a Store,
    metadata: MetadataIndex,
    segments: SegmentList<LexicalSegment>,
    in_segments: RoaringBitmap,
    /// Those of them that are alive.
    living: RoaringBitmap,
    /// Words that no segment holds: pieces that are full, what they take, and the one being made.
    pieces: Vec<Piece>,
    pieces_bytes: u64,
    piece: PieceBuilder,
    memory: &'a MemoryShare,
    /// How words are told apart; nothing where they are not wanted.
    words: Option<WordSettings>,
    /// Whether the segments hold all that they should.
    is_whole: bool,
}

impl<'a> Loading<'a> {
    fn new(
        source: &Source<'a>,
        segments: SegmentList<LexicalSegment>,
        words: Option<WordSettings>,
    ) -> Self {
        Self {
            store: source.store,
            memory: source.memory,
            metadata: MetadataIndex::default(),
            in_segments: segments.passages(),
            segments,
            living: RoaringBitmap::new(),
            pieces: Vec::new(),
            pieces_bytes: 0,
            piece: PieceBuilder::default(),
            words,
            is_whole: true,
        }
    }

    /// One thread reads and decodes bodies, this one puts them where they belong.
    fn run(mut self, collection: CollectionId) -> Result<(LoadedDocuments, bool), Error> {
        let store = self.store;
        let (sender, decoded) = sync_channel(MAX_BATCHES_AHEAD);
        thread::scope(|scope| {
            scope.spawn(move || send_decoded(store, collection, &sender));
            let passages = store.scan(&KeyRange::passages_from(collection, 0));
            let mut passages = passages.peekable();
            for batch in decoded {
                for body in batch? {
                    let own = next_passages(store, &mut passages, body.document)?;
                    self.document(body, &own)?;
                }
                self.memory
                    .check_loaded(self.metadata.bytes() + self.pieces_bytes)?;
            }
            Ok::<_, Error>(())
        })?;
        let mut words = LexicalIndex::of_segments(self.segments, &self.living);
        for piece in self.pieces {
            words.add_piece(piece);
        }
        words.add(self.piece);
        let loaded = LoadedDocuments {
            metadata: self.metadata,
            words,
        };
        Ok((loaded, self.is_whole))
    }

    fn document(
        &mut self,
        decoded: DecodedBody,
        passages: &[(u32, PassageRecord)],
    ) -> Result<(), Error> {
        let DecodedBody {
            document,
            bytes,
            metadata,
        } = decoded;
        let (Some((first, _)), Some((last, _))) = (passages.first(), passages.last()) else {
            return Err(unreadable_body(self.store));
        };
        self.metadata.add(document, *first..last + 1, &metadata);
        if let Some(settings) = self.words {
            self.words(document, &bytes, passages, settings)?;
        }
        Ok(())
    }

    /// Compares with the lexical segments, or reads what they do not hold.
    fn words(
        &mut self,
        document: u32,
        bytes: &[u8],
        passages: &[(u32, PassageRecord)],
        settings: WordSettings,
    ) -> Result<(), Error> {
        let end = self.segments.end;
        if passages.first().is_some_and(|(first, _)| *first < end) {
            for (passage, _) in passages {
                self.is_whole &= self.in_segments.contains(*passage);
                self.living.insert(*passage);
            }
            return Ok(());
        }
        let body = Body::from_bytes(bytes).ok_or_else(|| unreadable_body(self.store))?;
        if self.piece.len() >= MAX_PIECE_PASSAGES {
            let piece = std::mem::take(&mut self.piece).finish();
            self.pieces_bytes += piece.bytes() as u64;
            self.pieces.push(piece);
        }
        for (passage, record) in passages {
            let words = words_in(&body, record, settings);
            self.piece.add(*passage, document, words);
        }
        Ok(())
    }
}

/// A document's body, read back as far as every document's is needed.
#[derive(Debug)]
struct DecodedBody {
    document: u32,
    bytes: Vec<u8>,
    metadata: Metadata,
}

/// Sends all bodies in the order of documents, in batches, until there is an error, which is sent
/// as well, or nobody listens any more.
fn send_decoded(
    store: &Store,
    collection: CollectionId,
    sender: &SyncSender<Result<Vec<DecodedBody>, Error>>,
) {
    let mut entries = store.scan(&KeyRange::bodies(collection)).peekable();
    loop {
        let batch = decoded_batch(store, &mut entries);
        let is_last = batch.as_ref().map_or(true, Vec::is_empty);
        if sender.send(batch).is_err() || is_last {
            return;
        }
    }
}

/// The next documents; none after the last.
fn decoded_batch(
    store: &Store,
    entries: &mut Peekable<impl Iterator<Item = Entry>>,
) -> Result<Vec<DecodedBody>, Error> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while batch.len() < DECODED_DOCUMENTS && bytes < DECODED_BYTES {
        let Some(body) = decoded_body(store, entries)? else {
            break;
        };
        bytes += body.bytes.len();
        batch.push(body);
    }
    Ok(batch)
}

fn decoded_body(
    store: &Store,
    entries: &mut Peekable<impl Iterator<Item = Entry>>,
) -> Result<Option<DecodedBody>, Error> {
    let Some((document, bytes)) = next_body(store, entries)? else {
        return Ok(None);
    };
    let metadata = metadata_of(&bytes).ok_or_else(|| unreadable_body(store))?;
    Ok(Some(DecodedBody {
        document,
        bytes,
        metadata,
    }))
}

fn unreadable_body(store: &Store) -> Error {
    store.corrupt("a document's body cannot be read")
}

type Entry = Result<(Key, Vec<u8>), Error>;

/// The next document's number and the pieces of its body, put together.
fn next_body(
    store: &Store,
    entries: &mut Peekable<impl Iterator<Item = Entry>>,
) -> Result<Option<(u32, Vec<u8>)>, Error> {
    let Some((key, mut bytes)) = entries.next().transpose()? else {
        return Ok(None);
    };
    let document = key.body_document();
    let is_next_piece =
        |entry: &Entry| matches!(entry, Ok((key, _)) if key.body_document() == document);
    while let Some(entry) = entries.next_if(is_next_piece) {
        bytes.extend_from_slice(&entry?.1);
    }
    let document = document.ok_or_else(|| store.corrupt("a body's key cannot be read"))?;
    Ok(Some((document, bytes)))
}

/// The passages of `document`, which are next: documents and passages are numbered in one order.
fn next_passages(
    store: &Store,
    entries: &mut Peekable<impl Iterator<Item = Entry>>,
    document: u32,
) -> Result<Vec<(u32, PassageRecord)>, Error> {
    let own = |entry: &Entry| match entry {
        Ok((_, value)) => {
            PassageRecord::from_bytes(value).is_none_or(|passage| passage.document == document)
        }
        Err(_) => true,
    };
    let mut passages = Vec::new();
    while let Some(entry) = entries.next_if(own) {
        let (key, value) = entry?;
        let passage = key.passage_number().zip(PassageRecord::from_bytes(&value));
        // The last number of all has no next one, and none was ever given.
        let passage = passage.filter(|(number, _)| *number < u32::MAX);
        let passage = passage.ok_or_else(|| store.corrupt("a passage's record cannot be read"))?;
        passages.push(passage);
    }
    if passages.is_empty() {
        return Err(store.corrupt(format!("document {document} has no passages")));
    }
    Ok(passages)
}
