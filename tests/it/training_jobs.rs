//! A service that trains models: pairs of a collection, a job, and the encoder that comes of it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use siamese_tests::{Client, ServerOptions, binary};

use super::jobs::wait_for;

pub(super) const SUBJECTS: [(&str, &str); 8] = [
    ("mill", "grinds flour"),
    ("roof", "keeps rain out"),
    ("budget", "is counted in coins"),
    ("valley", "lies between hills"),
    ("garden", "grows roses"),
    ("bridge", "crosses water"),
    ("train", "runs on rails"),
    ("winter", "brings snow"),
];
pub(super) const ROUNDS: usize = 12;

/// A service that keeps trained models beside its data.
pub(super) fn options(folder: &Path) -> ServerOptions {
    ServerOptions::tiny(&folder.join("data"))
        .setting("TRAINING__DIRECTORY", folder.join("models").display())
}

/// Documents of eight subjects, of which each names the one that it was merged into, and feedback about them.
pub(super) fn fill(client: &Client) {
    let mut documents = Vec::new();
    for (subject, about) in SUBJECTS {
        documents.push(json!({"id": subject, "text": about, "metadata": {"topic": subject}}));
        for round in 0..ROUNDS {
            documents.push(json!({
                "id": format!("{subject}-{round}"), "title": subject, "text": format!("number {round}"),
                "metadata": {"topic": subject, "merged_into": subject},
            }));
        }
    }
    client
        .post("/documents", json!({ "documents": documents }))
        .ok();
    let useful = SUBJECTS.iter().map(
        |(subject, _)| json!({"query": format!("what about the {subject}?"), "document": subject, "useful": true}),
    );
    let feedback: Vec<Value> = useful.collect();
    client
        .post("/feedback", json!({ "feedback": feedback }))
        .ok();
    let other = json!({"query": "what about the mill?", "document": "garden", "useful": false});
    client.post("/feedback", other).ok();
}

pub(super) fn siamese(folder: &Path, url: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.args(arguments).current_dir(folder);
    command.env("SIAMESE_URL", url).output().unwrap()
}

/// Starts a training and returns its job.
#[track_caller]
fn train(client: &Client, body: Value) -> String {
    let answer = client.post("/models/default/train", body);
    assert_eq!(answer.status, 202, "{}", answer.text);
    answer.json()["job"].as_str().unwrap().to_owned()
}

/// A training that takes seconds.
fn short() -> Value {
    json!({
        "name": "ours", "pairs": {"refers": "merged_into", "feedback": true}, "epochs": 12, "batch_size": 8,
        "learning_rate": 0.005, "held_out": 0.2,
    })
}

/// One that takes longer than any test.
fn long() -> Value {
    json!({
        "name": "long", "pairs": {"same": "topic"}, "epochs": 100, "batch_size": 2, "mini_batch_size": 1,
        "learning_rate": 0.000_01,
    })
}

fn names(client: &Client) -> Vec<String> {
    let models = client.get("/models").ok();
    let models = models["data"].as_array().unwrap().iter();
    models
        .map(|model| model["name"].as_str().unwrap().to_owned())
        .collect()
}

/// What is in the folder with models, whatever it is.
fn left(folder: &Path) -> Vec<PathBuf> {
    let entries = fs_err::read_dir(folder.join("models"))
        .into_iter()
        .flatten();
    entries.flatten().map(|entry| entry.path()).collect()
}

