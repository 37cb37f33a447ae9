//! Long work that goes on without a request.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use siamese_tests::{Client, Server, ServerOptions};
use ureq::http::Method;

const ASYNC: &[(&str, &str)] = &[("Prefer", "respond-async")];
const PATIENCE: Duration = Duration::from_secs(60);

/// Starts a job and returns its id.
#[track_caller]
pub(super) fn start(client: &Client, path: &str, body: Value) -> String {
    let answer = client.ask(Method::POST, path, ASYNC, body);
    assert_eq!(answer.status, 202, "{}", answer.text);
    let job = answer.json()["job"].as_str().unwrap().to_owned();
    assert_eq!(answer.headers["location"], format!("/jobs/{job}").as_str());
    assert_eq!(answer.headers["preference-applied"], "respond-async");
    job
}

/// Waits until a job is in one of these states, and returns what is known of it.
#[track_caller]
pub(super) fn wait_for(client: &Client, job: &str, states: &[&str]) -> Value {
    let began = Instant::now();
    loop {
        let known = client.get(&format!("/jobs/{job}")).ok();
        if states.contains(&known["state"].as_str().unwrap()) {
            return known;
        }
        assert!(began.elapsed() < PATIENCE, "{known}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Documents with so few differences that a job which lists all pairs has much to write.
fn fill(client: &Client, documents: usize) {
    for first in (0..documents).step_by(500) {
        let documents: Vec<Value> = (first..documents.min(first + 500))
            .map(|n| json!({"id": format!("d{n}"), "text": format!("number {n}")}))
            .collect();
        client
            .post("/documents", json!({ "documents": documents }))
            .ok();
    }
}

/// Every pair of the collection, as many as there are.
fn all_pairs() -> Value {
    json!({"min_score": -1, "limit": 1_000_000})
}

#[test]
fn a_snapshot_is_taken_by_a_job_when_the_client_would_not_wait() {
    let data = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(data.path()).start();
    let client = server.client();
    fill(client, 10);
    let job = start(client, "/snapshots", json!({}));
    let known = wait_for(client, &job, &["done"]);
    assert_eq!(
        (&known["kind"], &known["result_bytes"]),
        (&json!("snapshot"), &json!(0))
    );
    assert_eq!(known["progress"]["unit"], "bytes");
    assert!(known["progress"]["done"].as_u64().unwrap() > 0);
    assert!(known["finished_at"].as_str() >= known["started_at"].as_str());
    let snapshots = client.get("/snapshots").ok();
    assert_eq!(snapshots["snapshots"], json!([known["result"]]));
    let none = client.get(&format!("/jobs/{job}/result"));
    none.problem(409, "conflict");
    // Without the header, as ever.
    let answer = client.post("/snapshots", json!({}));
    assert_eq!(answer.status, 201);
    assert_eq!(
        client.get("/jobs").ok()["jobs"].as_array().unwrap().len(),
        1
    );
}

#[test]
fn the_store_is_compacted_on_demand_and_everything_is_there_after_it() {
    let data = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(data.path()).start();
    let client = server.client();
    fill(client, 600);
    let answer = client.post("/jobs", json!({"kind": "compaction"}));
    assert_eq!(answer.status, 202, "{}", answer.text);
    let job = answer.json()["job"].as_str().unwrap().to_owned();
    let known = wait_for(client, &job, &["done"]);
    assert!(
        known["result"]["after_bytes"].as_u64().unwrap() > 0,
        "{known}"
    );
    assert_eq!(client.get("/collections/default").ok()["documents"], 600);
    client
        .post("/jobs", json!({"kind": "duplicates"}))
        .problem(422, "invalid_request");
    client
        .post("/jobs", json!({}))
        .problem(422, "invalid_request");
}

#[test]
fn jobs_are_listed_newest_first_until_they_are_removed_or_too_old() {
    let data = tempfile::tempdir().unwrap();
    let options = ServerOptions::tiny(data.path()).setting("JOBS__MAX_FINISHED", 3);
    let server = options.start();
    let client = server.client();
    let ids = |client: &Client| -> Vec<String> {
        let list = client.get("/jobs").ok();
        let jobs = list["jobs"].as_array().unwrap().iter();
        jobs.map(|job| job["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let mut started = Vec::new();
    for _ in 0..4 {
        let job = start(client, "/duplicates", json!({"min_score": 0.5}));
        wait_for(client, &job, &["done"]);
        started.insert(0, job);
    }
    assert_eq!(ids(client), started[..3]);
    client
        .get(&format!("/jobs/{}", started[3]))
        .problem(404, "job_not_found");
    assert_eq!(client.delete(&format!("/jobs/{}", started[1])).status, 204);
    client
        .delete(&format!("/jobs/{}", started[1]))
        .problem(404, "job_not_found");
    for path in ["/jobs/x", "/jobs/x/result", "/jobs/..%2F..%2Fsiamese"] {
        client.get(path).problem(404, "job_not_found");
    }
    let kept = ids(client);
    server.kill();
    let server = ServerOptions::tiny(data.path()).start();
    assert_eq!(ids(server.client()), kept);
}

#[test]
fn a_job_that_is_cancelled_ends_within_a_second_and_a_waiting_one_at_once() {
    let data = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(data.path()).start();
    let client = server.client();
    fill(client, 2000);
    let running = start(client, "/duplicates", all_pairs());
    let waiting = start(client, "/duplicates", all_pairs());
    wait_for(client, &running, &["running"]);
    client
        .get(&format!("/jobs/{running}/result"))
        .problem(409, "conflict");
    let answer = client.delete(&format!("/jobs/{waiting}"));
    assert_eq!(
        (answer.status, &answer.json()["state"]),
        (202, &json!("cancelled"))
    );
    let began = Instant::now();
    assert_eq!(client.delete(&format!("/jobs/{running}")).status, 202);
    let known = wait_for(client, &running, &["cancelled", "done"]);
    assert_eq!(known["state"], "cancelled", "{known}");
    assert!(began.elapsed() < Duration::from_secs(5));
    client
        .get(&format!("/jobs/{running}/result"))
        .problem(409, "conflict");
    let left = fs_err::read_dir(data.path().join("jobs")).unwrap().count();
    assert_eq!(left, 2, "records and no results");
}

#[test]
fn after_a_kill_a_job_says_that_it_was_interrupted_and_nothing_else_is_lost() {
    let data = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(data.path()).start();
    fill(server.client(), 2000);
    let done = start(
        server.client(),
        "/duplicates",
        json!({"min_score": 0.999, "limit": 10}),
    );
    wait_for(server.client(), &done, &["done"]);
    let result = server.client().get(&format!("/jobs/{done}/result")).ok();
    let running = start(server.client(), "/duplicates", all_pairs());
    let waiting = start(server.client(), "/duplicates", all_pairs());
    wait_for(server.client(), &running, &["running"]);
    server.kill();
    let server = ServerOptions::tiny(data.path()).start();
    let client = server.client();
    for job in [&running, &waiting] {
        let known = client.get(&format!("/jobs/{job}")).ok();
        assert_eq!(known["state"], "interrupted", "{known}");
        assert!(known["finished_at"].is_string());
    }
    assert_eq!(client.get(&format!("/jobs/{done}/result")).ok(), result);
    assert_eq!(client.get("/collections/default").ok()["documents"], 2000);
    let temporary = fs_err::read_dir(data.path().join("jobs")).unwrap();
    let temporary = temporary.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().ends_with(".tmp")
    });
    assert_eq!(temporary.count(), 0);
}

#[test]
fn a_service_that_is_told_to_stop_does_not_wait_for_jobs() {
    let data = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(data.path()).start();
    fill(server.client(), 2000);
    let running = start(server.client(), "/duplicates", all_pairs());
    let waiting = start(server.client(), "/duplicates", all_pairs());
    wait_for(server.client(), &running, &["running"]);
    let began = Instant::now();
    assert!(server.terminate().success());
    assert!(began.elapsed() < Duration::from_secs(10));
    let server = ServerOptions::tiny(data.path()).start();
    for job in [running, waiting] {
        let known = server.client().get(&format!("/jobs/{job}")).ok();
        assert_eq!(known["state"], "interrupted", "{known}");
    }
}

#[test]
fn no_more_jobs_wait_than_may_and_no_more_results_are_kept() {
    let data = tempfile::tempdir().unwrap();
    let server: Server = ServerOptions::tiny(data.path())
        .setting("JOBS__MAX_UNFINISHED", 1)
        .setting("JOBS__MAX_RESULTS_BYTES", 20_000)
        .start();
    let client = server.client();
    fill(client, 1500);
    let too_large = start(client, "/duplicates", all_pairs());
    let refused = client.ask(Method::POST, "/duplicates", ASYNC, all_pairs());
    let known = wait_for(client, &too_large, &["failed"]);
    if refused.status != 202 {
        let problem = refused.problem(503, "overloaded");
        assert!(
            problem["detail"]
                .as_str()
                .unwrap()
                .contains("jobs.max_unfinished")
        );
        assert!(refused.headers.contains_key("retry-after"));
    }
    assert_eq!(known["error"]["code"], "response_too_large");
    let detail = known["error"]["detail"].as_str().unwrap();
    assert!(detail.contains("jobs.max_results_bytes"), "{detail}");
    let mut jobs = Vec::new();
    for _ in 0..3 {
        let few = json!({"min_score": -1, "limit": 200});
        let began = Instant::now();
        let job = loop {
            let answer = client.ask(Method::POST, "/duplicates", ASYNC, few.clone());
            if answer.status == 202 {
                break answer.json()["job"].as_str().unwrap().to_owned();
            }
            assert!(began.elapsed() < PATIENCE);
        };
        let known = wait_for(client, &job, &["done", "failed"]);
        assert!(known["result_bytes"].as_u64().unwrap() > 7_000, "{known}");
        jobs.push(job);
    }
    // Two fit, and the oldest has given way.
    client
        .get(&format!("/jobs/{}", jobs[0]))
        .problem(404, "job_not_found");
    client.get(&format!("/jobs/{}/result", jobs[2])).ok();
}
