//! `siamese train mine`

mod collection;
mod files;

use std::collections::HashMap;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value};
use siamese_train::{Belonging, Examples, MiningRules, RankedPair, TextId, TrainingData, read};

use self::collection::ServiceNeighbours;
use self::files::FileNeighbours;
use crate::client::{Address, Service};

/// Negatives that an example may have.
const MAX_NEGATIVES: usize = 16;
/// Anchors between two looks at the progress bar.
const STEP: usize = 512;

/// Find hard negatives for pairs: texts that are near an anchor and do not belong to it
///
/// FILE is JSON lines or CSV with the columns anchor and positive. Negatives are looked for among the positives of
/// all pairs, in files of other texts (--corpus), or in a collection of a running service (--collection). What is
/// written is the same pairs with the columns negative or negative_1 ..
#[derive(Debug, clap::Args)]
pub(super) struct Mine {
    /// Files of pairs
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    data: Vec<PathBuf>,
    /// Where pairs with negatives are written, as JSON lines; must not be there yet
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// Folder or name of the model that says what is near
    #[arg(long, value_name = "DIR|NAME", conflicts_with = "collection")]
    model: Option<String>,
    /// Files or folders with other texts: what `siamese ingest` reads
    #[arg(long, num_args = 1.., value_name = "FILE|DIR", conflicts_with = "collection")]
    corpus: Vec<PathBuf>,
    /// Look in this collection of a running service instead
    #[arg(long, value_name = "NAME")]
    collection: Option<String>,
    #[command(flatten)]
    address: Address,
    /// Negatives of a pair, 1 to 16
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=MAX_NEGATIVES as i64))]
    negatives: u8,
    /// Near texts of an anchor that are looked at, 1 to 1000
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    candidates: u16,
    /// The nearest texts to pass over
    #[arg(long, default_value_t = 0, value_name = "N")]
    skip: usize,
    /// How much less near than the positive a negative is at least, as a part of its cosine, 0 to 1: what is nearer
    /// may belong to the anchor without being marked
    #[arg(long, default_value_t = 0.05, value_name = "PART", value_parser = part)]
    relative_margin: f32,
    /// Largest cosine of a negative with the anchor
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true)]
    max_score: Option<f32>,
}

/// What says which texts are near.
trait Neighbours {
    /// The texts nearest to some anchors, nearest first, with their cosines. New ones get numbers.
    fn nearest(&mut self, data: &mut TrainingData, anchors: &[TextId]) -> Result<Vec<Near>>;

    /// The cosines of anchors and other texts.
    fn scores(&mut self, data: &TrainingData, pairs: &[(TextId, TextId)]) -> Result<Vec<f32>>;
}

/// Texts and their cosines, nearest first.
type Near = Vec<(TextId, f32)>;

impl Mine {
    pub(super) fn run(self) -> Result<ExitCode> {
        ensure!(
            !self.output.exists(),
            "{} is there already",
            self.output.display()
        );
        let mut data = read(&self.data)?;
        let Examples::Ranked(pairs) = std::mem::take(&mut data.examples) else {
            bail!("negatives are for pairs with the columns anchor and positive");
        };
        let candidates = usize::from(self.candidates) + self.skip;
        let mut neighbours: Box<dyn Neighbours> = match &self.collection {
            Some(collection) => Box::new(ServiceNeighbours::new(
                Service::new(&self.address.collection(collection)),
                candidates,
            )),
            None => Box::new(FileNeighbours::open(
                self.model.as_deref(),
                &self.corpus,
                &mut data,
                &pairs,
                candidates,
            )?),
        };
        let mined = self.mined(&mut data, &pairs, neighbours.as_mut())?;
        let with_negatives = mined
            .iter()
            .filter(|negatives| !negatives.is_empty())
            .count();
        self.write(&data, &pairs, &mined)
            .with_context(|| format!("cannot write {}", self.output.display()))?;
        eprintln!(
            "{} pairs, {with_negatives} with new negatives, {} negatives in all",
            pairs.len(),
            mined.iter().map(Vec::len).sum::<usize>()
        );
        Ok(ExitCode::SUCCESS)
    }

    /// New negatives of each pair.
    fn mined(
        &self,
        data: &mut TrainingData,
        pairs: &[RankedPair],
        neighbours: &mut dyn Neighbours,
    ) -> Result<Vec<Vec<TextId>>> {
        let rules = MiningRules {
            negatives: usize::from(self.negatives),
            skip: self.skip,
            relative_margin: self.relative_margin,
            max_score: self.max_score,
        };
        let belonging = Belonging::of(pairs);
        let mut of_anchor: HashMap<TextId, Vec<usize>> = HashMap::new();
        for (place, pair) in pairs.iter().enumerate() {
            of_anchor.entry(pair.anchor).or_default().push(place);
        }
        let anchors = belonging.anchors();
        let bar = crate::sender::progress(anchors.len() as u64);
        let mut mined = vec![Vec::new(); pairs.len()];
        for anchors in anchors.chunks(STEP) {
            let near = neighbours.nearest(data, anchors)?;
            let places: Vec<usize> = anchors
                .iter()
                .flat_map(|anchor| of_anchor[anchor].clone())
                .collect();
            let both: Vec<_> = places
                .iter()
                .map(|place| (pairs[*place].anchor, pairs[*place].positive))
                .collect();
            let scores = neighbours.scores(data, &both)?;
            let near: HashMap<TextId, Near> = anchors.iter().copied().zip(near).collect();
            for (place, score) in places.into_iter().zip(scores) {
                let pair = &pairs[place];
                let room = MAX_NEGATIVES.saturating_sub(pair.negatives.len());
                mined[place] = rules.pick(pair, score, &near[&pair.anchor], &belonging);
                mined[place].truncate(room);
            }
            bar.inc(anchors.len() as u64);
        }
        bar.finish_and_clear();
        Ok(mined)
    }

    fn write(
        &self,
        data: &TrainingData,
        pairs: &[RankedPair],
        mined: &[Vec<TextId>],
    ) -> Result<()> {
        let mut out = BufWriter::new(fs_err::File::create_new(&self.output)?);
        for (pair, mined) in pairs.iter().zip(mined) {
            serde_json::to_writer(&mut out, &row(data, pair, mined))?;
            out.write_all(b"\n")?;
        }
        Ok(out.flush()?)
    }
}

fn row(data: &TrainingData, pair: &RankedPair, mined: &[TextId]) -> Value {
    let text = |text: TextId| Value::from(data.texts.text(text));
    let mut row = Map::new();
    row.insert("anchor".to_owned(), text(pair.anchor));
    row.insert("positive".to_owned(), text(pair.positive));
    let negatives: Vec<TextId> = pair.negatives.iter().chain(mined).copied().collect();
    match &negatives[..] {
        [one] => {
            row.insert("negative".to_owned(), text(*one));
        }
        several => {
            for (number, negative) in (1..).zip(several) {
                row.insert(format!("negative_{number}"), text(*negative));
            }
        }
    }
    if let Some(label) = pair.label {
        row.insert(
            "label".to_owned(),
            data.labels[label as usize].as_str().into(),
        );
    }
    Value::Object(row)
}

fn part(text: &str) -> Result<f32, String> {
    match text.parse() {
        Ok(part) if (0.0..=1.0).contains(&part) => Ok(part),
        _ => Err("it may be 0 to 1".to_owned()),
    }
}
