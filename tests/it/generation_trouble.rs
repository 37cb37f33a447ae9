//! What goes wrong with generations, and what is said of it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use siamese_tests::{Client, ServerOptions, SmallDisk};
use ureq::http::Method;

const LONG: Duration = Duration::from_secs(120);
const PATH: &str = "/collections/default/generations";

fn fixture(model: &str) -> PathBuf {
    let models = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    models
        .join("../crates/encoder/tests/fixtures/models")
        .join(model)
}

fn options(folder: &Path) -> ServerOptions {
    let dense = fixture("bert-dense-prompts");
    ServerOptions::tiny(folder).setting("ENCODERS__DENSE__MODEL", dense.display())
}

fn store(client: &Client, count: usize, text: &str) {
    for first in (0..count).step_by(200) {
        let documents = (first..count.min(first + 200))
            .map(|n| json!({"id": format!("d{n}"), "text": format!("{text} {n}")}));
        let documents: Vec<_> = documents.collect();
        client
            .post("/documents", json!({ "documents": documents }))
            .ok();
    }
}

fn state(client: &Client, number: u64) -> String {
    let generation = client.get(&format!("{PATH}/{number}")).ok();
    generation["state"].as_str().unwrap().to_owned()
}

#[track_caller]
fn wait_for_job(client: &Client, id: &Value) -> Value {
    let deadline = Instant::now() + LONG;
    loop {
        let job = client.get(&format!("/jobs/{}", id.as_str().unwrap())).ok();
        if !["queued", "running"].contains(&job["state"].as_str().unwrap()) {
            return job;
        }
        assert!(Instant::now() < deadline, "{job}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn filling_that_was_ended_stays_ended_over_a_restart_until_it_is_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let server = options(folder.path()).start();
    let client = server.client();
    store(client, 3000, "A cat");
    let started = client.post(PATH, json!({"encoder": "dense"})).ok();
    // A second one waits for the first, and is ended before it begins.
    let another = json!({"encoder": "dense", "lexical": false});
    let waiting = client.post(PATH, another).ok();
    for job in [&waiting["job"], &started["job"]] {
        client.delete(&format!("/jobs/{}", job.as_str().unwrap()));
        assert_eq!(wait_for_job(client, job)["state"], "cancelled");
    }
    assert_eq!(
        (state(client, 2), state(client, 3)),
        ("paused".into(), "paused".into())
    );
    let problem = client
        .post(&format!("{PATH}/2/activate"), json!({}))
        .problem(409, "conflict");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("lacks documents")
    );
    client
        .post(&format!("{PATH}/2/compare"), json!({"queries": ["a"]}))
        .problem(409, "conflict");
    assert_eq!(client.delete(&format!("{PATH}/3")).status, 204);
    // Writes go to it all the same.
    store(client, 5, "A dog");
    server.kill();

    let server = options(folder.path()).start();
    let client = server.client();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(state(client, 2), "paused");
    // Who asks for the same once more gets this one.
    let resumed = client.post(PATH, json!({"encoder": "dense"}));
    assert_eq!(resumed.status, 202, "{}", resumed.text);
    assert_eq!(
        (&resumed.json()["generation"], &resumed.json()["state"]),
        (&json!(2), &json!("filling"))
    );
    let job = wait_for_job(client, &resumed.json()["job"]);
    assert_eq!(job["state"], "done", "{job}");
    assert_eq!(state(client, 2), "ready");
    let done = &job["result"];
    assert!(done["encoded_documents"].as_u64().unwrap() < 3000, "{job}");
    assert!(
        job["progress"]["tokens_per_s"].as_f64().unwrap() > 0.0,
        "{job}"
    );
    assert_eq!(job["progress"]["tokens"], done["tokens"]);
}

#[test]
fn a_generation_that_the_disk_has_no_room_for_is_refused_before_it_is_filled() {
    let Some(disk) = SmallDisk::mount(128) else {
        return;
    };
    let server = options(&disk.path().join("data"))
        .setting("STORAGE__MIN_FREE_DISK_BYTES", 16 << 20)
        .start();
    let client = server.client();
    // 20 MB, of which a generation needs four times as much while it is written.
    let metadata = json!({"x": "x".repeat(60_000)});
    for first in (0..340).step_by(20) {
        let document =
            |n| json!({"id": format!("d{n}"), "text": format!("A cat {n}"), "metadata": metadata});
        let documents: Vec<Value> = (first..first + 20).map(document).collect();
        client
            .post("/documents", json!({ "documents": documents }))
            .ok();
    }
    let problem = client
        .post(PATH, json!({"encoder": "dense"}))
        .problem(507, "storage_full");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("bytes free"), "{detail}");
    let generations = client.get(PATH).ok();
    assert_eq!(generations["generations"].as_array().unwrap().len(), 1);
    assert_eq!(client.get("/jobs").ok()["jobs"], json!([]));
    // There is room for a document.
    store(client, 3, "A dog");
    disk.resize(512);
    let started = client.post(PATH, json!({"encoder": "dense"})).ok();
    let job = wait_for_job(client, &started["job"]);
    assert_eq!(job["result"]["encoded_documents"], 340, "{job}");
    assert_eq!(state(client, 2), "ready");
}

