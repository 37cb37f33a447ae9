//! Comparing what is stored with itself: pairs, groups, and what becomes of them.

use serde_json::{Value, json};
use siamese_tests::{Client, Server, ServerOptions};
use ureq::http::Method;

use super::jobs::{start, wait_for};

const LINES: &[(&str, &str)] = &[("Accept", "application/x-ndjson")];

/// Some tickets, two of them copies and two nearly the same.
pub(crate) fn fill(client: &Client) {
    let text = [
        (
            "a",
            "The printer on the second floor prints blank pages only",
            "open",
        ),
        (
            "b",
            "My parking card does not open the garage any more",
            "open",
        ),
        (
            "c",
            "The printer on the second floor prints blank pages only",
            "closed",
        ),
        (
            "d",
            "Printing on the second floor gives me nothing but blank pages",
            "open",
        ),
        (
            "e",
            "How many days of leave are left to me this year?",
            "closed",
        ),
    ];
    let documents: Vec<Value> = text
        .iter()
        .map(|(id, text, state)| json!({"id": id, "text": text, "metadata": {"state": state}}))
        .collect();
    client
        .post("/documents", json!({ "documents": documents }))
        .ok();
}

fn ids(pairs: &Value) -> Vec<String> {
    let pairs = pairs.as_array().unwrap().iter();
    let id = |value: &Value| value.as_str().unwrap().to_owned();
    pairs.map(|pair| id(&pair["a"]) + &id(&pair["b"])).collect()
}

pub(crate) fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn pairs_come_best_first_with_the_scores_that_similarity_gives() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    fill(client);
    let found = client.post("/duplicates", json!({"min_score": 0.7})).ok();
    assert_eq!(ids(&found["pairs"]), ["ac", "ad", "cd"]);
    assert_eq!(found["pairs"][0]["score"], 1.0);
    assert_eq!(
        (&found["total"], &found["documents"]),
        (&json!(3), &json!(5))
    );
    for pair in found["pairs"].as_array().unwrap() {
        let items = json!({"pairs": [[{"id": pair["a"]}, {"id": pair["b"]}]]});
        assert_eq!(
            client.post("/similarity", items).ok()["scores"][0],
            pair["score"]
        );
    }
    let all = client.post("/duplicates", json!({"min_score": -1})).ok();
    assert_eq!(all["total"], 10);
    let best = client
        .post("/duplicates", json!({"min_score": -1, "limit": 1}))
        .ok();
    assert_eq!(
        (ids(&best["pairs"]), &best["total"]),
        (vec!["ac".to_owned()], &json!(10))
    );
    let answer = client.ask(
        Method::POST,
        "/duplicates",
        LINES,
        json!({"min_score": 0.7}),
    );
    assert_eq!(answer.headers["content-type"], "application/x-ndjson");
    assert_eq!(json!(lines(&answer.text)), found["pairs"]);
    let near = json!({"min_score": 0.7, "mode": "approximate"});
    assert_eq!(
        client.post("/duplicates", near).ok()["pairs"],
        found["pairs"]
    );
    let few = json!({"min_score": 0.7, "top_k_per_document": 1});
    // The best of d is a, which has better ones.
    assert_eq!(
        ids(&client.post("/duplicates", few).ok()["pairs"]),
        ["ac", "ad"]
    );
}

