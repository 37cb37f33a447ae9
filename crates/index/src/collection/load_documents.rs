//! Loading what documents say: their metadata and, as far as no lexical segment holds them, their
//! words.
//!
//! Lexical segments are believed only as far as the record confirms them; otherwise all are made
//! anew. Either way nothing that was deleted comes back and nothing is lost.

use std::num::NonZero;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

use roaring::RoaringBitmap;

use super::body::{Body, metadata_of};
use super::document_range::{Bodies, DocumentRange, ranges};
use super::load::Source;
use crate::Error;
use crate::lexical::{LexicalIndex, LexicalSegment, Piece, PieceBuilder, WordCounts, WordSettings};
use crate::metadata_index::{GatheredMetadata, MetadataIndex};
use crate::segments::{FoundSegments, SegmentList};
use crate::store::{CollectionId, Counters, Key, PassageRecord, Store};

/// Passages of each lexical segment whose words are compared with the record.
const COMPARED_PASSAGES: usize = 16;
/// Passages whose words are put into the head together.
const MAX_PIECE_PASSAGES: usize = 4096;
/// Documents after which it is looked at how much memory they take.
const DOCUMENTS_PER_CHECK: usize = 256;
/// Threads that read; more would wait for the disk.
const MAX_THREADS: usize = 8;
/// Ranges of documents for each thread, so that none waits long for the last one.
const RANGES_PER_THREAD: usize = 8;

/// All documents of a collection as the record has them.
#[derive(Debug)]
pub(super) struct LoadedDocuments {
    pub(super) metadata: MetadataIndex,
    pub(super) words: LexicalIndex,
}

/// Reads all documents, by one pass over passages and one over bodies, on all cores. `words` is nothing where words
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
        return Ok(Loading::new(source, nothing, None).run(counters)?.0);
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
        let (loaded, is_whole) = Loading::new(source, found.list, Some(settings)).run(counters)?;
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
        .run(counters)?
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

/// One pass over the record, which several threads share.
struct Loading<'a> {
    source: &'a Source<'a>,
    segments: SegmentList<LexicalSegment>,
    in_segments: RoaringBitmap,
    /// How words are told apart; nothing where they are not wanted.
    words: Option<WordSettings>,
    /// What all threads have loaded, bytes.
    loaded_bytes: AtomicU64,
}

impl<'a> Loading<'a> {
    fn new(
        source: &'a Source<'a>,
        segments: SegmentList<LexicalSegment>,
        words: Option<WordSettings>,
    ) -> Self {
        Self {
            source,
            in_segments: segments.passages(),
            segments,
            words,
            loaded_bytes: AtomicU64::new(0),
        }
    }

    /// Also returns whether the segments hold all that they should.
    fn run(self, counters: &Counters) -> Result<(LoadedDocuments, bool), Error> {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let threads = cores.min(MAX_THREADS);
        let count = threads * RANGES_PER_THREAD;
        let ranges = ranges(self.source, counters.next_passage, count)?;
        let next = AtomicUsize::new(0);
        let others = threads.min(ranges.len()).saturating_sub(1);
        let share = || self.take_ranges(&ranges, &next);
        let shares: Vec<_> = thread::scope(|scope| {
            let others: Vec<_> = (0..others).map(|_| scope.spawn(share)).collect();
            let own = share();
            let panicked = |_| Err(self.source.store.corrupt("a thread that read it panicked"));
            let others = others
                .into_iter()
                .map(|other| other.join().unwrap_or_else(panicked));
            [own].into_iter().chain(others).collect()
        });
        let mut gathered = GatheredMetadata::default();
        let mut words = Vec::with_capacity(ranges.len());
        for share in shares {
            let share = share?;
            gathered.append(share.metadata);
            words.extend(share.words);
        }
        words.sort_unstable_by_key(|(place, _)| *place);
        let words: Vec<_> = words.into_iter().map(|(_, words)| words).collect();
        let metadata = match gathered.is_crowded() {
            false => MetadataIndex::of_gathered(gathered),
            true => one_by_one(self.source, gathered)?,
        };
        let words_bytes: u64 = words.iter().map(|words| words.bytes).sum();
        self.source
            .memory
            .check_loaded(metadata.bytes() + words_bytes)?;
        let (words, is_whole) = self.lexical_index(words);
        Ok((LoadedDocuments { metadata, words }, is_whole))
    }

