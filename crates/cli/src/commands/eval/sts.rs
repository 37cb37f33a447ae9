//! `siamese eval sts`

use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::progress;
use crate::client::{Connection, Service};
use crate::eval::{self, Pair};

/// Pairs of one request.
const MAX_REQUEST_PAIRS: usize = 256;

/// Compare scores of pairs with those of people: Spearman and Pearson
///
/// FILE is a file of the STS benchmark, or score and two sentences a line, between tabs or as CSV.
#[derive(Debug, clap::Args)]
pub(crate) struct Sts {
    /// Pairs with scores
    file: PathBuf,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

impl Sts {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let pairs = eval::read_pairs(&self.file)?;
        let service = Service::new(&self.connection);
        let bar = progress(pairs.len(), "pairs");
        let mut scores = Vec::with_capacity(pairs.len());
        for part in pairs.chunks(MAX_REQUEST_PAIRS) {
            scores.extend(compared(&service, part)?);
            bar.inc(part.len() as u64);
        }
        bar.finish_and_clear();
        let people: Vec<f64> = pairs.iter().map(|pair| pair.score).collect();
        let spearman = siamese_eval::spearman(&scores, &people).context(NO_VARIANCE)?;
        let pearson = siamese_eval::pearson(&scores, &people).context(NO_VARIANCE)?;
        let mut out = stdout().lock();
        if self.json {
            let figures = json!({ "pairs": pairs.len(), "spearman": spearman, "pearson": pearson });
            writeln!(out, "{figures}")?;
        } else {
            writeln!(out, "pairs     {}", pairs.len())?;
            writeln!(out, "Spearman  {spearman:.4}")?;
            writeln!(out, "Pearson   {pearson:.4}")?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

const NO_VARIANCE: &str = "all scores are the same, so there is no correlation";

/// The service's scores of pairs, in order.
fn compared(service: &Service, pairs: &[Pair]) -> Result<Vec<f64>> {
    let items: Vec<Value> = pairs
        .iter()
        .map(|pair| json!([pair.left, pair.right]))
        .collect();
    let answer = service.post_patiently("similarity", &json!({ "pairs": items }))?;
    let scores = answer["scores"].as_array().into_iter().flatten();
    let scores: Option<Vec<f64>> = scores.map(Value::as_f64).collect();
    scores
        .filter(|scores| scores.len() == pairs.len())
        .context("the answer lacks scores for some pairs")
}
