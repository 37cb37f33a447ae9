//! A start that cannot succeed ends with one sentence that says what to do.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use serde_json::json;
use siamese_tests::{Server, ServerOptions, binary, model_dir};

#[track_caller]
pub(crate) fn one_sentence(options: ServerOptions, words: &[&str]) {
    let (status, stderr) = options.start_and_fail();
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    let lines: Vec<_> = stderr
        .lines()
        .filter(|line| line.starts_with("error: "))
        .collect();
    assert_eq!(lines.len(), 1, "{stderr}");
    for word in words {
        assert!(lines[0].contains(word), "{word:?} is not in {stderr}");
    }
}

fn copy_model(to: &Path) {
    for entry in ["1_Pooling", "."] {
        fs_err::create_dir_all(to.join(entry)).unwrap();
        for file in fs_err::read_dir(model_dir().join(entry)).unwrap() {
            let file = file.unwrap();
            if file.file_type().unwrap().is_file() {
                fs_err::copy(file.path(), to.join(entry).join(file.file_name())).unwrap();
            }
        }
    }
}

#[test]
fn a_port_in_use_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let options = ServerOptions::new(folder.path()).port(port);
    one_sentence(options, &[&port.to_string(), "--listen"]);
}

#[test]
fn a_data_folder_in_use_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let _server = Server::start(folder.path());
    let name = folder.path().to_str().unwrap();
    one_sentence(ServerOptions::new(folder.path()), &[name, "in use"]);
}

#[cfg(unix)]
#[test]
fn data_is_for_the_user_of_the_service_alone_also_when_it_was_not() {
    use std::os::unix::fs::PermissionsExt;
    fn modes(path: &Path) -> Vec<(std::path::PathBuf, u32)> {
        let mode = fs_err::metadata(path).unwrap().permissions().mode() & 0o777;
        let mut all = vec![(path.to_owned(), mode)];
        if path.is_dir() {
            for entry in fs_err::read_dir(path).unwrap() {
                all.extend(modes(&entry.unwrap().path()));
            }
        }
        all
    }
    #[track_caller]
    fn assert_private(data: &Path) {
        for (path, mode) in modes(data) {
            let wanted = if path.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(mode, wanted, "{} is {mode:o}", path.display());
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let options = || ServerOptions::new(&data).setting("INDEX__MAX_HEAD_PASSAGES", 4);
    let server = options().start();
    let documents: Vec<_> = (0..8)
        .map(|n| json!({"id": n.to_string(), "text": format!("text {n}")}))
        .collect();
    let client = server.client();
    client
        .post("/documents", json!({ "documents": documents }))
        .ok();
    client.post("/snapshots", json!({})).ok();
    assert!(server.terminate().success());
    assert_private(&data);
    for (path, mode) in modes(&data) {
        fs_err::set_permissions(path, PermissionsExt::from_mode(mode | 0o055)).unwrap();
    }
    drop(options().start());
    assert_private(&data);
}

#[test]
fn a_missing_model_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("no-model");
    one_sentence(
        ServerOptions::new(folder.path()).model(&model),
        &["no-model"],
    );
}

#[test]
fn a_damaged_model_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model");
    copy_model(&model);
    for file in [
        "model.safetensors",
        "tokenizer.json",
        "config.json",
        "modules.json",
    ] {
        let path = model.join(file);
        let whole = fs_err::read(&path).unwrap();
        fs_err::write(&path, &whole[..whole.len() / 2]).unwrap();
        one_sentence(ServerOptions::new(folder.path()).model(&model), &[file]);
        fs_err::remove_file(&path).unwrap();
        one_sentence(ServerOptions::new(folder.path()).model(&model), &[file]);
        fs_err::write(&path, &whole).unwrap();
    }
}

#[test]
fn data_made_by_another_encoder_is_served_as_far_as_that_goes_and_the_encoder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start(&data);
    let document = serde_json::json!({"documents": [{"id": "a", "text": "x"}]});
    server.client().post("/documents", document).ok();
    let first = server.client().get("/encoder").ok()["encoder_id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(server.terminate().success());

    let model = folder.path().join("other-model");
    copy_model(&model);
    let pooling = model.join("1_Pooling/config.json");
    let text = fs_err::read_to_string(&pooling).unwrap();
    let text = text
        .replace(
            "\"pooling_mode_mean_tokens\": true",
            "\"pooling_mode_mean_tokens\": false",
        )
        .replace(
            "\"pooling_mode_cls_token\": false",
            "\"pooling_mode_cls_token\": true",
        );
    fs_err::write(&pooling, text).unwrap();
    let server = ServerOptions::new(&data).model(&model).start();
    let client = server.client();
    let search = serde_json::json!({"query": "x"});
    let problem = client.post("/search", search);
    let problem = problem.problem(503, "model_unavailable");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(&first), "{detail}");
    assert_eq!(client.get("/documents/a").ok()["text"], "x");
    // Empty, it is made for the encoder that there is now.
    client.delete("/collections/default");
    client
        .post("/search", serde_json::json!({"query": "x"}))
        .ok();
}

#[test]
fn an_address_that_cannot_be_one_is_told_in_a_sentence_about_the_flag() {
    for (listen, said) in [
        ("localhost:99999", "0 to 65535"),
        ("localhost", "localhost:8080"),
        ("::1:8080", "[::1]:8080"),
        ("search.internal:80", "localhost"),
    ] {
        let mut command = Command::new(binary());
        let output = command
            .args(["serve", "--listen", listen])
            .output()
            .unwrap();
        let said_all = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success());
        for part in ["--listen", listen, said] {
            assert!(said_all.contains(part), "{part}: {said_all}");
        }
        assert!(!said_all.contains(".rs"), "{said_all}");
    }
}
