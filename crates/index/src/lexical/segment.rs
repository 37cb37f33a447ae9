//! One segment: a tantivy index of a single segment in a folder of its own.
//!
//! It is written once, by the thread that calls, and never changes: tantivy's writer with its
//! threads, deletes and garbage collection is not needed. What is dead says the index; a merge leaves
//! it out.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use roaring::RoaringBitmap;
use tantivy::directory::{MmapDirectory, OwnedBytes};
use tantivy::fastfield::AliveBitSet;
use tantivy::indexer::merge_filtered_segments;
use tantivy::schema::{FAST, Field, IndexRecordOption, NumericOptions, Schema};
use tantivy::schema::{TextFieldIndexing, TextOptions};
use tantivy::store::Compressor;
use tantivy::{
    Index, IndexSettings, InvertedIndexReader, SegmentReader, TantivyDocument, TantivyError, Term,
};

use super::manifest::{FileCheck, LexicalManifest};
use super::row::{Row, row_of};
use crate::durable_files::{folder_of, fsync_folder};
use crate::segments::Segment;

/// Memory that tantivy takes for its tables at first; it grows as needed.
const WRITER_BYTES: usize = 15_000_000;
/// Splits at spaces, which no term has.
const TOKENIZER: &str = "whitespace";

const WORDS: &str = "words";
const PASSAGE: &str = "passage";
const DOCUMENT: &str = "document";
const LENGTH: &str = "length";
const CHECKSUM: &str = "checksum";

/// Why a segment could not be written or opened. It can be made anew from the record.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LexicalFailure {
    #[error(transparent)]
    Room(#[from] crate::Error),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("tantivy: {0}")]
    Tantivy(#[from] TantivyError),
    #[error("{0}")]
    Damaged(String),
}

/// A passage on its way into a segment.
#[derive(Debug)]
pub(crate) struct FrozenRow {
    pub(super) row: Row,
    /// Its terms, each followed by a space, as often as they occur.
    pub(super) text: String,
}

impl FrozenRow {
    /// Most of what it takes on disk.
    pub(crate) fn expected_bytes(&self) -> u64 {
        (self.text.len() + size_of::<Row>()) as u64
    }
}

/// Passages by their terms, on disk.
pub(crate) struct LexicalSegment {
    folder: PathBuf,
    files: Vec<FileCheck>,
    index: Index,
    field: Field,
    words: Arc<InvertedIndexReader>,
    rows: Vec<Row>,
    passages: RoaringBitmap,
}

impl fmt::Debug for LexicalSegment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("LexicalSegment");
        shown.field("folder", &self.folder);
        shown
            .field("rows", &self.rows.len())
            .finish_non_exhaustive()
    }
}

impl LexicalSegment {
    /// Writes passages, which stand in ascending order, into a new folder.
    pub(crate) fn freeze(folder: &Path, rows: &[FrozenRow]) -> Result<Self, LexicalFailure> {
        let schema = schema();
        let fields = [PASSAGE, DOCUMENT, LENGTH, CHECKSUM].map(|name| schema.get_field(name));
        let words = schema.get_field(WORDS)?;
        fs_err::create_dir_all(folder)?;
        let directory = MmapDirectory::open(folder).map_err(TantivyError::from)?;
        let builder = Index::builder().schema(schema).settings(settings());
        let mut writer =
            builder.single_segment_index_writer::<TantivyDocument>(directory, WRITER_BYTES)?;
        let [passage, document, length, checksum] = fields;
        let (passage, document, length, checksum) = (passage?, document?, length?, checksum?);
        for FrozenRow { row, text } in rows {
            let mut stored = TantivyDocument::default();
            stored.add_u64(passage, row.passage.into());
            stored.add_u64(document, row.document.into());
            stored.add_u64(length, row.words.into());
            stored.add_u64(checksum, row.checksum.into());
            stored.add_text(words, text);
            writer.add_document(stored)?;
        }
        writer.finalize()?;
        Self::written(folder)
    }

    /// Writes what is alive of some segments, which stand in the order of their passages, into a
    /// new folder. `None` when nothing is.
    pub(crate) fn merge(
        folder: &Path,
        merged: &[Arc<Self>],
        dead: &RoaringBitmap,
    ) -> Result<Option<Self>, LexicalFailure> {
        let (mut segments, mut living) = (Vec::new(), Vec::new());
        for segment in merged {
            if segment.passages.is_subset(dead) {
                continue;
            }
            segments.extend(segment.index.searchable_segments()?);
            living.push(segment.living(dead));
        }
        if segments.is_empty() {
            return Ok(None);
        }
        fs_err::create_dir_all(folder)?;
        let directory = MmapDirectory::open(folder).map_err(TantivyError::from)?;
        merge_filtered_segments(&segments, settings(), living, directory)?;
        Self::written(folder).map(Some)
    }

    /// Opens a folder in which tantivy has made everything durable but the folder's own name.
    fn written(folder: &Path) -> Result<Self, LexicalFailure> {
        fsync_folder(folder_of(folder))?;
        Self::open(folder, FileCheck::all_in(folder)?)
    }

