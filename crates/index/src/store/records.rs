//! What stands under the keys.

use super::CollectionId;
use super::value::{ValueReader, ValueWriter};
use crate::content_hash::ContentHash;
use crate::{
    Chunking, CollectionEncoder, CollectionSettings, DuplicateAction, EncoderIdentity,
    GraphSettings, Language, OnDuplicate, PassageSize, VectorPrecision, WordSettings,
};

const VERSION: u8 = 1;
/// Collections since format 2, which say how their vectors are indexed.
const COLLECTION_VERSION: u8 = 2;
/// Collections whose words are not indexed. What else they say is the same.
const WITHOUT_WORDS_VERSION: u8 = 3;
/// Collections since format 5, which say how their words are told apart.
const WORD_SETTINGS_VERSION: u8 = 4;
/// Collections since format 6, which say what becomes of duplicates.
const ON_DUPLICATE_VERSION: u8 = 5;
/// Collections since format 7, which say which encoder made them.
const ENCODER_VERSION: u8 = 6;
/// Collections since format 9, which say how many queries they keep.
const KEEP_QUERIES_VERSION: u8 = 7;
/// Collections since format 10, which say what segments hold of vectors.
const PRECISION_VERSION: u8 = 8;
/// Counters since format 2, which count removals.
const COUNTERS_VERSION: u8 = 2;

/// A collection.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CollectionRecord {
    pub(crate) id: CollectionId,
    pub(crate) created_at_ms: u64,
    pub(crate) settings: CollectionSettings,
    /// What made its vectors; before format 7, the encoder of the whole folder.
    pub(crate) encoder: Option<CollectionEncoder>,
}

impl CollectionRecord {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let version = match self.encoder {
            Some(_) => PRECISION_VERSION,
            None => ON_DUPLICATE_VERSION,
        };
        let writer = ValueWriter::version(version)
            .u32(self.id.0)
            .u64(self.created_at_ms);
        let CollectionSettings {
            chunking,
            graph,
            lexical,
            words,
            on_duplicate,
            keep_queries,
        } = self.settings;
        let writer = write_chunking(writer, chunking)
            .u32(graph.m as u32)
            .u32(graph.ef_construction as u32)
            .u32(graph.ef_search as u32)
            .raw(&[lexical.into(), words.folds_accents.into()])
            .text(words.language.map_or("", Language::code));
        let writer = write_on_duplicate(writer, on_duplicate);
        match &self.encoder {
            Some(encoder) => write_encoder(writer, encoder)
                .u32(keep_queries)
                .raw(&[precision_code(graph.precision)])
                .finish(),
            None => writer.finish(),
        }
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (version, mut reader) = ValueReader::any_version(bytes)?;
        let (id, created_at_ms) = (CollectionId(reader.u32()?), reader.u64()?);
        let chunking = match version {
            1 => chunking(reader.array()?, None)?,
            COLLECTION_VERSION..=PRECISION_VERSION => read_chunking(&mut reader)?,
            _ => return None,
        };
        let mut graph = if version == 1 {
            GraphSettings::default()
        } else {
            GraphSettings {
                m: reader.u32()? as usize,
                ef_construction: reader.u32()? as usize,
                ef_search: reader.u32()? as usize,
                ..GraphSettings::default()
            }
        };
        graph.check().ok()?;
        let (lexical, words) = match version {
            WORD_SETTINGS_VERSION.. => read_words(&mut reader)?,
            _ => (version != WITHOUT_WORDS_VERSION, WordSettings::default()),
        };
        let on_duplicate = match version {
            ON_DUPLICATE_VERSION.. => read_on_duplicate(&mut reader)?,
            _ => None,
        };
        let encoder = match version {
            ENCODER_VERSION.. => Some(read_encoder(&mut reader)?),
            _ => None,
        };
        let keep_queries = match version {
            KEEP_QUERIES_VERSION.. => reader.u32()?,
            _ => 0,
        };
        if version >= PRECISION_VERSION {
            let [code] = reader.array()?;
            let mut all = VectorPrecision::ALL.into_iter();
            graph.precision = all.find(|precision| precision_code(*precision) == code)?;
        }
        let record = Self {
            id,
            created_at_ms,
            settings: CollectionSettings {
                chunking,
                graph,
                lexical,
                words,
                on_duplicate,
                keep_queries,
            },
            encoder,
        };
        reader.is_done().then_some(record)
    }
}

