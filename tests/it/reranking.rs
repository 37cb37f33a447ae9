//! A cross-encoder as a second stage of search, and by itself.

use std::collections::HashMap;
use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use siamese_tests::{Client, Server, ServerOptions, binary};

/// A small random model; its scores by sentence-transformers stand beside it.
fn model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../crates/encoder/tests/fixtures/models/cross-encoders/bert")
}

fn start(folder: &Path) -> Server {
    with_reranker(folder).start()
}

fn with_reranker(folder: &Path) -> ServerOptions {
    // The scores beside the model are those of f32.
    ServerOptions::new(folder)
        .setting("RERANKER__MODEL", model().display())
        .setting("RERANKER__PRECISION", "f32")
}

/// Scores and logits of pairs of a query and a passage.
struct References(HashMap<(String, String), (f64, f64)>);

impl References {
    fn read() -> Self {
        let text = fs_err::read_to_string(model().join("references.json")).unwrap();
        let json: Value = serde_json::from_str(&text).unwrap();
        let pairs: Vec<(String, String)> = serde_json::from_value(json["pairs"].clone()).unwrap();
        let numbers =
            |key: &str| -> Vec<f64> { serde_json::from_value(json[key].clone()).unwrap() };
        let values = numbers("scores").into_iter().zip(numbers("logits"));
        Self(pairs.into_iter().zip(values).collect())
    }

    fn score(&self, query: &str, passage: &str) -> f64 {
        self.0[&(query.to_owned(), passage.to_owned())].0
    }

    /// Every passage with text in it.
    fn passages(&self) -> Vec<String> {
        let passages = self.0.keys().map(|(_, passage)| passage.clone());
        let mut passages: Vec<_> = passages.filter(|text| !text.trim().is_empty()).collect();
        passages.sort();
        passages.dedup();
        passages
    }
}

fn fill(client: &Client, passages: &[String]) {
    let documents: Vec<Value> = passages
        .iter()
        .enumerate()
        .map(|(place, text)| json!({"id": place.to_string(), "text": text, "metadata": {"odd": place % 2}}))
        .collect();
    client
        .post("/documents", json!({"documents": documents}))
        .ok();
}

fn ids(answer: &Value) -> Vec<&str> {
    let hits = answer["hits"].as_array().unwrap();
    hits.iter().map(|hit| hit["id"].as_str().unwrap()).collect()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

const QUERY: &str = "The mill sings.";

#[test]
fn hits_come_in_the_order_of_the_reference_scores() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let (client, references) = (server.client(), References::read());
    let passages = references.passages();
    fill(client, &passages);
    let first = client.post("/search", json!({"query": QUERY})).ok();
    let answer = client
        .post("/search", json!({"query": QUERY, "rerank": {}}))
        .ok();
    let mut expected: Vec<(f64, String)> = passages
        .iter()
        .enumerate()
        .map(|(place, text)| (references.score(QUERY, text), place.to_string()))
        .collect();
    expected.sort_by(|left, right| right.0.total_cmp(&left.0));
    let expected_ids: Vec<&str> = expected.iter().map(|(_, id)| id.as_str()).collect();
    assert_eq!(ids(&answer), expected_ids);
    assert_ne!(ids(&answer), ids(&first), "the test shows nothing");
    let firsts = first["hits"].as_array().unwrap();
    for (hit, (score, id)) in answer["hits"].as_array().unwrap().iter().zip(&expected) {
        assert!((number(&hit["score"]) - score).abs() < 1e-5, "{hit}");
        let before = firsts.iter().find(|hit| hit["id"] == id.as_str()).unwrap();
        assert!((number(&hit["first_score"]) - number(&before["score"])).abs() < 1e-5);
    }
    assert_eq!(answer["total"], first["total"]);
    assert!(number(&answer["timings"]["rerank_ms"]) > 0.0);
    assert!(first["timings"].get("rerank_ms").is_none());
    assert!(firsts[0].get("first_score").is_none());
}

#[test]
fn only_the_first_hits_are_scored_again_and_pages_continue_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let (client, references) = (server.client(), References::read());
    fill(client, &references.passages());
    let search = |body: Value| client.post("/search", body).ok();
    let first = search(json!({"query": QUERY, "top_k": 4}));
    let all = search(json!({"query": QUERY, "top_k": 4, "rerank": {"top_n": 4}}));
    let (mut before, mut after) = (ids(&first), ids(&all));
    before.sort_unstable();
    after.sort_unstable();
    assert_eq!(before, after);
    let page = |offset| {
        search(json!({"query": QUERY, "top_k": 2, "offset": offset, "rerank": {"top_n": 4}}))
    };
    assert_eq!(ids(&page(0)), ids(&all)[..2]);
    assert_eq!(ids(&page(2)), ids(&all)[2..]);
}