    /// Reads ranges until there are no more.
    fn take_ranges(&self, ranges: &[DocumentRange], next: &AtomicUsize) -> Result<Share, Error> {
        let mut share = Share::default();
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(range) = ranges.get(place) else {
                return Ok(share);
            };
            let words = self.read(range, &mut share.metadata)?;
            share.words.push((place, words));
        }
    }

    fn read(
        &self,
        range: &DocumentRange,
        metadata: &mut GatheredMetadata,
    ) -> Result<RangeWords, Error> {
        let store = self.source.store;
        let mut words = RangeWords::default();
        let mut counted_bytes = metadata.bytes();
        let mut documents = range.documents(self.source);
        let mut read = 0_usize;
        while let Some(document) = documents.next()? {
            let (number, body) = (document.number, &document.body);
            let own = metadata_of(body).ok_or_else(|| unreadable_body(store))?;
            metadata.add(number, document.passage_numbers(), &own);
            if let Some(settings) = self.words {
                self.words(number, body, &document.passages, settings, &mut words)?;
            }
            read += 1;
            if read.is_multiple_of(DOCUMENTS_PER_CHECK) {
                let bytes = metadata.bytes() + words.bytes;
                let grown = bytes - std::mem::replace(&mut counted_bytes, bytes);
                let before = self.loaded_bytes.fetch_add(grown, Ordering::Relaxed);
                self.source.memory.check_loaded(before + grown)?;
            }
        }
        words.end_piece();
        Ok(words)
    }

    /// Compares with the lexical segments, or reads what they do not hold.
    fn words(
        &self,
        document: u32,
        body: &[u8],
        passages: &[(u32, PassageRecord)],
        settings: WordSettings,
        words: &mut RangeWords,
    ) -> Result<(), Error> {
        let end = self.segments.end;
        if passages.first().is_some_and(|(first, _)| *first < end) {
            for (passage, _) in passages {
                words.lacks_passages |= !self.in_segments.contains(*passage);
                words.living.insert(*passage);
            }
            return Ok(());
        }
        let body = Body::from_bytes(body).ok_or_else(|| unreadable_body(self.source.store))?;
        if words.piece.len() >= MAX_PIECE_PASSAGES {
            words.end_piece();
        }
        for (passage, record) in passages {
            words
                .piece
                .add(*passage, document, words_in(&body, record, settings));
        }
        Ok(())
    }

    fn lexical_index(self, ranges: Vec<RangeWords>) -> (LexicalIndex, bool) {
        let (mut living, mut is_whole) = (RoaringBitmap::new(), true);
        for range in &ranges {
            living |= &range.living;
            is_whole &= !range.lacks_passages;
        }
        let mut words = LexicalIndex::of_segments(self.segments, &living);
        for piece in ranges.into_iter().flat_map(|range| range.pieces) {
            words.add_piece(piece);
        }
        (words, is_whole)
    }
}

/// What one thread has read.
#[derive(Default)]
struct Share {
    metadata: GatheredMetadata,
    /// By the places of their ranges.
    words: Vec<(usize, RangeWords)>,
}

/// The words of a range's passages.
#[derive(Default)]
struct RangeWords {
    /// Passages of segments that are alive.
    living: RoaringBitmap,
    /// Whether the segments lack one that they should hold.
    lacks_passages: bool,
    /// Words that no segment holds: pieces that are full, what they take, and the one being made.
    pieces: Vec<Piece>,
    bytes: u64,
    piece: PieceBuilder,
}

