//! `siamese dedup`

mod compare;
mod groups;
mod parts;
mod texts;

use std::io::{BufWriter, Write, stdout};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde::Serialize;
use siamese_index::Pair;

use self::compare::{alike, in_order};
pub(crate) use self::parts::document_vectors;
use self::parts::{Part, distinct, encode, parts};
pub(crate) use self::texts::{Text, Texts, find, open_encoder};
use crate::account::Place;
use crate::reading::{Document, ReadOptions};

/// Characters of a text that are printed.
const MAX_SHOWN_CHARS: usize = 70;
/// The exit code when texts are alike, for scripts: 1 is that of an error.
const ALIKE: u8 = 3;

/// Find texts in files that are nearly the same, without a service
///
/// Every text is compared with every other one, a long one by the mean of its passages; one that is there
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
    /// Compare texts as wholes, or each paragraph with those of other texts
    #[arg(long, value_enum, default_value_t = Scope::Documents)]
    scope: Scope,
    /// Print groups of texts that pairs join, the largest first, instead of pairs
    #[arg(long, conflicts_with = "scope")]
    clusters: bool,
    /// Write the texts without the duplicates, one JSON document a line. A text stays unless it is like
    /// one before it that stays
    #[arg(long, value_name = "FILE", conflicts_with = "scope")]
    output: Option<PathBuf>,
    /// Pairs or groups to print
    #[arg(long, value_name = "N", default_value = "100")]
    limit: usize,
    /// Print pairs or groups as JSON, one a line
    #[arg(long)]
    json: bool,
    /// Folder or name of the model
    #[arg(long, value_name = "DIR|NAME")]
    model: Option<String>,
    #[command(flatten)]
    options: ReadOptions,
}

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scope {
    /// Texts as wholes
    Documents,
    /// Paragraphs: finds what long texts have in common
    Passages,
}

/// One of two texts as JSON.
#[derive(Serialize)]
struct Side<'a> {
    id: &'a str,
    #[serde(flatten)]
    place: &'a Place,
    /// The paragraph, bytes of the text.
    #[serde(skip_serializing_if = "Option::is_none")]
    span: Option<Span>,
}

#[derive(Serialize)]
struct Span {
    start: usize,
    end: usize,
}

#[derive(Serialize)]
struct PairLine<'a> {
    score: f32,
    a: Side<'a>,
    b: Side<'a>,
}

#[derive(Serialize)]
struct GroupLine<'a> {
    size: usize,
    members: Vec<Side<'a>>,
}

