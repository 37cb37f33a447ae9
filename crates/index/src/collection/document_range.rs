//! Documents of a collection with their passages, in the order of their numbers, and ranges of them that threads
//! read beside each other.

use std::iter::Peekable;
use std::ops::Range;

use super::load::Source;
use crate::Error;
use crate::store::{Key, KeyRange, PassageRecord, Store};

/// A range with fewer passages is not worth a thread.
const MIN_RANGE_PASSAGES: u32 = 1024;

/// Documents whose numbers follow each other.
#[derive(Debug, Clone, Copy)]
pub(super) struct DocumentRange {
    first_document: u32,
    /// The first passage of the first one.
    first_passage: u32,
    end_document: u32,
}

/// Cuts the documents of a collection into about `count` ranges with as many numbers of passages each.
pub(super) fn ranges(
    source: &Source<'_>,
    next_passage: u32,
    count: usize,
) -> Result<Vec<DocumentRange>, Error> {
    let step = (next_passage / count as u32).max(MIN_RANGE_PASSAGES);
    let mut borders = vec![(0, 0)];
    for passage in (0..next_passage).step_by(step as usize).skip(1) {
        let next = next_document(source, passage)?;
        borders.extend(next.filter(|next| borders.last().is_some_and(|last| last < next)));
    }
    let ends = borders.iter().skip(1).map(|(document, _)| *document);
    // No document has the last number of all.
    let ends: Vec<_> = ends.chain([u32::MAX]).collect();
    let ranges = borders.iter().zip(ends);
    let ranges = ranges.map(|(border, end_document)| DocumentRange {
        first_document: border.0,
        first_passage: border.1,
        end_document,
    });
    Ok(ranges.collect())
}

/// The first document all of whose passages stand after a place, with its first passage.
fn next_document(source: &Source<'_>, passage: u32) -> Result<Option<(u32, u32)>, Error> {
    let mut entries = Passages::from(source, passage);
    let Some((_, before)) = entries.next()? else {
        return Ok(None);
    };
    while let Some((number, passage)) = entries.next()? {
        if passage.document != before.document {
            return Ok(Some((passage.document, number)));
        }
    }
    Ok(None)
}

impl DocumentRange {
    /// Reads them.
    pub(super) fn documents<'a>(&self, source: &Source<'a>) -> Documents<'a> {
        Documents {
            store: source.store,
            bodies: Bodies::from(source, self.first_document),
            passages: Passages::from(source, self.first_passage),
            end: self.end_document,
        }
    }
}

/// A document as it is stored.
#[derive(Debug)]
pub(super) struct ReadDocument {
    pub(super) number: u32,
    pub(super) body: Vec<u8>,
    /// At least one.
    pub(super) passages: Vec<(u32, PassageRecord)>,
}

impl ReadDocument {
    pub(super) fn passage_numbers(&self) -> Range<u32> {
        let first = self.passages.first().map_or(0, |(first, _)| *first);
        let last = self.passages.last().map_or(0, |(last, _)| *last);
        first..last + 1
    }
}

/// Documents of a range.
pub(super) struct Documents<'a> {
    store: &'a Store,
    bodies: Bodies<'a>,
    passages: Passages<'a>,
    end: u32,
}

impl Documents<'_> {
    pub(super) fn next(&mut self) -> Result<Option<ReadDocument>, Error> {
        let Some((number, body)) = self.bodies.next()? else {
            return Ok(None);
        };
        if number >= self.end {
            return Ok(None);
        }
        let passages = self.passages.of(number)?;
        if passages.is_empty() {
            let reason = format!("document {number} has no passages");
            return Err(self.store.corrupt(reason));
        }
        Ok(Some(ReadDocument {
            number,
            body,
            passages,
        }))
    }
}

type Entry = Result<(Key, Vec<u8>), Error>;
type Entries = Peekable<Box<dyn Iterator<Item = Entry>>>;

fn entries(source: &Source<'_>, range: &KeyRange) -> Entries {
    let entries: Box<dyn Iterator<Item = Entry>> = Box::new(source.store.scan(range));
    entries.peekable()
}

/// Bodies in the order of their documents, put together from their pieces.
pub(super) struct Bodies<'a> {
    store: &'a Store,
    entries: Entries,
}

impl<'a> Bodies<'a> {
    pub(super) fn from(source: &Source<'a>, document: u32) -> Self {
        Self {
            store: source.store,
            entries: entries(source, &KeyRange::bodies_from(source.collection, document)),
        }
    }

    /// The next document's number and its body.
    pub(super) fn next(&mut self) -> Result<Option<(u32, Vec<u8>)>, Error> {
        let Some((key, mut bytes)) = self.entries.next().transpose()? else {
            return Ok(None);
        };
        let document = key.body_document();
        let is_next_piece =
            |entry: &Entry| matches!(entry, Ok((key, _)) if key.body_document() == document);
        while let Some(entry) = self.entries.next_if(is_next_piece) {
            bytes.extend_from_slice(&entry?.1);
        }
        let unreadable = || self.store.corrupt("a body's key cannot be read");
        Ok(Some((document.ok_or_else(unreadable)?, bytes)))
    }
}

/// Passages in the order of their numbers, which is that of their documents.
struct Passages<'a> {
    store: &'a Store,
    entries: Entries,
}

impl<'a> Passages<'a> {
    fn from(source: &Source<'a>, first: u32) -> Self {
        Self {
            store: source.store,
            entries: entries(source, &KeyRange::passages_from(source.collection, first)),
        }
    }

    fn next(&mut self) -> Result<Option<(u32, PassageRecord)>, Error> {
        let entry = self.entries.next().transpose()?;
        entry.map(|entry| self.decoded(&entry)).transpose()
    }

    /// Those of a document, which are next.
    fn of(&mut self, document: u32) -> Result<Vec<(u32, PassageRecord)>, Error> {
        let is_own = |entry: &Entry| match entry {
            Ok((_, value)) => {
                PassageRecord::from_bytes(value).is_none_or(|passage| passage.document == document)
            }
            Err(_) => true,
        };
        let mut passages = Vec::new();
        while let Some(entry) = self.entries.next_if(is_own) {
            passages.push(self.decoded(&entry?)?);
        }
        Ok(passages)
    }

    fn decoded(&self, (key, value): &(Key, Vec<u8>)) -> Result<(u32, PassageRecord), Error> {
        let passage = key.passage_number().zip(PassageRecord::from_bytes(value));
        // The last number of all has no next one, and none was ever given.
        let passage = passage.filter(|(number, _)| *number < u32::MAX);
        passage.ok_or_else(|| self.store.corrupt("a passage's record cannot be read"))
    }
}
