//! Any repository, pulled from a mirror on loopback that knows the hub's API.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use serde_json::json;
use sha2::{Digest, Sha256};

use super::checksum::{FileState, hex};
use super::hub::{Hub, Patience};
use super::progress::Progress;
use super::pull::{Pulled, pull};
use super::record::Record;
use super::repository::{ListError, Repository, list_at};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What a mirror answers, by path.
type Answers = Arc<BTreeMap<String, Vec<u8>>>;

fn mirror(files: &[(&str, &[u8])]) -> String {
    let siblings = files.iter().map(|(name, content)| {
        // The hub says the checksum of what is in its large file storage.
        match name.ends_with(".safetensors") {
            true => json!({"rfilename": name, "lfs": {"sha256": hex(&Sha256::digest(content)), "size": content.len()}}),
            false => json!({"rfilename": name, "size": content.len()}),
        }
    });
    let list = json!({"sha": COMMIT, "siblings": siblings.collect::<Vec<_>>()});
    let mut answers = BTreeMap::from([(
        "/api/models/tests/any/revision/main?blobs=true".to_owned(),
        list.to_string().into_bytes(),
    )]);
    for (name, content) in files {
        answers.insert(
            format!("/tests/any/resolve/{COMMIT}/{name}"),
            content.to_vec(),
        );
    }
    serve(Arc::new(answers))
}

fn serve(answers: Answers) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            answer(socket, &answers);
        }
    });
    endpoint
}

fn answer(mut socket: TcpStream, answers: &Answers) {
    let mut lines = BufReader::new(&socket).lines().map_while(Result::ok);
    let request = lines.next().unwrap_or_default();
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    lines.take_while(|line| !line.is_empty()).for_each(drop);
    let (status, body) = match answers.get(&path) {
        Some(body) => ("200 OK", &body[..]),
        None => ("404 Not Found", &b""[..]),
    };
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    drop(socket.write_all(head.as_bytes()));
    drop(socket.write_all(body));
}

#[test]
fn any_public_repository_is_pulled_and_recorded_with_its_commit() {
    let files: [(&str, &[u8]); 5] = [
        ("modules.json", b"[]"),
        ("1_Pooling/config.json", b"{}"),
        ("model.safetensors", &[7; 100_000]),
        ("pytorch_model.bin", b"not wanted"),
        ("README.md", b"not wanted"),
    ];
    let endpoint = mirror(&files);
    let repository = Repository::new("tests/any", "main").unwrap();
    let hub = Hub::at(&endpoint, Patience::default());
    let model = list_at(&hub, &repository).unwrap();
    assert_eq!((model.name, model.revision), ("tests/any", COMMIT));

    let root = tempfile::tempdir().unwrap();
    let target = root.path().join("tests/any");
    let hub = Hub::new(&endpoint, &model, Patience::default());
    let pulled = pull(&model, &target, &[&hub], &Progress::hidden()).unwrap();
    assert_eq!(pulled, Pulled::Fetched);
    Record::of(&model).write(&target).unwrap();
    let record = Record::read(&target).unwrap().unwrap();
    assert_eq!((record.revision.as_str(), record.count()), (COMMIT, 3));
    assert!(record.wrong_files(&target).unwrap().is_empty());
    assert!(!target.join("pytorch_model.bin").exists());

    fs_err::write(target.join("modules.json"), b"[ ").unwrap();
    fs_err::remove_file(target.join("1_Pooling/config.json")).unwrap();
    let wrong = record.wrong_files(&target).unwrap();
    let names: Vec<_> = wrong.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["modules.json", "1_Pooling/config.json"]);
    assert_eq!(wrong[1].1, FileState::Missing);
}

#[test]
fn a_repository_that_is_not_there_or_holds_no_weights_is_an_error_that_says_so() {
    let hub = Hub::at(&mirror(&[("README.md", b"x")]), Patience::default());
    let repository = Repository::new("tests/any", "main").unwrap();
    let error = list_at(&hub, &repository).unwrap_err();
    assert!(matches!(error, ListError::Unusable { .. }), "{error}");
    let other = Repository::new("tests/other", "main").unwrap();
    let error = list_at(&hub, &other).unwrap_err().to_string();
    assert!(
        error.contains("tests/other") && error.contains("404"),
        "{error}"
    );
    assert!(
        error.contains("HF_ENDPOINT") && error.contains("--model DIR"),
        "{error}"
    );
}