#[track_caller]
fn wait_until_learning(client: &Client, job: &str) {
    let began = Instant::now();
    loop {
        let known = client.get(&format!("/jobs/{job}")).ok();
        if known["details"]["phase"] == "learning" {
            return;
        }
        assert!(
            began.elapsed() < Duration::from_secs(60) && known["state"] != "failed",
            "{known}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn siamese_train_learns_from_a_collection() {
    let folder = tempfile::tempdir().unwrap();
    let server = options(folder.path()).start();
    fill(server.client());
    let url = format!("http://127.0.0.1:{}", server.port());
    let model = siamese_tests::tiny_model_dir();
    let model = model.to_str().unwrap();
    let arguments = [
        "train",
        "--collection",
        "default",
        "--refers",
        "merged_into",
        "--output",
        "ours",
        "--model",
        model,
        "--json",
        "--device",
        "cpu",
    ];
    let output = siamese(folder.path(), &url, &arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let held_out = report["held_out_examples"].as_u64().unwrap();
    let learned = report["training_examples"].as_u64().unwrap();
    assert_eq!(held_out + learned, (SUBJECTS.len() * ROUNDS) as u64);
    assert!(folder.path().join("ours/model.safetensors").exists());
    for (arguments, reason) in [
        (
            vec!["train", "--collection", "default", "--output", "x"],
            "at least one of same, refers and feedback",
        ),
        (
            vec![
                "train",
                "--collection",
                "none",
                "--feedback",
                "--output",
                "x",
            ],
            "no collection is called",
        ),
        (vec!["train", "--output", "x"], "--data"),
        (
            vec!["train", "--collection", "default", "--feedback"],
            "--output",
        ),
    ] {
        let output = siamese(folder.path(), &url, &arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && error.contains(reason),
            "{error}"
        );
    }
}

#[test]
fn a_job_trains_a_model_that_is_an_encoder_at_once_and_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let server = options(folder.path()).start();
    let client = server.client();
    fill(client);
    let job = train(client, short());
    let known = wait_for(client, &job, &["done", "failed"]);
    let result = &known["result"];
    assert_eq!(
        (&known["kind"], &result["name"]),
        (&json!("training"), &json!("ours")),
        "{known}"
    );
    let figure = |when: &str| result[when]["accuracy_at_1"].as_f64().unwrap();
    assert!(figure("after") > figure("before") + 0.2, "{known}");
    assert_eq!(result["pairs"], SUBJECTS.len() * ROUNDS + SUBJECTS.len());
    let progress = &known["progress"];
    assert_eq!(
        (&progress["done"], &progress["unit"]),
        (&progress["total"], &json!("steps"))
    );
    assert_eq!(known["details"]["measured"].as_array().unwrap().len(), 12);
    let place = folder.path().join("models/ours");
    assert_eq!(result["folder"], place.to_str().unwrap());
    assert_eq!(left(folder.path()), std::slice::from_ref(&place));
    assert!(place.join("training.json").exists());

    assert!(names(client).contains(&"ours".to_owned()));
    let made = client.post(
        "/collections/default/generations",
        json!({"encoder": "ours"}),
    );
    assert_eq!(made.status, 202, "{}", made.text);
    let filled = wait_for(
        client,
        made.json()["job"].as_str().unwrap(),
        &["done", "failed"],
    );
    assert_eq!(filled["state"], "done", "{filled}");
    client
        .post("/collections/default/generations/2/activate", json!({}))
        .ok();
    let again = client.post("/models/default/train", short());
    let again = again.problem(409, "conflict");
    assert_eq!(again["pointer"], "/name");
    server.kill();

    let server = options(folder.path()).start();
    let client = server.client();
    let search =
        json!({"query": "mill number 99", "filter": {"topic": {"$exists": true}}, "top_k": 1});
    let hits = client.post("/search", search).ok();
    let found = hits["hits"][0]["id"].as_str().unwrap();
    assert!(found.starts_with("mill"), "{hits}");
    // It can be trained further, and by the settings that the result shows.
    let mut further = short();
    further["name"] = json!("further");
    further["epochs"] = json!(1);
    let answer = client.post("/models/ours/train", further);
    assert_eq!(answer.status, 202, "{}", answer.text);
    let known = wait_for(
        client,
        answer.json()["job"].as_str().unwrap(),
        &["done", "failed"],
    );
    assert_eq!(known["result"]["base"], "ours", "{known}");
    let settings = known["result"]["settings"].as_str().unwrap();
    assert!(
        settings.starts_with("[encoders.further]\nmodel = \"/"),
        "{settings}"
    );
}

#[test]
fn a_training_that_is_cancelled_or_killed_leaves_no_model() {
    let folder = tempfile::tempdir().unwrap();
    let server = options(folder.path()).start();
    let client = server.client();
    fill(client);
    let job = train(client, long());
    wait_until_learning(client, &job);
    let known = client.get(&format!("/jobs/{job}")).ok();
    assert!(known["progress"]["total"].as_u64() > Some(1000), "{known}");
    let mut second = long();
    second["name"] = json!("second");
    let refused = client.post("/models/default/train", second);
    let refused = refused.problem(409, "conflict");
    assert!(
        refused["detail"].as_str().unwrap().contains(&job),
        "{refused}"
    );
    // Queries are answered meanwhile.
    client.post("/search", json!({"query": "a mill"})).ok();
    client.delete(&format!("/jobs/{job}"));
    wait_for(client, &job, &["cancelled"]);
    assert!(left(folder.path()).is_empty());

    let job = train(client, long());
    wait_until_learning(client, &job);
    server.kill();
    let place = folder.path().join("models/long");
    assert!(!place.exists());
    let server = options(folder.path()).start();
    let client = server.client();
    assert_eq!(
        client.get(&format!("/jobs/{job}")).ok()["state"],
        "interrupted"
    );
    // The process has ended with the service, and what it had written was removed by the start.
    let began = Instant::now();
    while !left(folder.path()).is_empty() {
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "{:?}",
            left(folder.path())
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(!names(client).contains(&"long".to_owned()));
    let job = train(client, long());
    wait_until_learning(client, &job);
    assert!(
        server.terminate().success(),
        "a training does not keep the service"
    );
    assert!(left(folder.path()).is_empty());
}

/// [`short`] with another value of a field.
fn with(field: &str, value: Value) -> Value {
    let mut body = short();
    body[field] = value;
    body
}

#[test]
fn a_training_that_cannot_be_is_refused_and_the_field_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let server = options(folder.path())
        .setting("TRAINING__MAX_MINUTES", 5)
        .start();
    let client = server.client();
    fill(client);
    for (field, value, pointer) in [
        ("name", json!("../x"), "/name"),
        ("name", json!(""), "/name"),
        ("name", json!(7), "/name"),
        ("collection", json!(null), "/collection"),
        ("pairs", json!({}), "/pairs"),
        ("pairs", json!(null), "/pairs"),
        ("pairs", json!({"same": "a\\b"}), "/pairs/same"),
        (
            "pairs",
            json!({"feedback": true, "max_pairs": 0}),
            "/pairs/max_pairs",
        ),
        ("epochs", json!(0), "/epochs"),
        ("epochs", json!(1.5), "/epochs"),
        ("batch_size", json!(1), "/batch_size"),
        ("learning_rate", json!(0), "/learning_rate"),
        ("held_out", json!(0.6), "/held_out"),
        ("loss", json!("hinge"), "/loss"),
        ("max_minutes", json!(6), "/max_minutes"),
        ("output", json!("/tmp/x"), ""),
    ] {
        let problem = client
            .post("/models/default/train", with(field, value.clone()))
            .problem(422, "invalid_request");
        let found = problem["pointer"].as_str().unwrap_or_default();
        assert!(found.starts_with(pointer), "{field} {value}: {problem}");
    }
    client
        .post("/models/none/train", short())
        .problem(404, "model_not_found");
    client
        .post("/models/default", short())
        .problem(404, "not_found");
    client
        .post("/models/default/train", with("collection", json!("none")))
        .problem(404, "collection_not_found");
    let default = client.post("/models/default/train", with("name", json!("default")));
    default.problem(409, "conflict");
    drop(server);
    let server = ServerOptions::tiny(&folder.path().join("data")).start();
    let refused = server.client().post("/models/default/train", short());
    refused.problem(403, "training_disabled");
}

#[test]
fn a_training_that_fails_says_why_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = options(folder.path()).start();
    let client = server.client();
    fill(client);
    let failed = |body: Value| {
        let known = wait_for(client, &train(client, body), &["failed", "done"]);
        let error = known["error"].clone();
        (
            error["code"].as_str().unwrap_or_default().to_owned(),
            error["detail"].to_string(),
        )
    };
    let (code, detail) = failed(with("pairs", json!({"same": "nothing"})));
    assert!(
        code == "invalid_request" && detail.contains("no pairs"),
        "{detail}"
    );
    let (code, detail) = failed(with("loss", json!("triplet")));
    assert!(
        code == "invalid_request" && detail.contains("triplet"),
        "{detail}"
    );
    let few = json!({"feedback": true, "max_pairs": 2});
    let (code, detail) = failed(with("pairs", few));
    assert!(
        code == "invalid_request" && detail.contains("at least 5"),
        "{detail}"
    );
    assert!(left(folder.path()).is_empty());
    drop(server);

    let server = options(folder.path())
        .setting("TRAINING__MAX_MEMORY_BYTES", 1_000_000)
        .start();
    let client = server.client();
    let known = wait_for(client, &train(client, short()), &["failed", "done"]);
    assert_eq!(known["error"]["code"], "memory_full", "{known}");
    assert!(left(folder.path()).is_empty());
}
