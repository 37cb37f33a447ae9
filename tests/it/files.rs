//! `siamese ingest`: folders of what people have, read twice.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use siamese_tests::{Server, ServerOptions, binary};

/// A server whose model knows nothing, which is all the same here.
fn server(data: &Path) -> Server {
    ServerOptions::tiny(data).start()
}

fn command(server: &Server, folder: &Path) -> Command {
    let mut command = Command::new(binary());
    let url = format!("http://127.0.0.1:{}", server.port());
    command
        .arg("ingest")
        .args(["--url", &url])
        .current_dir(folder);
    command
}

fn ingest(server: &Server, folder: &Path, arguments: &[&str]) -> Output {
    command(server, folder).args(arguments).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// All documents by their ids.
fn stored(server: &Server) -> BTreeMap<String, Value> {
    let page = server
        .client()
        .get("/documents?limit=1000&include=text")
        .ok();
    let documents = page["documents"].as_array().unwrap().iter();
    documents
        .map(|document| {
            (
                document["id"].as_str().unwrap().to_owned(),
                document.clone(),
            )
        })
        .collect()
}

fn write(folder: &Path, name: &str, content: impl AsRef<[u8]>) {
    let path = folder.join(name);
    fs_err::create_dir_all(path.parent().unwrap()).unwrap();
    fs_err::write(path, content).unwrap();
}

/// A PDF whose pages show these lines. A page without one lacks what every page must have.
fn pdf(pages: &[Option<&str>]) -> Vec<u8> {
    let kids: Vec<_> = (0..pages.len())
        .map(|page| format!("{} 0 R", 4 + 2 * page))
        .collect();
    let mut objects = vec![
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        format!(
            "<< /Type /Pages /Kids [{}] /Count {} >>",
            kids.join(" "),
            pages.len()
        ),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>".to_owned(),
    ];
    for (page, line) in pages.iter().enumerate() {
        let media_box = line.map_or("", |_| "/MediaBox [0 0 300 300]");
        let show = format!(
            "BT /F1 12 Tf 20 200 Td ({}) Tj ET",
            line.unwrap_or_default()
        );
        objects.push(format!(
            "<< /Type /Page /Parent 2 0 R {media_box} /Contents {} 0 R /Resources << /Font << /F1 3 0 R >> >> >>",
            5 + 2 * page
        ));
        objects.push(format!(
            "<< /Length {} >>\nstream\n{show}\nendstream",
            show.len()
        ));
    }
    let (mut file, mut places) = ("%PDF-1.4\n".to_owned(), Vec::new());
    for (number, object) in objects.iter().enumerate() {
        places.push(file.len());
        file.push_str(&format!("{} 0 obj\n{object}\nendobj\n", number + 1));
    }
    let table = file.len();
    file.push_str(&format!(
        "xref\n0 {}\n0000000000 65535 f \n",
        objects.len() + 1
    ));
    for place in places {
        file.push_str(&format!("{place:010} 00000 n \n"));
    }
    file.push_str(&format!(
        "trailer\n<< /Size {} /Root 1 0 R >>\nstartxref\n{table}\n%%EOF\n",
        objects.len() + 1
    ));
    file.into_bytes()
}

/// One good document of each kind, and something wrong beside it.
fn mixed_folder(folder: &Path) {
    write(
        folder,
        "mix/a/readme.md",
        "---\ntags: [x]\ndate: 2024-05-01\n---\n# One\n",
    );
    write(folder, "mix/b/readme.md", "# Two\n");
    write(folder, "mix/notes.txt", "plain\n");
    write(
        folder,
        "mix/latin.txt",
        b"K\xf6ln und M\xfcnchen sind St\xe4dte in Deutschland",
    );
    write(
        folder,
        "mix/page.html",
        "<title>Page</title><p>shown<script>hidden</script>",
    );
    write(
        folder,
        "mix/manual.pdf",
        pdf(&[Some("first page"), None, Some("third page")]),
    );
    write(folder, "mix/broken.pdf", "%PDF-1.4\nnothing");
    write(
        folder,
        "mix/sheet.csv",
        "\u{feff}text;price;paid\r\nlamp;19.90;True\r\n\"two\r\nlines\";19.99;false\r\ntoo;few\r\n",
    );
    write(folder, "mix/no_text.csv", "a,b\n1,2\n");
    write(
        folder,
        "mix/log.jsonl",
        "{\"text\": \"line\", \"n\": 0.1}\nnonsense\n{\"id\": 7, \"body\": \"seven\"}\n",
    );
    write(folder, "mix/list.json", "[{\"text\": \"in a list\"}]");
    write(folder, "mix/empty.txt", "");
    write(folder, "mix/photo.png", b"\x89PNG");
    write(folder, "mix/.hidden/a.txt", "no");
}

#[test]
fn a_mixed_folder_is_stored_once_and_every_failure_is_named() {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = server(data.path());
    mixed_folder(folder.path());

    let first = ingest(&server, folder.path(), &["mix", "--report", "report.json"]);
    assert_eq!(first.status.code(), Some(1));
    let words = stdout(&first);
    assert!(
        words.starts_with("12 created, 0 updated, 0 unchanged, 5 failed, 1 warning, 3 skipped"),
        "{words}"
    );
    let documents = stored(&server);
    assert_eq!(documents.len(), 12);
    assert_eq!(
        documents["mix/a/readme.md"]["metadata"]["tags"],
        json!(["x"])
    );
    assert_eq!(
        documents["mix/latin.txt"]["text"],
        "Köln und München sind Städte in Deutschland"
    );
    assert_eq!(documents["mix/manual.pdf#page=3"]["metadata"]["page"], 3);
    assert_eq!(documents["7"]["text"], "seven");
    let prices: Vec<_> = documents
        .values()
        .filter_map(|document| document["metadata"]["price"].as_f64())
        .collect();
    assert_eq!(prices.iter().sum::<f64>(), 39.89);

    let report: Value =
        serde_json::from_slice(&fs_err::read(folder.path().join("report.json")).unwrap()).unwrap();
    let failed = report["failed"]["list"].as_array().unwrap().iter();
    let failed: Vec<_> = failed
        .map(|entry| (entry["file"].as_str().unwrap(), entry["line"].as_u64()))
        .collect();
    let expected = [
        ("mix/broken.pdf", None),
        ("mix/log.jsonl", Some(2)),
        ("mix/manual.pdf", None),
        ("mix/no_text.csv", Some(1)),
        ("mix/sheet.csv", Some(5)),
    ];
    assert_eq!(failed, expected);
    for (file, line) in expected {
        let place = line.map_or(format!("{file}: "), |line| format!("{file}:{line}: "));
        assert!(
            String::from_utf8_lossy(&first.stderr).contains(&place),
            "{place}"
        );
    }

    let again = ingest(
        &server,
        &folder.path().join("mix"),
        &[".", "--relative-to", ".."],
    );
    let words = stdout(&again);
    assert!(
        words.starts_with("0 created, 0 updated, 12 unchanged, 5 failed"),
        "{words}"
    );
    assert_eq!(stored(&server), documents);
}

#[test]
fn files_that_give_the_same_id_do_not_replace_each_other() {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = server(data.path());
    write(folder.path(), "a.csv", "id,text\n1,Ada\n2,Bo\n");
    write(folder.path(), "b.csv", "id,text\n1,The lamp blinks\n2,Bo\n");
    let output = ingest(&server, folder.path(), &["a.csv", "b.csv"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stdout(&output).starts_with("2 created, 0 updated, 1 unchanged, 1 failed"),
        "{}",
        stdout(&output)
    );
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        words.contains("b.csv:2: ") && words.contains("a.csv:2"),
        "{words}"
    );
    assert_eq!(stored(&server)["1"]["text"], "Ada");
}

#[test]
fn two_folders_with_files_of_one_name_stay_apart_over_several_runs() {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = server(data.path());
    write(folder.path(), "x/docs/readme.md", "one");
    write(folder.path(), "y/docs/readme.md", "two");
    for (arguments, words) in [
        (&["x/docs"][..], "1 created"),
        (&["./y/docs/"], "1 created"),
        (
            &["x/docs/readme.md", "y/docs/readme.md"],
            "0 created, 0 updated, 2 unchanged, 0 failed",
        ),
        (&["."], "0 created, 0 updated, 2 unchanged, 0 failed"),
    ] {
        let output = ingest(&server, folder.path(), arguments);
        assert!(output.status.success());
        assert!(
            stdout(&output).starts_with(words),
            "{arguments:?}: {}",
            stdout(&output)
        );
    }
    assert_eq!(stored(&server).len(), 2);
}

#[test]
fn standard_input_is_read_as_it_is_said_or_looks() {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = server(data.path());
    let piped = |arguments: &[&str], input: &str| {
        let mut command = command(&server, folder.path());
        let command = command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        child.wait_with_output().unwrap()
    };
    for (arguments, input, code) in [
        (&["-"][..], "{\"text\": \"x\"}\n", 0),
        (&["-"], "[{\"text\": \"y\"}]", 0),
        (&["-", "--format", "csv"], "text\nz\n", 0),
        (&["-"], "text\nz\n", 1),
    ] {
        let output = piped(arguments, input);
        assert_eq!(output.status.code(), Some(code), "{input}");
        if code == 1 {
            assert!(String::from_utf8_lossy(&output.stderr).contains("--format"));
        }
    }
    assert_eq!(stored(&server).len(), 3);
}

#[test]
fn a_report_that_cannot_be_written_is_told_before_the_work() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.txt", "x");
    let mut command = Command::new(binary());
    command
        .args(["ingest", "a.txt", "--report", "no/such/folder.json"])
        .current_dir(folder.path());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot write the report"));
    let mut command = Command::new(binary());
    command
        .args(["ingest", "a.txt", "--report", "./a.txt"])
        .current_dir(folder.path());
    assert_eq!(command.output().unwrap().status.code(), Some(1));
    assert_eq!(
        fs_err::read_to_string(folder.path().join("a.txt")).unwrap(),
        "x"
    );
}

