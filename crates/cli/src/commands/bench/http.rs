//! `siamese bench http`

use std::io::{Write, stdout};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use serde_json::{Value, json};

use super::percentile;
use crate::client::{Connection, Service};

/// Documents of one bulk request.
const BULK_DOCUMENTS: usize = 32;
/// Words of a bulk document; with the default model about as many tokens.
const BULK_WORDS: usize = 250;
/// Words of a query: with two special tokens, ten tokens.
const QUERY_WORDS: usize = 8;

const WORDS: [&str; 16] = [
    "water", "house", "music", "train", "night", "city", "people", "paper", "market", "science",
    "river", "garden", "winter", "window", "table", "bread",
];

/// Time short queries to a running service, first alone and then while documents are written
///
/// Queries are sent one after the other. Documents go into the collection `bench-http`, which is
/// deleted afterwards.
#[derive(Debug, clap::Args)]
pub(crate) struct HttpBench {
    /// Time of each of the two parts, seconds
    #[arg(long, value_name = "N", default_value = "10", value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Address of the service
    #[arg(long, env = "SIAMESE_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl HttpBench {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let service = Service::new(&Connection {
            url: self.url.clone(),
            collection: "bench-http".to_owned(),
        });
        service.put_collection(&json!({ "chunking": { "mode": "off" } }))?;
        let measured = self.measure(&service);
        service.delete_collection()?;
        self.print(&measured?)?;
        Ok(ExitCode::SUCCESS)
    }

    fn measure(&self, service: &Service) -> Result<Value> {
        // Without a document there is nothing to search.
        service.post_patiently("documents", &documents(0, 1))?;
        let alone = self.queries(service, 0)?;
        let stop = AtomicBool::new(false);
        let (busy, written) = thread::scope(|scope| {
            let writer = scope.spawn(|| write_until(service, &stop));
            let busy = self.queries(service, alone.len());
            stop.store(true, Ordering::Relaxed);
            let written = writer.join().map_err(|_| anyhow!("the writer panicked"));
            Ok::<_, anyhow::Error>((busy?, written??))
        })?;
        Ok(json!({
            "alone": latencies(alone),
            "while_writing": latencies(busy),
            "documents_per_second": written as f64 / self.seconds as f64,
        }))
    }

    /// Times of queries, one after the other, all different: the service knows a text that it has
    /// seen. `first` is the number of the first.
    fn queries(&self, service: &Service, first: usize) -> Result<Vec<Duration>> {
        let end = Instant::now() + Duration::from_secs(self.seconds);
        let mut times = Vec::new();
        while Instant::now() < end {
            let body = json!({ "query": query(first + times.len()) });
            let started = Instant::now();
            service.post("search", &body)?;
            times.push(started.elapsed());
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
        let rate = measured["documents_per_second"].as_f64();
        writeln!(
            out,
            "documents written: {:.1} a second",
            rate.unwrap_or_default()
        )?;
        Ok(())
    }
}

/// Writes documents that are all different; returns how many.
fn write_until(service: &Service, stop: &AtomicBool) -> Result<usize> {
    let mut written = 1;
    while !stop.load(Ordering::Relaxed) {
        service.post_patiently("documents", &documents(written, BULK_DOCUMENTS))?;
        written += BULK_DOCUMENTS;
    }
    Ok(written)
}

fn documents(first: usize, count: usize) -> Value {
    let document = |number: usize| {
        let text = format!("{number} {}", words(number * 13, BULK_WORDS));
        json!({ "id": number.to_string(), "text": text })
    };
    let documents: Vec<Value> = (first..first + count).map(document).collect();
    json!({ "documents": documents })
}

/// A query of [`QUERY_WORDS`] words, another one for each number below 2^32.
fn query(number: usize) -> String {
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

fn latencies(mut times: Vec<Duration>) -> Value {
    times.sort_unstable();
    let at = |percent| percentile(&times, percent);
    json!({ "queries": times.len(), "p50_ms": at(50), "p95_ms": at(95), "p99_ms": at(99) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_of_one_run_are_all_different() {
        let body = documents(5, 300);
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
