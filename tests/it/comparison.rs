//! What would change: a generation beside the active one.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use siamese_tests::{Answer, Client, Server, ServerOptions, binary};
use ureq::http::Method;

const LONG: Duration = Duration::from_secs(120);
const PATH: &str = "/collections/default/generations";
const WORDS: [&str; 8] = [
    "cat", "dog", "lamp", "sofa", "door", "bird", "video", "night",
];

/// The default encoder has vectors of 36 values, `dense` has vectors of 20.
fn options(folder: &Path) -> ServerOptions {
    let models = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let models = models.join("../crates/encoder/tests/fixtures/models");
    let dense = models.join("bert-dense-prompts");
    ServerOptions::tiny(folder).setting("ENCODERS__DENSE__MODEL", dense.display())
}

fn text(n: usize) -> String {
    let word = |at: usize| WORDS[at % WORDS.len()];
    format!("A {} near the {} at {}", word(n), word(n / 8), word(n / 3))
}

/// A service with a second generation that is ready.
fn with_two(folder: &Path, change: impl Fn(ServerOptions) -> ServerOptions) -> Server {
    let server = change(options(folder)).start();
    let client = server.client();
    let documents = (0..60).map(|n| json!({"id": format!("d{n}"), "text": text(n)}));
    let documents: Vec<_> = documents.collect();
    client
        .post("/documents", json!({ "documents": documents }))
        .ok();
    let started = client.post(PATH, json!({"encoder": "dense"})).ok();
    assert_eq!(started["generation"], 2);
    wait_for_job(client, started["job"].as_str().unwrap());
    server
}