/// Stores, changes and deletes until it is told to stop, and returns how often. Whatever is refused fails.
fn write_on(client: &Client, stop: &AtomicBool) -> usize {
    for round in 0.. {
        if stop.load(Ordering::Relaxed) {
            return round;
        }
        store(client, 5, &format!("A dog {round}"));
        let patch = json!({"metadata": {"round": round}});
        let patched = client.try_json(Method::PATCH, "/documents/d1", &patch);
        patched.unwrap().ok();
        assert_eq!(client.delete("/documents/d4").status, 204);
        let gone = json!({"filter": {"round": round}});
        let deleted = client.post("/documents/delete", gone).ok();
        assert_eq!(deleted["deleted"], 1, "round {round}");
    }
    0
}

/// Lets threads end, also when the test fails.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn no_write_fails_while_generations_are_exchanged_without_a_pause() {
    let folder = tempfile::tempdir().unwrap();
    let server = options(folder.path()).start();
    let client = server.client();
    store(client, 10, "A cat");
    let stop = AtomicBool::new(false);
    let rounds = std::thread::scope(|scope| {
        let writing = scope.spawn(|| write_on(client, &stop));
        let stop = StopOnDrop(&stop);
        let mut before = json!(1);
        for encoder in ["dense", "default"].into_iter().cycle().take(40) {
            let begun = client.post(PATH, json!({ "encoder": encoder }));
            assert_eq!(begun.status, 202, "{}", begun.text);
            let number = begun.json()["generation"].clone();
            while state(client, number.as_u64().unwrap()) == "filling" {
                std::thread::sleep(Duration::from_millis(1));
            }
            client
                .post(&format!("{PATH}/{number}/activate"), json!({}))
                .ok();
            assert_eq!(client.delete(&format!("{PATH}/{before}")).status, 204);
            before = number;
        }
        drop(stop);
        writing.join().unwrap()
    });
    assert!(rounds > 2, "{rounds}");
}

#[test]
fn passages_that_are_cut_are_counted_and_said() {
    let folder = tempfile::tempdir().unwrap();
    let server = options(folder.path())
        .setting(
            "ENCODERS__SHORT__MODEL",
            fixture("bert-dense-prompts").display(),
        )
        .setting("ENCODERS__SHORT__MAX_TOKENS", 16)
        .start();
    let client = server.client();
    store(client, 3, "A cat");
    let long = json!({"documents": [{"id": "long", "text": "A cat sleeps. ".repeat(12)}]});
    client.post("/documents", long).ok();
    // Passages of the default size do not fit, and are made anew.
    let started = client.post(PATH, json!({"encoder": "short"})).ok();
    assert_eq!(
        started["warnings"][0]["code"], "passages_made_anew",
        "{started}"
    );
    let detail = started["warnings"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("16 tokens"), "{detail}");
    let job = wait_for_job(client, &started["job"]);
    assert_eq!(job["result"]["cut_passages"], 0, "{job}");
    assert!(job["result"]["warning"].is_null());
    // Without passages the end of a long text is lost.
    let whole = json!({"encoder": "short", "chunking": {"mode": "off"}});
    let started = client.post(PATH, whole).ok();
    assert_eq!(
        started["warnings"][0]["code"], "smaller_window",
        "{started}"
    );
    let job = wait_for_job(client, &started["job"]);
    assert_eq!(job["result"]["cut_passages"], 1, "{job}");
    let warning = job["result"]["warning"].as_str().unwrap();
    assert!(
        warning.contains("1 of 4 passages") && warning.contains("16 tokens"),
        "{warning}"
    );
    let report = client.post(&format!("{PATH}/3/compare"), json!({"queries": ["a cat"]}));
    assert_eq!(report.ok()["other"]["sample"]["cut_passages"], 1);
}

