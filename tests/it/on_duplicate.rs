//! Documents that resemble others when they come: flagged, rejected, or kept, as the request or the collection says.

use std::process::Command;

use serde_json::{Value, json};
use siamese_tests::{Server, binary};
use ureq::http::Method;

use super::duplicates::{fill, lines};

fn statuses(answer: &Value) -> Vec<(String, String, Value)> {
    let results = answer["results"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let shown = results.map(|result| {
        (
            text(&result["id"]),
            text(&result["status"]),
            result["duplicate_of"]["id"].clone(),
        )
    });
    shown.collect()
}

#[test]
fn a_document_that_resembles_another_is_flagged_or_rejected_when_it_comes() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    fill(client);
    let copy = "The printer on the second floor prints blank pages only";
    let incoming = |action: &str| {
        json!({"on_duplicate": action, "min_score": 0.8, "documents": [
            {"id": "f", "text": copy},
            {"id": "g", "text": "Where can I hand in a broken laptop?"},
            {"id": "h", "text": "Where can I hand in a laptop that is broken?"},
            // Its own old text is no other document.
            {"id": "b", "text": "My parking card does not open the garage any longer"},
        ]})
    };
    let answer = client.post("/documents", incoming("reject")).ok();
    let shown = statuses(&answer);
    let expected = [
        ("f", "rejected"),
        ("g", "created"),
        ("h", "rejected"),
        ("b", "updated"),
    ];
    for (shown, (id, status)) in shown.iter().zip(expected) {
        assert_eq!(
            (shown.0.as_str(), shown.1.as_str()),
            (id, status),
            "{answer}"
        );
    }
    assert!(shown[0].2 == "a" || shown[0].2 == "c", "{answer}");
    assert_eq!(
        (&shown[1].2, &shown[2].2, &shown[3].2),
        (&Value::Null, &json!("g"), &Value::Null)
    );
    assert_eq!(answer["results"][0]["duplicate_of"]["score"], 1.0);
    assert_eq!(answer["results"][0]["passages"], 0);
    client
        .get("/documents/f")
        .problem(404, "document_not_found");
    // What has not changed is not compared.
    let flagged = client.post("/documents", incoming("flag")).ok();
    let shown = statuses(&flagged);
    assert_eq!(shown[0].1, "created");
    assert_eq!(
        (&shown[1].1, &shown[1].2),
        (&"unchanged".to_owned(), &Value::Null)
    );
    assert_eq!(
        (&shown[2].1, &shown[2].2),
        (&"created".to_owned(), &json!("g"))
    );
    assert_eq!(client.get("/collections/default").ok()["documents"], 8);
    let metrics = client.get("/metrics").text;
    assert!(metrics.contains("siamese_documents_written_total{status=\"rejected\"} 2"));
    for body in [
        json!({"on_duplicate": "reject", "documents": [{"text": "x"}]}),
        json!({"min_score": 0.5, "documents": [{"text": "x"}]}),
        json!({"on_duplicate": "flag", "min_score": 1.5, "documents": [{"text": "x"}]}),
    ] {
        let problem = client
            .post("/documents", body)
            .problem(422, "invalid_request");
        assert_eq!(problem["pointer"], "/min_score");
    }
}

#[test]
fn lines_of_a_stream_are_compared_with_what_is_stored_and_with_lines_before_them() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    fill(client);
    let lines_in = [
        json!({"id": "f", "text": "The printer on the second floor prints blank pages only"}),
        json!({"id": "g", "text": "Where can I hand in a broken laptop?"}),
        json!({"id": "h", "text": "Where can I hand in a broken laptop?"}),
    ];
    let body: String = lines_in.iter().map(|line| format!("{line}\n")).collect();
    let send = |query: &str| {
        let path = format!("/documents{query}");
        client.send(
            Method::POST,
            &path,
            Some("application/x-ndjson"),
            body.as_bytes(),
        )
    };
    let answer = send("?on_duplicate=reject&min_score=0.9");
    let answers = lines(&answer.text);
    let statuses: Vec<&str> = answers[..3]
        .iter()
        .map(|line| line["status"].as_str().unwrap())
        .collect();
    assert_eq!(statuses, ["rejected", "created", "rejected"]);
    assert_eq!(answers[2]["duplicate_of"]["id"], "g");
    assert_eq!(
        (
            &answers[3]["summary"]["rejected"],
            &answers[3]["summary"]["created"]
        ),
        (&json!(2), &json!(1))
    );
    for query in [
        "?on_duplicate=reject",
        "?min_score=0.9",
        "?on_duplicate=maybe&min_score=1",
        "?x=1",
    ] {
        send(query).problem(422, "invalid_request");
    }
    let misplaced = json!({"documents": [{"text": "x"}]});
    client
        .post("/documents?on_duplicate=reject&min_score=0.9", misplaced)
        .problem(422, "invalid_request");
}