    /// Opens a folder whose files have been checked.
    pub(crate) fn open(folder: &Path, files: Vec<FileCheck>) -> Result<Self, LexicalFailure> {
        let index = Index::open_in_dir(folder)?;
        let segments = index.searchable_segments()?;
        let [segment] = segments.as_slice() else {
            let reason = format!("{} segments where one should be", segments.len());
            return Err(LexicalFailure::Damaged(reason));
        };
        let reader = SegmentReader::open(segment)?;
        let field = index.schema().get_field(WORDS)?;
        let rows = rows(&reader)?;
        let mut passages: RoaringBitmap = rows.iter().map(|row| row.passage).collect();
        passages.optimize();
        Ok(Self {
            folder: folder.to_owned(),
            files,
            field,
            words: reader.inverted_index(field)?,
            rows,
            passages,
            index,
        })
    }

    pub(super) fn files(&self) -> &[FileCheck] {
        &self.files
    }

    /// In ascending order of passages.
    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The passages of some rows, spread over the segment, with the checksums of their terms.
    pub(crate) fn samples(&self, count: usize) -> impl Iterator<Item = (u32, u32)> {
        let pause = (self.rows.len() / count).max(1);
        let rows = self.rows.iter().step_by(pause);
        rows.map(|row| (row.passage, row.checksum))
    }

    /// How many passages have a term, dead ones included.
    pub(super) fn passages_with(&self, word: &str) -> io::Result<u64> {
        Ok(self.words.doc_freq(&self.term(word))?.into())
    }

    /// Calls `each` with every row that has the term and how often it does.
    pub(super) fn for_each_posting(
        &self,
        word: &str,
        mut each: impl FnMut(u32, u32),
    ) -> io::Result<()> {
        let option = IndexRecordOption::WithFreqs;
        let Some(mut block) = self.words.read_block_postings(&self.term(word), option)? else {
            return Ok(());
        };
        while block.block_len() > 0 {
            for (row, count) in block.docs().iter().zip(block.freqs()) {
                each(*row, *count);
            }
            block.advance();
        }
        Ok(())
    }

    fn term(&self, word: &str) -> Term {
        Term::from_field_text(self.field, word)
    }

    /// The rows that a merge keeps; `None` for all.
    fn living(&self, dead: &RoaringBitmap) -> Option<AliveBitSet> {
        let mut places = vec![u64::MAX; self.rows.len().div_ceil(64)];
        if let (Some(last), used @ 1..) = (places.last_mut(), self.rows.len() % 64) {
            *last = (1 << used) - 1;
        }
        let dead = &self.passages & dead;
        for row in dead
            .iter()
            .filter_map(|passage| row_of(&self.rows, passage))
        {
            places[row / 64] &= !(1 << (row % 64));
        }
        // As tantivy writes bit sets: how many bits there are, and the machine words that hold them.
        let mut bytes = (self.rows.len() as u32).to_le_bytes().to_vec();
        bytes.extend(places.iter().flat_map(|places| places.to_le_bytes()));
        (!dead.is_empty()).then(|| AliveBitSet::open(OwnedBytes::new(bytes)))
    }
}

impl Segment for LexicalSegment {
    type Manifest = LexicalManifest;
    type Damage = LexicalFailure;
    const EXTENSION: &str = "";

    fn reopen(
        path: &Path,
        manifest: &LexicalManifest,
        place: usize,
    ) -> Result<Self, LexicalFailure> {
        let files = FileCheck::all_in(path)?;
        if files != manifest.segments[place].files {
            let reason = "its files are not as they were written".to_owned();
            return Err(LexicalFailure::Damaged(reason));
        }
        Self::open(path, files)
    }

    fn path(&self) -> &Path {
        &self.folder
    }

    fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    fn passages(&self) -> &RoaringBitmap {
        &self.passages
    }
}

/// Terms with how often they occur, without positions. Lengths are kept whole, so tantivy's
/// rounded ones are not.
fn schema() -> Schema {
    let mut schema = Schema::builder();
    let indexing = TextFieldIndexing::default()
        .set_tokenizer(TOKENIZER)
        .set_fieldnorms(false)
        .set_index_option(IndexRecordOption::WithFreqs);
    schema.add_text_field(WORDS, TextOptions::default().set_indexing_options(indexing));
    for name in [PASSAGE, DOCUMENT, LENGTH, CHECKSUM] {
        schema.add_u64_field(name, NumericOptions::default() | FAST);
    }
    schema.build()
}

/// Nothing is stored, so nothing is compressed.
fn settings() -> IndexSettings {
    IndexSettings {
        docstore_compression: Compressor::None,
        docstore_compress_dedicated_thread: false,
        ..IndexSettings::default()
    }
}

fn rows(reader: &SegmentReader) -> Result<Vec<Row>, LexicalFailure> {
    let column = |name| reader.fast_fields().u64(name);
    let (passage, document) = (column(PASSAGE)?, column(DOCUMENT)?);
    let (length, checksum) = (column(LENGTH)?, column(CHECKSUM)?);
    let row = |place| {
        let number = |value: Option<u64>| value.and_then(|value| u32::try_from(value).ok());
        Some(Row {
            passage: number(passage.first(place))?,
            document: number(document.first(place))?,
            words: number(length.first(place))?,
            checksum: number(checksum.first(place))?,
        })
    };
    let rows: Option<Vec<Row>> = (0..reader.max_doc()).map(row).collect();
    let rows = rows.ok_or_else(|| LexicalFailure::Damaged("a row lacks a number".to_owned()))?;
    if rows.is_sorted_by(|a, b| a.passage < b.passage && a.document <= b.document) {
        return Ok(rows);
    }
    Err(LexicalFailure::Damaged(
        "rows are not in their order".to_owned(),
    ))
}