#[test]
fn a_document_that_is_too_large_for_a_request_fails_alone() {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = ServerOptions::tiny(data.path())
        .setting("LIMITS__MAX_TEXT_BYTES", 1000)
        .start();
    write(folder.path(), "a.txt", "x");
    write(folder.path(), "b.txt", "x ".repeat(5_000_000));
    write(folder.path(), "c.txt", "x ".repeat(9_000_000));
    write(folder.path(), "d.txt", "x ".repeat(600));
    write(folder.path(), "e.txt", "y");
    let output = ingest(&server, folder.path(), &["."]);
    assert!(
        stdout(&output).starts_with("2 created, 0 updated, 0 unchanged, 3 failed"),
        "{output:?}"
    );
}

#[test]
fn many_failures_of_one_file_do_not_hide_those_of_another() {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = server(data.path());
    write(folder.path(), "a.jsonl", "nonsense\n".repeat(50));
    write(
        folder.path(),
        "b.jsonl",
        "{\"text\": \"x\"}\n{\"text\": \"\"}\n",
    );
    let output = ingest(&server, folder.path(), &["a.jsonl", "b.jsonl"]);
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(stdout(&output).starts_with("1 created, 0 updated, 0 unchanged, 51 failed"));
    assert!(
        words.contains("a.jsonl:1: ") && words.contains("b.jsonl:2: "),
        "{words}"
    );
    assert!(
        words.lines().count() < 20 && words.contains("--report"),
        "{words}"
    );
}

#[test]
fn an_ingest_without_a_service_says_so_in_its_report() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.txt", "x");
    let mut command = Command::new(binary());
    command.args([
        "ingest",
        "a.txt",
        "--report",
        "r.json",
        "--url",
        "http://127.0.0.1:9",
    ]);
    let output = command.current_dir(folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stderr).lines().count(), 1);
    let report: Value =
        serde_json::from_slice(&fs_err::read(folder.path().join("r.json")).unwrap()).unwrap();
    assert!(
        report["ended_early"]
            .as_str()
            .unwrap()
            .contains("siamese serve")
    );
}
