//! `siamese bench collection`

use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use serde_json::{Value, json};
use siamese_index::{
    Collection, CollectionSettings, ContentCheck, DEFAULT_COLLECTION, DocumentDraft, DocumentWrite,
    EncoderIdentity, GraphSettings, HitParts, Index, IndexOptions, Metadata, NewPassage,
    SearchOptions,
};

use super::index_precision::IndexPrecision;
use super::pace::{MAX_DOCUMENTS_PER_MINUTE, Pace};
use super::synthetic::{Clustered, Random};
use super::{percentile, ratio};

/// Documents of one write while the folder is filled, and while searches are timed.
const FILL_BATCH: usize = 1000;
const WRITE_BATCH: usize = 10;
/// Words of a text.
const TEXT_WORDS: usize = 40;
/// Pause between two searches: a service that is not at its limit.
const SEARCH_PAUSE: Duration = Duration::from_micros(500);
/// How often the folder is opened; the median counts.
const OPENINGS: usize = 5;

/// Measure one collection in a data folder: searches alone, searches while documents are written,
/// and opening the folder
///
/// Works without a model, on synthetic texts of 40 words and vectors in clusters. One thread
/// searches by vector for ten documents; another writes ten documents at a time, at a steady pace.
#[derive(Debug, clap::Args)]
pub(crate) struct CollectionBench {
    /// Documents that are there at first, with one vector each
    #[arg(long, default_value_t = 100_000)]
    documents: usize,
    /// Length of the vectors
    #[arg(long, default_value_t = 384)]
    dimensions: usize,
    /// Documents that are written in a minute
    #[arg(long, value_name = "N", default_value = "10000", value_parser = clap::value_parser!(u64).range(1..=MAX_DOCUMENTS_PER_MINUTE))]
    documents_per_minute: u64,
    /// Time of each part, seconds
    #[arg(long, value_name = "N", default_value = "30", value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// What the index holds of vectors
    #[arg(long, value_enum, default_value_t = IndexPrecision::Full)]
    precision: IndexPrecision,
    /// Folder for all of it, removed afterwards; the system's folder for such things when absent
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl CollectionBench {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let folder = match &self.folder {
            Some(folder) => tempfile::tempdir_in(folder)?,
            None => tempfile::tempdir()?,
        };
        let measured = self.measure(folder.path())?;
        self.print(&measured)?;
        Ok(ExitCode::SUCCESS)
    }

    fn measure(&self, folder: &Path) -> Result<Value> {
        let source = Source::new(self.dimensions);
        let disk_bytes = self.fill(folder, &source)?;
        let (open_s, checked_s) = self.opening_times(folder)?;
        let index = self.open(folder)?;
        let collection = index.collection(DEFAULT_COLLECTION)?;
        let alone = self.searches(&collection, &source)?;
        let (busy, written) = self.searches_beside_writes(&collection, &source)?;
        let (alone, busy) = (latencies(alone), latencies(busy));
        let p99_ratio = ratio(&busy, &alone, "p99_ms");
        Ok(json!({
            "documents": self.documents,
            "disk_bytes": disk_bytes,
            "open_s": open_s,
            "checked_s": checked_s,
            "alone": alone,
            "while_writing": busy,
            "p99_ratio": p99_ratio,
            "documents_per_minute": written as f64 * 60.0 / self.seconds as f64,
        }))
    }

    fn open(&self, folder: &Path) -> Result<Index> {
        let encoder = EncoderIdentity {
            id: "synthetic".to_owned(),
            name: "synthetic".to_owned(),
            dimensions: self.dimensions,
        };
        // As the service does.
        let options = IndexOptions {
            check: ContentCheck::BeforeWrites,
            default_settings: CollectionSettings {
                graph: GraphSettings {
                    precision: self.precision.into(),
                    ..GraphSettings::default()
                },
                ..CollectionSettings::default()
            },
            ..IndexOptions::default()
        };
        Ok(Index::open(folder, &encoder, &options)?)
    }

    /// Stores the documents and lets all graphs be built; bytes on the disk.
    fn fill(&self, folder: &Path, source: &Source) -> Result<u64> {
        let index = self.open(folder)?;
        let collection = index.collection(DEFAULT_COLLECTION)?;
        for first in (0..self.documents).step_by(FILL_BATCH) {
            collection
                .writer()
                .upsert(&source.writes(first, self.documents.min(first + FILL_BATCH)))?;
        }
        index.settle();
        Ok(index.disk_bytes()?)
    }

