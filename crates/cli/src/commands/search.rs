//! `siamese search`

use std::io::{Write, stdout};
use std::process::ExitCode;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::mode::Mode;
use crate::client::{Connection, Service};

/// Characters of a passage that are shown.
const MAX_SHOWN_CHARS: usize = 200;

/// Find documents by meaning, by words, or by both
#[derive(Debug, clap::Args)]
pub(crate) struct Search {
    /// What to look for
    query: String,
    /// Hits to show
    #[arg(long, short = 'k', default_value_t = 10, value_name = "N")]
    top_k: usize,
    /// By what to search
    #[arg(long, value_enum, default_value_t = Mode::Semantic)]
    mode: Mode,
    /// In mode hybrid: weight of the semantic side, 0 to 1; ranks are fused when absent
    #[arg(long, value_name = "WEIGHT")]
    alpha: Option<f32>,
    /// Search only documents whose metadata passes, for example '{"status": "open"}'
    #[arg(long, value_name = "JSON", value_parser = filter)]
    filter: Option<Value>,
    /// Score the best N hits again by the service's reranker
    #[arg(long, value_name = "N")]
    rerank: Option<usize>,
    /// Print the service's answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// A document that was found.
#[derive(Debug, Deserialize)]
pub(crate) struct Hit {
    /// Its id.
    pub(crate) id: String,
    /// Cosine with the query; by words the BM25 score, by both the fused score; or what the
    /// reranker says.
    pub(crate) score: f64,
    /// Its title, if it has one.
    pub(crate) title: Option<String>,
    /// What matched best.
    pub(crate) passage: Passage,
}

/// A part of a document's text.
#[derive(Debug, Deserialize)]
pub(crate) struct Passage {
    /// The part itself.
    pub(crate) text: String,
}

impl Search {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let service = Service::new(&self.connection);
        let mut question = json!({ "query": self.query, "top_k": self.top_k });
        let is_lexical = self.mode == Mode::Lexical;
        // A service that knows no modes searches by meaning, and refuses the field.
        if self.mode != Mode::Semantic {
            question["mode"] = self.mode.to_string().into();
        }
        if let Some(alpha) = self.alpha {
            question["alpha"] = alpha.into();
        }
        let is_filtered = self.filter.is_some();
        if let Some(filter) = self.filter {
            question["filter"] = filter;
        }
        if let Some(top_n) = self.rerank {
            question["rerank"] = json!({ "top_n": top_n });
        }
        let answer = service.post("search", &question)?;
        let mut out = stdout().lock();
        if self.json {
            writeln!(out, "{answer}")?;
            return Ok(ExitCode::SUCCESS);
        }
        let hits = hits(answer)?;
        if hits.is_empty() {
            let reason = match (is_lexical, is_filtered) {
                (true, true) => "no document that passes the filter has one of these words",
                (true, false) => "no document has one of these words",
                (false, true) => "no document passes the filter",
                (false, false) => "the collection is empty",
            };
            writeln!(out, "nothing found: {reason}")?;
        }
        for hit in hits {
            let title = hit.title.unwrap_or_default();
            writeln!(out, "{:.3}  {}  {title}", hit.score, hit.id)?;
            writeln!(
                out,
                "       {}",
                shortened(&hit.passage.text, MAX_SHOWN_CHARS)
            )?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A filter from the command line. What is in it, the service checks.
fn filter(text: &str) -> Result<Value, String> {
    match serde_json::from_str(text) {
        Ok(filter @ Value::Object(_)) => Ok(filter),
        Ok(_) => Err("give a JSON object, such as '{\"status\": \"open\"}'".to_owned()),
        Err(error) => Err(format!("this is not JSON: {error}")),
    }
}

/// The hits of a search's answer.
///
/// # Errors
/// When the answer is not one.
pub(crate) fn hits(mut answer: Value) -> Result<Vec<Hit>> {
    serde_json::from_value(answer["hits"].take()).context("the answer has no hits")
}

/// The text on one line, cut after a word at `max_chars`.
pub(crate) fn shortened(text: &str, max_chars: usize) -> String {
    let mut line = String::new();
    for word in text.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > max_chars && !line.is_empty() {
            line.push_str(" …");
            return line;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.extend(word.chars().take(max_chars));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_a_json_object() {
        assert!(filter(r#"{"status": "open"}"#).is_ok());
        assert!(filter("[1]").unwrap_err().contains("JSON object"));
        assert!(filter("status = open").unwrap_err().contains("not JSON"));
    }

    #[test]
    fn a_passage_is_shown_on_one_line_and_cut_between_words() {
        assert_eq!(shortened("one\n two\tthree", 20), "one two three");
        assert_eq!(shortened("one two three", 9), "one two …");
        assert_eq!(shortened("überlanges", 4), "über");
    }
}
