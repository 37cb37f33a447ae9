//! `siamese dedup`

use std::collections::HashMap;
use std::io::{BufWriter, Write, stdout};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use siamese_encoder::{Encoder, InputKind};
use siamese_index::{AllPairs, Pair, PairSink, alike_pairs, normalized};
use siamese_server::config::{Overrides, Settings};

use crate::account::Place;
use crate::model;
use crate::reading::{self, Document, ENDINGS, Found, Item, ReadOptions};
use crate::sender::progress;

/// Texts that are encoded between two looks at the progress bar.
const TEXTS_OF_STEP: usize = 256;
/// Pairs that are kept in memory, 16 bytes each.
const MAX_PAIRS: usize = 10_000_000;
/// Characters of a text that are printed.
const MAX_SHOWN_CHARS: usize = 70;
/// The exit code when texts are alike, for scripts: 1 is that of an error.
const ALIKE: u8 = 3;

/// Find texts in files that are nearly the same, without a service
///
/// Every text is compared with every other one, as far as the model reads it; a text that is there
/// several times is paired with its first place only. The exit code is 0 when no two texts are alike, 3 when
/// some are, and 1 when a file or row could not be read.
#[derive(Debug, clap::Args)]
pub(crate) struct Dedup {
    /// Files, or folders to walk through: what `siamese ingest` reads
    #[arg(required = true, value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
    /// Least cosine of two texts that are alike, above 0 to 1
    #[arg(long, value_name = "SCORE", default_value = "0.9", value_parser = min_score)]
    min_score: f32,
    /// Write the texts without the duplicates, one JSON document a line. A text stays unless it is like
    /// one before it that stays
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Pairs to print, best first
    #[arg(long, value_name = "N", default_value = "100")]
    limit: usize,
    /// Print pairs as JSON, one a line
    #[arg(long)]
    json: bool,
    /// Folder or name of the model
    #[arg(long, value_name = "DIR|NAME")]
    model: Option<String>,
    #[command(flatten)]
    options: ReadOptions,
}

/// A text, and where it is.
#[derive(Debug)]
struct Text {
    place: Place,
    document: Document,
}

/// What was read, and how much could not be.
#[derive(Debug, Default)]
struct Texts {
    texts: Vec<Text>,
    failed: usize,
}

/// One of two texts as JSON.
#[derive(Serialize)]
struct Side<'a> {
    id: &'a str,
    #[serde(flatten)]
    place: &'a Place,
}

#[derive(Serialize)]
struct PairLine<'a> {
    score: f32,
    a: Side<'a>,
    b: Side<'a>,
}

