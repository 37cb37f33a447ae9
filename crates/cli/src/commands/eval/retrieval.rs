//! `siamese eval retrieval`

use std::collections::HashMap;
use std::io::{Write, stderr, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde_json::{Map, Value, json};

use super::progress;
use crate::client::{Address, Service, collection_name};
use crate::commands::mode::Mode;
use crate::eval::{DataSet, Query};
use crate::sender::Sender;
use siamese_eval::{self as figures, Run, Scores};

/// Hits of each query, enough for recall@100.
const TOP_K: usize = 100;
/// Queries of one request.
const MAX_REQUEST_QUERIES: usize = 32;
/// Hits of one request that are scored again; what a service allows by default.
const MAX_REQUEST_RERANKED: usize = 200;
/// Depth at which approximate and exact search are compared.
const ANN_DEPTH: usize = 10;
/// Bytes of a collection's name.
const MAX_NAME_BYTES: usize = 64;

/// Search with the queries of a data set: nDCG, MRR, recall
///
/// DIR has BEIR's layout: corpus.jsonl, queries.jsonl, qrels/SPLIT.tsv. The documents are stored in
/// a collection of their own; those that are there already are not encoded again.
#[derive(Debug, clap::Args)]
pub(crate) struct Retrieval {
    /// Folder of the data set
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Judgements to use; the only ones there are, or `test`, when absent
    #[arg(long)]
    split: Option<String>,
    /// Collection for the documents; `eval-` and the folder's name when absent
    #[arg(long, value_parser = collection_name)]
    collection: Option<String>,
    /// Ways to search; all that the service has when absent
    #[arg(long = "mode", value_enum)]
    modes: Vec<Mode>,
    /// Score the best N hits of each query again by the service's reranker. Of fewer than 100,
    /// recall@100 is that of N
    #[arg(long, value_name = "N", value_parser = hits_to_rerank)]
    rerank: Option<usize>,
    #[command(flatten)]
    settings: CollectionArguments,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    address: Address,
}

/// Settings of the collection, when it is made for this.
#[derive(Debug, clap::Args)]
struct CollectionArguments {
    /// How long texts become passages; the service's default when absent
    #[arg(long = "chunking", value_enum)]
    mode: Option<ChunkingMode>,
    /// Tokens of a passage
    #[arg(long, requires = "mode")]
    max_tokens: Option<u32>,
    /// Tokens that the next passage repeats at most
    #[arg(long, requires = "mode")]
    overlap_tokens: Option<u32>,
    /// Language in which words are stemmed, such as `en`; none when absent
    #[arg(long, value_name = "CODE")]
    language: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ChunkingMode {
    Sentence,
    Fixed,
    Paragraph,
    Off,
}

/// What the service's description says about `POST /search`.
#[derive(Debug, Clone, Copy)]
struct Capabilities {
    has_modes: bool,
    has_exact: bool,
}

/// The figures of one way to search.
#[derive(Debug)]
struct Figures {
    mode: Mode,
    scores: Scores,
    /// Share of the exact hits that the default search finds; when the service can search both
    /// ways.
    ann_recall: Option<f64>,
}

impl Retrieval {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let data = DataSet::open(&self.folder, self.split.as_deref())?;
        let queries = data.queries()?;
        let service = self.service(&data);
        let capabilities = Capabilities::of(&service)?;
        let modes = self.modes(capabilities)?;
        self.settings.make_collection(&service)?;
        ingest(&service, &data)?;
        let figures = modes
            .into_iter()
            .map(|mode| measure(&service, &data, &queries, (mode, self.rerank), capabilities))
            .collect::<Result<Vec<_>>>()?;
        let collection = service.describe_collection()?.unwrap_or_default();
        if self.json {
            let mut report = as_json(&data, &collection, &figures);
            if let Some(rerank) = self.rerank {
                report["rerank"] = rerank.into();
            }
            writeln!(stdout(), "{report}")?;
        } else {
            if let Some(rerank) = self.rerank {
                writeln!(stdout(), "the best {rerank} hits are scored again")?;
            }
            print_table(&data, &collection, &figures)?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn service(&self, data: &DataSet) -> Service {
        let collection = self.collection.clone();
        let collection = collection.unwrap_or_else(|| collection_of(&data.name()));
        Service::new(&self.address.collection(collection))
    }

    fn modes(&self, capabilities: Capabilities) -> Result<Vec<Mode>> {
        match (self.modes.as_slice(), capabilities.has_modes) {
            ([], true) => Ok(Mode::ALL.to_vec()),
            ([], false) => Ok(vec![Mode::Semantic]),
            (modes, false) if modes.iter().any(|mode| *mode != Mode::Semantic) => {
                bail!("this service searches by meaning only; leave out --mode")
            }
            (modes, _) => Ok(modes.to_vec()),
        }
    }
}

impl CollectionArguments {
    /// Makes the collection as asked for. One that is there with other settings is refused by the
    /// service; without wishes it is taken as it is.
    fn make_collection(&self, service: &Service) -> Result<()> {
        if self.mode.is_none() && self.language.is_none() {
            return Ok(service.ensure_collection()?);
        }
        let mut settings = Map::new();
        if let Some(mode) = self.mode {
            settings.insert("chunking".to_owned(), self.chunking(mode));
        }
        if let Some(language) = &self.language {
            settings.insert("language".to_owned(), language.as_str().into());
        }
        service.put_collection(&Value::Object(settings))?;
        Ok(())
    }

    fn chunking(&self, mode: ChunkingMode) -> Value {
        let mode = match mode {
            ChunkingMode::Sentence => "sentence",
            ChunkingMode::Fixed => "fixed",
            ChunkingMode::Paragraph => "paragraph",
            ChunkingMode::Off => "off",
        };
        let mut chunking = Map::new();
        chunking.insert("mode".to_owned(), mode.into());
        let sizes = [
            ("max_tokens", self.max_tokens),
            ("overlap_tokens", self.overlap_tokens),
        ];
        for (name, size) in sizes {
            if let Some(size) = size {
                chunking.insert(name.to_owned(), size.into());
            }
        }
        chunking.into()
    }
}

impl Capabilities {
    fn of(service: &Service) -> Result<Self> {
        let description = service.api_description()?;
        let fields = &description["components"]["schemas"]["SearchRequest"]["properties"];
        Ok(Self {
            has_modes: fields.get("mode").is_some(),
            has_exact: fields.get("exact").is_some(),
        })
    }
}

/// At least one hit.
fn hits_to_rerank(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(hits) if hits > 0 => Ok(hits),
        _ => Err("give a whole number of at least 1".to_owned()),
    }
}

/// `eval-` and the name, with a dash for what a collection's name may not hold.
fn collection_of(data_set: &str) -> String {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let name = data_set
        .chars()
        .map(|letter| if allowed(letter) { letter } else { '-' });
    "eval-".chars().chain(name).take(MAX_NAME_BYTES).collect()
}

fn ingest(service: &Service, data: &DataSet) -> Result<()> {
    let bar = progress(data.count_documents()? as usize, "documents stored");
    let mut sender = Sender::new(service, bar);
    for (document, line) in data.documents()?.zip(1..) {
        sender.line("corpus.jsonl", line, &document?.to_string())?;
    }
    sender.flush()?;
    let counts = sender.finish().documents;
    if counts.failed > 0 {
        bail!(
            "{} documents were refused, so the figures would mean nothing",
            counts.failed
        );
    }
    writeln!(
        stderr(),
        "{} documents encoded, {} there already",
        counts.created + counts.updated,
        counts.unchanged
    )?;
    Ok(())
}

fn measure(
    service: &Service,
    data: &DataSet,
    queries: &[Query],
    (mode, rerank): (Mode, Option<usize>),
    capabilities: Capabilities,
) -> Result<Figures> {
    let mut wish = Map::new();
    if capabilities.has_modes {
        wish.insert("mode".to_owned(), mode.to_string().into());
    }
    if let Some(top_n) = rerank {
        wish.insert("rerank".to_owned(), json!({ "top_n": top_n }));
    }
    let runs = search(service, queries, &wish)?;
    let is_approximate = mode == Mode::Semantic && rerank.is_none();
    let ann_recall = if capabilities.has_exact && is_approximate {
        wish.insert("exact".to_owned(), true.into());
        let exact = search(service, queries, &wish)?;
        Some(figures::overlap(&exact, &runs, ANN_DEPTH))
    } else {
        None
    };
    Ok(Figures {
        mode,
        scores: figures::scores(&data.judgements, &runs),
        ann_recall,
    })
}

/// Hits by query. A document with the query's own id is left out, as BEIR does: there the
/// query is a document of the corpus.
fn search(
    service: &Service,
    queries: &[Query],
    wish: &Map<String, Value>,
) -> Result<HashMap<String, Run>> {
    let bar = progress(queries.len(), "queries");
    let mut runs = HashMap::with_capacity(queries.len());
    for part in queries.chunks(queries_per_request(wish)) {
        let searches: Vec<Value> = part.iter().map(|query| request(query, wish)).collect();
        let mut answer =
            service.post_patiently("search/batch", &json!({ "searches": searches }))?;
        let results = answer["results"].as_array_mut().map(std::mem::take);
        let results = results.unwrap_or_default();
        if results.len() != part.len() {
            bail!("the answer lacks results for some searches");
        }
        for (query, result) in part.iter().zip(&results) {
            runs.insert(query.id.clone(), run(query, result)?);
        }
        bar.inc(part.len() as u64);
    }
    bar.finish_and_clear();
    Ok(runs)
}

fn queries_per_request(wish: &Map<String, Value>) -> usize {
    match reranked(wish) {
        Some(hits) => (MAX_REQUEST_RERANKED / hits).clamp(1, MAX_REQUEST_QUERIES),
        None => MAX_REQUEST_QUERIES,
    }
}

/// Hits of one query that are scored again.
fn reranked(wish: &Map<String, Value>) -> Option<usize> {
    wish.get("rerank")?["top_n"]
        .as_u64()
        .map(|hits| hits as usize)
}

fn request(query: &Query, wish: &Map<String, Value>) -> Value {
    let mut request = wish.clone();
    request.insert("query".to_owned(), query.text.as_str().into());
    let top_k = reranked(wish).unwrap_or(TOP_K).min(TOP_K);
    request.insert("top_k".to_owned(), top_k.into());
    request.insert("include".to_owned(), json!([]));
    Value::Object(request)
}

fn run(query: &Query, result: &Value) -> Result<Run> {
    let hits = result["hits"].as_array().context("a result has no hits")?;
    let hits = hits.iter().map(|hit| {
        let id = hit["id"].as_str().context("a hit has no id")?;
        let score = hit["score"].as_f64().context("a hit has no score")?;
        Ok((id.to_owned(), score))
    });
    let run: Result<Run> = hits.collect();
    Ok(run?.into_iter().filter(|(id, _)| *id != query.id).collect())
}

fn as_json(data: &DataSet, collection: &Value, figures: &[Figures]) -> Value {
    let modes: Vec<Value> = figures
        .iter()
        .map(|figures| {
            let scores = figures.scores;
            let mut mode = json!({
                "mode": figures.mode.to_string(),
                "queries": scores.queries,
                "ndcg_at_10": scores.ndcg_at_10,
                "mrr_at_10": scores.mrr_at_10,
                "recall_at_10": scores.recall_at_10,
                "recall_at_100": scores.recall_at_100,
            });
            if let Some(recall) = figures.ann_recall {
                mode["ann_recall_at_10"] = recall.into();
            }
            mode
        })
        .collect();
    json!({
        "data_set": data.name(),
        "split": data.split,
        "collection": collection["name"],
        "documents": collection["documents"],
        "passages": collection["passages"],
        "chunking": collection["chunking"],
        "modes": modes,
    })
}

fn print_table(data: &DataSet, collection: &Value, figures: &[Figures]) -> Result<()> {
    let mut out = stdout().lock();
    writeln!(
        out,
        "{}, {}: {} documents, {} passages, chunking {}",
        data.name(),
        data.split,
        collection["documents"],
        collection["passages"],
        collection["chunking"]
    )?;
    writeln!(
        out,
        "mode      queries  nDCG@10  MRR@10  recall@10  recall@100  ANN recall@10"
    )?;
    for Figures {
        mode,
        scores,
        ann_recall,
    } in figures
    {
        let ann_recall = ann_recall.map_or_else(|| "-".to_owned(), |recall| format!("{recall:.4}"));
        writeln!(
            out,
            "{mode:<8}  {:>7}  {:>7.4}  {:>6.4}  {:>9.4}  {:>10.4}  {ann_recall:>13}",
            scores.queries,
            scores.ndcg_at_10,
            scores.mrr_at_10,
            scores.recall_at_10,
            scores.recall_at_100
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_sets_collection_has_an_allowed_name() {
        for name in ["scifact", "a b/ü", &"x".repeat(200)] {
            let collection = collection_of(name);
            assert!(collection_name(&collection).is_ok(), "{collection}");
        }
    }

    #[test]
    fn requests_stay_within_what_a_service_scores_again() {
        let wish = |hits: usize| {
            let wish = json!({"rerank": {"top_n": hits}});
            wish.as_object().unwrap().clone()
        };
        assert_eq!(queries_per_request(&Map::new()), MAX_REQUEST_QUERIES);
        assert_eq!(queries_per_request(&wish(50)), 4);
        assert_eq!(queries_per_request(&wish(300)), 1);
        let query = Query {
            id: "q".to_owned(),
            text: "x".to_owned(),
        };
        assert_eq!(request(&query, &wish(20))["top_k"], 20);
        assert_eq!(request(&query, &wish(150))["top_k"], 100);
        assert!(hits_to_rerank("0").is_err() && hits_to_rerank("x").is_err());
    }

    #[test]
    fn a_query_does_not_find_itself() {
        let query = Query {
            id: "q".to_owned(),
            text: "x".to_owned(),
        };
        let result = json!({"hits": [{"id": "q", "score": 1.0}, {"id": "a", "score": 0.5}]});
        assert_eq!(run(&query, &result).unwrap(), [("a".to_owned(), 0.5)]);
    }
}
