//! `siamese bench http`

use std::io::{Write, stdout};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use serde_json::{Value, json};

use super::pace::{MAX_DOCUMENTS_PER_MINUTE, Pace};
use super::{percentile, ratio};
use crate::client::{Address, Service};

/// Documents of one bulk request.
const BULK_DOCUMENTS: usize = 32;
/// Words of a query: with two special tokens, ten tokens.
const QUERY_WORDS: usize = 8;

const WORDS: [&str; 16] = [
    "water", "house", "music", "train", "night", "city", "people", "paper", "market", "science",
    "river", "garden", "winter", "window", "table", "bread",
];

/// Time short queries to a running service, first alone and then while documents are written
///
/// Queries are sent one after the other, with a pause that makes up the pace when one is asked for,
/// and 32 documents in one request. Documents go into the
/// collection `bench-http`, which is deleted afterwards.
#[derive(Debug, clap::Args)]
pub(crate) struct HttpBench {
    /// Time of each of the two parts, seconds
    #[arg(long, value_name = "N", default_value = "10", value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Queries in a second; each as soon as the one before is answered when absent
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    queries_per_second: Option<u32>,
    /// Documents that are written in a minute; as many as the service takes when absent
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=MAX_DOCUMENTS_PER_MINUTE))]
    documents_per_minute: Option<u64>,
    /// Words of a document; with the default model about as many tokens
    #[arg(long, value_name = "N", default_value = "250", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    words: u16,
    #[command(flatten)]
    address: Address,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl HttpBench {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let service = Service::new(&self.address.collection("bench-http"));
        service.put_collection(&json!({ "chunking": { "mode": "off" } }))?;
        let measured = self.measure(&service);
        service.delete_collection()?;
        self.print(&measured?)?;
        Ok(ExitCode::SUCCESS)
    }

    fn measure(&self, service: &Service) -> Result<Value> {
        // Without a document there is nothing to search.
        service.post_patiently("documents", &self.documents(0, 1))?;
        let alone = self.queries(service, 0)?;
        let stop = AtomicBool::new(false);
        let (busy, written) = thread::scope(|scope| {
            let writer = scope.spawn(|| self.write_until(service, &stop));
            let busy = self.queries(service, alone.len());
            stop.store(true, Ordering::Relaxed);
            let written = writer.join().map_err(|_| anyhow!("the writer panicked"));
            Ok::<_, anyhow::Error>((busy?, written??))
        })?;
        let (alone, busy) = (latencies(alone), latencies(busy));
        Ok(json!({
            "p50_ratio": ratio(&busy, &alone, "p50_ms"),
            "p95_ratio": ratio(&busy, &alone, "p95_ms"),
            "p99_ratio": ratio(&busy, &alone, "p99_ms"),
            "alone": alone,
            "while_writing": busy,
            "documents_per_minute": written as f64 * 60.0 / self.seconds as f64,
        }))
    }

    /// Writes documents that are all different; returns how many.
    fn write_until(&self, service: &Service, stop: &AtomicBool) -> Result<usize> {
        let pace = match self.documents_per_minute {
            Some(documents) => Pace::per_minute(documents, BULK_DOCUMENTS),
            None => Pace::unbounded(BULK_DOCUMENTS),
        };
        pace.keep(stop, |written| {
            // The first was there before.
            let documents = self.documents(1 + written, BULK_DOCUMENTS);
            service.post_patiently("documents", &documents).map(drop)
        })
    }

    fn documents(&self, first: usize, count: usize) -> Value {
        documents(first, count, self.words.into())
    }

    /// Times of queries, one after the other, all different: the service knows a text that it has
    /// seen. `first` is the number of the first.
    fn queries(&self, service: &Service, first: usize) -> Result<Vec<Duration>> {
        let interval = self
            .queries_per_second
            .map(|queries| Duration::from_secs(1) / queries);
        let mut due = Instant::now();
        let end = due + Duration::from_secs(self.seconds);
        let mut times = Vec::new();
        while Instant::now() < end {
            let body = json!({ "query": query(first + times.len()) });
            let started = Instant::now();
            service.post("search", &body)?;
            times.push(started.elapsed());
            due += interval.unwrap_or_default();
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        Ok(times)
    }

    fn print(&self, measured: &Value) -> Result<()> {
        let mut out = stdout().lock();
        if self.json {
            writeln!(out, "{measured}")?;
            return Ok(());
        }
        for part in ["alone", "while_writing"] {
            let value = |key: &str| measured[part][key].as_f64().unwrap_or_default();
            writeln!(
                out,
                "{part:<14} p50 {:.2} ms, p95 {:.2} ms, p99 {:.2} ms, {} queries",
                value("p50_ms"),
                value("p95_ms"),
                value("p99_ms"),
                measured[part]["queries"],
            )?;
        }
        let value = |key: &str| measured[key].as_f64().unwrap_or_default();
        writeln!(
            out,
            "while {:.0} documents a minute were written: p50 {:.2} times, p95 {:.2} times, p99 {:.2} times the one alone",
            value("documents_per_minute"),
            value("p50_ratio"),
            value("p95_ratio"),
            value("p99_ratio"),
        )?;
        Ok(())
    }
}

fn documents(first: usize, count: usize, length: usize) -> Value {
    let document = |number: usize| {
        let text = format!("{number} {}", words(number * 13, length));
        json!({ "id": number.to_string(), "text": text })
    };
    let documents: Vec<Value> = (first..first + count).map(document).collect();
    json!({ "documents": documents })
}

/// A query of [`QUERY_WORDS`] words, another one for each number below 2^32.
pub(super) fn query(number: usize) -> String {
    // Neighbouring numbers share few words; four bits choose each.
    let bits = (number as u32).wrapping_mul(0x9e37_79b1);
    let word = |place: usize| WORDS[(bits >> (4 * place)) as usize % WORDS.len()];
    (0..QUERY_WORDS).map(word).collect::<Vec<_>>().join(" ")
}

/// `count` words, others for each seed.
fn words(seed: usize, count: usize) -> String {
    let word = |place: usize| WORDS[(seed / (place % 5 + 1) + place * 5) % WORDS.len()];
    (0..count).map(word).collect::<Vec<_>>().join(" ")
}

/// Number and percentiles of times.
pub(super) fn latencies(mut times: Vec<Duration>) -> Value {
    times.sort_unstable();
    let at = |percent| percentile(&times, percent);
    json!({ "queries": times.len(), "p50_ms": at(50), "p95_ms": at(95), "p99_ms": at(99) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_of_one_run_are_all_different() {
        let body = documents(5, 300, 40);
        let texts: std::collections::HashSet<String> = body["documents"]
            .as_array()
            .unwrap()
            .iter()
            .map(|document| document["text"].to_string())
            .collect();
        assert_eq!(texts.len(), 300);
    }

    #[test]
    fn queries_of_one_run_are_all_different() {
        let queries: std::collections::HashSet<String> = (0..10_000).map(query).collect();
        assert_eq!(queries.len(), 10_000);
    }

    #[test]
    fn percentiles_are_places_in_the_sorted_times() {
        let times = (1..=200).rev().map(Duration::from_millis).collect();
        let figures = latencies(times);
        assert_eq!(figures["p50_ms"], 101.0);
        assert_eq!(figures["p99_ms"], 199.0);
        assert!(latencies(Vec::new())["p50_ms"].is_null());
    }
}