#[test]
fn a_collections_setting_says_what_becomes_of_duplicates_unless_the_request_does() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    fill(client);
    let put = |on_duplicate: Value| {
        let body = json!({ "on_duplicate": on_duplicate }).to_string();
        let json = Some("application/json");
        client.send(Method::PUT, "/collections/default", json, body.as_bytes())
    };
    let default = client.get("/collections/default").ok();
    assert_eq!(default["on_duplicate"], json!({"mode": "allow"}));
    let reject = json!({"mode": "reject", "min_score": 0.9});
    assert_eq!(put(reject.clone()).ok()["on_duplicate"], reject);
    let copy = "The printer on the second floor prints blank pages only";
    let send = |body: Value| {
        let answer = client.post("/documents", body).ok();
        statuses(&answer).remove(0).1
    };
    let documents = |id| json!([{"id": id, "text": copy}]);
    assert_eq!(send(json!({"documents": documents("f")})), "rejected");
    let allowing = json!({"documents": documents("g"), "on_duplicate": "allow"});
    assert_eq!(send(allowing), "created");
    let stricter = json!({"documents": documents("h"), "on_duplicate": "flag", "min_score": 0.95});
    assert_eq!(send(stricter), "created");
    let line = format!("{}\n", json!({"id": "i", "text": copy}));
    let stream = |path: &str| {
        let answer = client.send(
            Method::POST,
            path,
            Some("application/x-ndjson"),
            line.as_bytes(),
        );
        lines(&answer.text)[0]["status"].clone()
    };
    assert_eq!(stream("/documents"), "rejected");
    assert_eq!(stream("/documents?on_duplicate=allow"), "created");
    assert_eq!(put(json!({"mode": "allow"})).ok()["documents"], 8);
    assert_eq!(send(json!({"documents": documents("j")})), "created");
    for (setting, pointer) in [
        (json!({"mode": "reject"}), "/on_duplicate/min_score"),
        (
            json!({"mode": "allow", "min_score": 0.5}),
            "/on_duplicate/min_score",
        ),
        (
            json!({"mode": "flag", "min_score": 1.5}),
            "/on_duplicate/min_score",
        ),
        (json!({"mode": "keep"}), "/on_duplicate/mode"),
        (json!({}), "/on_duplicate"),
    ] {
        let problem = put(setting).problem(422, "invalid_request");
        assert_eq!(problem["pointer"], pointer, "{problem}");
    }
}

#[test]
fn ingest_names_what_a_collection_keeps_out_and_an_import_stores_everything() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    let folder = tempfile::tempdir().unwrap();
    let (file, export) = (
        folder.path().join("new.jsonl"),
        folder.path().join("all.jsonl"),
    );
    let text = "The printer on the second floor prints blank pages only";
    let rows = [
        json!({"id": "f", "text": text}),
        json!({"id": "g", "text": text}),
    ];
    let rows: String = rows.iter().map(|row| format!("{row}\n")).collect();
    fs_err::write(&file, rows).unwrap();
    fill(client);
    let setting = br#"{"on_duplicate": {"mode": "reject", "min_score": 0.9}}"#;
    let json = Some("application/json");
    client
        .send(Method::PUT, "/collections/default", json, setting)
        .ok();
    let url = format!("http://127.0.0.1:{}", server.port());
    let run = |arguments: &[&str]| {
        let output = Command::new(binary())
            .args(arguments)
            .args(["--url", &url])
            .output();
        let output = output.unwrap();
        assert!(output.status.success(), "{output:?}");
        output
    };
    let output = run(&["ingest", file.to_str().unwrap()]);
    let (told, warned) = (
        String::from_utf8(output.stdout),
        String::from_utf8(output.stderr),
    );
    let (told, warned) = (told.unwrap(), warned.unwrap());
    assert!(told.contains("2 nearly the same as others"), "{told}");
    assert!(warned.contains("new.jsonl:1: not stored: "), "{warned}");
    run(&["export", "--output", export.to_str().unwrap()]);
    let output = run(&["import", export.to_str().unwrap(), "--collection", "copy"]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.starts_with("5 documents stored, 0 failed"), "{told}");
    let copy = client.get("/collections/copy").ok();
    assert_eq!(
        copy["on_duplicate"],
        json!({"mode": "reject", "min_score": 0.9})
    );
}