    /// Opens the folder again and again; the median times until it can be read, and until all of it has been
    /// compared with what was stored and it can be written to, seconds.
    fn opening_times(&self, folder: &Path) -> Result<(f64, f64)> {
        let (mut opened, mut checked) = (Vec::new(), Vec::new());
        for _ in 0..OPENINGS {
            let started_at = Instant::now();
            let index = self.open(folder)?;
            opened.push(started_at.elapsed());
            index.check_contents()?;
            checked.push(started_at.elapsed());
        }
        let median = |mut times: Vec<Duration>| {
            times.sort_unstable();
            times[OPENINGS / 2].as_secs_f64()
        };
        Ok((median(opened), median(checked)))
    }

    /// Times of searches, one after the other.
    fn searches(&self, collection: &Collection, source: &Source) -> Result<Vec<Duration>> {
        let end = Instant::now() + Duration::from_secs(self.seconds);
        let mut times = Vec::new();
        let options = SearchOptions::default();
        // What an answer has unless it is asked for something else.
        let parts = HitParts {
            metadata: true,
            ..HitParts::default()
        };
        while Instant::now() < end {
            let query = source.query(times.len());
            let started = Instant::now();
            for hit in collection.reader().search(&query, &options)?.hits {
                collection.reader().read_hit(&hit, &parts)?;
            }
            times.push(started.elapsed());
            thread::sleep(SEARCH_PAUSE);
        }
        Ok(times)
    }

    /// The same while documents are written; also how many were.
    fn searches_beside_writes(
        &self,
        collection: &Collection,
        source: &Source,
    ) -> Result<(Vec<Duration>, usize)> {
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let writer = scope.spawn(|| self.write_until(collection, source, &stop));
            let times = self.searches(collection, source);
            stop.store(true, Ordering::Relaxed);
            let written = writer.join().map_err(|_| anyhow!("the writer panicked"))?;
            Ok((times?, written?))
        })
    }

    /// Writes at the pace that was asked for, or as fast as it goes; how many documents.
    fn write_until(
        &self,
        collection: &Collection,
        source: &Source,
        stop: &AtomicBool,
    ) -> Result<usize> {
        let pace = Pace::per_minute(self.documents_per_minute, WRITE_BATCH);
        pace.keep(stop, |written| {
            let first = self.documents + written;
            collection
                .writer()
                .upsert(&source.writes(first, first + WRITE_BATCH))?;
            Ok(())
        })
    }

    fn print(&self, measured: &Value) -> Result<()> {
        let mut out = stdout().lock();
        if self.json {
            writeln!(out, "{measured}")?;
            return Ok(());
        }
        writeln!(
            out,
            "{} documents, {} bytes, opened in {:.3} s, compared with what was stored after {:.3} s",
            measured["documents"],
            measured["disk_bytes"],
            measured["open_s"].as_f64().unwrap_or_default(),
            measured["checked_s"].as_f64().unwrap_or_default()
        )?;
        for part in ["alone", "while_writing"] {
            let value = |key: &str| measured[part][key].as_f64().unwrap_or_default();
            writeln!(
                out,
                "{part:<14} p50 {:.3} ms, p99 {:.3} ms, {} searches",
                value("p50_ms"),
                value("p99_ms"),
                measured[part]["searches"],
            )?;
        }
        writeln!(
            out,
            "p99 while writing {:.0} documents a minute: {:.2} times the one alone",
            measured["documents_per_minute"]
                .as_f64()
                .unwrap_or_default(),
            measured["p99_ratio"].as_f64().unwrap_or_default(),
        )?;
        Ok(())
    }
}

/// Documents and queries.
#[derive(Debug)]
struct Source {
    vectors: Clustered,
}

impl Source {
    fn new(dimensions: usize) -> Self {
        let vectors = Clustered::new(dimensions);
        Self { vectors }
    }

    fn writes(&self, first: usize, end: usize) -> Vec<DocumentWrite> {
        (first..end).map(|number| self.write(number)).collect()
    }

    fn write(&self, number: usize) -> DocumentWrite {
        let text = Random::new(number as u64).text(TEXT_WORDS);
        let passages = Some(vec![NewPassage {
            start: 0,
            end: text.len(),
            vector: self.vectors.vector(number as u64),
        }]);
        let mut metadata = Metadata::new();
        metadata.insert("group".to_owned(), (number % 100).into());
        metadata.insert("number".to_owned(), number.into());
        let draft = DocumentDraft {
            id: format!("document-{number:08}"),
            title: Some(format!("Document {number}")),
            text,
            metadata,
        };
        DocumentWrite { draft, passages }
    }

    /// A vector that no document has.
    fn query(&self, number: usize) -> Vec<f32> {
        self.vectors.vector(u64::from(u32::MAX) + number as u64)
    }
}

fn latencies(mut times: Vec<Duration>) -> Value {
    times.sort_unstable();
    let at = |percent| percentile(&times, percent);
    json!({ "searches": times.len(), "p50_ms": at(50), "p99_ms": at(99) })
}
