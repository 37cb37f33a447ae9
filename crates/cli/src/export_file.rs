//! An export: a head, a document on each line, and an end that says how many there were.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use siamese_index::{
    Chunking, CollectionSettings, DocumentDraft, DocumentWrite, DuplicateAction, EncoderIdentity,
    GraphSettings, ImportedDocument, Language, NewPassage, OnDuplicate, PassageSize,
    VectorPrecision, WordSettings,
};

/// The newest version of the lines that is read here.
const VERSION: u32 = 1;
/// More than a document with as many vectors as it may have takes as JSON.
const MAX_LINE_BYTES: u64 = 512 << 20;

/// The first line: what the documents are of.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Head {
    version: u32,
    /// The collection's name there.
    pub(crate) collection: String,
    encoder_id: String,
    /// The model's name.
    pub(crate) model: String,
    dimensions: usize,
    vectors: bool,
    /// The collection's settings as the service writes them.
    pub(crate) chunking: Value,
    /// See `chunking`.
    pub(crate) index: Value,
    /// Whether words are indexed; exports of older services do not say.
    #[serde(default = "by_default")]
    pub(crate) lexical: bool,
    /// The language in which words are stemmed.
    pub(crate) language: Option<String>,
    /// Whether accents do not count in words; exports of older services do not say.
    #[serde(default = "by_default")]
    pub(crate) fold_accents: bool,
    /// What becomes of documents that resemble others; exports of older services do not say.
    #[serde(default)]
    pub(crate) on_duplicate: DuplicateSetting,
    /// How many queries are kept; exports of older services do not say.
    #[serde(default)]
    pub(crate) keep_queries: u32,
}

/// What becomes of documents that resemble others, as the service writes it.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
pub(crate) struct DuplicateSetting {
    mode: DuplicateMode,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_score: Option<f32>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum DuplicateMode {
    #[default]
    Allow,
    Flag,
    Reject,
}

fn by_default() -> bool {
    true
}

/// Any line.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Line {
    Head { export: Head },
    End { end: End },
    Failed { error: Failed },
    Document(Box<Document>),
}

#[derive(Debug, Deserialize)]
struct End {
    documents: u64,
}

#[derive(Debug, Deserialize)]
struct Failed {
    detail: String,
}

/// A document of an export.
#[derive(Debug, Deserialize)]
pub(crate) struct Document {
    id: String,
    title: Option<String>,
    text: String,
    metadata: Map<String, Value>,
    created_at: String,
    updated_at: String,
    #[serde(default)]
    passages: Vec<Passage>,
}

#[derive(Debug, Deserialize)]
struct Passage {
    start: usize,
    end: usize,
    vector: Option<Vec<f32>>,
}

/// An export being read, a line at a time.
#[derive(Debug)]
pub(crate) struct ExportFile<R> {
    lines: Lines<R>,
    /// Its first line.
    pub(crate) head: Head,
    documents: u64,
}

impl ExportFile<fs_err::File> {
    /// Opens a file and reads its head.
    ///
    /// # Errors
    /// A file that is no export, or is of a newer version.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let what = path.display();
        Self::read(fs_err::File::open(path)?).with_context(|| format!("{what} cannot be imported"))
    }
}

impl<R: Read> ExportFile<R> {
    fn read(source: R) -> Result<Self> {
        let mut lines = Lines::new(source);
        let first = lines.next()?.unwrap_or_default();
        let Ok(Line::Head { export: head }) = serde_json::from_slice(&first) else {
            bail!(
                "its first line is not the head of an export; `siamese ingest` reads plain JSON lines"
            );
        };
        ensure!(
            head.version <= VERSION,
            "it has version {}, but this program reads versions up to {VERSION} only; use the newer one that wrote it",
            head.version
        );
        Ok(Self {
            lines,
            head,
            documents: 0,
        })
    }

    /// The next document; `None` at an end that is in order.
    ///
    /// # Errors
    /// A line that is none of an export, and an end that is missing.
    pub(crate) fn next(&mut self) -> Result<Option<Document>> {
        let Some(line) = self.lines.next()? else {
            bail!(
                "the export ends early, after {} documents; export again",
                self.documents
            );
        };
        let number = self.lines.number;
        let line = serde_json::from_slice(&line);
        match line.with_context(|| format!("line {number} is none of an export"))? {
            Line::Document(document) => {
                self.documents += 1;
                Ok(Some(*document))
            }
            Line::End { end } if end.documents == self.documents => Ok(None),
            Line::End { end } => bail!(
                "the export says that it has {} documents, but it holds {}; export again",
                end.documents,
                self.documents
            ),
            Line::Failed { error } => bail!("the export was interrupted: {}", error.detail),
            Line::Head { .. } => bail!("line {number} is a second head"),
        }
    }