impl Dedup {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let found = reading::find(&self.paths, &self.options)?;
        if found.files.is_empty() && found.failed.is_empty() {
            bail!("nothing to read: no {ENDINGS} files there");
        }
        let output = self.output.as_deref().map(|path| self.create(path));
        let output = output.transpose()?;
        let Texts { texts, failed } = self.read(&found);
        let pairs = self.pairs(&texts)?;
        let stays = stays(texts.len(), &pairs);
        self.print(&texts, &pairs)?;
        if let Some(output) = output {
            let kept = texts.iter().zip(&stays).filter(|(_, stays)| **stays);
            write(output, kept.map(|(text, _)| &text.document))
                .context("cannot write the output")?;
        }
        let gone = stays.iter().filter(|stays| !**stays).count();
        eprintln!(
            "{} texts, {} pairs with {} or more; without duplicates {} texts; {failed} failed",
            texts.len(),
            pairs.len(),
            self.min_score,
            texts.len() - gone,
        );
        Ok(match (failed, pairs.is_empty()) {
            (0, true) => ExitCode::SUCCESS,
            (0, false) => ExitCode::from(ALIKE),
            _ => ExitCode::FAILURE,
        })
    }

    /// Makes the file for what stays, which must not be one of those to read.
    fn create(&self, path: &Path) -> Result<fs_err::File> {
        let real = |path: &Path| path.canonicalize().ok();
        let output = real(path);
        if output.is_some() && self.paths.iter().any(|named| real(named) == output) {
            bail!(
                "--output {} would overwrite a file that is to be read",
                path.display()
            );
        }
        fs_err::File::create(path).context("cannot write the output")
    }

    fn read(&self, found: &Found) -> Texts {
        let mut read = Texts::default();
        for (file, reason) in &found.failed {
            eprintln!("{file}: {reason}");
            read.failed += 1;
        }
        for (file, item) in reading::items_with_any_ids(&found.files, &self.options) {
            let at = |line| Place::new(&file.shown, line);
            match item {
                Item::Document(document) => read.texts.push(Text {
                    place: at(document.line),
                    document,
                }),
                Item::Failed(trouble) => {
                    eprintln!("{}: {}", at(trouble.line), trouble.reason);
                    read.failed += 1;
                }
                Item::Warning(trouble) => {
                    eprintln!("{}: warning: {}", at(trouble.line), trouble.reason);
                }
                Item::Skipped(_) => {}
            }
        }
        read
    }

    /// The pairs of texts that are alike, best first.
    fn pairs(&self, texts: &[Text]) -> Result<Vec<Pair>> {
        let (distinct, mut pairs) = distinct(texts);
        if distinct.len() > 1 {
            let started = Instant::now();
            let vectors = self.encode(&distinct)?;
            let encoded = started.elapsed();
            let places: Vec<usize> = distinct.iter().map(|(place, _)| *place).collect();
            let (near, compared) = self.compare(&vectors)?;
            pairs.extend(near.into_iter().map(|pair| Pair {
                left: places[pair.left],
                right: places[pair.right],
                ..pair
            }));
            eprintln!(
                "encoded in {:.1} s, compared in {:.2} s",
                encoded.as_secs_f64(),
                compared.as_secs_f64()
            );
        }
        let place = |pair: &Pair| (pair.left, pair.right);
        pairs.sort_by(|one, other| {
            let by_score = other.score.total_cmp(&one.score);
            by_score.then_with(|| place(one).cmp(&place(other)))
        });
        Ok(pairs)
    }

    fn encode(&self, texts: &[(usize, String)]) -> Result<Vec<Vec<f32>>> {
        let encoder = self.open()?;
        let bar = progress(texts.len() as u64);
        let (mut vectors, mut cut) = (Vec::with_capacity(texts.len()), 0);
        for step in texts.chunks(TEXTS_OF_STEP) {
            let step: Vec<&str> = step.iter().map(|(_, text)| text.as_str()).collect();
            for encoding in encoder.encode(&step, InputKind::Document)? {
                cut += usize::from(encoding.tokens_kept < encoding.tokens_seen);
                vectors.push(unit_length(encoding.vector));
            }
            bar.inc(step.len() as u64);
        }
        bar.finish_and_clear();
        if cut > 0 {
            eprintln!(
                "{cut} texts are longer than the model reads, and were compared by their beginnings"
            );
        }
        Ok(vectors)
    }

    fn open(&self) -> Result<Encoder> {
        let settings = Settings::load(&Overrides {
            model: self.model.clone(),
            ..Overrides::default()
        })?;
        let models_dir = model::models_dir(&settings);
        let folder = model::resolve_or_pull(&settings.encoder.model, &models_dir)?;
        Ok(siamese_server::open_encoder(&settings, &folder)?)
    }

    fn compare(&self, vectors: &[Vec<f32>]) -> Result<(Vec<Pair>, Duration)> {
        let started = Instant::now();
        let compared = AllPairs {
            left: vectors,
            right: None,
            min_score: self.min_score,
            admits: &|_, _| true,
            threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
        };
        let (cancel, progress) = Default::default();
        let mut pairs = Bounded(Vec::new());
        alike_pairs(&compared, &cancel, &progress, &mut pairs)?;
        if pairs.is_full() {
            bail!("over {MAX_PAIRS} pairs are alike; raise --min-score");
        }
        Ok((pairs.0, started.elapsed()))
    }

    fn print(&self, texts: &[Text], pairs: &[Pair]) -> Result<()> {
        let mut out = BufWriter::new(stdout().lock());
        for pair in pairs.iter().take(self.limit) {
            let (left, right) = (&texts[pair.left], &texts[pair.right]);
            if self.json {
                let line = PairLine {
                    score: pair.score,
                    a: left.side(),
                    b: right.side(),
                };
                writeln!(out, "{}", serde_json::to_string(&line)?)?;
            } else {
                writeln!(out, "{:.4}  {}  {}", pair.score, left.place, left.shown())?;
                writeln!(out, "        {}  {}", right.place, right.shown())?;
            }
        }
        out.flush()?;
        if pairs.len() > self.limit {
            eprintln!(
                "{} more pairs; --limit says how many are printed",
                pairs.len() - self.limit
            );
        }
        Ok(())
    }
}

