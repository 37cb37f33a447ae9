//! `kill -9` at random moments while several writers put, replace, patch and delete, and while the
//! index freezes and merges behind them, and snapshots are taken one after the other.
//!
//! `SIAMESE_KILL_ROUNDS=200 cargo test -p siamese-tests --test it kill_mixed` is the long form;
//! `SIAMESE_KILL_SEED` chooses other moments and writes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use siamese_tests::{Client, Dice, ServerOptions, binary, setting};
use ureq::http::Method;

const WRITERS: usize = 3;
const IDS_PER_WRITER: usize = 25;
/// Documents whose vectors are looked for after each round.
const SEARCHED: usize = 10;

/// What is stored of a document.
#[derive(Debug, Clone, Copy, PartialEq)]
struct State {
    version: usize,
    patched: Option<usize>,
}

/// What becomes of each document that one request names.
type Change = Vec<(String, Option<State>)>;
type Documents = BTreeMap<String, State>;

/// What a writer knows.
#[derive(Debug, Default)]
struct Writer {
    acknowledged: Documents,
    /// The request that got no answer: it may have happened or not.
    in_flight: Option<Change>,
    requests: usize,
}

fn text(id: &str, version: usize) -> String {
    format!(
        "{id} in version {version} speaks of the number {}",
        version * 7919 % 1009
    )
}

fn next_change(writer: usize, documents: &Documents, dice: &mut Dice) -> Change {
    let known = |dice: &mut Dice| {
        let place = dice.below(documents.len());
        documents
            .iter()
            .nth(place)
            .map(|(id, state)| (id.clone(), *state))
    };
    match (dice.below(10), known(dice)) {
        (0 | 1, Some((id, _))) => vec![(id, None)],
        (2..=4, Some((id, state))) => {
            let patched = Some(dice.below(1_000_000));
            vec![(id, Some(State { patched, ..state }))]
        }
        _ => {
            let first = dice.below(IDS_PER_WRITER - 3);
            let state = State {
                version: 1 + dice.below(1_000_000),
                patched: None,
            };
            let ids = first..=first + dice.below(3);
            ids.map(|n| (format!("w{writer}-{n}"), Some(state)))
                .collect()
        }
    }
}

/// Sends a change; `None` when the server was gone before it answered.
fn send(client: &Client, documents: &Documents, change: &Change) -> Option<()> {
    let (id, state) = &change[0];
    let path = format!("/documents/{id}");
    let answer = match state {
        None => client.try_json(Method::DELETE, &path, &Value::Null),
        Some(State {
            version,
            patched: Some(patched),
        }) if documents.get(id).is_some_and(|old| old.version == *version) => {
            let patch = json!({"metadata": {"patched": patched}});
            client.try_json(Method::PATCH, &path, &patch)
        }
        Some(_) => {
            let document = |(id, state): &(String, Option<State>)| {
                let version = state.unwrap().version;
                json!({"id": id, "text": text(id, version), "metadata": {"version": version}})
            };
            let documents: Vec<Value> = change.iter().map(document).collect();
            client.try_json(
                Method::POST,
                "/documents",
                &json!({ "documents": documents }),
            )
        }
    }?;
    assert!((200..300).contains(&answer.status), "{answer:?}");
    Some(())
}

fn apply(documents: &mut Documents, change: &Change) {
    for (id, state) in change {
        match state {
            Some(state) => documents.insert(id.clone(), *state),
            None => documents.remove(id),
        };
    }
}

/// Writes until the server is gone.
fn write(
    client: &Client,
    number: usize,
    writer: &Mutex<Writer>,
    stop: &AtomicBool,
    mut dice: Dice,
) {
    let mut writer = writer.lock().unwrap();
    while !stop.load(Ordering::Relaxed) {
        let change = next_change(number, &writer.acknowledged, &mut dice);
        writer.in_flight = Some(change.clone());
        if send(client, &writer.acknowledged, &change).is_none() {
            return;
        }
        writer.in_flight = None;
        writer.requests += 1;
        apply(&mut writer.acknowledged, &change);
    }
}

/// Takes snapshots and deletes all but one, until the server is gone. How many were taken.
fn take_snapshots(client: &Client, stop: &AtomicBool) -> usize {
    let mut kept: Option<String> = None;
    for taken in 0.. {
        if stop.load(Ordering::Relaxed) {
            return taken;
        }
        let answer = client.try_json(Method::POST, "/snapshots", &json!({}));
        let Some(answer) = answer else {
            return taken;
        };
        let name = answer.ok()["name"].as_str().unwrap().to_owned();
        if let Some(old) = kept.replace(name) {
            let path = format!("/snapshots/{old}");
            if client
                .try_json(Method::DELETE, &path, &Value::Null)
                .is_none()
            {
                return taken + 1;
            }
        }
    }
    0
}

