//! Changing the encoder of a collection, or how its texts are split, while it is in use.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use siamese_tests::{Client, Server, ServerOptions, binary, setting};

const LONG: Duration = Duration::from_secs(120);
const PATH: &str = "/collections/default/generations";

/// The default encoder has vectors of 36 values, `dense` has vectors of 20.
fn options(folder: &Path) -> ServerOptions {
    let models = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let models = models.join("../crates/encoder/tests/fixtures/models");
    let dense = models.join("bert-dense-prompts");
    ServerOptions::tiny(folder).setting("ENCODERS__DENSE__MODEL", dense.display())
}

fn store(client: &Client, ids: impl Iterator<Item = usize>, text: &str) {
    let documents =
        ids.map(|n| json!({"id": format!("d{n:04}"), "text": format!("{text} {n}. It sleeps.")}));
    let body = json!({"documents": documents.collect::<Vec<_>>()});
    client.post("/documents", body).ok();
}

fn begin(client: &Client, settings: Value) -> u64 {
    let started = client.post(PATH, settings);
    assert_eq!(started.status, 202, "{}", started.text);
    started.json()["generation"].as_u64().unwrap()
}

/// The same where a job fills it, with the id of that.
fn begin_job(client: &Client, settings: Value) -> (u64, String) {
    let started = client.post(PATH, settings);
    assert_eq!(started.status, 202, "{}", started.text);
    let body = started.json();
    let job = body["job"].as_str().unwrap().to_owned();
    assert_eq!(started.headers["location"], format!("/jobs/{job}"));
    (body["generation"].as_u64().unwrap(), job)
}

fn state(client: &Client, number: u64) -> String {
    let generation = client.get(&format!("{PATH}/{number}")).ok();
    generation["state"].as_str().unwrap().to_owned()
}