impl Text {
    /// What is encoded, as the service does it.
    fn encoded(&self) -> String {
        match &self.document.title {
            Some(title) => format!("{title} {}", self.document.text),
            None => self.document.text.clone(),
        }
    }

    fn side(&self) -> Side<'_> {
        Side {
            id: &self.document.id,
            place: &self.place,
        }
    }

    /// The beginning of the text on one line.
    fn shown(&self) -> String {
        let words: Vec<&str> = self.document.text.split_whitespace().collect();
        let line = words.join(" ");
        match line.char_indices().nth(MAX_SHOWN_CHARS) {
            Some((end, _)) => format!("{}...", &line[..end]),
            None => line,
        }
    }
}

/// Pairs, as many as may be.
struct Bounded(Vec<Pair>);

impl PairSink for Bounded {
    fn is_full(&self) -> bool {
        self.0.len() > MAX_PAIRS
    }

    fn take(&mut self, pairs: &[Pair], _uncounted: u64) {
        self.0.extend_from_slice(pairs);
    }
}

/// Each text once with its first place, and the pairs of places that have the same.
fn distinct(texts: &[Text]) -> (Vec<(usize, String)>, Vec<Pair>) {
    let mut first_places: HashMap<String, usize> = HashMap::new();
    let mut copies = Vec::new();
    for (place, text) in texts.iter().enumerate() {
        let first = *first_places.entry(text.encoded()).or_insert(place);
        if first != place {
            copies.push(Pair {
                left: first,
                right: place,
                score: 1.0,
            });
        }
    }
    let distinct = first_places.into_iter().map(|(text, place)| (place, text));
    let mut distinct: Vec<_> = distinct.collect();
    distinct.sort_unstable();
    (distinct, copies)
}

/// Which of so many texts stay: those that are like none before them that stays.
fn stays(texts: usize, pairs: &[Pair]) -> Vec<bool> {
    let mut in_order: Vec<(usize, usize)> =
        pairs.iter().map(|pair| (pair.right, pair.left)).collect();
    in_order.sort_unstable();
    let mut stays = vec![true; texts];
    for (right, left) in in_order {
        if stays[left] {
            stays[right] = false;
        }
    }
    stays
}

fn write<'a>(file: fs_err::File, kept: impl Iterator<Item = &'a Document>) -> Result<()> {
    let mut file = BufWriter::new(file);
    for document in kept {
        writeln!(file, "{}", serde_json::to_string(document)?)?;
    }
    Ok(file.flush()?)
}

/// The vector scaled to length 1; a zero vector stays as it is.
fn unit_length(vector: Vec<f32>) -> Vec<f32> {
    if vector.iter().all(|value| *value == 0.0) {
        return vector;
    }
    normalized(&vector)
}

fn min_score(text: &str) -> Result<f32, String> {
    text.parse()
        .ok()
        .filter(|score| *score > 0.0 && *score <= 1.0)
        .ok_or_else(|| "give a number above 0, up to 1".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(left: usize, right: usize) -> Pair {
        Pair {
            left,
            right,
            score: 0.95,
        }
    }

    #[test]
    fn a_text_stays_unless_it_is_like_an_earlier_one_that_stays() {
        assert_eq!(stays(2, &[]), [true, true]);
        assert_eq!(stays(3, &[pair(0, 2)]), [true, true, false]);
        // The last one is like one that goes only.
        assert_eq!(stays(3, &[pair(1, 2), pair(0, 1)]), [true, false, true]);
        let all = [pair(0, 1), pair(0, 2), pair(1, 2)];
        assert_eq!(stays(3, &all), [true, false, false]);
    }

    #[test]
    fn thresholds_are_above_0_and_up_to_1() {
        assert_eq!(min_score("0.5"), Ok(0.5));
        assert_eq!(min_score("1"), Ok(1.0));
        for text in ["0", "-1", "1.01", "NaN", "x", ""] {
            assert!(min_score(text).is_err(), "{text}");
        }
    }
}