#[test]
fn filters_groups_thresholds_and_facets_are_those_of_the_first_stage() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let (client, references) = (server.client(), References::read());
    fill(client, &references.passages());
    let both = |mut body: Value| {
        body["query"] = QUERY.into();
        let first = client.post("/search", body.clone()).ok();
        body["rerank"] = json!({});
        (first, client.post("/search", body).ok())
    };
    let (middle, _) = both(json!({"top_k": 3}));
    let threshold = middle["hits"][2]["score"].clone();
    for body in [
        json!({"filter": {"odd": 1}}),
        json!({"group_by": "odd"}),
        json!({"min_score": threshold}),
        json!({"facets": ["odd"], "include": ["passages"]}),
    ] {
        let (first, again) = both(body.clone());
        let (mut before, mut after) = (ids(&first), ids(&again));
        before.sort_unstable();
        after.sort_unstable();
        assert_eq!(before, after, "{body}");
        assert_eq!(first["total"], again["total"], "{body}");
        assert_eq!(first["facets"], again["facets"], "{body}");
    }
    let (_, all) = both(json!({}));
    let (_, cut) = both(json!({"auto_cut": true}));
    let kept = ids(&cut).len();
    assert_eq!(ids(&cut), ids(&all)[..kept]);
}

#[test]
fn a_title_is_read_with_the_passage() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let client = server.client();
    let documents =
        json!({"documents": [{"id": "a", "title": "Rain", "text": "falls on the roof."}]});
    client.post("/documents", documents).ok();
    let found = client
        .post("/search", json!({"query": QUERY, "rerank": {}}))
        .ok();
    let texts = json!({"query": QUERY, "texts": ["Rain falls on the roof."]});
    let scored = client.post("/rerank", texts).ok();
    let (found, scored) = (&found["hits"][0]["score"], &scored[0]["score"]);
    assert!((number(found) - number(scored)).abs() < 1e-6);
}

#[test]
fn a_batch_of_searches_answers_as_they_do_alone() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let (client, references) = (server.client(), References::read());
    fill(client, &references.passages());
    let searches = [
        json!({"query": QUERY, "rerank": {"top_n": 10}}),
        json!({"query": QUERY}),
        json!({"query": "rain", "top_k": 3, "rerank": {"top_n": 5}}),
    ];
    let batch = client
        .post("/search/batch", json!({"searches": searches}))
        .ok();
    for (result, search) in batch["results"].as_array().unwrap().iter().zip(searches) {
        let alone = client.post("/search", search).ok();
        assert_eq!(ids(result), ids(&alone));
        assert_eq!(
            result["hits"][0].get("first_score").is_some(),
            alone["hits"][0].get("first_score").is_some()
        );
    }
}

#[test]
fn texts_are_put_into_order_by_the_reference_scores() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let (client, references) = (server.client(), References::read());
    let texts = references.passages();
    let rank = |extra: Value| {
        let mut body = json!({"query": QUERY, "texts": texts});
        body.as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        let answer = client.post("/rerank", body).ok();
        answer.as_array().unwrap().clone()
    };
    let (plain, raw) = (
        rank(json!({})),
        rank(json!({"raw_scores": true, "return_text": true})),
    );
    assert_eq!(plain.len(), texts.len());
    for (one, other) in plain.iter().zip(&raw) {
        let text = &texts[one["index"].as_u64().unwrap() as usize];
        let (score, logit) = references.0[&(QUERY.to_owned(), text.clone())];
        assert_eq!(one["index"], other["index"]);
        assert!((number(&one["score"]) - score).abs() < 1e-5);
        assert!((number(&other["score"]) - logit).abs() < 1e-5);
        assert!(one.get("text").is_none());
        assert_eq!(&other["text"], text);
    }
    let scores: Vec<f64> = plain.iter().map(|text| number(&text["score"])).collect();
    assert!(scores.is_sorted_by(|left, right| left >= right));
}