fn precision_code(precision: VectorPrecision) -> u8 {
    match precision {
        VectorPrecision::Full => 0,
        VectorPrecision::Compact => 1,
    }
}

/// Mode, then the size of passages, which is zero where there is none.
fn write_chunking(writer: ValueWriter, chunking: Chunking) -> ValueWriter {
    let (mode, size) = match chunking {
        Chunking::Off => (0, None),
        Chunking::Sentence(size) => (1, Some(size)),
        Chunking::Fixed(size) => (2, Some(size)),
        Chunking::Paragraph(size) => (3, Some(size)),
    };
    writer
        .raw(&[mode])
        .u32(size.map_or(0, |size| size.max_tokens))
        .u32(size.map_or(0, |size| size.overlap_tokens))
}

/// Reads whether words are indexed, and how they are told apart.
fn read_words(reader: &mut ValueReader<'_>) -> Option<(bool, WordSettings)> {
    let [lexical, folds_accents] = reader.array()?;
    if lexical > 1 || folds_accents > 1 {
        return None;
    }
    let language = match reader.text()? {
        "" => None,
        code => Some(Language::from_code(code)?),
    };
    let words = WordSettings {
        language,
        folds_accents: folds_accents == 1,
    };
    Some((lexical == 1, words))
}

/// The action, then the bits of the threshold, which is zero where nothing is done.
fn write_on_duplicate(writer: ValueWriter, on_duplicate: Option<OnDuplicate>) -> ValueWriter {
    let action = match on_duplicate.map(|it| it.action) {
        None => 0,
        Some(DuplicateAction::Flag) => 1,
        Some(DuplicateAction::Reject) => 2,
    };
    let min_score = on_duplicate.map_or(0.0, |it| it.min_score);
    writer.raw(&[action]).u32(min_score.to_bits())
}

#[expect(
    clippy::option_option,
    reason = "it may be unreadable, and it may be nothing"
)]
fn read_on_duplicate(reader: &mut ValueReader<'_>) -> Option<Option<OnDuplicate>> {
    let (action, min_score) = (reader.array()?, f32::from_bits(reader.u32()?));
    let action = match action {
        [0] => return Some(None),
        [1] => DuplicateAction::Flag,
        [2] => DuplicateAction::Reject,
        _ => return None,
    };
    Some(Some(OnDuplicate { action, min_score }))
}

/// What it is called, then its identity.
fn write_encoder(writer: ValueWriter, encoder: &CollectionEncoder) -> ValueWriter {
    let CollectionEncoder { name, identity } = encoder;
    let writer = writer.text(name).text(&identity.id).text(&identity.name);
    writer.u32(identity.dimensions as u32)
}

fn read_encoder(reader: &mut ValueReader<'_>) -> Option<CollectionEncoder> {
    Some(CollectionEncoder {
        name: reader.text()?.to_owned(),
        identity: EncoderIdentity {
            id: reader.text()?.to_owned(),
            name: reader.text()?.to_owned(),
            dimensions: reader.u32()? as usize,
        },
    })
}

fn read_chunking(reader: &mut ValueReader<'_>) -> Option<Chunking> {
    let mode = reader.array()?;
    let size = PassageSize {
        max_tokens: reader.u32()?,
        overlap_tokens: reader.u32()?,
    };
    chunking(mode, Some(size))
}

fn chunking(mode: [u8; 1], size: Option<PassageSize>) -> Option<Chunking> {
    Some(match mode {
        [0] => Chunking::Off,
        [1] => Chunking::Sentence(size?),
        [2] => Chunking::Fixed(size?),
        [3] => Chunking::Paragraph(size?),
        _ => return None,
    })
}

