//! `siamese stats`

use std::io::{Write, stdout};
use std::process::ExitCode;

use anyhow::Result;
use indicatif::DecimalBytes;
use serde::Deserialize;

use crate::client::{Address, Service};

/// Say how much a running service holds: documents, disk, memory, queue, models, caches
#[derive(Debug, clap::Args)]
pub(crate) struct Stats {
    #[command(flatten)]
    address: Address,
    /// Print the answer of the service as it is.
    #[arg(long)]
    json: bool,
}

/// The parts of the answer that people are shown.
#[derive(Debug, Deserialize)]
struct Shown {
    version: String,
    ready_since: String,
    documents: u64,
    passages: u64,
    collections: Vec<ShownCollection>,
    service: Option<ShownService>,
}

#[derive(Debug, Deserialize)]
struct ShownCollection {
    name: String,
    documents: u64,
    passages: u64,
    segment_bytes: u64,
    lexical_bytes: u64,
    memory: ShownCollectionMemory,
}

#[derive(Debug, Deserialize)]
struct ShownCollectionMemory {
    vector_bytes: u64,
    word_bytes: u64,
    metadata_bytes: u64,
}

#[derive(Debug, Deserialize)]
struct ShownService {
    disk: Option<ShownDisk>,
    memory: ShownMemory,
    queue: Vec<ShownLane>,
    models: Vec<ShownModel>,
    caches: ShownCaches,
    jobs: ShownJobs,
    connections: u64,
}

#[derive(Debug, Deserialize)]
struct ShownDisk {
    bytes: u64,
    store_bytes: u64,
    live_bytes: u64,
}

#[derive(Debug, Deserialize)]
struct ShownMemory {
    process_bytes: Option<u64>,
    data_bytes: u64,
    max_data_bytes: Option<u64>,
    model_bytes: u64,
    body_bytes: u64,
    answer_bytes: u64,
}

#[derive(Debug, Deserialize)]
struct ShownLane {
    lane: String,
    tokens: u64,
    max_tokens: u64,
}