#[test]
fn wishes_that_do_not_fit_are_refused_and_pointed_at() {
    let folder = tempfile::tempdir().unwrap();
    let server = with_reranker(folder.path())
        .setting("LIMITS__MAX_RERANK_CANDIDATES", 60)
        .start();
    let client = server.client();
    for (body, pointer) in [
        (
            json!({"query": "x", "rerank": {"top_n": 61}}),
            "/rerank/top_n",
        ),
        (
            json!({"query": "x", "rerank": {"top_n": 9}}),
            "/rerank/top_n",
        ),
        (
            json!({"query": "x", "rerank": {}, "offset": 51}),
            "/rerank/top_n",
        ),
        (
            json!({"query": "x", "rerank": {"top_n": "9"}}),
            "/rerank/top_n",
        ),
        (json!({"query": "x", "rerank": {"top": 9}}), "/rerank/top"),
        (json!({"query": "x", "rerank": null}), "/rerank"),
        (
            json!({"query": "x", "rerank": {}, "diversity": 0.5}),
            "/rerank",
        ),
        (json!({"positive": ["x"], "rerank": {}}), "/rerank"),
        (json!({"id": "x", "rerank": {}}), "/rerank"),
    ] {
        let problem = client
            .post("/search", body.clone())
            .problem(422, "invalid_request");
        assert_eq!(problem["pointer"], pointer, "{body}");
    }
    let search = json!({"query": "x", "rerank": {"top_n": 31}});
    let batch = json!({"searches": [search, search]});
    let problem = client.post("/search/batch", batch);
    let problem = problem.problem(422, "invalid_request");
    assert_eq!(problem["pointer"], "/searches");
    assert!(problem["detail"].as_str().unwrap().contains("60"));
    let long = "rain ".repeat(60);
    for (body, pointer) in [
        (json!({"query": " ", "texts": ["x"]}), "/query"),
        (json!({"query": "x", "texts": []}), "/texts"),
        (json!({"query": "x", "texts": vec!["x"; 61]}), "/texts"),
        (
            json!({"query": "x", "texts": ["x", long], "truncate": false}),
            "/texts/1",
        ),
    ] {
        let problem = client
            .post("/rerank", body.clone())
            .problem(422, "invalid_request");
        assert_eq!(problem["pointer"], pointer, "{body}");
    }
}

#[test]
fn a_service_without_a_reranker_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    client.get("/reranker").problem(404, "reranker_not_found");
    let texts = json!({"query": "x", "texts": ["y"]});
    let problem = client.post("/rerank", texts);
    let problem = problem.problem(404, "reranker_not_found");
    assert!(problem["detail"].as_str().unwrap().contains("--reranker"));
    let search = json!({"query": "x", "rerank": {}});
    let problem = client.post("/search", search.clone());
    let problem = problem.problem(404, "reranker_not_found");
    assert_eq!(problem["pointer"], "/rerank");
    let batch = json!({"searches": [{"query": "x"}, search]});
    let problem = client.post("/search/batch", batch);
    let problem = problem.problem(404, "reranker_not_found");
    assert_eq!(problem["pointer"], "/searches/1/rerank");
}

#[test]
fn the_loaded_reranker_is_described_and_measured() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let client = server.client();
    let described = client.get("/reranker").ok();
    assert_eq!(described["model"], "bert");
    assert_eq!(described["architecture"], "BertForSequenceClassification");
    assert_eq!(described["max_tokens"], 24);
    assert_eq!(described["activation"], "sigmoid");
    let texts = json!({"query": "rain", "texts": ["rain", "mill", "sings"]});
    client.post("/rerank", texts).ok();
    let metrics = client.get("/metrics").text;
    assert!(
        metrics.contains("siamese_encoded_texts_total{lane=\"rerank\"} 3"),
        "{metrics}"
    );
}

#[test]
fn a_full_lane_refuses_and_says_when_to_come_back() {
    let folder = tempfile::tempdir().unwrap();
    // A request that is larger than the lane takes all of it.
    let server = with_reranker(folder.path())
        .setting("QUEUE__MAX_RERANK_TOKENS", 16)
        .setting("QUEUE__MAX_BATCH_TOKENS", 16)
        .start();
    let texts = vec!["gutters sing all night long"; 200];
    let body = json!({"query": QUERY, "texts": texts});
    let requests: Vec<_> = (0..16)
        .map(|_| {
            let (client, body) = (server.client().clone(), body.clone());
            std::thread::spawn(move || client.post("/rerank", body))
        })
        .collect();
    let answers: Vec<_> = requests
        .into_iter()
        .map(|request| request.join().unwrap())
        .collect();
    let refused: Vec<_> = answers
        .iter()
        .filter(|answer| answer.status != 200)
        .collect();
    assert!(!refused.is_empty() && refused.len() < answers.len());
    for answer in refused {
        let problem = answer.problem(503, "overloaded");
        assert!(problem["detail"].as_str().unwrap().contains("rerank"));
        assert_eq!(answer.headers["retry-after"], "2");
    }
}