#[test]
fn filters_say_what_is_compared_with_what() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    fill(client);
    let open = json!({"state": "open"});
    let found = client
        .post("/duplicates", json!({"min_score": 0.7, "filter": open}))
        .ok();
    assert_eq!(
        (ids(&found["pairs"]), &found["documents"]),
        (vec!["ad".to_owned()], &json!(3))
    );
    let across = json!({"min_score": 0.7, "within": open, "against": {"state": "closed"}});
    let found = client.post("/duplicates", across).ok();
    assert_eq!(ids(&found["pairs"]), ["ac", "cd"]);
    let with_all = json!({"min_score": 0.7, "within": open, "against": {}});
    let found = client.post("/duplicates", with_all).ok();
    assert_eq!(ids(&found["pairs"]), ["ac", "ad", "cd"]);
    for (body, pointer) in [
        (json!({"min_score": 0.5, "within": open}), "/within"),
        (json!({"min_score": 0.5, "against": open}), "/against"),
        (
            json!({"min_score": 0.5, "against": {"$no": 1}, "within": open}),
            "/against/$no",
        ),
        (json!({"min_score": 1.5}), "/min_score"),
        (json!({"min_score": 0.5, "limit": 0}), "/limit"),
        (json!({"min_score": 0.5, "limit": 1_000_001}), "/limit"),
        (
            json!({"min_score": 0.5, "top_k_per_document": 0}),
            "/top_k_per_document",
        ),
        (json!({"min_score": 0.5, "scope": "words"}), "/scope"),
    ] {
        let problem = client
            .post("/duplicates", body)
            .problem(422, "invalid_request");
        assert_eq!(problem["pointer"], pointer, "{problem}");
    }
    client
        .post("/duplicates", json!({}))
        .problem(422, "invalid_request");
    let elsewhere = client.post("/collections/none/duplicates", json!({"min_score": 0.5}));
    elsewhere.problem(404, "collection_not_found");
}

#[test]
fn a_copied_paragraph_is_found_in_two_long_texts_with_its_place() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    let chunking = json!({"chunking": {"mode": "paragraph"}}).to_string();
    let json = Some("application/json");
    client
        .send(
            Method::PUT,
            "/collections/manuals",
            json,
            chunking.as_bytes(),
        )
        .ok();
    let copied = "Before the boiler is opened, the main valve must be closed and the pressure let off \
                  through the small tap at the back; wait until the needle rests at zero, and never \
                  work alone in the cellar.";
    let about = |what: &str| format!("This part of the manual is about {what}. ").repeat(30);
    let first = format!("{}\n\n{copied}\n\n{}", about("gardens"), about("roofs"));
    let second = format!(
        "{}\n\n{copied}\n\n{}",
        about("invoices and taxes"),
        about("ships")
    );
    let documents = json!({"documents": [{"id": "x", "text": first}, {"id": "y", "text": second}]});
    client
        .post("/collections/manuals/documents", documents)
        .ok();
    let found = client
        .post(
            "/collections/manuals/duplicates",
            json!({"min_score": 0.8, "scope": "passages"}),
        )
        .ok();
    let pairs = found["pairs"].as_array().unwrap();
    assert!(!pairs.is_empty(), "{found}");
    let best = &pairs[0];
    assert_eq!((&best["a"], &best["b"]), (&json!("x"), &json!("y")));
    let slice = |text: &str, span: &Value| {
        let at = |end: &str| span[end].as_u64().unwrap() as usize;
        text[at("start")..at("end")].to_owned()
    };
    let (a, b) = (
        slice(&first, &best["a_span"]),
        slice(&second, &best["b_span"]),
    );
    assert_eq!((a.as_str(), b.as_str()), (copied, copied));
    assert_eq!(best["score"], 1.0);
    let whole = client
        .post("/collections/manuals/duplicates", json!({"min_score": 0.9}))
        .ok();
    assert_eq!(whole["total"], 0);
}