#[derive(Debug, Deserialize)]
struct ShownModel {
    name: String,
    kind: String,
    open: bool,
    bytes: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct ShownCaches {
    queries: ShownQueries,
    cursors: ShownCursors,
    kept_query_bytes: u64,
}

#[derive(Debug, Deserialize)]
struct ShownQueries {
    texts: u64,
    max_texts: u64,
    hits: u64,
    misses: u64,
}

#[derive(Debug, Deserialize)]
struct ShownCursors {
    cursors: u64,
    bytes: u64,
}

#[derive(Debug, Deserialize)]
struct ShownJobs {
    unfinished: u64,
    finished: u64,
}

impl Stats {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let stats = Service::at(&self.address).stats()?;
        let mut out = stdout().lock();
        if self.json {
            writeln!(out, "{stats}")?;
            return Ok(ExitCode::SUCCESS);
        }
        let shown: Shown = serde_json::from_value(stats)?;
        show(&mut out, &shown)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn show(out: &mut impl Write, shown: &Shown) -> Result<()> {
    let (version, since) = (&shown.version, &shown.ready_since);
    writeln!(out, "siamese {version}, ready since {since}")?;
    let names = shown.collections.iter().map(|shown| shown.name.len());
    let width = names.chain(["collection".len()]).max().unwrap_or_default();
    writeln!(
        out,
        "{:width$}  {:>10}  {:>10}  {:>12}  {:>12}",
        "collection", "documents", "passages", "indexes", "memory"
    )?;
    let mut row = |name: &str, documents, passages, disk, memory| {
        let (disk, memory) = (bytes(disk), bytes(memory));
        writeln!(
            out,
            "{name:width$}  {documents:>10}  {passages:>10}  {disk:>12}  {memory:>12}"
        )
    };
    let (mut all_disk, mut all_memory) = (0, 0);
    for shown in &shown.collections {
        let disk = shown.segment_bytes + shown.lexical_bytes;
        let parts = &shown.memory;
        let memory = parts.vector_bytes + parts.word_bytes + parts.metadata_bytes;
        row(&shown.name, shown.documents, shown.passages, disk, memory)?;
        (all_disk, all_memory) = (all_disk + disk, all_memory + memory);
    }
    if shown.collections.len() > 1 {
        row("all", shown.documents, shown.passages, all_disk, all_memory)?;
    }
    match &shown.service {
        Some(service) => show_service(out, service),
        None => Ok(()),
    }
}

fn show_service(out: &mut impl Write, shown: &ShownService) -> Result<()> {
    if let Some(disk) = &shown.disk {
        let [all, store, live] = [disk.bytes, disk.store_bytes, disk.live_bytes].map(bytes);
        writeln!(
            out,
            "disk     {all}, of it {store} the record with {live} alive"
        )?;
    }
    let memory = &shown.memory;
    let [data, models] = [memory.data_bytes, memory.model_bytes].map(bytes);
    let process = memory.process_bytes.map_or("?".to_owned(), bytes);
    let max = memory
        .max_data_bytes
        .map(|max| format!(" of {}", bytes(max)));
    let max = max.unwrap_or_default();
    let [bodies, answers] = [memory.body_bytes, memory.answer_bytes].map(bytes);
    writeln!(
        out,
        "memory   {process} in all; data {data}{max}, models {models}, requests {bodies}, answers {answers}"
    )?;
    let lane = |lane: &ShownLane| format!("{} {} of {}", lane.lane, lane.tokens, lane.max_tokens);
    let lanes: Vec<String> = shown.queue.iter().map(lane).collect();
    writeln!(out, "queue    tokens: {}", lanes.join(", "))?;
    for model in &shown.models {
        let state = match (model.open, model.bytes) {
            (true, Some(size)) => format!("open, {}", bytes(size)),
            (true, None) => "open".to_owned(),
            (false, _) => "not open".to_owned(),
        };
        writeln!(out, "{:8} {}: {state}", model.kind, model.name)?;
    }
    let (queries, cursors) = (&shown.caches.queries, &shown.caches.cursors);
    writeln!(
        out,
        "caches   vectors of {} of {} queries ({} times known, {} times not); {} cursors, {}; kept queries, {}",
        queries.texts,
        queries.max_texts,
        queries.hits,
        queries.misses,
        cursors.cursors,
        bytes(cursors.bytes),
        bytes(shown.caches.kept_query_bytes)
    )?;
    let (jobs, connections) = (&shown.jobs, shown.connections);
    let (unfinished, finished) = (jobs.unfinished, jobs.finished);
    writeln!(
        out,
        "jobs     {unfinished} wait or run, {finished} have ended; {connections} connections"
    )?;
    Ok(())
}

fn bytes(bytes: u64) -> String {
    DecimalBytes(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_key_for_some_collections_gets_is_shown_without_the_service() {
        let collection = |name: &str, documents: u64| {
            json!({
                "name": name, "documents": documents, "passages": 3, "segment_bytes": 1000, "lexical_bytes": 500,
                "memory": { "vector_bytes": 1, "word_bytes": 2, "metadata_bytes": 4 },
            })
        };
        let shown = json!({
            "version": "1.2.3", "ready_since": "2026-01-01T00:00:00.000Z", "documents": 3, "passages": 6,
            "collections": [collection("a", 1), collection("a-long-name", 2)], "service": null,
        });
        let mut out = Vec::new();
        show(&mut out, &serde_json::from_value(shown).unwrap()).unwrap();
        let out = String::from_utf8(out).unwrap();
        let lines: Vec<Vec<&str>> = out
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(
            lines[2..],
            [
                vec!["a", "1", "3", "1.50", "kB", "7", "B"],
                vec!["a-long-name", "2", "3", "1.50", "kB", "7", "B"],
                vec!["all", "3", "6", "3.00", "kB", "14", "B"],
            ],
            "{out}"
        );
    }
}