#[track_caller]
fn wait_until_ready(client: &Client, number: u64) {
    let deadline = Instant::now() + LONG;
    while state(client, number) == "filling" {
        assert!(Instant::now() < deadline, "{}", client.get("/jobs").text);
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn activate(client: &Client, number: u64) {
    client
        .post(&format!("{PATH}/{number}/activate"), json!({}))
        .ok();
}

/// All documents of the active generation, as lines of an export, and the length of its vectors.
fn exported(client: &Client) -> (Vec<Value>, u64) {
    let text = client.get("/export?include=vectors").text;
    let mut lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let head = lines.next().unwrap();
    let dimensions = head["export"]["dimensions"].as_u64().unwrap();
    let documents = lines
        .filter(|line| line["id"].is_string())
        .map(|mut document| {
            let passages = document["passages"].take();
            for passage in passages.as_array().unwrap() {
                assert_eq!(
                    passage["vector"].as_array().unwrap().len() as u64,
                    dimensions
                );
            }
            document
        });
    (documents.collect(), dimensions)
}

/// Vectors of a sample of documents are those that the encoder makes of their texts now.
fn assert_encoded_by_the_active_encoder(client: &Client, documents: &[Value]) {
    for document in documents.iter().step_by(7) {
        let pair = json!({"pairs": [[{"id": document["id"]}, document["text"]]]});
        let score = client.post("/similarity", pair).ok()["scores"][0].clone();
        assert!(score.as_f64().unwrap() > 0.9999, "{score} {document}");
    }
}

#[test]
fn a_collection_gets_another_encoder_and_goes_back() {
    let folder = tempfile::tempdir().unwrap();
    let server = options(folder.path()).start();
    let client = server.client();
    store(client, 0..50, "A cat");
    let number = begin(
        client,
        json!({"encoder": "dense", "chunking": {"mode": "off"}}),
    );
    assert_eq!(number, 2);
    wait_until_ready(client, number);
    assert_eq!(
        client.get("/collections/default").ok()["encoder"]["dimensions"],
        36
    );
    store(client, 40..60, "A dog");
    client.delete("/documents/d0007");
    let (before, dimensions) = exported(client);
    assert_eq!((before.len(), dimensions), (59, 36));

    activate(client, 2);
    assert_eq!(exported(client), (before.clone(), 20));
    assert_encoded_by_the_active_encoder(client, &before);
    store(client, 55..70, "A bird");
    let (after, _) = exported(client);
    activate(client, 1);
    assert_eq!(exported(client), (after, 36));

    let states = client.get(PATH).ok();
    let states = states["generations"].as_array().unwrap().iter();
    let states: Vec<_> = states
        .map(|it| (it["generation"].clone(), it["state"].clone()))
        .collect();
    assert_eq!(
        states,
        [(json!(1), json!("active")), (json!(2), json!("retired"))]
    );
    client.delete(&format!("{PATH}/1")).problem(409, "conflict");
    assert_eq!(client.delete(&format!("{PATH}/2")).status, 204);
    client
        .get(&format!("{PATH}/2"))
        .problem(404, "generation_not_found");
}

#[test]
fn a_job_says_what_it_has_filled_and_cursors_end_when_another_generation_is_active() {
    let folder = tempfile::tempdir().unwrap();
    let server = options(folder.path()).start();
    let client = server.client();
    store(client, 0..50, "A cat");
    let page = json!({"query": "A cat", "top_k": 3});
    let first = client.post("/search", page).ok();
    let (number, job) = begin_job(client, json!({"encoder": "dense"}));
    wait_until_ready(client, number);
    let deadline = Instant::now() + LONG;
    while client.get(&format!("/jobs/{job}")).ok()["state"] != "done" {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(20));
    }
    let result = client.get(&format!("/jobs/{job}")).ok()["result"].clone();
    assert_eq!(
        (&result["generation"], &result["encoded_documents"]),
        (&json!(2), &json!(50))
    );
    let again = client.post(PATH, json!({"encoder": "dense"}));
    assert_eq!(again.status, 200, "{}", again.text);
    let jobs = client.get("/jobs").ok();
    assert_eq!(jobs["jobs"].as_array().unwrap().len(), 1);
    activate(client, 2);
    let next = json!({"query": "A cat", "top_k": 3, "cursor": first["next_cursor"]});
    client.post("/search", next).problem(410, "cursor_expired");
}

#[test]
fn any_generation_can_be_searched_and_what_does_not_fit_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let server = options(folder.path()).start();
    let client = server.client();
    store(client, 0..20, "A cat");
    let number = begin(client, json!({"encoder": "dense"}));
    wait_until_ready(client, number);
    for number in [1, 2] {
        let search = json!({"query": "A dog", "top_k": 4, "generation": number});
        assert_eq!(
            client.post("/search", search).ok()["hits"]
                .as_array()
                .unwrap()
                .len(),
            4
        );
    }
    let search = json!({"query": "A dog", "generation": 7});
    client
        .post("/search", search)
        .problem(404, "generation_not_found");

    let problem = client
        .post(PATH, json!({"encoder": "large"}))
        .problem(422, "invalid_request");
    assert_eq!(problem["pointer"], "/encoder");
    let too_long = json!({"chunking": {"mode": "fixed", "max_tokens": 100_000}});
    let problem = client.post(PATH, too_long).problem(422, "invalid_request");
    assert_eq!(problem["pointer"], "/chunking/max_tokens");
    client
        .post("/collections/none/generations", json!({}))
        .problem(404, "collection_not_found");
}

#[test]
fn a_generation_that_is_there_is_answered_with_and_not_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = options(folder.path()).start();
    let client = server.client();
    store(client, 0..20, "A cat");
    let there = |settings: Value| {
        let answer = client.post(PATH, settings);
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert!(answer.json()["job"].is_null(), "{}", answer.text);
        (
            answer.json()["generation"].clone(),
            answer.json()["state"].clone(),
        )
    };
    assert_eq!(there(json!({})), (json!(1), json!("active")));
    let number = begin(client, json!({"encoder": "dense"}));
    wait_until_ready(client, number);
    let again = there(json!({"encoder": "dense"}));
    assert_eq!(again, (json!(number), json!("ready")));
    activate(client, number);
    let back = there(json!({"encoder": "default"}));
    assert_eq!(back, (json!(1), json!("retired")));
    let listed = client.get(PATH).ok();
    assert_eq!(listed["generations"].as_array().unwrap().len(), 2);
}