/// Internal numbers that have not been used yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counters {
    pub(crate) next_document: u32,
    pub(crate) next_passage: u32,
    /// Passages that have been removed so far.
    pub(crate) removed_passages: u64,
}

impl Counters {
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        ValueWriter::version(COUNTERS_VERSION)
            .u32(self.next_document)
            .u32(self.next_passage)
            .u64(self.removed_passages)
            .finish()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let is_first_format = bytes.first() == Some(&VERSION);
        let version = if is_first_format {
            VERSION
        } else {
            COUNTERS_VERSION
        };
        let mut reader = ValueReader::version(bytes, version)?;
        let counters = Self {
            next_document: reader.u32()?,
            next_passage: reader.u32()?,
            // Nothing that depends on the count is older than format 2.
            removed_passages: if is_first_format { 0 } else { reader.u64()? },
        };
        reader.is_done().then_some(counters)
    }
}

/// A document, without its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DocumentRecord {
    /// Internal number; a document that is replaced gets a new one.
    pub(crate) number: u32,
    pub(crate) first_passage: u32,
    pub(crate) passages: u32,
    pub(crate) body_pieces: u32,
    pub(crate) hash: ContentHash,
    pub(crate) created_at_ms: u64,
    pub(crate) updated_at_ms: u64,
}

impl DocumentRecord {
    /// Internal numbers of its passages.
    pub(crate) fn passage_numbers(&self) -> std::ops::Range<u32> {
        self.first_passage..self.first_passage + self.passages
    }

    pub(crate) fn to_bytes(self) -> Vec<u8> {
        ValueWriter::version(VERSION)
            .u32(self.number)
            .u32(self.first_passage)
            .u32(self.passages)
            .u32(self.body_pieces)
            .raw(&self.hash.encoded)
            .raw(&self.hash.whole)
            .u64(self.created_at_ms)
            .u64(self.updated_at_ms)
            .finish()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut reader = ValueReader::version(bytes, VERSION)?;
        let record = Self {
            number: reader.u32()?,
            first_passage: reader.u32()?,
            passages: reader.u32()?,
            body_pieces: reader.u32()?,
            hash: ContentHash {
                encoded: reader.array()?,
                whole: reader.array()?,
            },
            created_at_ms: reader.u64()?,
            updated_at_ms: reader.u64()?,
        };
        record.first_passage.checked_add(record.passages)?;
        reader.is_done().then_some(record)
    }
}