    /// Bytes that have been read.
    pub(crate) fn bytes(&self) -> u64 {
        self.lines.bytes
    }

    /// The line that was read last, from 1.
    pub(crate) fn line(&self) -> u64 {
        self.lines.number
    }
}

impl Head {
    /// The encoder that made the vectors.
    pub(crate) fn encoder(&self) -> EncoderIdentity {
        EncoderIdentity {
            id: self.encoder_id.clone(),
            name: self.model.clone(),
            dimensions: self.dimensions,
        }
    }

    /// Returns whether the documents have their vectors.
    pub(crate) fn has_vectors(&self) -> bool {
        self.vectors
    }

    /// The collection's settings.
    ///
    /// # Errors
    /// Settings that are not known here.
    pub(crate) fn settings(&self) -> Result<CollectionSettings> {
        let number = |value: &Value, key: &str| {
            let number = value[key].as_u64();
            number.with_context(|| format!("the export's head has no number {key:?}"))
        };
        let mode = self.chunking["mode"].as_str().unwrap_or_default();
        let size = || -> Result<PassageSize> {
            Ok(PassageSize {
                max_tokens: u32::try_from(number(&self.chunking, "max_tokens")?)?,
                overlap_tokens: u32::try_from(number(&self.chunking, "overlap_tokens")?)?,
            })
        };
        Ok(CollectionSettings {
            chunking: match mode {
                "off" => Chunking::Off,
                "sentence" => Chunking::Sentence(size()?),
                "fixed" => Chunking::Fixed(size()?),
                "paragraph" => Chunking::Paragraph(size()?),
                other => bail!("the export's head has a chunking that is not known: {other:?}"),
            },
            graph: GraphSettings {
                m: number(&self.index, "m")? as usize,
                ef_construction: number(&self.index, "ef_construction")? as usize,
                ef_search: number(&self.index, "ef_search")? as usize,
                precision: self.precision()?,
            },
            lexical: self.lexical,
            words: self.words()?,
            on_duplicate: self.on_duplicate.checked()?,
            keep_queries: self.keep_queries,
        })
    }

    fn precision(&self) -> Result<VectorPrecision> {
        // Exports of versions that had one precision do not say.
        let Some(name) = self.index.get("precision") else {
            return Ok(VectorPrecision::Full);
        };
        let precision = name.as_str().and_then(VectorPrecision::from_name);
        precision
            .with_context(|| format!("the export's head has a precision that is not known: {name}"))
    }

    fn words(&self) -> Result<WordSettings> {
        let language = |code| {
            let language = Language::from_code(code);
            language.with_context(|| {
                format!("the export's head has a language that is not known: {code:?}")
            })
        };
        Ok(WordSettings {
            language: self.language.as_deref().map(language).transpose()?,
            folds_accents: self.fold_accents,
        })
    }
}

impl DuplicateSetting {
    fn checked(&self) -> Result<Option<OnDuplicate>> {
        let action = match self.mode {
            DuplicateMode::Allow => return Ok(None),
            DuplicateMode::Flag => DuplicateAction::Flag,
            DuplicateMode::Reject => DuplicateAction::Reject,
        };
        let min_score = self.min_score;
        let min_score =
            min_score.context("the export's head has on_duplicate without min_score")?;
        Ok(Some(OnDuplicate { action, min_score }))
    }
}

impl Document {
    /// Bytes of its text.
    pub(crate) fn text_bytes(&self) -> usize {
        self.text.len()
    }

    /// The document with its vectors and times.
    ///
    /// # Errors
    /// A vector that is missing, or a time that is none.
    pub(crate) fn with_vectors(self) -> Result<ImportedDocument> {
        let (created_at_ms, updated_at_ms) = (ms(&self.created_at)?, ms(&self.updated_at)?);
        let mut passages = Vec::with_capacity(self.passages.len());
        for passage in self.passages {
            let vector = passage.vector;
            let vector = vector.with_context(|| format!("{:?} lacks a vector", self.id))?;
            passages.push(NewPassage {
                start: passage.start,
                end: passage.end,
                vector,
            });
        }
        let draft = DocumentDraft {
            id: self.id,
            title: self.title,
            text: self.text,
            metadata: self.metadata,
        };
        Ok(ImportedDocument {
            write: DocumentWrite {
                draft,
                passages: Some(passages),
            },
            created_at_ms,
            updated_at_ms,
        })
    }

    /// The document as a line to send to a service, which encodes it.
    pub(crate) fn to_encode(&self) -> String {
        let mut line = Map::new();
        line.insert("id".to_owned(), self.id.clone().into());
        if let Some(title) = &self.title {
            line.insert("title".to_owned(), title.clone().into());
        }
        line.insert("text".to_owned(), self.text.clone().into());
        line.insert("metadata".to_owned(), self.metadata.clone().into());
        Value::Object(line).to_string()
    }
}