#[test]
fn much_is_compared_by_a_job_whose_result_comes_page_by_page() {
    let data = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(data.path())
        .setting("LIMITS__MAX_COMPARISONS_AT_ONCE", 9)
        .start();
    let client = server.client();
    fill(client);
    let request = json!({"min_score": -1});
    let answer = client.post("/duplicates", request.clone());
    assert_eq!(answer.status, 202, "{}", answer.text);
    assert!(!answer.headers.contains_key("preference-applied"));
    let job = answer.json()["job"].as_str().unwrap().to_owned();
    let known = wait_for(client, &job, &["done"]);
    assert_eq!(
        known["result"],
        json!({"pairs": 10, "total": 10, "documents": 5})
    );
    assert_eq!(
        known["progress"],
        json!({"done": 10, "total": 10, "unit": "comparisons"})
    );
    assert_eq!(known["collection"], "default");
    let path = format!("/jobs/{job}/result");
    let answer = client.ask(Method::GET, &path, LINES, Value::Null);
    let all = lines(&answer.text);
    assert_eq!(all.len(), 10);
    let (mut paged, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = client.get(&format!("{path}?limit=3{cursor}")).ok();
        paged.extend(page["items"].as_array().unwrap().clone());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(paged, all);
    for bad in [
        "cursor=1",
        "cursor=x",
        "cursor=-1",
        "cursor=99999",
        "limit=0",
        "limit=10001",
        "x=1",
    ] {
        client
            .get(&format!("{path}?{bad}"))
            .problem(422, "invalid_request");
    }
    // As few as may be compared at once.
    let few = json!({"min_score": -1, "filter": {"state": "closed"}});
    assert_eq!(client.post("/duplicates", few).ok()["total"], 1);
    let groups = client.post("/clusters", json!({"min_score": 0.5}));
    assert_eq!(groups.status, 202);
}

#[test]
fn groups_have_a_medoid_and_their_members_by_distance() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    fill(client);
    for form in ["components", "communities"] {
        let found = client
            .post("/clusters", json!({"min_score": 0.7, "form": form}))
            .ok();
        assert_eq!(
            found["total"],
            json!({"clusters": 1, "clustered": 3, "documents": 5})
        );
        let cluster = &found["clusters"][0];
        assert_eq!(cluster["size"], 3);
        assert_eq!(cluster["medoid"], cluster["members"][0]["id"]);
        assert_eq!(cluster["members"][0]["score"], 1.0);
        assert_eq!(cluster["members"][2]["id"], "d", "{cluster}");
    }
    let larger = client
        .post("/clusters", json!({"min_score": 0.7, "min_size": 4}))
        .ok();
    assert_eq!(larger["clusters"], json!([]));
}

#[test]
fn groups_that_cannot_be_made_are_refused() {
    let data = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(data.path()).start();
    let client = server.client();
    for (body, pointer) in [
        (json!({"min_score": 2}), "/min_score"),
        (json!({"min_score": 0.7, "min_size": 1}), "/min_size"),
        (json!({"min_score": 0.7, "form": "stars"}), "/form"),
    ] {
        let problem = client
            .post("/clusters", body)
            .problem(422, "invalid_request");
        assert_eq!(problem["pointer"], pointer, "{problem}");
    }
}

#[test]
fn all_but_one_of_each_group_can_be_deleted_unless_they_have_changed() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let client = server.client();
    fill(client);
    let job = start(client, "/clusters", json!({"min_score": 0.7}));
    let known = wait_for(client, &job, &["done"]);
    assert_eq!(known["result"]["clusters"], 1);
    let delete = |dry_run: bool| {
        let body = json!({"clusters": {"job": job}, "dry_run": dry_run});
        client.post("/documents/delete", body).ok()["deleted"].clone()
    };
    assert_eq!(delete(true), 2);
    // What has been written since is not what the job has seen.
    let again = json!({"documents": [{"id": "d", "text": "Something else"}]});
    client.post("/documents", again).ok();
    assert_eq!(delete(true), 1);
    assert_eq!(delete(false), 1);
    assert_eq!(delete(false), 0);
    assert_eq!(client.get("/collections/default").ok()["documents"], 4);
    assert_eq!(client.get("/documents/d").ok()["text"], "Something else");
    let left = client.post("/clusters", json!({"min_score": 0.99})).ok();
    assert_eq!(left["clusters"], json!([]));
    let pairs = start(client, "/duplicates", json!({"min_score": 0.7}));
    wait_for(client, &pairs, &["done"]);
    for (job, status, code) in [
        ("x", 404, "job_not_found"),
        (pairs.as_str(), 422, "invalid_request"),
    ] {
        let problem = client
            .post("/documents/delete", json!({"clusters": {"job": job}}))
            .problem(status, code);
        assert_eq!(problem["pointer"], "/clusters/job");
    }
    let elsewhere = client.send(
        Method::PUT,
        "/collections/other",
        Some("application/json"),
        b"{}",
    );
    elsewhere.ok();
    client
        .post(
            "/collections/other/documents/delete",
            json!({"clusters": {"job": job}}),
        )
        .problem(422, "invalid_request");
}
