//! Loading what documents say: their metadata and, as far as no lexical segment holds them, their
//! words.
//!
//! Lexical segments are believed only as far as the record confirms them; otherwise all are made
//! anew. Either way nothing that was deleted comes back and nothing is lost.

use std::iter::Peekable;

use roaring::RoaringBitmap;

use super::body::{Body, metadata_of};
use crate::Error;
use crate::lexical::{LexicalSegmentList, LexicalSnapshot, PieceBuilder, WordCounts};
use crate::metadata_index::MetadataIndex;
use crate::store::{CollectionId, Counters, Key, KeyRange, PassageRecord, Store};

/// Passages of each lexical segment whose words are compared with the record.
const COMPARED_PASSAGES: usize = 16;
/// Passages whose words are put into the head together.
const MAX_PIECE_PASSAGES: usize = 4096;

/// All documents of a collection as the record has them.
#[derive(Debug)]
pub(super) struct LoadedDocuments {
    pub(super) metadata: MetadataIndex,
    pub(super) lexical: LexicalSnapshot,
}

/// Reads all documents, by one pass over passages and one over bodies. `words` is nothing where words
/// are not indexed, and otherwise the segments, if there are any.
pub(super) fn documents(
    store: &Store,
    collection: CollectionId,
    words: Option<Option<LexicalSegmentList>>,
    counters: &Counters,
) -> Result<LoadedDocuments, Error> {
    let Some(found) = words else {
        let nothing = LexicalSegmentList::default();
        return Ok(Loading::new(store, nothing, false).run(collection)?.0);
    };
    if let Some(list) = found.filter(|list| list.end <= counters.next_passage)
        && confirms(store, collection, &list)?
    {
        let (loaded, is_whole) = Loading::new(store, list, true).run(collection)?;
        if is_whole {
            return Ok(loaded);
        }
        tracing::warn!(
            collection = collection.0,
            "the lexical index lacks passages and is made anew"
        );
    }
    let nothing = LexicalSegmentList::default();
    Ok(Loading::new(store, nothing, true).run(collection)?.0)
}

/// Compares some passages of each segment with the record. They differ when a store was put back
/// from a copy and the segments were not.
fn confirms(
    store: &Store,
    collection: CollectionId,
    list: &LexicalSegmentList,
) -> Result<bool, Error> {
    let segments = list.segments.iter();
    for (passage, checksum) in segments.flat_map(|segment| segment.samples(COMPARED_PASSAGES)) {
        // A passage that has been removed has no words any more.
        if let Some(words) = words(store, collection, passage)?
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
    Ok(Some(words_in(&body, &record)))
}

fn words_in(body: &Body, passage: &PassageRecord) -> WordCounts {
    let text = body.text.get(passage.start as usize..passage.end as usize);
    WordCounts::of(body.title.as_deref(), text.unwrap_or_default())
}

/// One pass over the record.
struct Loading<'a> {
    store: &'a Store,
    metadata: MetadataIndex,
    segments: LexicalSegmentList,
    in_segments: RoaringBitmap,
    /// Those of them that are alive.
    living: RoaringBitmap,
    /// Words that no segment holds.
    pieces: Vec<PieceBuilder>,
    /// Whether words are wanted.
    reads_words: bool,
    /// Whether the segments hold all that they should.
    is_whole: bool,
}

impl<'a> Loading<'a> {
    fn new(store: &'a Store, segments: LexicalSegmentList, reads_words: bool) -> Self {
        Self {
            store,
            metadata: MetadataIndex::default(),
            in_segments: segments.passages(),
            segments,
            living: RoaringBitmap::new(),
            pieces: Vec::new(),
            reads_words,
            is_whole: true,
        }
    }

    fn run(mut self, collection: CollectionId) -> Result<(LoadedDocuments, bool), Error> {
        let bodies = self.store.scan(&KeyRange::bodies(collection));
        let passages = self.store.scan(&KeyRange::passages_from(collection, 0));
        let (mut bodies, mut passages) = (bodies.peekable(), passages.peekable());
        while let Some((document, bytes)) = next_body(self.store, &mut bodies)? {
            let own = next_passages(self.store, &mut passages, document)?;
            self.document(document, &own, &bytes)?;
        }
        let mut lexical = LexicalSnapshot::of_segments(self.segments, &self.living);
        for piece in self.pieces {
            lexical.add(piece);
        }
        let loaded = LoadedDocuments {
            metadata: self.metadata,
            lexical,
        };
        Ok((loaded, self.is_whole))
    }

    fn document(
        &mut self,
        document: u32,
        passages: &[(u32, PassageRecord)],
        bytes: &[u8],
    ) -> Result<(), Error> {
        let unreadable = || self.store.corrupt("a document's body cannot be read");
        let (Some((first, _)), Some((last, _))) = (passages.first(), passages.last()) else {
            return Err(unreadable());
        };
        let metadata = if !self.reads_words {
            metadata_of(bytes).ok_or_else(unreadable)?
        } else if *first < self.segments.end {
            for (passage, _) in passages {
                self.is_whole &= self.in_segments.contains(*passage);
                self.living.insert(*passage);
            }
            metadata_of(bytes).ok_or_else(unreadable)?
        } else {
            let body = Body::from_bytes(bytes).ok_or_else(unreadable)?;
            let piece = match self.pieces.last_mut() {
                Some(piece) if piece.len() < MAX_PIECE_PASSAGES => piece,
                _ => self.pieces.push_mut(PieceBuilder::default()),
            };
            for (passage, record) in passages {
                piece.add(*passage, document, words_in(&body, record));
            }
            body.metadata
        };
        self.metadata.add(document, *first..last + 1, &metadata);
        Ok(())
    }
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
        let passage = passage.ok_or_else(|| store.corrupt("a passage's record cannot be read"))?;
        passages.push(passage);
    }
    if passages.is_empty() {
        return Err(store.corrupt(format!("document {document} has no passages")));
    }
    Ok(passages)
}
