//! `siamese bench duplicates`

use std::collections::BTreeSet;
use std::io::{Write, stdout};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use siamese_index::{
    Alike, AlikeMode, AlikeOptions, AlikeScope, Cancel, Collection, CollectionSettings, Condition,
    DEFAULT_COLLECTION, DocumentDraft, DocumentWrite, EncoderIdentity, FieldPath, Filter, Index,
    IndexOptions, Metadata, NewPassage, Progress, Scalar, Workers,
};

use super::index::rounded;
use super::synthetic::NearCopies;

/// Documents of one write while the folder is filled.
const FILL_BATCH: usize = 1000;
/// Metadata of the documents that are compared exactly.
const SAMPLED: &str = "sampled";

/// Measure approximate duplicates among many documents: time, memory, and how many of the pairs are found that an
/// exact comparison of some documents with all finds
///
/// Works without a model, on vectors in clusters, three of eight of which are near-copies of an earlier one.
#[derive(Debug, clap::Args)]
pub(crate) struct DuplicatesBench {
    /// Documents, with one vector each
    #[arg(long, default_value_t = 100_000)]
    documents: usize,
    /// Length of the vectors
    #[arg(long, default_value_t = 384)]
    dimensions: usize,
    /// The least cosine of a pair
    #[arg(long, value_name = "COSINE", default_value_t = 0.9)]
    min_score: f32,
    /// Documents that are compared with all others exactly, about
    #[arg(long, value_name = "N", default_value_t = 1000)]
    sampled_documents: usize,
    /// Threads that build graphs and compare; one per core when absent
    #[arg(long)]
    threads: Option<NonZeroUsize>,
    /// Data folder, which is kept: it is filled at the first run and used again by later ones. A folder that is
    /// removed afterwards when absent
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl DuplicatesBench {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let made = tempfile::tempdir()?;
        let data = self.data.clone();
        let data = data.unwrap_or_else(|| made.path().join("data"));
        let measured = self.measure(&data)?;
        self.print(&measured)?;
        Ok(ExitCode::SUCCESS)
    }

    fn measure(&self, data: &Path) -> Result<Value> {
        let index = self.open(data)?;
        let collection = index.collection(DEFAULT_COLLECTION)?;
        let started_at = Instant::now();
        self.fill(&collection)?;
        let filled_s = started_at.elapsed().as_secs_f64();
        ensure!(
            index.settle(),
            "the graphs could not be built; the log says why"
        );
        let settled_s = started_at.elapsed().as_secs_f64() - filled_s;
        let before_bytes = memory("VmRSS:");
        forget_peak();
        let (approximate, approximate_s) = self.timed(&collection, &self.approximately())?;
        let peak_bytes = memory("VmHWM:");
        let (exact, exact_s) = self.timed(&collection, &self.exactly()?)?;
        let wanted = pairs(&collection, &exact)?;
        let found = pairs(&collection, &approximate)?;
        ensure!(!wanted.is_empty(), "the sampled documents have no pairs");
        let recall = wanted.intersection(&found).count() as f64 / wanted.len() as f64;
        Ok(json!({
            "documents": self.documents,
            "dimensions": self.dimensions,
            "min_score": rounded(f64::from(self.min_score), 4),
            "threads": self.threads(),
            "filled_s": rounded(filled_s, 1),
            "graphs_s": rounded(settled_s, 1),
            "disk_bytes": index.disk_bytes()?,
            "approximate_s": rounded(approximate_s, 2),
            "pairs": approximate.total,
            "memory_before_bytes": before_bytes,
            "peak_memory_bytes": peak_bytes,
            "sampled_documents": self.sampled(),
            "exact_s_of_sample": rounded(exact_s, 2),
            "exact_pairs_of_sample": wanted.len(),
            "recall_of_sample": rounded(recall, 4),
        }))
    }

    fn open(&self, data: &Path) -> Result<Index> {
        let encoder = EncoderIdentity {
            id: "synthetic".to_owned(),
            name: "synthetic".to_owned(),
            dimensions: self.dimensions,
        };
        let options = IndexOptions {
            default_settings: CollectionSettings {
                // Nothing here is searched by words.
                lexical: false,
                ..CollectionSettings::default()
            },
            build_threads: self.threads().get(),
            ..IndexOptions::default()
        };
        Ok(Index::open(data, &encoder, &options)?)
    }

