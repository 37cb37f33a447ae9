//! `kill -9` at random moments while generations are made, filled, compared, activated and deleted, and documents are
//! written all the time.
//!
//! `SIAMESE_GENERATION_KILL_ROUNDS=100 cargo test -p siamese-tests --test it kill_generations` is the long form;
//! `SIAMESE_KILL_SEED` chooses other moments.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use siamese_tests::{Client, Dice, Server, ServerOptions, setting};
use ureq::http::Method;

const LONG: Duration = Duration::from_secs(120);
const PATH: &str = "/collections/default/generations";
const IDS: usize = 120;

type Documents = BTreeMap<String, String>;

/// What was acknowledged, and the write that got no answer.
#[derive(Debug, Default)]
struct Known {
    documents: Documents,
    in_flight: Option<(String, Option<String>)>,
}

fn start(folder: &Path) -> Server {
    let models = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let models = models.join("../crates/encoder/tests/fixtures/models");
    let dense = models.join("bert-dense-prompts");
    ServerOptions::tiny(folder)
        .setting("ENCODERS__DENSE__MODEL", dense.display())
        .setting("INDEX__MAX_HEAD_PASSAGES", 32)
        .start()
}

fn apply(documents: &mut Documents, (id, text): &(String, Option<String>)) {
    match text {
        Some(text) => documents.insert(id.clone(), text.clone()),
        None => documents.remove(id),
    };
}

/// Stores, replaces and deletes until the server is gone. Anything but an answer or no answer fails.
fn write(client: &Client, known: &mut Known, stop: &AtomicBool, mut dice: Dice) {
    while !stop.load(Ordering::Relaxed) {
        let id = format!("d{}", dice.below(IDS));
        let text = (dice.below(5) > 0).then(|| format!("A cat {}", dice.below(1_000_000)));
        let answer = match &text {
            Some(text) => {
                let body = json!({"documents": [{"id": id, "text": text}]});
                client.try_json(Method::POST, "/documents", &body)
            }
            None => client.try_json(Method::DELETE, &format!("/documents/{id}"), &Value::Null),
        };
        let change = (id, text);
        match answer {
            Some(answer) => {
                let was_not_there = answer.json()["code"] == "document_not_found";
                let is_known = known.documents.contains_key(&change.0);
                let is_done = (200..300).contains(&answer.status);
                assert!(is_done || (was_not_there && !is_known), "{answer:?}");
                apply(&mut known.documents, &change);
            }
            None => {
                known.in_flight = Some(change);
                return;
            }
        }
    }
}

/// Makes, fills, compares, activates and deletes generations until the server is gone. How often it got so far.
fn operate(client: &Client, stop: &AtomicBool, activated: &mut usize) -> Option<()> {
    let post = |path: &str, body: &Value| client.try_json(Method::POST, path, body);
    while !stop.load(Ordering::Relaxed) {
        let listed = client.try_json(Method::GET, PATH, &Value::Null)?.ok();
        let mut encoder = "dense";
        for generation in listed["generations"].as_array().unwrap() {
            if generation["state"] != "active" {
                let path = format!("{PATH}/{}", generation["generation"]);
                client.try_json(Method::DELETE, &path, &Value::Null)?;
            } else if generation["encoder"]["name"] == "dense" {
                encoder = "default";
            }
        }
        let made = post(PATH, &json!({"encoder": encoder}))?;
        if made.status == 503 {
            // Comparisons wait, as many as may.
            std::thread::sleep(Duration::from_millis(20));
            continue;
        }
        assert_eq!(made.status, 202, "{}", made.text);
        let path = format!("{PATH}/{}", made.json()["generation"]);
        while client.try_json(Method::GET, &path, &Value::Null)?.ok()["state"] == "filling" {
            std::thread::sleep(Duration::from_millis(3));
        }
        let queries: Vec<String> = (0..150).map(|n| format!("a cat {n}")).collect();
        let compared = post(&format!("{path}/compare"), &json!({ "queries": queries }))?;
        // A job, or there are as many as may wait.
        assert!([202, 503].contains(&compared.status), "{}", compared.text);
        post(&format!("{path}/activate"), &json!({}))?.ok();
        *activated += 1;
    }
    Some(())
}