/// A passage, without its vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PassageRecord {
    /// Internal number of its document.
    pub(crate) document: u32,
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl PassageRecord {
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        ValueWriter::version(VERSION)
            .u32(self.document)
            .u32(self.start)
            .u32(self.end)
            .finish()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut reader = ValueReader::version(bytes, VERSION)?;
        let record = Self {
            document: reader.u32()?,
            start: reader.u32()?,
            end: reader.u32()?,
        };
        reader.is_done().then_some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_they_were_written() {
        let document = DocumentRecord {
            number: 1,
            first_passage: 2,
            passages: 3,
            body_pieces: 4,
            hash: ContentHash {
                encoded: [5; 32],
                whole: [6; 32],
            },
            created_at_ms: 7,
            updated_at_ms: u64::MAX,
        };
        assert_eq!(
            DocumentRecord::from_bytes(&document.to_bytes()),
            Some(document)
        );
        let passage = PassageRecord {
            document: 1,
            start: 2,
            end: 3,
        };
        assert_eq!(
            PassageRecord::from_bytes(&passage.to_bytes()),
            Some(passage)
        );
    }

    fn collection(chunking: Chunking) -> CollectionRecord {
        CollectionRecord {
            id: CollectionId(3),
            created_at_ms: 4,
            settings: CollectionSettings {
                chunking,
                ..CollectionSettings::default()
            },
            encoder: None,
        }
    }

    #[test]
    fn every_setting_is_read_as_it_was_written() {
        let size = PassageSize {
            max_tokens: 256,
            overlap_tokens: 32,
        };
        for chunking in [
            Chunking::Off,
            Chunking::Sentence(size),
            Chunking::Fixed(size),
            Chunking::Paragraph(size),
        ] {
            let mut record = collection(chunking);
            for lexical in [true, false] {
                record.settings.lexical = lexical;
                for language in Language::ALL.map(Some).into_iter().chain([None]) {
                    record.settings.words = WordSettings {
                        language,
                        folds_accents: language.is_some() != lexical,
                    };
                    let read = CollectionRecord::from_bytes(&record.to_bytes());
                    assert_eq!(read.as_ref(), Some(&record));
                }
            }
        }
    }

    #[test]
    fn what_becomes_of_duplicates_is_read_as_it_was_written_and_nothing_in_older_records() {
        let mut record = collection(Chunking::Off);
        let older = record.to_bytes();
        for action in [DuplicateAction::Flag, DuplicateAction::Reject] {
            record.settings.on_duplicate = Some(OnDuplicate {
                action,
                min_score: 0.875,
            });
            let bytes = record.to_bytes();
            assert_eq!(CollectionRecord::from_bytes(&bytes).as_ref(), Some(&record));
        }
        record.settings.on_duplicate = None;
        let (older, end) = older.split_at(older.len() - 5);
        assert_eq!(end, [0; 5]);
        let older = [&[WORD_SETTINGS_VERSION], &older[1..]].concat();
        assert_eq!(CollectionRecord::from_bytes(&older), Some(record));
    }

    #[test]
    fn the_encoder_is_read_as_it_was_written_and_a_record_cut_within_it_is_not() {
        let mut record = collection(Chunking::Off);
        record.encoder = Some(CollectionEncoder {
            name: "large".to_owned(),
            identity: EncoderIdentity {
                id: "1f".to_owned(),
                name: "all-mpnet-base-v2".to_owned(),
                dimensions: 768,
            },
        });
        record.settings.keep_queries = 100;
        let bytes = record.to_bytes();
        assert_eq!(CollectionRecord::from_bytes(&bytes), Some(record.clone()));
        let cut = &bytes[..bytes.len() - 1];
        assert_eq!(CollectionRecord::from_bytes(cut), None);
        record.settings.graph.precision = VectorPrecision::Compact;
        let compact = record.to_bytes();
        assert_eq!(CollectionRecord::from_bytes(&compact), Some(record.clone()));
        let unknown = [&compact[..compact.len() - 1], &[2]].concat();
        assert_eq!(CollectionRecord::from_bytes(&unknown), None);
        // Before format 10 there was no precision at the end, and before format 9 no number.
        record.settings.graph.precision = VectorPrecision::Full;
        let older = [&[KEEP_QUERIES_VERSION], &bytes[1..bytes.len() - 1]].concat();
        assert_eq!(CollectionRecord::from_bytes(&older), Some(record.clone()));
        let older = [&[ENCODER_VERSION], &bytes[1..bytes.len() - 5]].concat();
        record.settings.keep_queries = 0;
        assert_eq!(CollectionRecord::from_bytes(&older), Some(record));
    }

    #[test]
    fn a_collection_of_version_1_has_chunking_off() {
        let mut bytes = vec![1, 3, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(
            CollectionRecord::from_bytes(&bytes),
            Some(collection(Chunking::Off))
        );
        bytes[13] = 1;
        assert_eq!(CollectionRecord::from_bytes(&bytes), None);
    }

    #[test]
    fn a_record_cut_short_or_too_long_is_not_read() {
        let mut bytes = PassageRecord {
            document: 1,
            start: 2,
            end: 3,
        }
        .to_bytes();
        assert_eq!(PassageRecord::from_bytes(&bytes[..bytes.len() - 1]), None);
        bytes.push(0);
        assert_eq!(PassageRecord::from_bytes(&bytes), None);
        assert_eq!(PassageRecord::from_bytes(&[]), None);
    }
}