    /// Stores the documents that are not there yet.
    fn fill(&self, collection: &Collection) -> Result<()> {
        let there = collection.stats().documents as usize;
        ensure!(
            there <= self.documents,
            "the folder holds {there} documents already"
        );
        let vectors = NearCopies::new(self.dimensions);
        for first in (there..self.documents).step_by(FILL_BATCH) {
            let numbers = first..self.documents.min(first + FILL_BATCH);
            let writes: Vec<_> = numbers.map(|number| self.write(&vectors, number)).collect();
            collection.writer().upsert(&writes)?;
        }
        Ok(())
    }

    fn write(&self, vectors: &NearCopies, number: usize) -> DocumentWrite {
        let text = number.to_string();
        let passages = Some(vec![NewPassage {
            start: 0,
            end: text.len(),
            vector: vectors.vector(number as u64),
        }]);
        let mut metadata = Metadata::new();
        metadata.insert(SAMPLED.to_owned(), self.is_sampled(number).into());
        let draft = DocumentDraft {
            id: text.clone(),
            title: None,
            text,
            metadata,
        };
        DocumentWrite { draft, passages }
    }

    /// Every so many documents; a step that is no multiple of 8 takes originals and copies alike.
    fn step(&self) -> usize {
        (self.documents / self.sampled_documents.max(1)).max(1) | 1
    }

    fn is_sampled(&self, number: usize) -> bool {
        number.is_multiple_of(self.step())
    }

    fn sampled(&self) -> usize {
        self.documents.div_ceil(self.step())
    }

    fn threads(&self) -> NonZeroUsize {
        let cores = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        self.threads.unwrap_or_else(cores)
    }

    fn approximately(&self) -> AlikeOptions {
        AlikeOptions {
            min_score: self.min_score,
            scope: AlikeScope::Documents,
            mode: AlikeMode::Approximate,
            filter: None,
            between: None,
            top_k_per_document: None,
            limit: usize::MAX,
            workers: Workers::new(self.threads()),
        }
    }

    /// The sampled documents with all.
    fn exactly(&self) -> Result<AlikeOptions> {
        let sampled = Scalar::of(&true.into()).context("a truth value is a scalar")?;
        let sampled = Filter::Field(FieldPath::parse(SAMPLED)?, Condition::one_of([sampled]));
        Ok(AlikeOptions {
            mode: AlikeMode::Exact,
            between: Some((sampled, Filter::All(Vec::new()))),
            ..self.approximately()
        })
    }

    fn timed(&self, collection: &Collection, options: &AlikeOptions) -> Result<(Alike, f64)> {
        let (cancel, progress) = (Cancel::default(), Progress::default());
        let started_at = Instant::now();
        let alike = collection.reader().alike(options, &cancel, &progress)?;
        Ok((alike, started_at.elapsed().as_secs_f64()))
    }

    fn print(&self, measured: &Value) -> Result<()> {
        let mut out = stdout().lock();
        if self.json {
            writeln!(out, "{measured}")?;
            return Ok(());
        }
        for (name, value) in measured.as_object().into_iter().flatten() {
            writeln!(out, "{name:<22} {value}")?;
        }
        Ok(())
    }
}

/// The ids of pairs.
fn pairs(collection: &Collection, alike: &Alike) -> Result<BTreeSet<[String; 2]>> {
    let mut sides = collection.reader().alike_sides();
    let mut pairs = BTreeSet::new();
    for pair in &alike.pairs {
        let [a, b] = sides.read(pair)?.context("a document of a pair is gone")?;
        pairs.insert([a.id, b.id]);
    }
    Ok(pairs)
}

/// A figure of this process, bytes; nothing on systems without /proc.
fn memory(figure: &str) -> Option<u64> {
    let status = fs_err::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(figure))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes << 10)
}

/// Has the system forget the most memory that this process ever had. Where it cannot, the peak counts from the
/// start.
fn forget_peak() {
    drop(fs_err::write("/proc/self/clear_refs", "5"));
}