#[track_caller]
fn wait_for_job(client: &Client, id: &str) -> Value {
    let deadline = Instant::now() + LONG;
    loop {
        let job = client.get(&format!("/jobs/{id}")).ok();
        if !["queued", "running"].contains(&job["state"].as_str().unwrap()) {
            return job;
        }
        assert!(Instant::now() < deadline, "{job}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn compare(client: &Client, body: Value) -> Answer {
    client.post(&format!("{PATH}/2/compare"), body)
}

fn compare_as_job(client: &Client, body: Value) -> Answer {
    let path = format!("{PATH}/2/compare");
    client.ask(Method::POST, &path, &[("prefer", "respond-async")], body)
}

fn queries(count: usize) -> Value {
    (0..count).map(|n| Value::from(text(n * 7))).collect()
}

fn hits(client: &Client, query: &str, generation: u32) -> Vec<String> {
    let search = json!({"query": query, "top_k": 10, "generation": generation, "include": []});
    let found = client.post("/search", search).ok();
    let hits = found["hits"].as_array().unwrap().iter();
    hits.map(|hit| hit["id"].as_str().unwrap().to_owned())
        .collect()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value}"))
}

#[test]
fn overlap_and_changed_queries_are_those_of_searches_in_both() {
    let folder = tempfile::tempdir().unwrap();
    let server = with_two(folder.path(), |options| options);
    let client = server.client();
    let report = compare(client, json!({"queries": queries(12), "changes": 12})).ok();
    assert_eq!(
        (&report["queries"], &report["top_k"]),
        (&json!(12), &json!(10))
    );
    assert_eq!(report["active"]["generation"], 1);
    assert_eq!(report["other"]["generation"], 2);
    assert_eq!(report["active"]["encoder"]["dimensions"], 36);
    let passages = report["other"]["passages"].as_u64().unwrap();
    assert_eq!(report["other"]["vector_bytes"], passages * 20 * 4);
    assert!(report["better"].is_null() && report["active"]["quality"].is_null());
    let mut overlaps = Vec::new();
    for n in 0..12 {
        let query = text(n * 7);
        let [active, other] = [1, 2].map(|generation| hits(client, &query, generation));
        let both = active.iter().filter(|id| other.contains(id)).count();
        overlaps.push(both as f64 / 10.0);
        let changed = report["changed"].as_array().unwrap();
        let found = changed.iter().find(|change| change["query"] == query);
        if active == other {
            continue;
        }
        let found = found.unwrap_or_else(|| panic!("{query}"));
        let ids = |side: &str| -> Vec<String> {
            let hits = found[side].as_array().unwrap().iter();
            hits.map(|hit| hit["id"].as_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!((ids("active"), ids("other")), (active, other));
    }
    let mean = overlaps.iter().sum::<f64>() / 12.0;
    assert!(
        (number(&report["overlap"]) - mean).abs() < 1e-9,
        "{mean} {report}"
    );
    let changed = report["changed"].as_array().unwrap().iter();
    let agreement: Vec<f64> = changed
        .map(|change| number(&change["rank_biased_overlap"]))
        .collect();
    assert!(agreement.is_sorted(), "{agreement:?}");
    for side in ["active", "other"] {
        let side = &report[side];
        assert!(number(&side["latency"]["encode_ms"]["p50"]) > 0.0, "{side}");
        assert!(number(&side["latency"]["search_ms"]["p99"]) > 0.0, "{side}");
        assert!(number(&side["scores"]["first"]["p50"]) <= 1.0, "{side}");
        assert!(number(&side["query_tokens"]) > 3.0, "{side}");
        assert_eq!(side["sample"]["documents"], 60);
    }
}

#[test]
fn judgements_tell_which_generation_is_better_and_by_how_much() {
    let folder = tempfile::tempdir().unwrap();
    let server = with_two(folder.path(), |options| options);
    let client = server.client();
    // What the second generation finds first is what is relevant.
    let judgement = |n: usize| {
        let query = text(n * 7);
        let best = hits(client, &query, 2)[0].clone();
        json!({"query": query, "relevant": {best: 1}})
    };
    let judgements: Vec<Value> = (0..10).map(judgement).collect();
    let body = json!({"judgements": judgements, "top_k": 3});
    let report = compare(client, body.clone()).ok();
    let figure = |side: &str, name: &str| number(&report[side]["quality"][name]);
    assert_eq!(figure("other", "ndcg_at_10"), 1.0);
    assert_eq!(figure("other", "mrr_at_10"), 1.0);
    assert!(figure("active", "ndcg_at_10") < 1.0, "{report}");
    assert_eq!(report["active"]["quality"]["queries"], 10);
    assert_eq!(report["worse"], 0);
    assert!(number(&report["better"]) > 0.0);

    let started = compare_as_job(client, body);
    assert_eq!(started.status, 202, "{}", started.text);
    let id = started.json()["job"].as_str().unwrap().to_owned();
    let job = wait_for_job(client, &id);
    assert_eq!(
        (&job["kind"], &job["state"]),
        (&json!("comparison"), &json!("done"))
    );
    assert_eq!(job["progress"]["done"], 10);
    assert_eq!(
        job["result"]["other"]["quality"],
        report["other"]["quality"]
    );
    assert!(job["result"]["changed"].is_null());
    let page = client.get(&format!("/jobs/{id}/result")).ok();
    assert_eq!(page["items"], report["changed"]);

    // With the query's own id, as in data sets whose queries are documents.
    let own = |id: Option<&str>| {
        let mut judgement = json!({"query": text(0), "relevant": {"d0": 1}});
        if let Some(id) = id {
            judgement["id"] = json!(id);
        }
        let report = compare(client, json!({"judgements": [judgement]})).ok();
        number(&report["other"]["quality"]["recall_at_100"])
    };
    assert_eq!((own(None), own(Some("d0"))), (1.0, 0.0));
}

#[test]
fn what_does_not_fit_is_refused_with_the_name_of_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let server = with_two(folder.path(), |options| {
        options
            .setting("LIMITS__MAX_COMPARED_QUERIES", 20)
            .setting("LIMITS__MAX_COMPARED_BYTES", 600)
            .setting("LIMITS__MAX_COMPARED_QUERIES_AT_ONCE", 3)
    });
    let client = server.client();
    let refused = |body: Value, pointer: &str, part: &str| {
        let problem = compare(client, body).problem(422, "invalid_request");
        assert_eq!(problem["pointer"].as_str().unwrap_or_default(), pointer);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(part), "{detail}");
    };
    refused(json!({}), "/queries", "keep_queries");
    refused(json!({"queries": []}), "/queries", "empty");
    refused(json!({"queries": ["a", " "]}), "/queries/1", "");
    refused(
        json!({"queries": vec!["a"; 21]}),
        "/queries",
        "limits.max_compared_queries = 20",
    );
    refused(
        json!({"queries": ["x".repeat(601)]}),
        "/queries",
        "limits.max_compared_bytes = 600",
    );
    refused(json!({"queries": ["a"], "top_k": 101}), "/top_k", "100");
    refused(json!({"queries": ["a"], "changes": 101}), "/changes", "100");
    refused(
        json!({"queries": ["a"], "judgements": [{"query": "a", "relevant": {}}]}),
        "/queries",
        "judgements",
    );
    refused(
        json!({"judgements": [{"query": "a", "relevant": {"d": 0.5}}]}),
        "/judgements/0/relevant/d",
        "whole number",
    );
    let long = "x".repeat(513);
    refused(
        json!({"judgements": [{"query": "a", "relevant": {long: 1}}]}),
        "/judgements/0/relevant",
        "512",
    );
    let path = format!("{PATH}/1/compare");
    client
        .post(&path, json!({"queries": ["a"]}))
        .problem(409, "conflict");
    let path = format!("{PATH}/7/compare");
    client
        .post(&path, json!({"queries": ["a"]}))
        .problem(404, "generation_not_found");
    // More than may be compared at once become a job.
    assert_eq!(
        compare(client, json!({"queries": ["a", "b", "c"]})).status,
        200
    );
    let many = compare(client, json!({"queries": ["a", "b", "c", "d"]}));
    assert_eq!(many.status, 202, "{}", many.text);
    let job = wait_for_job(client, many.json()["job"].as_str().unwrap());
    assert_eq!(job["state"], "done", "{job}");
}

#[test]
fn a_comparison_ends_when_its_time_is_up_or_its_job_is_or_a_generation_goes() {
    let folder = tempfile::tempdir().unwrap();
    let server = with_two(folder.path(), |options| {
        options.setting("LIMITS__MAX_COMPARING_MS", 1)
    });
    let client = server.client();
    let slow = compare(client, json!({"queries": queries(60)}));
    let problem = slow.problem(504, "timeout");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("limits.max_comparing_ms = 1"), "{detail}");
    server.terminate();

    let server = options(folder.path()).start();
    let client = server.client();
    let ended = |how: &dyn Fn(&str)| {
        let started = compare_as_job(client, json!({"queries": queries(5000)}));
        let id = started.ok()["job"].as_str().unwrap().to_owned();
        how(&id);
        wait_for_job(client, &id)
    };
    let job = ended(&|id| drop(client.delete(&format!("/jobs/{id}"))));
    assert_eq!(job["state"], "cancelled", "{job}");
    let job = ended(&|_| assert_eq!(client.delete(&format!("{PATH}/2")).status, 204));
    assert_eq!(job["error"]["code"], "generation_not_found", "{job}");
    assert!(number(&job["progress"]["done"]) < 5000.0, "{job}");
}

