//! `siamese similarity`

mod explanation;

use std::io::{BufWriter, IsTerminal, Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use siamese_server::passages::under_title;

use self::explanation::Explanation;
use super::dedup::{Text, Texts, find};
use crate::client::{Connection, Service};
use crate::reading::ReadOptions;

/// Rows and columns of one request; together they are within the service's limits.
const MAX_ROWS: usize = 64;
const MAX_COLUMNS: usize = 512;

/// Say how alike two texts are: cosine, -1 to 1, higher is more alike
///
/// With --files, every text of one file is compared with every text of the other, or of the same one, and the
/// scores are printed as CSV: a row for each text of the first, a column for each of the second, by their
/// ids. With --pairs, the first text of one file is compared with the first of the other, and so on.
///
/// With --explain, both texts are printed with what each of their words gives to the score.
#[derive(Debug, clap::Args)]
pub(crate) struct Similarity {
    /// One text
    left: String,
    /// The other; with --files it may be absent
    #[arg(required_unless_present = "files")]
    right: Option<String>,
    /// Take both for files, or folders to walk through: what `siamese ingest` reads
    #[arg(long, conflicts_with = "json")]
    files: bool,
    /// With --files: compare line by line; both must have equally many texts
    #[arg(long, requires = "files", requires = "right")]
    pairs: bool,
    /// Say which words make the two texts alike
    #[arg(long, conflicts_with = "files")]
    explain: bool,
    /// Print the service's answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    options: ReadOptions,
    #[command(flatten)]
    connection: Connection,
}

impl Similarity {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let service = Service::new(&self.connection);
        if self.files {
            return self.compare_files(&service);
        }
        if self.explain {
            return self.explain(&service);
        }
        let answer = service.post("similarity", &json!({ "pairs": [[self.left, self.right]] }))?;
        if self.json {
            writeln!(stdout(), "{answer}")?;
        } else {
            let score = answer["scores"][0]
                .as_f64()
                .context("the answer has no score")?;
            writeln!(stdout(), "{score:.4}")?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn explain(&self, service: &Service) -> Result<ExitCode> {
        let pair = json!({ "a": self.left, "b": self.right });
        let answer = service.post("similarity/explain", &pair)?;
        let mut out = stdout().lock();
        if self.json {
            writeln!(out, "{answer}")?;
            return Ok(ExitCode::SUCCESS);
        }
        // See no-color.org.
        let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let in_colour = out.is_terminal() && !is_plain;
        Explanation::read(answer)?.print(&mut out, in_colour)?;
        Ok(ExitCode::SUCCESS)
    }

    fn compare_files(&self, service: &Service) -> Result<ExitCode> {
        let (left, mut failed) = self.read(&self.left)?;
        let right = self
            .right
            .as_deref()
            .map(|path| self.read(path))
            .transpose()?;
        failed += right.as_ref().map_or(0, |(_, failed)| *failed);
        let right = right.as_ref().map_or(&left, |(texts, _)| texts);
        let out = csv::Writer::from_writer(BufWriter::new(stdout().lock()));
        if self.pairs {
            print_pairs(service, &left, right, out)?;
        } else {
            print_matrix(service, &left, right, out)?;
        }
        Ok(match failed {
            0 => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        })
    }

    /// The texts of a file, and how many of its rows could not be read.
    fn read(&self, path: &str) -> Result<(Vec<Text>, usize)> {
        let found = find(&[PathBuf::from(path)], &self.options)?;
        let Texts { texts, failed } = Texts::read(&found, &self.options);
        if texts.is_empty() {
            bail!("{path} holds no texts");
        }
        Ok((texts, failed))
    }
}

fn print_pairs<W: Write>(
    service: &Service,
    left: &[Text],
    right: &[Text],
    mut out: csv::Writer<W>,
) -> Result<()> {
    if left.len() != right.len() {
        let (left, right) = (left.len(), right.len());
        bail!(
            "one file has {left} texts and the other {right}; --pairs needs the same number in both"
        );
    }
    out.write_record(["left", "right", "score"])?;
    for (left, right) in left.chunks(MAX_COLUMNS).zip(right.chunks(MAX_COLUMNS)) {
        let pairs = left.iter().zip(right);
        let pairs: Vec<Value> = pairs
            .map(|(left, right)| json!([encoded(left), encoded(right)]))
            .collect();
        let answer = service.post_patiently("similarity", &json!({ "pairs": pairs }))?;
        let scores = numbers(&answer["scores"], left.len())?;
        for ((left, right), score) in left.iter().zip(right).zip(scores) {
            out.write_record([&left.document.id, &right.document.id, &shown(score)])?;
        }
    }
    Ok(out.flush()?)
}

fn print_matrix<W: Write>(
    service: &Service,
    left: &[Text],
    right: &[Text],
    mut out: csv::Writer<W>,
) -> Result<()> {
    let ids = right.iter().map(|text| text.document.id.as_str());
    out.write_record(std::iter::once("").chain(ids))?;
    for rows in left.chunks(MAX_ROWS) {
        let mut lines: Vec<Vec<String>> = rows
            .iter()
            .map(|text| vec![text.document.id.clone()])
            .collect();
        for columns in right.chunks(MAX_COLUMNS) {
            let texts = |texts: &[Text]| texts.iter().map(encoded).collect::<Vec<_>>();
            let request = json!({ "left": texts(rows), "right": texts(columns) });
            let answer = service.post_patiently("similarity", &request)?;
            let matrix = answer["matrix"]
                .as_array()
                .context("the answer has no matrix")?;
            for (line, scores) in lines.iter_mut().zip(matrix) {
                line.extend(numbers(scores, columns.len())?.into_iter().map(shown));
            }
        }
        lines.iter().try_for_each(|line| out.write_record(line))?;
    }
    Ok(out.flush()?)
}

fn encoded(text: &Text) -> String {
    under_title(text.document.title.as_deref(), &text.document.text)
}

fn numbers(value: &Value, count: usize) -> Result<Vec<f64>> {
    let numbers = value.as_array().into_iter().flatten();
    let numbers: Option<Vec<f64>> = numbers.map(Value::as_f64).collect();
    numbers
        .filter(|numbers| numbers.len() == count)
        .context("the answer lacks scores for some pairs")
}

fn shown(score: f64) -> String {
    format!("{score:.4}")
}