#[test]
fn a_damaged_second_model_harms_nothing_but_what_needs_it() {
    let folder = tempfile::tempdir().unwrap();
    let (data, model) = (folder.path().join("data"), folder.path().join("model"));
    let copy = || {
        let copied = Command::new("cp")
            .arg("-rT")
            .arg(fixture("bert-dense-prompts"))
            .arg(&model)
            .status();
        assert!(copied.unwrap().success());
    };
    copy();
    let start = || {
        let options = ServerOptions::tiny(&data);
        options
            .setting("ENCODERS__DENSE__MODEL", model.display())
            .start()
    };
    let damage = || {
        let weights = model.join("model.safetensors");
        let bytes = fs_err::read(&weights).unwrap();
        fs_err::write(&weights, &bytes[..bytes.len() / 2]).unwrap();
    };
    damage();
    let server = start();
    store(server.client(), 20, "A cat");
    let problem = server
        .client()
        .post(PATH, json!({"encoder": "dense"}))
        .problem(503, "model_unavailable");
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("dense") && detail.contains("safetensors"),
        "{detail}"
    );
    let generations = server.client().get(PATH).ok();
    assert_eq!(generations["generations"].as_array().unwrap().len(), 1);
    store(server.client(), 3, "A dog");
    server.terminate();

    copy();
    let server = start();
    let started = server.client().post(PATH, json!({"encoder": "dense"})).ok();
    wait_for_job(server.client(), &started["job"]);
    server.terminate();
    damage();
    let server = start();
    let client = server.client();
    client.post("/search", json!({"query": "a cat"})).ok();
    let search = json!({"query": "a cat", "generation": 2});
    client
        .post("/search", search)
        .problem(503, "model_unavailable");
    let write = json!({"documents": [{"id": "new", "text": "A bird."}]});
    client
        .post("/documents", write.clone())
        .problem(503, "model_unavailable");
    client
        .post(&format!("{PATH}/2/activate"), json!({}))
        .problem(503, "model_unavailable");
    client
        .post(&format!("{PATH}/2/compare"), json!({"queries": ["a"]}))
        .problem(503, "model_unavailable");
    assert_eq!(client.delete(&format!("{PATH}/2")).status, 204);
    client.post("/documents", write).ok();
}

fn ids(answer: &Value) -> Vec<String> {
    let hits = answer["hits"].as_array().unwrap().iter();
    hits.map(|hit| hit["id"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn one_batch_searches_several_generations_and_so_does_an_address() {
    let folder = tempfile::tempdir().unwrap();
    let server = options(folder.path()).start();
    let client = server.client();
    store(client, 30, "A cat");
    let started = client.post(PATH, json!({"encoder": "dense"})).ok();
    wait_for_job(client, &started["job"]);
    let search = |generation: Option<u32>| {
        let mut search = json!({"query": "A cat 7", "top_k": 5, "include": []});
        if let Some(generation) = generation {
            search["generation"] = json!(generation);
        }
        search
    };
    let alone = |generation| {
        let found = client.post("/search", search(Some(generation))).ok();
        ids(&found)
    };
    let order = [Some(2), None, Some(1), Some(2)];
    let searches: Vec<Value> = order.into_iter().map(search).collect();
    let both = client
        .post("/search/batch", json!({ "searches": searches }))
        .ok();
    for (result, generation) in both["results"].as_array().unwrap().iter().zip(order) {
        assert_eq!(ids(result), alone(generation.unwrap_or(1)));
    }
    assert_ne!(alone(1), alone(2));
    let by_address = client.get("/search?q=A+cat+7&top_k=5&generation=2").ok();
    assert_eq!(ids(&by_address), alone(2));
    let searches = json!({"searches": [search(None), search(Some(9))]});
    let problem = client
        .post("/search/batch", searches)
        .problem(404, "generation_not_found");
    assert_eq!(problem["pointer"], "/searches/1/generation");
}