/// Milliseconds since 1970 of a moment in RFC 3339.
fn ms(moment: &str) -> Result<u64> {
    let parsed: jiff::Timestamp = moment
        .parse()
        .with_context(|| format!("{moment:?} is no time"))?;
    Ok(u64::try_from(parsed.as_millisecond())?)
}

/// Lines of bounded length.
#[derive(Debug)]
struct Lines<R> {
    source: BufReader<R>,
    number: u64,
    bytes: u64,
}

impl<R: Read> Lines<R> {
    fn new(source: R) -> Self {
        Self {
            source: BufReader::new(source),
            number: 0,
            bytes: 0,
        }
    }

    fn next(&mut self) -> Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        let mut bounded = self.source.by_ref().take(MAX_LINE_BYTES);
        let bytes = bounded.read_until(b'\n', &mut line)? as u64;
        self.number += 1;
        self.bytes += bytes;
        ensure!(
            bytes < MAX_LINE_BYTES,
            "line {} is longer than {MAX_LINE_BYTES} bytes",
            self.number
        );
        Ok((bytes > 0).then_some(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = r#"{"export":{"version":1,"collection":"default","encoder_id":"e","model":"m","dimensions":2,"vectors":true,"chunking":{"mode":"fixed","max_tokens":20,"overlap_tokens":2},"index":{"m":16,"ef_construction":200,"ef_search":64}}}"#;
    const DOCUMENT: &str = r#"{"id":"a","text":"t","metadata":{"n":1},"created_at":"2023-11-14T22:13:20.007Z","updated_at":"2023-11-14T22:13:20.008Z","passages":[{"start":0,"end":1,"vector":[0.6,0.8]}]}"#;

    fn outcome(lines: &[&str]) -> Result<u64> {
        let text = lines.join("\n");
        let mut file = ExportFile::read(text.as_bytes())?;
        while file.next()?.is_some() {}
        Ok(file.documents)
    }

    #[test]
    fn an_export_is_read_to_its_end() {
        let end = r#"{"end":{"documents":2}}"#;
        assert_eq!(outcome(&[HEAD, DOCUMENT, DOCUMENT, end]).unwrap(), 2);
    }

    #[test]
    fn an_export_that_is_not_whole_is_refused_with_a_sentence() {
        let end = r#"{"end":{"documents":2}}"#;
        let newer = HEAD.replace("\"version\":1", "\"version\":2");
        let failed = r#"{"error":{"detail":"the disk failed"}}"#;
        for (lines, words) in [
            (vec![HEAD, DOCUMENT], "ends early, after 1"),
            (vec![HEAD, DOCUMENT, end], "has 2 documents, but it holds 1"),
            (vec![HEAD, "{\"x\":1}"], "line 2 is none"),
            (vec![HEAD, HEAD], "second head"),
            (vec![HEAD, failed], "the disk failed"),
            (vec![DOCUMENT], "first line"),
            (vec![], "first line"),
            (vec![&newer], "version 2"),
        ] {
            let error = format!("{:#}", outcome(&lines).unwrap_err());
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn a_document_keeps_its_times_vectors_and_settings() {
        let text = [HEAD, DOCUMENT].join("\n");
        let mut file = ExportFile::read(text.as_bytes()).unwrap();
        let document = file.next().unwrap().unwrap();
        let sent: Value = serde_json::from_str(&document.to_encode()).unwrap();
        assert_eq!(sent["metadata"]["n"], 1);
        let imported = document.with_vectors().unwrap();
        assert_eq!(
            (imported.created_at_ms, imported.updated_at_ms),
            (1_700_000_000_007, 1_700_000_000_008)
        );
        assert_eq!(imported.write.passages.unwrap()[0].vector, [0.6, 0.8]);
        let size = PassageSize {
            max_tokens: 20,
            overlap_tokens: 2,
        };
        let settings = file.head.settings().unwrap();
        assert_eq!(settings.chunking, Chunking::Fixed(size));
        assert_eq!(settings.words, WordSettings::default());
    }

    #[test]
    fn the_settings_of_words_come_with_an_export() {
        let with = |language: &str| {
            let rest =
                format!("\"lexical\":true,\"language\":{language},\"fold_accents\":false}}}}");
            let head = HEAD.strip_suffix("}}").unwrap().to_owned() + "," + &rest;
            ExportFile::read(head.as_bytes()).unwrap().head.settings()
        };
        let words = with("\"el\"").unwrap().words;
        assert_eq!(
            (words.language, words.folds_accents),
            (Some(Language::Greek), false)
        );
        assert_eq!(with("null").unwrap().words.language, None);
        assert!(with("\"xx\"").unwrap_err().to_string().contains("\"xx\""));
    }
}