#[test]
fn a_collection_keeps_its_last_queries_when_told_to_and_is_compared_by_them() {
    let folder = tempfile::tempdir().unwrap();
    let server = with_two(folder.path(), |options| options);
    let client = server.client();
    let kept = || client.get("/collections/default/queries").ok()["queries"].clone();
    let keep = |count: u32| {
        let settings = json!({ "keep_queries": count });
        client
            .ask(Method::PUT, "/collections/default", &[], settings)
            .ok()
    };
    let ask = |query: &str| drop(client.post("/search", json!({"query": query})).ok());
    ask("never kept");
    assert_eq!(kept(), json!([]));
    assert_eq!(keep(3)["keep_queries"], 3);
    for query in ["lamp", "cat", "lamp", "dog", "door"] {
        ask(query);
    }
    let batch = json!({"searches": [{"query": "bird"}, {"id": "d1"}]});
    client.post("/search/batch", batch).ok();
    ask(&"x".repeat(2000));
    assert_eq!(kept(), json!(["bird", "door", "dog"]));
    let report = compare(client, json!({})).ok();
    assert_eq!(report["queries"], 3);
    let path = format!("{PATH}/2/compare");
    let report = client.send(Method::POST, &path, None, b"").ok();
    assert_eq!(report["queries"], 3);
    assert_eq!(client.delete("/collections/default/queries").status, 204);
    assert_eq!(kept(), json!([]));
    ask("cat");
    keep(0);
    assert_eq!(kept(), json!([]));
    let settings = json!({"keep_queries": 10_001});
    let refused = client.ask(Method::PUT, "/collections/default", &[], settings);
    assert_eq!(
        refused.problem(422, "invalid_request")["pointer"],
        "/keep_queries"
    );
    // What was forgotten does not come back.
    keep(5);
    assert_eq!(kept(), json!([]));
    ask("cat");
    server.terminate();
    // They are on no disk; the setting is.
    let server = options(folder.path()).start();
    let client = server.client();
    assert_eq!(client.get("/collections/default").ok()["keep_queries"], 5);
    let queries = client.get("/collections/default/queries").ok();
    assert_eq!(queries["queries"], json!([]));
}