impl RangeWords {
    fn end_piece(&mut self) {
        let piece = std::mem::take(&mut self.piece).finish();
        self.bytes += piece.bytes() as u64;
        self.pieces.push(piece);
    }
}

/// The index of documents with more paths than are indexed: which of them are depends on the order in which they
/// come.
fn one_by_one(source: &Source<'_>, gathered: GatheredMetadata) -> Result<MetadataIndex, Error> {
    let mut index = MetadataIndex::default();
    let mut bodies = Bodies::from(source, 0);
    for (number, (document, passages)) in gathered.into_documents().into_iter().enumerate() {
        let body = bodies.next()?.filter(|(found, _)| *found == document);
        let metadata = body.and_then(|(_, body)| metadata_of(&body));
        let metadata = metadata.ok_or_else(|| unreadable_body(source.store))?;
        index.add(document, passages, &metadata);
        if number.is_multiple_of(DOCUMENTS_PER_CHECK) {
            source.memory.check_loaded(index.bytes())?;
        }
    }
    Ok(index)
}

fn unreadable_body(store: &Store) -> Error {
    store.corrupt("a document's body cannot be read")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::metadata_index::MetadataIndex;
    use crate::{
        Condition, DEFAULT_COLLECTION, DocumentDraft, DocumentWrite, EncoderIdentity, FieldPath,
        Filter, Index, IndexOptions, Metadata, NewPassage,
    };

    /// More than make one range.
    const DOCUMENTS: usize = 2500;

    fn write(number: usize, fields: usize) -> DocumentWrite {
        let own = format!("own-{}", number % fields);
        let metadata = json!({ "all": number % 5, own: number, "many": [number, "x"] });
        let metadata: Metadata = serde_json::from_value(metadata).unwrap();
        let passage = NewPassage {
            start: 0,
            end: 4,
            vector: vec![1.0, number as f32],
        };
        DocumentWrite {
            draft: DocumentDraft {
                id: format!("{number}"),
                title: None,
                text: "text".to_owned(),
                metadata,
            },
            passages: Some(vec![passage; 1 + number % 3]),
        }
    }

    fn metadata_of(index: &Index) -> std::sync::Arc<MetadataIndex> {
        let collection = index.collection(DEFAULT_COLLECTION).unwrap();
        let published = collection.reader().published.load();
        published.state.metadata.clone()
    }

    #[test]
    fn several_threads_load_the_metadata_that_was_written_however_many_paths_it_has() {
        // The second are more than are indexed.
        for fields in [10, 40] {
            let folder = tempfile::tempdir().unwrap();
            let encoder = EncoderIdentity::of_test(2);
            let open = || Index::open(folder.path(), &encoder, &IndexOptions::default()).unwrap();
            let index = open();
            let collection = index.collection(DEFAULT_COLLECTION).unwrap();
            for first in (0..DOCUMENTS).step_by(250) {
                let writes: Vec<_> = (first..first + 250).map(|n| write(n, fields)).collect();
                collection.writer().upsert(&writes).unwrap();
            }
            let gone: Vec<_> = (700..1500).map(|number| number.to_string()).collect();
            collection.writer().delete(&gone).unwrap();
            let written = metadata_of(&index);
            drop((collection, index));
            let index = open();
            let loaded = metadata_of(&index);
            assert_eq!(loaded.documents(), written.documents());
            let all = loaded.documents();
            assert_eq!(loaded.passages_of(all), written.passages_of(all));
            for own in 0..fields {
                let path = FieldPath::parse(&format!("own-{own}")).unwrap();
                let (loaded, written) = [&loaded, &written]
                    .map(|index| index.bounds(&Filter::Field(path.clone(), Condition::Exists)))
                    .into();
                // Which paths are indexed depends on what was there when they came.
                if fields == 10 {
                    assert_eq!(loaded, written);
                }
                assert!(loaded.certain.is_subset(&written.possible), "{own}");
                assert!(written.certain.is_subset(&loaded.possible), "{own}");
            }
        }
    }
}