impl Dedup {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let found = find(&self.paths, &self.options)?;
        let output = self.output.as_deref().map(|path| self.create(path));
        let output = output.transpose()?;
        let Texts { texts, failed } = Texts::read(&found, &self.options);
        let (parts, pairs) = self.pairs(&texts)?;
        let stays = stays(parts.len(), &pairs);
        if self.clusters {
            self.print_groups(&texts, &pairs)?;
        } else {
            self.print(&texts, &parts, &pairs)?;
        }
        if let Some(output) = output {
            let kept = texts.iter().zip(&stays).filter(|(_, stays)| **stays);
            write(output, kept.map(|(text, _)| &text.document))
                .context("cannot write the output")?;
        }
        let (min_score, pairs) = (self.min_score, pairs.len());
        let summary = match self.scope {
            Scope::Passages => format!("{} paragraphs", parts.len()),
            Scope::Documents => {
                let left = stays.iter().filter(|stays| **stays).count();
                format!("without duplicates {left} texts")
            }
        };
        eprintln!(
            "{} texts, {pairs} pairs with {min_score} or more; {summary}; {failed} failed",
            texts.len()
        );
        Ok(match (failed, pairs) {
            (0, 0) => ExitCode::SUCCESS,
            (0, _) => ExitCode::from(ALIKE),
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

    /// What was compared, and the pairs that are alike, best first.
    fn pairs(&self, texts: &[Text]) -> Result<(Vec<Part>, Vec<Pair>)> {
        if texts.len() < 2 && self.scope == Scope::Documents {
            return Ok((parts_of_none(texts), Vec::new()));
        }
        let encoder = open_encoder(self.model.as_deref())?;
        let started = Instant::now();
        let parts = parts(&encoder, texts, self.scope)?;
        let (first, mut pairs) = distinct(&parts);
        let vectors = encode(&encoder, &parts, &first)?;
        let encoded = started.elapsed();
        let started = Instant::now();
        let admits =
            |left: usize, right: usize| parts[first[left]].text != parts[first[right]].text;
        let near = alike(&vectors, self.min_score, &admits)?;
        pairs.extend(near.into_iter().map(|pair| Pair {
            left: first[pair.left],
            right: first[pair.right],
            ..pair
        }));
        eprintln!(
            "encoded in {:.1} s, compared in {:.2} s",
            encoded.as_secs_f64(),
            started.elapsed().as_secs_f64()
        );
        Ok((parts, in_order(pairs)))
    }

    fn print(&self, texts: &[Text], parts: &[Part], pairs: &[Pair]) -> Result<()> {
        let mut out = BufWriter::new(stdout().lock());
        for pair in pairs.iter().take(self.limit) {
            let (left, right) = (&parts[pair.left], &parts[pair.right]);
            let (a, b) = (&texts[left.text], &texts[right.text]);
            if self.json {
                let line = PairLine {
                    score: pair.score,
                    a: a.side(left.span.clone()),
                    b: b.side(right.span.clone()),
                };
                writeln!(out, "{}", serde_json::to_string(&line)?)?;
            } else {
                writeln!(out, "{:.4}  {}", pair.score, a.shown(left.span.clone()))?;
                writeln!(out, "        {}", b.shown(right.span.clone()))?;
            }
        }
        out.flush()?;
        self.say_rest(pairs.len(), "pairs");
        Ok(())
    }

    fn print_groups(&self, texts: &[Text], pairs: &[Pair]) -> Result<()> {
        let groups = groups::of(texts.len(), pairs);
        let mut out = BufWriter::new(stdout().lock());
        for group in groups.iter().take(self.limit) {
            let members = group.iter().map(|text| &texts[*text]);
            if self.json {
                let line = GroupLine {
                    size: group.len(),
                    members: members.map(|text| text.side(None)).collect(),
                };
                writeln!(out, "{}", serde_json::to_string(&line)?)?;
            } else {
                writeln!(out, "{} texts", group.len())?;
                for text in members {
                    writeln!(out, "        {}", text.shown(None))?;
                }
            }
        }
        out.flush()?;
        self.say_rest(groups.len(), "groups");
        Ok(())
    }

    fn say_rest(&self, count: usize, what: &str) {
        if count > self.limit {
            let more = count - self.limit;
            eprintln!("{more} more {what}; --limit says how many are printed");
        }
    }
}

/// Texts that need not be compared.
fn parts_of_none(texts: &[Text]) -> Vec<Part> {
    (0..texts.len()).map(Part::whole).collect()
}

impl Text {
    fn side(&self, span: Option<Range<usize>>) -> Side<'_> {
        Side {
            id: &self.document.id,
            place: &self.place,
            span: span.map(|span| Span {
                start: span.start,
                end: span.end,
            }),
        }
    }

    /// Where it is, and the beginning of the text, or of a part of it, on one line.
    fn shown(&self, span: Option<Range<usize>>) -> String {
        let (text, at) = match span {
            Some(span) => (
                &self.document.text[span.clone()],
                format!(" bytes {} to {}", span.start, span.end),
            ),
            None => (self.document.text.as_str(), String::new()),
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        let line = words.join(" ");
        let line = match line.char_indices().nth(MAX_SHOWN_CHARS) {
            Some((end, _)) => format!("{}...", &line[..end]),
            None => line,
        };
        format!("{}{at}  {line}", self.place)
    }
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
