//! `siamese bench index`

use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::builder::TypedValueParser;
use serde::Serialize;
use siamese_index::{GraphSettings, SingleSegment, VectorQuery};

use super::index_precision::IndexPrecision;
use super::{filters, percentile};
use crate::vector_file::{read_fvecs, read_ivecs};

/// Neighbours that are compared with the true ones.
pub(super) const NEIGHBOURS: usize = 10;
/// Candidates that searches keep, one after the other.
const EF_SWEEP: [usize; 9] = [16, 24, 32, 48, 64, 96, 128, 200, 320];

/// Measure the vector index on files of vectors: build time, and recall against queries a second
///
/// Files have the formats of ann-benchmarks: fvecs for vectors, ivecs for the numbers of their
/// nearest neighbours by cosine. Searches run on one thread.
#[derive(Debug, clap::Args)]
pub(crate) struct Index {
    /// Vectors to index
    #[arg(long, value_name = "F.fvecs")]
    base: PathBuf,
    /// Vectors to search for
    #[arg(long, value_name = "F.fvecs")]
    query: PathBuf,
    /// For each query the numbers of its nearest vectors, at least 10
    #[arg(long, value_name = "F.ivecs")]
    truth: PathBuf,
    /// Candidates that searches keep; one line for each number, and one for the default, which
    /// keeps more for queries that need it
    #[arg(long, value_name = "N,..", value_delimiter = ',', default_values_t = EF_SWEEP, value_parser = ef_parser())]
    ef: Vec<usize>,
    /// Measure searches with filters, too
    #[arg(long)]
    filters: bool,
    /// Print JSON lines instead of a table
    #[arg(long)]
    json: bool,
    /// Threads that build
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Neighbours of a vector
    #[arg(long, default_value_t = GraphSettings::default().m)]
    m: usize,
    /// Candidates among which neighbours are chosen
    #[arg(long, default_value_t = GraphSettings::default().ef_construction)]
    ef_construction: usize,
    /// What the index holds of vectors; a compact one has the vectors beside it in memory, in the place of a store
    #[arg(long, value_enum, default_value_t = IndexPrecision::Full)]
    precision: IndexPrecision,
}

/// Queries and what is right.
#[derive(Debug)]
pub(super) struct Queries {
    pub(super) vectors: Vec<Vec<f32>>,
    pub(super) truth: Vec<Vec<i32>>,
}

/// One line of the sweep.
#[derive(Debug, Serialize)]
struct Measured {
    engine: &'static str,
    build_s: f64,
    ef: usize,
    /// Whether queries that need it get more, as in a collection without `ef` in the search.
    widens: bool,
    recall_at_10: f64,
    qps: f64,
    p50_us: f64,
    p99_us: f64,
    bytes_per_vector: u64,
    open_s: f64,
}

/// How well and how fast the queries were answered.
#[derive(Debug)]
struct Answered {
    recall: f64,
    per_second: f64,
    /// Shortest first.
    times: Vec<Duration>,
}

impl Index {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let base = read_fvecs(&self.base)?;
        let queries = Queries::read(&self.query, &self.truth)?;
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("bench.segment");
        let started_at = Instant::now();
        SingleSegment::build(&file, &base, self.settings(), self.threads)?;
        let build_s = started_at.elapsed().as_secs_f64();
        let started_at = Instant::now();
        let space = SingleSegment::open(&file)?;
        let open_s = started_at.elapsed().as_secs_f64();
        let space = match self.precision {
            IndexPrecision::Full => space,
            IndexPrecision::Compact => space.with_vectors(&base),
        };
        let fixed = self.ef.iter().map(|ef| (*ef, false));
        let default = (GraphSettings::default().ef_search, true);
        for (ef, widens) in fixed.chain([default]) {
            let answered = queries.measured(&space, ef, widens);
            let at_us = |percent| percentile(&answered.times, percent).unwrap_or_default() * 1e3;
            self.print(&Measured {
                engine: "siamese",
                build_s: rounded(build_s, 1),
                ef,
                widens,
                recall_at_10: rounded(answered.recall, 4),
                qps: answered.per_second.round(),
                p50_us: rounded(at_us(50), 1),
                p99_us: rounded(at_us(99), 1),
                bytes_per_vector: space.bytes() / base.len() as u64,
                open_s: rounded(open_s, 3),
            })?;
        }
        if self.filters {
            filters::run(&space, base.len() as u32, &queries, self.json)?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn settings(&self) -> GraphSettings {
        GraphSettings {
            precision: self.precision.into(),
            m: self.m,
            ef_construction: self.ef_construction,
            ..GraphSettings::default()
        }
    }

    fn print(&self, line: &Measured) -> Result<()> {
        let mut out = stdout().lock();
        if self.json {
            writeln!(out, "{}", serde_json::to_string(line)?)?;
            return Ok(());
        }
        if !line.widens && self.ef.first() == Some(&line.ef) {
            writeln!(
                out,
                "built in {} s, opened in {} s, {} bytes a vector",
                line.build_s, line.open_s, line.bytes_per_vector
            )?;
            writeln!(
                out,
                "{:>6} {:>10} {:>10} {:>9} {:>9}",
                "ef", "recall@10", "queries/s", "p50, us", "p99, us"
            )?;
        }
        let more = if line.widens { "+" } else { "" };
        let ef = format!("{}{more}", line.ef);
        writeln!(
            out,
            "{:>6} {:>10.4} {:>10} {:>9.1} {:>9.1}",
            ef, line.recall_at_10, line.qps, line.p50_us, line.p99_us
        )?;
        Ok(())
    }
}

impl Queries {
    fn read(query: &Path, truth: &Path) -> Result<Self> {
        let (vectors, truth) = (read_fvecs(query)?, read_ivecs(truth)?);
        ensure!(
            vectors.len() == truth.len(),
            "there are {} queries and {} rows of truth",
            vectors.len(),
            truth.len()
        );
        ensure!(
            truth.iter().all(|row| row.len() >= NEIGHBOURS),
            "the truth needs {NEIGHBOURS} numbers a row"
        );
        Ok(Self { vectors, truth })
    }

    fn measured(&self, space: &SingleSegment, ef: usize, widens: bool) -> Answered {
        let started_at = Instant::now();
        let (found, mut times): (Vec<_>, Vec<_>) = self
            .vectors
            .iter()
            .map(|vector| {
                let asked_at = Instant::now();
                let found = space.search(&VectorQuery {
                    vector,
                    limit: NEIGHBOURS,
                    ef,
                    widens,
                    exact: false,
                    allowed: None,
                });
                (found, asked_at.elapsed())
            })
            .unzip();
        let seconds = started_at.elapsed().as_secs_f64();
        times.sort_unstable();
        let hits: usize = found
            .iter()
            .zip(&self.truth)
            .map(|(found, right)| hits(found, right))
            .sum();
        let count = self.vectors.len() as f64;
        Answered {
            recall: hits as f64 / (count * NEIGHBOURS as f64),
            per_second: count / seconds,
            times,
        }
    }
}

fn ef_parser() -> impl TypedValueParser<Value = usize> {
    let allowed = GraphSettings::EF_SEARCH;
    let allowed = *allowed.start() as u64..=*allowed.end() as u64;
    clap::value_parser!(u64)
        .range(allowed)
        .map(|ef| ef as usize)
}

fn hits(found: &[(u32, f32)], right: &[i32]) -> usize {
    let right = &right[..NEIGHBOURS];
    let is_right = |(number, _): &&(u32, f32)| right.contains(&number.cast_signed());
    found.iter().filter(is_right).count()
}

pub(super) fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}
