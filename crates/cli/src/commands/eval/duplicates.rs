//! `siamese eval duplicates`

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use serde_json::json;
use siamese_index::{AllPairs, Pair, PairSink, Workers, alike_pairs, cosine};

use crate::commands::dedup::{Text, Texts, document_vectors, find, open_encoder};
use crate::eval;
use crate::reading::ReadOptions;
use siamese_eval::{PairScores, PartnerScores};

/// Measure how well marked duplicates are found, without a service, and suggest a threshold
///
/// Every text is compared with every other one, as `siamese dedup` does. Pairs that are not marked count as
/// no duplicates.
#[derive(Debug, clap::Args)]
pub(crate) struct Duplicates {
    /// Files, or folders to walk through: what `siamese ingest` reads
    #[arg(required = true, value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
    /// The marked pairs: two ids a line, between tabs or as CSV, with or without a line of names first
    #[arg(long, value_name = "FILE")]
    pairs: PathBuf,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
    /// Folder or name of the model
    #[arg(long, value_name = "DIR|NAME")]
    model: Option<String>,
    #[command(flatten)]
    options: ReadOptions,
}

/// Pairs of indexes, the smaller first.
type Marked = BTreeSet<(usize, usize)>;

/// Counts the pairs that reach each of some scores, best first.
struct Reaching<'a> {
    scores: &'a [f32],
    /// Pairs that reach this score and none before it.
    counts: Vec<u64>,
}

impl PairSink for Reaching<'_> {
    fn take(&mut self, pairs: &[Pair], _uncounted: u64) {
        for pair in pairs {
            let place = self.scores.partition_point(|score| *score > pair.score);
            if let Some(count) = self.counts.get_mut(place) {
                *count += 1;
            }
        }
    }
}

impl Duplicates {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let found = find(&self.paths, &self.options)?;
        let Texts { texts, failed } = Texts::read(&found, &self.options);
        let marked = self.marked(&texts)?;
        let encoder = open_encoder(self.model.as_deref())?;
        let vectors = document_vectors(&encoder, &texts)?;
        let partners = siamese_eval::of_partners(&ranks(&vectors, &marked));
        let pairs = pair_scores(&vectors, &marked)?;
        self.print(texts.len(), marked.len(), &partners, &pairs)?;
        Ok(match failed {
            0 => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        })
    }

    /// The marked pairs as indexes of texts.
    fn marked(&self, texts: &[Text]) -> Result<Marked> {
        let ids = texts.iter().enumerate();
        let places: HashMap<&str, usize> = ids
            .map(|(place, text)| (text.document.id.as_str(), place))
            .collect();
        let (mut marked, mut unknown) = (Marked::new(), 0_usize);
        for (line, [left, right]) in read_ids(&self.pairs)?.iter().enumerate() {
            match (places.get(left.as_str()), places.get(right.as_str())) {
                (Some(left), Some(right)) if left != right => {
                    marked.insert((*left.min(right), *left.max(right)));
                }
                // Names of columns.
                (None, None) if line == 0 => {}
                _ => unknown += 1,
            }
        }
        if unknown > 0 {
            eprintln!(
                "{unknown} lines of {} name a text that was not read",
                self.pairs.display()
            );
        }
        if marked.is_empty() {
            bail!(
                "{} names no pair of texts that were read",
                self.pairs.display()
            );
        }
        Ok(marked)
    }

    fn print(
        &self,
        texts: usize,
        marked: usize,
        partners: &PartnerScores,
        pairs: &PairScores,
    ) -> Result<()> {
        let (best, [at_1, at_5, at_10]) = (pairs.best, partners.recall_at);
        let mut out = stdout().lock();
        if self.json {
            let figures = json!({
                "texts": texts, "pairs": marked, "texts_with_partner": partners.texts,
                "recall@1": at_1, "recall@5": at_5, "recall@10": at_10, "mrr": partners.mrr,
                "average_precision": pairs.average_precision,
                "best": {
                    "min_score": best.min_score, "f1": best.f1,
                    "precision": best.precision, "recall": best.recall,
                },
            });
            return Ok(writeln!(out, "{figures}")?);
        }
        writeln!(
            out,
            "texts              {texts}, {} with a marked partner",
            partners.texts
        )?;
        writeln!(out, "marked pairs       {marked}")?;
        writeln!(out, "recall@1           {at_1:.4}")?;
        writeln!(out, "recall@5           {at_5:.4}")?;
        writeln!(out, "recall@10          {at_10:.4}")?;
        writeln!(out, "MRR                {:.4}", partners.mrr)?;
        writeln!(out, "average precision  {:.4}", pairs.average_precision)?;
        writeln!(
            out,
            "best F1            {:.4} at min_score {:.4}: precision {:.4}, recall {:.4}",
            best.f1, best.min_score, best.precision, best.recall
        )?;
        Ok(())
    }
}

/// The first two columns of a file.
fn read_ids(path: &Path) -> Result<Vec<[String; 2]>> {
    let text = fs_err::read_to_string(path)?;
    let mut reader = eval::table(&text);
    let mut ids = Vec::new();
    for record in reader.records() {
        let record = record.with_context(|| path.display().to_string())?;
        let line = record.position().map_or(0, csv::Position::line);
        let (Some(left), Some(right)) = (record.get(0), record.get(1)) else {
            bail!("{}:{line}: expected two ids", path.display());
        };
        ids.push([left.trim().to_owned(), right.trim().to_owned()]);
    }
    Ok(ids)
}

/// For each text with partners, their ranks among all other texts.
fn ranks(vectors: &[Vec<f32>], marked: &Marked) -> BTreeMap<usize, Vec<usize>> {
    let mut partners = BTreeMap::<usize, Vec<usize>>::new();
    for (left, right) in marked {
        partners.entry(*left).or_default().push(*right);
        partners.entry(*right).or_default().push(*left);
    }
    let ranks = partners.into_iter().map(|(text, partners)| {
        let others = (0..vectors.len()).filter(|other| *other != text);
        let score = |other: usize| cosine(&vectors[text], &vectors[other]);
        let scores: Vec<f32> = others.map(score).collect();
        let rank = |partner: usize| {
            let own = score(partner);
            1 + scores.iter().filter(|score| **score > own).count()
        };
        (text, partners.into_iter().map(rank).collect())
    });
    ranks.collect()
}

fn pair_scores(vectors: &[Vec<f32>], marked: &Marked) -> Result<PairScores> {
    let score = |(left, right): &(usize, usize)| cosine(&vectors[*left], &vectors[*right]);
    let mut scores: Vec<f32> = marked.iter().map(score).collect();
    scores.sort_by(|one, other| other.total_cmp(one));
    let compared = AllPairs {
        left: vectors,
        right: None,
        min_score: scores.last().copied().unwrap_or(1.0),
        admits: &|_, _| true,
        workers: Workers::on_all_cores(),
    };
    let mut reaching = Reaching {
        counts: vec![0; scores.len()],
        scores: &scores,
    };
    let (cancel, progress) = Default::default();
    alike_pairs(&compared, &cancel, &progress, &mut reaching)?;
    let reaching: Vec<u64> = reaching
        .counts
        .iter()
        .scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        })
        .collect();
    siamese_eval::of_pairs(&scores, &reaching).context("there are no marked pairs")
}