/// Lets threads end, also when the test fails.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Stores, replaces and deletes until it is told to stop. How often.
fn write_on(base: &str, stop: &AtomicBool) -> usize {
    let client = Client::new(base);
    for round in 0.. {
        if stop.load(Ordering::Relaxed) {
            return round;
        }
        let at = round * 37 % 600;
        store(&client, at..at + 5, &format!("A dog {round}"));
        store(&client, std::iter::once(1000 + round % 2000), "A bird");
        let gone = json!({"ids": [format!("d{:04}", round * 53 % 600)]});
        client.post("/documents/delete", gone).ok();
    }
    0
}

/// Searches until it is told to stop. How long each search took.
fn search_on(base: &str, stop: &AtomicBool) -> Vec<Duration> {
    let client = Client::new(base);
    let mut took = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        let found = client
            .post("/search", json!({"query": "A dog", "top_k": 5}))
            .ok();
        took.push(began.elapsed());
        // A hit that changes again and again while it is read is left out in the end.
        assert!(!found["hits"].as_array().unwrap().is_empty());
    }
    took
}

/// Makes, fills and activates a generation of the other encoder and goes back and forth, for as long as the setting
/// says. The number of the last one.
fn change_encoders(client: &Client) -> u64 {
    let seconds = setting("SIAMESE_GENERATION_LOAD_S", 0) as u64;
    let deadline = Instant::now() + Duration::from_secs(seconds);
    let mut before = 1;
    for encoder in ["dense", "default"].into_iter().cycle() {
        let number = begin(client, json!({ "encoder": encoder }));
        wait_until_ready(client, number);
        let queries = json!({"queries": ["A dog", "A bird"]});
        let compared = client.post(&format!("{PATH}/{number}/compare"), queries);
        // Not every backend compares.
        if compared.status != 422 {
            compared.ok();
        }
        for number in [number, before, number] {
            activate(client, number);
            std::thread::sleep(Duration::from_millis(100));
        }
        if encoder == "dense" && Instant::now() >= deadline {
            return number;
        }
        assert_eq!(client.delete(&format!("{PATH}/{before}")).status, 204);
        before = number;
    }
    0
}

/// `SIAMESE_GENERATION_LOAD_S=600` makes it long.
#[test]
fn nothing_fails_and_nothing_is_lost_while_generations_are_filled_and_activated() {
    let folder = tempfile::tempdir().unwrap();
    let server = options(folder.path()).start();
    let client = server.client();
    for first in (0..600).step_by(200) {
        store(client, first..first + 200, "A cat");
    }
    let stop = AtomicBool::new(false);
    let base = format!("http://127.0.0.1:{}", server.port());
    let (writes, mut searches, last) = std::thread::scope(|scope| {
        let writing = scope.spawn(|| write_on(&base, &stop));
        let searching = scope.spawn(|| search_on(&base, &stop));
        let last = {
            let _stop = StopOnDrop(&stop);
            change_encoders(client)
        };
        (writing.join().unwrap(), searching.join().unwrap(), last)
    });
    searches.sort();
    let p99 = searches[searches.len() * 99 / 100];
    eprintln!(
        "{writes} rounds of writes, {} searches, p99 {p99:?}",
        searches.len()
    );
    assert!(writes > 2 && searches.len() > 2);
    let (second, dimensions) = exported(client);
    assert_eq!(dimensions, 20);
    let generations = client.get(PATH).ok();
    let generations = generations["generations"].as_array().unwrap();
    let retired = generations.iter().find(|it| it["state"] == "retired");
    activate(client, retired.unwrap()["generation"].as_u64().unwrap());
    assert_eq!(exported(client), (second.clone(), 36));
    assert_encoded_by_the_active_encoder(client, &second);
    activate(client, last);
    assert_encoded_by_the_active_encoder(client, &second);
}

#[test]
fn filling_goes_on_by_itself_after_a_kill_and_whatever_was_written_is_in_both() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = options(folder.path()).start();
    for first in (0..400).step_by(200) {
        store(server.client(), first..first + 200, "A cat");
    }
    let number = begin(server.client(), json!({"encoder": "dense"}));
    for round in 0..3 {
        store(server.client(), round * 100..round * 100 + 3, "A dog");
        std::thread::sleep(Duration::from_millis(30 * round as u64));
        server.kill();
        server = options(folder.path()).start();
    }
    let client = server.client();
    wait_until_ready(client, number);
    let (first, _) = exported(client);
    activate(client, number);
    server.kill();
    let server: Server = options(folder.path()).start();
    assert_eq!(exported(server.client()), (first, 20));
}

