//! `siamese bench index`

use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, ensure};
use serde::Serialize;
use siamese_index::{GraphSettings, VectorQuery, VectorSpace};

use super::filters;
use crate::vector_file::{read_fvecs, read_ivecs};

/// Neighbours that are compared with the true ones.
pub(super) const NEIGHBOURS: usize = 10;
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
    recall_at_10: f64,
    qps: f64,
    bytes_per_vector: u64,
    open_s: f64,
}

impl Index {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let base = read_fvecs(&self.base)?;
        let queries = Queries::read(&self.query, &self.truth)?;
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("bench.segment");
        let started_at = Instant::now();
        VectorSpace::build(&file, &base, self.settings(), self.threads)?;
        let build_s = started_at.elapsed().as_secs_f64();
        let started_at = Instant::now();
        let space = VectorSpace::open(&file)?;
        let open_s = started_at.elapsed().as_secs_f64();
        for ef in EF_SWEEP {
            let (recall, qps) = queries.measured(&space, ef);
            self.print(&Measured {
                engine: "siamese",
                build_s: rounded(build_s, 1),
                ef,
                recall_at_10: rounded(recall, 4),
                qps: qps.round(),
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
        if line.ef == EF_SWEEP[0] {
            writeln!(
                out,
                "built in {} s, opened in {} s, {} bytes a vector",
                line.build_s, line.open_s, line.bytes_per_vector
            )?;
            writeln!(out, "{:>6} {:>10} {:>10}", "ef", "recall@10", "queries/s")?;
        }
        writeln!(
            out,
            "{:>6} {:>10.4} {:>10}",
            line.ef, line.recall_at_10, line.qps
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

    /// Recall and queries a second.
    fn measured(&self, space: &VectorSpace, ef: usize) -> (f64, f64) {
        let started_at = Instant::now();
        let found: Vec<_> = self
            .vectors
            .iter()
            .map(|vector| {
                space.search(&VectorQuery {
                    vector,
                    limit: NEIGHBOURS,
                    ef,
                    exact: false,
                    allowed: None,
                })
            })
            .collect();
        let seconds = started_at.elapsed().as_secs_f64();
        let hits: usize = found
            .iter()
            .zip(&self.truth)
            .map(|(found, right)| hits(found, right))
            .sum();
        let count = self.vectors.len() as f64;
        (hits as f64 / (count * NEIGHBOURS as f64), count / seconds)
    }
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