/// Every snapshot is whole, every file beside them is gone; then the snapshots go as well.
fn check_snapshots(client: &Client, data: &Path, round: usize) -> usize {
    let page = client.get("/snapshots").ok();
    let listed = page["snapshots"].as_array().unwrap();
    let names: BTreeSet<&str> = listed
        .iter()
        .map(|snapshot| snapshot["name"].as_str().unwrap())
        .collect();
    let files = fs_err::read_dir(data.join("snapshots"))
        .into_iter()
        .flatten();
    let files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    let of_files: BTreeSet<&str> = files
        .iter()
        .map(|file| file.file_name().unwrap().to_str().unwrap())
        .collect();
    assert_eq!(names, of_files, "round {round}");
    for file in &files {
        let verified = Command::new(binary())
            .args(["snapshot", "verify"])
            .arg(file)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&verified.stderr);
        assert!(verified.status.success(), "round {round}: {said}");
    }
    for name in &names {
        client.delete(&format!("/snapshots/{name}")).ok();
    }
    files.len()
}

fn state_of(document: &Value) -> State {
    let number = |field: &str| document["metadata"][field].as_u64().map(|n| n as usize);
    let id = document["id"].as_str().unwrap();
    let state = State {
        version: number("version").unwrap(),
        patched: number("patched"),
    };
    assert_eq!(
        document["text"],
        text(id, state.version),
        "{id} is there by half"
    );
    state
}

/// Compares everything that is stored with what the writers know, and settles what was in flight.
fn check(client: &Client, writers: &[Mutex<Writer>], round: usize) {
    let page = client.get("/documents?limit=1000&include=text").ok();
    let documents = page["documents"].as_array().unwrap();
    let stored: Documents = documents
        .iter()
        .map(|document| {
            (
                document["id"].as_str().unwrap().to_owned(),
                state_of(document),
            )
        })
        .collect();
    let described = client.get("/collections/default").ok();
    assert_eq!(described["documents"], stored.len(), "round {round}");
    for (number, writer) in writers.iter().enumerate() {
        let mut writer = writer.lock().unwrap();
        let prefix = format!("w{number}-");
        let own = stored.iter().filter(|(id, _)| id.starts_with(&prefix));
        let own: Documents = own.map(|(id, state)| (id.clone(), *state)).collect();
        let mut with_last = writer.acknowledged.clone();
        if let Some(change) = writer.in_flight.take() {
            apply(&mut with_last, &change);
        }
        assert!(
            own == writer.acknowledged || own == with_last,
            "round {round}: {own:?} is stored, {:?} was acknowledged, or {with_last:?}",
            writer.acknowledged
        );
        writer.acknowledged = own;
    }
    for id in stored
        .keys()
        .rev()
        .step_by(stored.len().div_ceil(SEARCHED).max(1))
    {
        let full = client.get(&format!("/documents/{id}?include=vectors")).ok();
        let search = json!({"vector": full["passages"][0]["vector"], "top_k": 1});
        let hits = client.post("/search", search).ok();
        let score = hits["hits"][0]["score"].as_f64().unwrap();
        assert!(
            score > 0.9999,
            "round {round}: {id} is not found by its own vector"
        );
    }
}

#[test]
fn every_kind_of_acknowledged_write_survives_a_kill_and_none_is_there_by_half() {
    let folder = tempfile::tempdir().unwrap();
    let (rounds, seed) = (
        setting("SIAMESE_KILL_ROUNDS", 4),
        setting("SIAMESE_KILL_SEED", 1),
    );
    let writers: Vec<Mutex<Writer>> = (0..WRITERS).map(|_| Mutex::default()).collect();
    let start = || {
        // Freezing at every few writes, so that kills meet it.
        let options = ServerOptions::new(folder.path()).setting("INDEX__MAX_HEAD_PASSAGES", 6);
        options.start()
    };
    let (mut segments, mut taken, mut found) = (0, 0, 0);
    for round in 0..rounds {
        let server = start();
        let client = server.client().clone();
        check(&client, &writers, round);
        found += check_snapshots(&client, folder.path(), round);
        let stop = AtomicBool::new(false);
        let mut dice = Dice(seed as u64 * 1_000_003 + round as u64);
        std::thread::scope(|scope| {
            for (number, writer) in writers.iter().enumerate() {
                let (client, stop, dice) = (&client, &stop, Dice(dice.next()));
                scope.spawn(move || write(client, number, writer, stop, dice));
            }
            let snapshots = scope.spawn(|| take_snapshots(&client, &stop));
            std::thread::sleep(Duration::from_millis(50 + dice.below(1500) as u64));
            server.kill();
            stop.store(true, Ordering::Relaxed);
            taken += snapshots.join().unwrap();
        });
        let files = fs_err::read_dir(folder.path().join("segments/0"));
        segments = segments.max(files.map_or(0, Iterator::count));
    }
    let server = start();
    check(server.client(), &writers, rounds);
    found += check_snapshots(server.client(), folder.path(), rounds);
    let requests: usize = writers
        .iter()
        .map(|writer| writer.lock().unwrap().requests)
        .sum();
    eprintln!(
        "{rounds} rounds, {requests} acknowledged writes, up to {segments} files of segments, \
         {taken} snapshots taken, {found} of them found after kills"
    );
    assert!(requests > rounds, "too little was written to say anything");
    assert!(segments > 0, "nothing was frozen");
    assert!(taken > 0 && found > 0, "no snapshot was taken");
}