#[test]
fn a_generation_that_is_deleted_while_it_is_filled_ends_its_job_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let server = options(folder.path()).start();
    let client = server.client();
    for first in (0..400).step_by(200) {
        store(client, first..first + 200, "A cat");
    }
    let (number, job) = begin_job(client, json!({"encoder": "dense"}));
    assert_eq!(client.delete(&format!("{PATH}/{number}")).status, 204);
    let deadline = Instant::now() + LONG;
    loop {
        let job = client.get(&format!("/jobs/{job}")).ok();
        if job["state"] == "failed" {
            assert_eq!(job["error"]["code"], "generation_not_found", "{job}");
            break;
        }
        // It may have been done already.
        if job["state"] == "done" {
            break;
        }
        assert!(Instant::now() < deadline, "{job}");
        std::thread::sleep(Duration::from_millis(20));
    }
    store(client, 0..10, "A dog");
    assert_eq!(exported(client).0.len(), 400);
    let (paused, job) = begin_job(client, json!({"lexical": false}));
    client.delete(&format!("/jobs/{job}"));
    let resumed = client.post(&format!("{PATH}/{paused}/resume"), json!({}));
    assert_eq!(resumed.status, 202, "{}", resumed.text);
    wait_until_ready(client, paused);
}

#[test]
fn one_command_encodes_a_collection_anew_and_others_go_back_and_tidy_up() {
    let folder = tempfile::tempdir().unwrap();
    let server = options(folder.path()).start();
    let client = server.client();
    store(client, 0..30, "A cat");
    let url = format!("http://127.0.0.1:{}", server.port());
    let run = |arguments: &[&str]| {
        let mut command = Command::new(binary());
        let output = command
            .args(arguments)
            .args(["--url", &url])
            .output()
            .unwrap();
        let said =
            String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        (output.status.success(), said)
    };
    let (succeeded, said) = run(&["reencode", "default", "--encoder", "dense"]);
    assert!(succeeded && said.contains("2  active  dense"), "{said}");
    assert_eq!(exported(client).1, 20);
    // There and back again, and what is there already, take no encoding and no generation.
    for (encoder, expected) in [
        ("default", "1  active  default"),
        ("dense", "2  active  dense"),
        (
            "dense",
            "generation 2 has this encoder and these settings, and is active already",
        ),
    ] {
        let (succeeded, said) = run(&["reencode", "default", "--encoder", encoder]);
        assert!(succeeded && said.contains(expected), "{said}");
    }
    let (succeeded, said) = run(&[
        "generation",
        "create",
        "--chunking",
        "fixed",
        "--max-tokens",
        "16",
    ]);
    assert!(
        succeeded && said.contains("generation 3 is ready"),
        "{said}"
    );
    let (_, said) = run(&["generation", "list"]);
    for part in [
        "1  retired  default",
        "2  active",
        "3  ready  dense",
        "30 documents",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let parsed = |said: String| serde_json::from_str::<Value>(&said).unwrap();
    let (_, said) = run(&["generation", "list", "--json"]);
    assert_eq!(parsed(said), client.get(PATH).ok());
    let again = ["reencode", "default", "--encoder", "dense", "--json"];
    let (_, said) = run(&again);
    assert_eq!(parsed(said), json!({"generation": 2, "state": "active"}));
    let (_, said) = run(&["generation", "activate", "1", "--json"]);
    assert_eq!(parsed(said), client.get(PATH).ok()["generations"][0]);
    let (_, said) = run(&["generation", "resume", "1", "--json"]);
    assert_eq!(parsed(said), json!({"generation": 1, "state": "active"}));
    assert!(run(&["generation", "delete", "2"]).0);
    assert_eq!(exported(client).1, 36);
    let (succeeded, said) = run(&["generation", "delete", "1"]);
    assert!(
        !succeeded && said.contains("activate another first"),
        "{said}"
    );
    let (succeeded, said) = run(&["reencode", "default", "--encoder", "large"]);
    assert!(!succeeded && said.contains("\"dense\""), "{said}");
}

/// On a cluster only, where several services write to the same collection.
#[test]
fn another_service_goes_on_to_fill_when_one_is_killed_and_both_see_what_is_active() {
    if std::env::var(siamese_tests::QDRANT_URLS).is_err() {
        eprintln!(
            "SKIPPED: {} names no Qdrant cluster",
            siamese_tests::QDRANT_URLS
        );
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let start = || options(folder.path()).start();
    let mut servers = vec![start(), start()];
    for first in (0..600).step_by(100) {
        store(servers[0].client(), first..first + 100, "A cat");
    }
    let number = begin(servers[0].client(), json!({"encoder": "dense"}));
    for (gone, from) in [(0, 100), (1, 300), (0, 500)] {
        // What was filled is kept, and the next one goes on with the rest.
        std::thread::sleep(Duration::from_millis(1300));
        servers.remove(gone).kill();
        let client = servers[0].client();
        store(client, from..from + 50, "A dog");
        let deleted = json!({"ids": [format!("d{:04}", from + 60)]});
        client.post("/documents/delete", deleted).ok();
        servers.insert(gone, start());
    }
    wait_until_ready(servers[0].client(), number);
    let (before, _) = exported(servers[0].client());
    assert_eq!(before.len(), 597);
    activate(servers[1].client(), number);
    std::thread::sleep(Duration::from_secs(2));
    for server in &servers {
        assert_eq!(exported(server.client()), (before.clone(), 20));
        assert_encoded_by_the_active_encoder(server.client(), &before);
    }
    assert_eq!(servers[0].client().delete(&format!("{PATH}/1")).status, 204);
    store(servers[1].client(), 0..5, "A bird");
    assert_eq!(exported(servers[0].client()).0.len(), 597);
}

#[test]
fn a_collection_becomes_compact_and_answers_to_the_last_digit_as_before() {
    let folder = tempfile::tempdir().unwrap();
    let start = || {
        let options = options(folder.path()).setting("INDEX__MAX_HEAD_PASSAGES", 8);
        options.start()
    };
    let server = start();
    let client = server.client();
    store(client, 0..40, "A cat");
    let index = |client: &Client| client.get("/collections/default").ok()["index"].clone();
    let wait_for_segments = |client: &Client| {
        let deadline = Instant::now() + LONG;
        while index(client)["segments"] == 0 {
            assert!(Instant::now() < deadline, "{}", index(client));
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let answers = |client: &Client| {
        let bodies = [
            json!({"query": "A cat 7", "exact": true}),
            json!({"query": "A cat 7", "exact": true, "min_score": 0.878, "include": ["vector", "metadata"]}),
            json!({"query": "sleeps 11", "mode": "hybrid", "exact": true}),
        ];
        bodies.map(|body| {
            let mut answer = client.post("/search", body).ok();
            // Times differ, and a cursor knows the generation.
            for key in ["timings", "took_ms", "next_cursor"] {
                answer.as_object_mut().unwrap().remove(key);
            }
            answer
        })
    };
    assert_eq!(index(client)["precision"], "full");
    let (before, pairs) = (
        answers(client),
        client.post("/duplicates", json!({"min_score": 0.5})).ok(),
    );
    let number = begin(client, json!({"index": {"precision": "compact"}}));
    wait_until_ready(client, number);
    activate(client, number);
    wait_for_segments(client);
    assert_eq!(index(client)["precision"], "compact");
    assert_eq!(answers(client), before);
    let head = client.get("/export").text;
    assert!(
        head.lines()
            .next()
            .unwrap()
            .contains(r#""precision":"compact""#)
    );
    drop(server);
    let server = start();
    let client = server.client();
    assert_eq!(index(client)["precision"], "compact");
    assert_eq!(answers(client), before);
    let again = client.post("/duplicates", json!({"min_score": 0.5})).ok();
    assert_eq!(again["pairs"], pairs["pairs"]);
    assert_eq!(again["total"], pairs["total"]);
}
