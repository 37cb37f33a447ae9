//! An explanation of a score, for people.

use std::io::{self, Write};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

/// Words of a text that are listed; what the others give is summed up.
const MAX_LISTED_WORDS: usize = 12;
/// Backgrounds of words in the terminal's 256 colours, from those that give little to those that give most;
/// all are dark enough for white letters.
const SHADES: [u8; 3] = [22, 28, 34];
/// The background of words that take much from the score.
const SHADE_OF_LOSS: u8 = 88;
/// Words that give less than this share of the largest contribution are not shaded.
const MIN_SHADED_SHARE: f64 = 0.15;

/// What the service says about a pair of texts, as far as it is shown.
#[derive(Debug, Deserialize)]
pub(super) struct Explanation {
    score: f64,
    a: Side,
    b: Side,
    pairs: Vec<Pair>,
    not_explained: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Side {
    text: String,
    words: Vec<Word>,
    rest: Rest,
}

#[derive(Debug, Deserialize)]
struct Word {
    text: String,
    start: usize,
    end: usize,
    contribution: f64,
}

#[derive(Debug, Deserialize)]
struct Rest {
    special: f64,
    prompt: f64,
    bias: f64,
}

#[derive(Debug, Deserialize)]
struct Pair {
    a: PairedWord,
    b: PairedWord,
    contribution: f64,
}

#[derive(Debug, Deserialize)]
struct PairedWord {
    text: String,
}

impl Explanation {
    /// Reads a service's answer.
    ///
    /// # Errors
    /// When it is no explanation.
    pub(super) fn read(answer: Value) -> Result<Self> {
        serde_json::from_value(answer).context("the answer is no explanation")
    }

    /// Prints the score, both texts with what their words give to it, and the words that match.
    ///
    /// # Errors
    /// When `out` takes no more.
    pub(super) fn print(&self, out: &mut impl Write, in_colour: bool) -> io::Result<()> {
        writeln!(out, "{:.4}", self.score)?;
        let words = self.a.words.iter().chain(&self.b.words);
        let largest = words.map(|word| word.contribution.abs());
        let largest = largest.fold(f64::MIN_POSITIVE, f64::max);
        for side in [&self.a, &self.b] {
            writeln!(out)?;
            side.print_text(out, largest, in_colour)?;
            side.print_words(out)?;
        }
        if !self.pairs.is_empty() {
            writeln!(out, "\nWords that match")?;
        }
        for pair in &self.pairs {
            let (a, b) = (&pair.a.text, &pair.b.text);
            writeln!(out, "{}  {a} - {b}", share(pair.contribution))?;
        }
        for sentence in &self.not_explained {
            writeln!(out, "\n{sentence}.")?;
        }
        Ok(())
    }
}

impl Side {
    fn print_text(&self, out: &mut impl Write, largest: f64, in_colour: bool) -> io::Result<()> {
        let mut end = 0;
        for word in &self.words {
            let Some(between) = self.text.get(end..word.start) else {
                continue;
            };
            write!(out, "{between}")?;
            match shade(word.contribution / largest) {
                Some(shade) if in_colour => {
                    write!(out, "\u{1b}[48;5;{shade};97m{}\u{1b}[0m", word.text)?;
                }
                _ => write!(out, "{}", word.text)?,
            }
            end = word.end;
        }
        writeln!(out, "{}", self.text.get(end..).unwrap_or_default())
    }

    /// The words that give most, then what is left.
    fn print_words(&self, out: &mut impl Write) -> io::Result<()> {
        let mut words: Vec<&Word> = self.words.iter().collect();
        words.sort_by(|a, b| b.contribution.total_cmp(&a.contribution));
        let others = words.split_off(words.len().min(MAX_LISTED_WORDS));
        for word in words {
            writeln!(out, "{}  {}", share(word.contribution), word.text)?;
        }
        if !others.is_empty() {
            let sum = others.iter().map(|word| word.contribution).sum();
            writeln!(out, "{}  ({} other words)", share(sum), others.len())?;
        }
        let rest = [
            (self.rest.special, "(tokens around the text)"),
            (self.rest.prompt, "(the model's prompt)"),
            (self.rest.bias, "(the model's bias)"),
        ];
        for (contribution, name) in rest.into_iter().filter(|(rest, _)| *rest != 0.0) {
            writeln!(out, "{}  {name}", share(contribution))?;
        }
        Ok(())
    }
}

/// A contribution in a column of its own.
fn share(contribution: f64) -> String {
    format!("{contribution:>9.4}")
}

/// The background of a word with this share of the largest contribution.
fn shade(share: f64) -> Option<u8> {
    if share.abs() < MIN_SHADED_SHARE {
        return None;
    }
    if share < 0.0 {
        return Some(SHADE_OF_LOSS);
    }
    let place = (share * SHADES.len() as f64) as usize;
    Some(SHADES[place.min(SHADES.len() - 1)])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn explanation() -> Explanation {
        let word = |text: &str, start: usize, contribution: f64| {
            json!({
                "text": text, "start": start, "end": start + text.len(), "contribution": contribution,
            })
        };
        let rest = json!({"special": 0.05, "prompt": 0.0, "bias": 0.0});
        let many: Vec<_> = (0..14).map(|place| word("x", 2 * place, 0.01)).collect();
        let answer = json!({
            "score": 0.5,
            "a": {"text": "A big cat.", "rest": rest, "words": [
                word("A", 0, 0.01), word("big", 2, -0.1), word("cat", 6, 0.54), word(".", 9, 0.0),
            ]},
            "b": {"text": "x ".repeat(14), "rest": rest, "words": many},
            "pairs": [{"a": {"text": "cat"}, "b": {"text": "x"}, "contribution": 0.25}],
            "not_explained": ["b is longer than the 256 tokens that the model reads"],
        });
        Explanation::read(answer).unwrap()
    }

    fn printed(in_colour: bool) -> String {
        let mut out = Vec::new();
        explanation().print(&mut out, in_colour).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn words_are_listed_with_what_they_give_the_largest_first() {
        let printed = printed(false);
        let start = "0.5000\n\nA big cat.\n   0.5400  cat\n   0.0100  A\n   0.0000  .\n  -0.1000  big\n   0.0500  (tokens";
        assert!(printed.starts_with(start), "{printed}");
        assert!(
            printed.contains("\n   0.0200  (2 other words)\n"),
            "{printed}"
        );
        assert!(
            printed.contains("\nWords that match\n   0.2500  cat - x\n"),
            "{printed}"
        );
        assert!(
            printed.ends_with("\nb is longer than the 256 tokens that the model reads.\n"),
            "{printed}"
        );
        assert!(
            !printed.contains('\u{1b}') && !printed.contains("prompt"),
            "{printed}"
        );
    }

    #[test]
    fn in_colour_words_are_shaded_by_what_they_give() {
        let printed = printed(true);
        assert!(
            printed.contains("A \u{1b}[48;5;88;97mbig\u{1b}[0m \u{1b}[48;5;34;97mcat\u{1b}[0m."),
            "{printed}"
        );
    }
}
