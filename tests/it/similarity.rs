//! All forms of a comparison.

use serde_json::{Value, json};
use siamese_tests::{Server, ServerOptions};
use ureq::http::Method;

const CAT: &str = "A cat sleeps on the sofa.";
const KITTEN: &str = "A kitten is napping on the couch.";
const TAX: &str = "The tax return is due in May.";

#[test]
fn every_form_gives_the_same_scores() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let compare = |body| server.client().post("/similarity", body).ok();

    let pairs = compare(json!({"pairs": [[CAT, KITTEN], [CAT, {"text": TAX}]]}));
    let (near, far) = (
        pairs["scores"][0].as_f64().unwrap(),
        pairs["scores"][1].as_f64().unwrap(),
    );
    assert!(near > 0.6 && far < 0.2, "{near} {far}");

    let close = |value: &Value, expected: f64| {
        assert!(
            (value.as_f64().unwrap() - expected).abs() < 1e-4,
            "{value} {expected}"
        );
    };
    let one_to_many = compare(json!({"source": CAT, "targets": [KITTEN, TAX]}));
    close(&one_to_many["scores"][0], near);
    close(&one_to_many["scores"][1], far);
    let matrix = compare(json!({"left": [CAT], "right": [KITTEN, TAX]}));
    close(&matrix["matrix"][0][0], near);
    close(&matrix["matrix"][0][1], far);
    let square = compare(json!({"left": [CAT, KITTEN, TAX]}));
    close(&square["matrix"][1][0], near);
    close(&square["matrix"][2][2], 1.0);
    let bare = compare(json!({"inputs": {"source_sentence": CAT, "sentences": [KITTEN, TAX]}}));
    close(&bare[0], near);
    close(&bare[1], far);
}

#[test]
fn a_stored_document_compares_by_its_stored_vector() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    client
        .post(
            "/documents",
            json!({"documents": [{"id": "cat", "text": CAT}]}),
        )
        .ok();
    let answer = client
        .post("/similarity", json!({"pairs": [[{"id": "cat"}, CAT]]}))
        .ok();
    assert!((answer["scores"][0].as_f64().unwrap() - 1.0).abs() < 1e-4);
    client
        .post("/similarity", json!({"pairs": [[{"id": "dog"}, CAT]]}))
        .problem(404, "document_not_found");
}

#[test]
fn distances_are_negative_so_that_higher_is_more_alike() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    for metric in ["euclidean", "manhattan"] {
        let body = json!({"source": CAT, "targets": [CAT, KITTEN, TAX], "metric": metric});
        let answer = server.client().post("/similarity", body).ok();
        let score = |place: usize| answer["scores"][place].as_f64().unwrap();
        assert!(score(0).abs() < 1e-3, "{answer}");
        assert!(
            score(0) > score(1) && score(1) > score(2),
            "{metric} {answer}"
        );
    }
}

#[test]
fn a_matrix_comes_as_lines_and_may_be_larger_then() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(folder.path())
        .setting("limits.max_similarity_scores", 9)
        .start();
    let client = server.client();
    let lines = |body: Value| {
        let headers = [("accept", "application/x-ndjson")];
        client.ask(Method::POST, "/similarity", &headers, body)
    };
    let three = json!({"left": [CAT, KITTEN, TAX]});
    let matrix = client.post("/similarity", three.clone()).ok();
    let answer = lines(three);
    let rows: Vec<Value> = answer
        .text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(matrix["matrix"], Value::from(rows));

    // More rows than are computed in one step.
    let items: Vec<String> = (0..200).map(|n| format!("{CAT} {n}")).collect();
    let many = json!({"left": items});
    let problem = client
        .post("/similarity", many.clone())
        .problem(422, "invalid_request");
    assert_eq!(problem["pointer"], "/left");
    let answer = lines(many);
    assert_eq!(answer.text.lines().count(), 200);
    for (place, line) in answer.text.lines().enumerate() {
        let row: Vec<f64> = serde_json::from_str(line).unwrap();
        assert_eq!(row.len(), 200);
        assert!((row[place] - 1.0).abs() < 1e-6, "{place}: {}", row[place]);
    }
}

fn run(server: &Server, folder: &std::path::Path, arguments: &[&str]) -> std::process::Output {
    let mut command = std::process::Command::new(siamese_tests::binary());
    command.arg("similarity").args(arguments).arg("--url");
    command.arg(format!("http://127.0.0.1:{}", server.port()));
    command.current_dir(folder).output().unwrap()
}

#[test]
fn files_are_compared_as_a_matrix_or_line_by_line() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(&data.path().join("data"));
    let folder = data.path();
    fs_err::write(
        folder.join("a.csv"),
        "id,text\n1,A cat sleeps\n2,Taxes are due\n",
    )
    .unwrap();
    fs_err::write(
        folder.join("b.csv"),
        "id,text\nx,The cat is asleep\ny,A cat sleeps\n",
    )
    .unwrap();
    let text = |arguments: &[&str]| {
        let output = run(&server, folder, arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{error}");
        String::from_utf8(output.stdout).unwrap()
    };
    let matrix = text(&["a.csv", "b.csv", "--files"]);
    let rows: Vec<Vec<&str>> = matrix
        .lines()
        .map(|line| line.split(',').collect())
        .collect();
    assert_eq!(rows[0], ["", "x", "y"]);
    assert_eq!((rows[1][0], rows[1][2], rows[2][0]), ("1", "1.0000", "2"));
    let score = |row: usize, column: usize| rows[row][column].parse::<f64>().unwrap();
    assert!(score(1, 1) > 0.8 && score(2, 1) < 0.3, "{matrix}");
    let own = text(&["a.csv", "--files"]);
    assert!(own.starts_with(",1,2\n1,1.0000,"), "{own}");
    let pairs = text(&["a.csv", "b.csv", "--files", "--pairs"]);
    assert!(pairs.starts_with("left,right,score\n1,x,0."), "{pairs}");
    fs_err::write(folder.join("c.txt"), "alone").unwrap();
    let uneven = run(&server, folder, &["a.csv", "c.txt", "--files", "--pairs"]);
    assert!(!uneven.status.success());
    assert!(
        String::from_utf8_lossy(&uneven.stderr).contains("one file has 2 texts and the other 1")
    );
    assert!(!run(&server, folder, &["a text"]).status.success());
}
