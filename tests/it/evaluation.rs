//! `siamese eval` against a running service.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use siamese_tests::{Server, binary, model_dir};

/// Runs `siamese eval` and returns its figures.
fn eval(server: &Server, arguments: &[&str]) -> Value {
    let output = Command::new(binary())
        .arg("eval")
        .args(arguments)
        .args(["--json", "--url"])
        .arg(format!("http://127.0.0.1:{}", server.port()))
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{words}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs_err::create_dir_all(path.parent().unwrap()).unwrap();
    fs_err::write(path, text).unwrap();
}

#[test]
fn pairs_are_compared_with_the_scores_of_people() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"));
    let pairs = "5\tA cat sleeps.\tThe cat is asleep.\n2\tA cat sleeps.\tA dog sleeps.\n\
                 0\tA cat sleeps.\tTaxes are due.\n";
    write(folder.path(), "pairs.tsv", pairs);
    let file = folder.path().join("pairs.tsv");
    let figures = eval(&server, &["sts", file.to_str().unwrap()]);
    assert_eq!(figures["pairs"], 3);
    assert_eq!(figures["spearman"], 1.0);
    assert!(figures["pearson"].as_f64().unwrap() > 0.8, "{figures}");
}

#[test]
fn a_data_set_is_stored_searched_and_scored_and_stored_once_only() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"));
    let set = folder.path().join("pets");
    let corpus = "{\"_id\":\"cat\",\"title\":\"Cats\",\"text\":\"Cats sleep all day.\"}\n\
                  {\"_id\":\"tax\",\"title\":\"\",\"text\":\"Taxes are due in May.\"}\n\
                  {\"_id\":\"tree\",\"title\":\"\",\"text\":\"An oak grows slowly.\"}\n";
    write(&set, "corpus.jsonl", corpus);
    let queries = "{\"_id\":\"q1\",\"text\":\"How long do cats sleep?\"}\n\
                   {\"_id\":\"q2\",\"text\":\"When do I pay the state?\"}\n\
                   {\"_id\":\"q3\",\"text\":\"not judged\"}\n";
    write(&set, "queries.jsonl", queries);
    let judgements = "query-id\tcorpus-id\tscore\nq1\tcat\t1\nq2\ttax\t1\nq2\tnowhere\t1\n";
    write(&set, "qrels/test.tsv", judgements);
    let arguments = ["retrieval", set.to_str().unwrap(), "--chunking", "off"];
    for _ in 0..2 {
        let figures = eval(&server, &arguments);
        assert_eq!(
            (&figures["documents"], &figures["split"]),
            (&3.into(), &"test".into())
        );
        assert_eq!(figures["chunking"]["mode"], "off");
        let modes = figures["modes"].as_array().unwrap().iter();
        let modes: Vec<&Value> = modes.map(|mode| &mode["mode"]).collect();
        assert_eq!(modes, ["semantic", "lexical", "hybrid"]);
        let semantic = &figures["modes"][0];
        assert_eq!(
            (&semantic["mode"], &semantic["queries"]),
            (&"semantic".into(), &2.into())
        );
        assert_eq!(semantic["mrr_at_10"], 1.0);
        assert_eq!(semantic["recall_at_10"], 0.75);
    }
}

#[test]
fn marked_duplicates_are_looked_for_among_all_texts() {
    let folder = tempfile::tempdir().unwrap();
    let tickets = "id,body\n\
        1,The printer prints blank pages only\n\
        2,All pages that come out of the printer are blank\n\
        3,My parking card does not open the garage\n\
        4,The garage stays shut when I hold up my parking card\n\
        5,How many days of leave do I have left?\n";
    write(folder.path(), "tickets.csv", tickets);
    write(folder.path(), "pairs.tsv", "id1\tid2\n1\t2\n4\t3\n9\t1\n");
    let run = |pairs: &str| {
        let mut command = Command::new(binary());
        command.args([
            "eval",
            "duplicates",
            "tickets.csv",
            "--json",
            "--pairs",
            pairs,
        ]);
        command.arg("--model").arg(model_dir());
        command.current_dir(folder.path()).output().unwrap()
    };
    let output = run("pairs.tsv");
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{words}");
    assert!(
        words.contains("1 lines of pairs.tsv name a text that was not read"),
        "{words}"
    );
    let figures: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&figures["texts"], &figures["pairs"]),
        (&Value::from(5), &Value::from(2))
    );
    for figure in ["recall@1", "recall@10", "mrr", "average_precision"] {
        assert_eq!(figures[figure], 1.0, "{figures}");
    }
    let best = &figures["best"];
    assert_eq!(
        (&best["precision"], &best["recall"]),
        (&Value::from(1.0), &Value::from(1.0))
    );
    let min_score = best["min_score"].as_f64().unwrap();
    assert!((0.4..0.95).contains(&min_score), "{figures}");
    write(folder.path(), "none.csv", "7,8\n");
    assert!(!run("none.csv").status.success());
}