/// All documents of the active generation, each of which has a vector of its own length.
fn stored(client: &Client) -> Documents {
    let text = client.get("/export?include=vectors").text;
    let lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let lines: Vec<Value> = lines.collect();
    assert!(lines.last().unwrap()["end"].is_object(), "{text}");
    let dimensions = lines[0]["export"]["dimensions"].as_u64().unwrap();
    let documents = lines.iter().filter(|line| line["id"].is_string());
    let documents = documents.map(|line| {
        for passage in line["passages"].as_array().unwrap() {
            let vector = passage["vector"].as_array().unwrap();
            assert_eq!(vector.len() as u64, dimensions);
        }
        let part = |name: &str| line[name].as_str().unwrap().to_owned();
        (part("id"), part("text"))
    });
    documents.collect()
}

/// Every job has ended or goes on, every generation gets ready by itself, and all hold what was acknowledged.
fn check(client: &Client, known: &mut Known, round: usize) -> usize {
    let deadline = Instant::now() + LONG;
    let generations = loop {
        let listed = client.get(PATH).ok();
        let generations = listed["generations"].as_array().unwrap().clone();
        if !generations.iter().any(|it| it["state"] == "filling") {
            break generations;
        }
        assert!(Instant::now() < deadline, "round {round}: {listed}");
        std::thread::sleep(Duration::from_millis(10));
    };
    let found = stored(client);
    let mut with_last = known.documents.clone();
    let in_flight = known.in_flight.take();
    if let Some(change) = &in_flight {
        apply(&mut with_last, change);
    }
    if found != known.documents && found != with_last {
        let differences = (0..IDS).filter_map(|n| {
            let id = format!("d{n}");
            let (stored, acknowledged) = (found.get(&id), known.documents.get(&id));
            (stored != acknowledged).then(|| format!("{id}: {stored:?}, was {acknowledged:?}"))
        });
        let differences: Vec<String> = differences.collect();
        panic!("round {round}: {differences:?}, in flight {in_flight:?}, {generations:?}");
    }
    let active = generations.iter().find(|it| it["state"] == "active");
    let active = active.unwrap()["generation"].clone();
    for generation in &generations {
        let path = format!("{PATH}/{}/activate", generation["generation"]);
        client.post(&path, json!({})).ok();
        assert_eq!(stored(client), found, "round {round}: {generation}");
    }
    client
        .post(&format!("{PATH}/{active}/activate"), json!({}))
        .ok();
    known.documents = found;
    generations.len()
}

#[test]
fn generations_survive_a_kill_at_any_moment_and_hold_what_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let rounds = setting("SIAMESE_GENERATION_KILL_ROUNDS", 6);
    let seed = setting("SIAMESE_KILL_SEED", 1);
    let (mut known, mut activated, mut several) = (Known::default(), 0, 0);
    for round in 0..rounds {
        let server = start(folder.path());
        let client = server.client().clone();
        several += usize::from(check(&client, &mut known, round) > 1);
        let stop = AtomicBool::new(false);
        let mut dice = Dice(seed as u64 * 7_919 + round as u64);
        std::thread::scope(|scope| {
            let (client, stop, writing) = (&client, &stop, Dice(dice.next()));
            let known = &mut known;
            scope.spawn(move || write(client, known, stop, writing));
            let activated = &mut activated;
            scope.spawn(move || operate(client, stop, activated));
            std::thread::sleep(Duration::from_millis(100 + dice.below(900) as u64));
            server.kill();
            stop.store(true, Ordering::Relaxed);
        });
    }
    let server = start(folder.path());
    several += usize::from(check(server.client(), &mut known, rounds) > 1);
    eprintln!(
        "{rounds} rounds, {activated} generations activated, {several} kills with several generations"
    );
    assert!(
        activated > 0 && several > 0,
        "too little happened to say anything"
    );
}