/// A folder in BEIR's layout in which the second generation is better, or is not.
fn data_set(folder: &Path, client: &Client, of_generation: u32) -> PathBuf {
    let data = folder.join(format!("data-{of_generation}"));
    fs_err::create_dir_all(data.join("qrels")).unwrap();
    let (mut queries, mut qrels) = (String::new(), "query-id\tcorpus-id\tscore\n".to_owned());
    for n in 0..8 {
        let query = text(n * 7);
        let best = hits(client, &query, of_generation)[0].clone();
        queries += &format!("{}\n", json!({"_id": format!("q{n}"), "text": query}));
        qrels += &format!("q{n}\t{best}\t1\n");
    }
    fs_err::write(data.join("queries.jsonl"), queries).unwrap();
    fs_err::write(data.join("qrels/test.tsv"), qrels).unwrap();
    data
}

/// Runs a command against a server: its exit code, and what it said on either output.
fn run(server: &Server, command: &str, more: &[&str]) -> (Option<i32>, String, String) {
    let url = format!("http://127.0.0.1:{}", server.port());
    let mut process = Command::new(binary());
    process.args(command.split(' ')).args(more);
    let output = process.args(["--url", &url]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), said, errors)
}

const COMPARE: &str = "generation compare default 2";

#[test]
fn a_command_compares_by_judgements_or_by_queries_and_shows_a_table() {
    let folder = tempfile::tempdir().unwrap();
    let server = with_two(&folder.path().join("data"), |options| options);
    let data = data_set(folder.path(), server.client(), 2);
    let data = ["--judgements", data.to_str().unwrap()];
    let (code, said, errors) = run(&server, COMPARE, &data);
    assert_eq!(code, Some(0), "{errors}");
    let parts = "nDCG@10|1.0000|overlap@10|vectors, MB|what changes most";
    for part in parts.split('|') {
        assert!(said.contains(part), "{part}: {said}");
    }
    let file = folder.path().join("queries.txt");
    fs_err::write(&file, "a lamp\na door\n").unwrap();
    let file = ["--queries", file.to_str().unwrap(), "--json"];
    let (code, said, _) = run(&server, COMPARE, &file);
    let report: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &report["queries"]), (Some(0), &json!(2)));
    assert!(report["changed"].is_array());
    let (code, _, errors) = run(&server, COMPARE, &[]);
    assert_eq!(code, Some(1));
    assert!(errors.contains("keep_queries"), "{errors}");
}

#[test]
fn a_command_encodes_anew_and_activates_only_what_is_better() {
    let folder = tempfile::tempdir().unwrap();
    let server = with_two(&folder.path().join("data"), |options| options);
    let client = server.client();
    let command = "reencode default --encoder dense --activate-if-better ndcg@10";
    let reencode = |data: &Path| run(&server, command, &["--judgements", data.to_str().unwrap()]);
    // What the active generation finds is what is relevant, so another is no better.
    let (code, said, errors) = reencode(&data_set(folder.path(), client, 1));
    assert_eq!(code, Some(3), "{said} {errors}");
    assert!(said.contains("not activated: nDCG@10 is 0."), "{said}");
    assert!(said.contains("generation 2 is ready"), "{said}");
    let command_json = format!("{command} --json");
    let judgements = data_set(folder.path(), client, 1);
    let arguments = ["--judgements", judgements.to_str().unwrap()];
    let (code, said, _) = run(&server, &command_json, &arguments);
    let report: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &report["state"]), (Some(3), &json!("ready")));
    assert!(report["comparison"]["other"]["quality"]["ndcg_at_10"].is_number());
    let (code, said, _) = reencode(&data_set(folder.path(), client, 2));
    assert_eq!(code, Some(0), "{said}");
    let decided = "activated: nDCG@10 is 1.0000, and was 0.";
    assert!(said.contains(decided), "{said}");
    let described = client.get("/collections/default").ok();
    assert_eq!(described["encoder"]["dimensions"], 20);
    let (code, _, errors) = run(&server, command, &[]);
    assert!(code != Some(0), "it needs judgements");
    assert!(errors.contains("--judgements"), "{errors}");
}
