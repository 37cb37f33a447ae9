//! `siamese dedup`: texts in files that are nearly the same.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use siamese_tests::{binary, model_dir, tiny_model_dir};

fn dedup(folder: &Path, arguments: &[&str]) -> Output {
    dedup_by(&tiny_model_dir(), folder, arguments)
}

fn dedup_by(model: &Path, folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.arg("dedup").arg("--model").arg(model);
    command.args(arguments).current_dir(folder);
    command.output().unwrap()
}

fn lines(bytes: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(bytes).unwrap();
    let lines = text.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().unwrap()
}

fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const TICKETS: &str = "\
id,subject,body
1,Printer,The printer on the second floor is silent
2,Door,The door of the archive does not close
3,Printer,The printer on the second floor is silent
";

#[test]
fn copies_are_found_in_all_kinds_of_files_and_left_out_of_the_output() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs_err::write(folder.join("tickets.csv"), TICKETS).unwrap();
    let note = "The door of the archive does not close";
    fs_err::write(folder.join("note.txt"), note).unwrap();
    let arguments = [
        "tickets.csv",
        "note.txt",
        "--json",
        "--min-score",
        "1",
        "--output",
        "kept.jsonl",
    ];
    let output = dedup(folder, &arguments);
    assert_eq!(output.status.code(), Some(3), "{}", error(&output));
    let pairs = lines(&output.stdout);
    assert_eq!(pairs.len(), 2, "{pairs:?}");
    for (pair, (a, b)) in pairs.iter().zip([(2, 4), (3, 0)]) {
        assert_eq!(pair["score"], 1.0);
        assert_eq!(pair["a"]["file"], "tickets.csv");
        assert_eq!(pair["a"]["line"], a);
        assert_eq!(pair["b"]["line"].as_u64().unwrap_or(0), b);
    }
    assert_eq!(pairs[1]["b"]["file"], "note.txt");
    let kept = lines(&fs_err::read(folder.join("kept.jsonl")).unwrap());
    let ids: Vec<_> = kept.iter().map(|document| document["id"].clone()).collect();
    assert_eq!(ids, ["1", "2"]);
    assert_eq!(kept[0]["metadata"]["subject"], "Printer");
}

#[test]
fn the_exit_code_tells_none_some_and_trouble_apart() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs_err::write(folder.join("one.txt"), "alone").unwrap();
    let none = dedup(folder, &["one.txt"]);
    assert_eq!(none.status.code(), Some(0), "{}", error(&none));
    assert!(
        error(&none).contains("1 texts, 0 pairs"),
        "{}",
        error(&none)
    );

    fs_err::write(folder.join("broken.json"), "[{").unwrap();
    let trouble = dedup(folder, &["one.txt", "broken.json"]);
    assert_eq!(trouble.status.code(), Some(1));
    assert!(
        error(&trouble).contains("broken.json:1: "),
        "{}",
        error(&trouble)
    );

    let over = dedup(folder, &["one.txt", "--output", "one.txt"]);
    assert_eq!(over.status.code(), Some(1));
    assert!(error(&over).contains("would overwrite"), "{}", error(&over));
    assert_eq!(
        fs_err::read_to_string(folder.join("one.txt")).unwrap(),
        "alone"
    );

    let odd = dedup(folder, &["one.txt", "--min-score", "1.5"]);
    assert!(
        error(&odd).contains("give a number above 0, up to 1"),
        "{}",
        error(&odd)
    );
}

#[test]
fn a_copied_paragraph_in_two_long_texts_is_found_by_paragraphs_and_not_by_wholes() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let copied = "The main valve is closed before the boiler is opened, and the pressure is let off \
                  through the small tap at the back until the needle rests at zero.";
    let about = |what: &str| {
        let sentence = format!("This part of the manual is only about {what} and nothing else. ");
        format!("{}\n\n", sentence.repeat(8).trim_end())
    };
    let one = format!(
        "{}{}{copied}\n\n{}",
        about("gardens"),
        about("roofs"),
        about("tea")
    );
    let other = format!("{}{copied}\n\n{}", about("invoices"), about("ships"));
    fs_err::write(folder.join("one.txt"), &one).unwrap();
    fs_err::write(folder.join("other.txt"), &other).unwrap();
    let wholes = dedup_by(
        model_dir(),
        folder,
        &["one.txt", "other.txt", "--min-score", "1"],
    );
    assert_eq!(wholes.status.code(), Some(0), "{}", error(&wholes));
    let arguments = [
        "one.txt",
        "other.txt",
        "--scope",
        "passages",
        "--min-score",
        "1",
        "--json",
    ];
    let output = dedup_by(model_dir(), folder, &arguments);
    assert_eq!(output.status.code(), Some(3), "{}", error(&output));
    let pairs = lines(&output.stdout);
    assert_eq!(pairs.len(), 1, "{pairs:?}");
    for (side, text) in [("a", &one), ("b", &other)] {
        let span = &pairs[0][side]["span"];
        let at = |end: &str| span[end].as_u64().unwrap() as usize;
        assert_eq!(&text[at("start")..at("end")], copied);
    }
    let shown = dedup(
        folder,
        &[
            "one.txt",
            "other.txt",
            "--scope",
            "passages",
            "--min-score",
            "1",
        ],
    );
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("one.txt bytes "), "{shown}");
}

#[test]
fn groups_hold_everything_that_pairs_join() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs_err::write(folder.join("tickets.csv"), TICKETS).unwrap();
    let copy = "The door of the archive does not close";
    fs_err::write(folder.join("a.txt"), copy).unwrap();
    fs_err::write(folder.join("b.txt"), copy).unwrap();
    let arguments = [
        "tickets.csv",
        "a.txt",
        "b.txt",
        "--clusters",
        "--json",
        "--min-score",
        "1",
    ];
    let output = dedup(folder, &arguments);
    let groups = lines(&output.stdout);
    assert_eq!(groups.len(), 2, "{groups:?} {}", error(&output));
    assert_eq!(
        (&groups[0]["size"], &groups[1]["size"]),
        (&Value::from(3), &Value::from(2))
    );
    assert_eq!(groups[0]["members"][2]["file"], "b.txt");
    let both = dedup(
        folder,
        &["tickets.csv", "--clusters", "--scope", "passages"],
    );
    assert_eq!(both.status.code(), Some(2), "{}", error(&both));
}