#[test]
fn a_folder_that_is_no_reranker_ends_the_start_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let other = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../crates/encoder/tests/fixtures/models/bert-old-dialect");
    let options = ServerOptions::new(folder.path()).setting("RERANKER__MODEL", other.display());
    let (status, said) = options.start_and_fail();
    assert!(!status.success());
    assert!(
        said.contains("bert-old-dialect") && said.contains("Pooling"),
        "{said}"
    );
}

/// Runs `siamese` against a server and returns the JSON that it prints.
fn siamese(server: &Server, arguments: &[&str]) -> Value {
    let output = Command::new(binary())
        .args(arguments)
        .args(["--json", "--url"])
        .arg(format!("http://127.0.0.1:{}", server.port()))
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{words}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_command_line_searches_in_two_stages() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let (client, references) = (server.client(), References::read());
    fill(client, &references.passages());
    let body = json!({"query": QUERY, "rerank": {"top_n": 10}});
    let expected = client.post("/search", body).ok();
    let found = siamese(&server, &["search", QUERY, "--rerank", "10"]);
    assert_eq!(ids(&found), ids(&expected));
}

#[test]
fn a_data_set_is_scored_in_the_new_order() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(&folder.path().join("data"));
    let references = References::read();
    let passages = references.passages();
    let score = |place: &usize| references.score(QUERY, &passages[*place]);
    let best = (0..passages.len()).max_by(|a, b| score(a).total_cmp(&score(b)));
    let set = folder.path().join("set");
    fs_err::create_dir_all(set.join("qrels")).unwrap();
    let corpus: Vec<String> = passages
        .iter()
        .enumerate()
        .map(|(place, text)| {
            json!({"_id": place.to_string(), "title": "", "text": text}).to_string()
        })
        .collect();
    fs_err::write(set.join("corpus.jsonl"), corpus.join("\n")).unwrap();
    let query = json!({"_id": "q", "text": QUERY}).to_string();
    fs_err::write(set.join("queries.jsonl"), query).unwrap();
    let judgements = format!("query-id\tcorpus-id\tscore\nq\t{}\t1\n", best.unwrap());
    fs_err::write(set.join("qrels/test.tsv"), judgements).unwrap();
    let arguments = ["eval", "retrieval", set.to_str().unwrap()];
    let plain = siamese(&server, &arguments);
    let reranked = siamese(&server, &[&arguments[..], &["--rerank", "9"]].concat());
    assert_eq!(reranked["rerank"], 9);
    assert_eq!(reranked["modes"][0]["mrr_at_10"], 1.0);
    assert!(plain["modes"][0]["mrr_at_10"].as_f64().unwrap() < 1.0);
}

/// The value of the metric whose line begins like this.
fn metric(client: &Client, start: &str) -> f64 {
    let metrics = client.get("/metrics").text;
    let lines = metrics.lines().filter(|line| line.starts_with(start));
    lines
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

#[test]
fn work_for_a_caller_who_hangs_up_is_not_done() {
    const PAIRS: usize = 40_000;
    const TOKENS_OF_A_PAIR: usize = 40;
    let folder = tempfile::tempdir().unwrap();
    let server = with_reranker(folder.path())
        .setting("LIMITS__MAX_RERANK_CANDIDATES", PAIRS)
        .setting("QUEUE__MAX_RERANK_TOKENS", PAIRS * TOKENS_OF_A_PAIR * 2)
        .start();
    let client = server.client();
    let encoded = || metric(client, "siamese_encoded_tokens_total");
    let waiting = || metric(client, "siamese_encode_queue_tokens{lane=\"rerank\"}");
    // Every pair fills the window.
    let text = "The mill sings by the river. ".repeat(10);
    let texts: Vec<String> = (0..PAIRS).map(|place| format!("{place} {text}")).collect();
    let body = json!({"query": QUERY, "texts": texts}).to_string();
    let mut caller = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    let head = format!(
        "POST /rerank HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    caller.write_all(head.as_bytes()).unwrap();
    caller.write_all(body.as_bytes()).unwrap();
    let before = encoded();
    let patience = Instant::now() + Duration::from_secs(60);
    while encoded() == before {
        assert!(Instant::now() < patience, "nothing is scored");
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(caller);
    while waiting() > 0.0 {
        assert!(Instant::now() < patience, "pairs wait for nobody");
        std::thread::sleep(Duration::from_millis(5));
    }
    // The batch that was under way may have ended since.
    std::thread::sleep(Duration::from_millis(100));
    let done = encoded() - before;
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(encoded() - before, done);
    // On a busy machine it takes a while to see that it has begun.
    let all = (PAIRS * TOKENS_OF_A_PAIR) as f64;
    assert!(done < all * 0.95, "{done} of {all} tokens were read");
}
