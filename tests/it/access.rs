//! Keys against the real binary: who gets in, what a key sees, and what is written down.

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use siamese_tests::{Answer, Client, RawConnection, Server, ServerOptions, binary};
use ureq::http::Method;

/// Time in which a change of the keys is noticed, with room for a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn siamese(arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.args(arguments).env_remove("SIAMESE_API_KEY");
    command.output().unwrap()
}

pub(crate) fn told(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Makes a key, as people do.
#[track_caller]
pub(crate) fn key(data: &Path, name: &str, scopes: &str, more: &[&str]) -> String {
    let data = data.to_str().unwrap();
    let arguments = [
        &["key", "create", name, "--scope", scopes, "--data", data],
        more,
    ]
    .concat();
    told(&siamese(&arguments))
}

pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn store(client: &Client, collection: &str, id: &str) {
    let body = json!({ "documents": [{ "id": id, "text": "a lamp that blinks at night" }] });
    client
        .post(&format!("/collections/{collection}/documents"), body)
        .ok();
}

#[track_caller]
fn put(client: &Client, path: &str, body: Value) -> Answer {
    client.ask(Method::PUT, path, &[], body)
}

#[test]
fn others_are_served_with_keys_or_with_a_word_that_says_it_is_not_safe() {
    let folder = tempfile::tempdir().unwrap();
    let options = || ServerOptions::tiny(folder.path()).host("0.0.0.0");
    let (status, said) = options().start_and_fail();
    assert_eq!(status.code(), Some(1));
    assert!(
        said.contains("siamese key create") && said.contains("--insecure"),
        "{said}"
    );
    let server = options().argument("--insecure").start();
    server.client().get("/documents").ok();
    drop(server);
    let key = key(folder.path(), "admin", "admin", &[]);
    let server = options().start();
    server
        .client()
        .get("/documents")
        .problem(401, "key_missing");
    server.client().with_key(&key).get("/documents").ok();
}

#[test]
fn a_first_key_is_made_and_printed_once() {
    let folder = tempfile::tempdir().unwrap();
    let (data, log) = (folder.path().join("data"), folder.path().join("log"));
    let start = || {
        let options = ServerOptions::tiny(&data).host("0.0.0.0").log_to(&log);
        options.setting("ACCESS__CREATE_FIRST_KEY", true).start()
    };
    let server = start();
    let said = fs_err::read_to_string(&log).unwrap();
    let key = said
        .lines()
        .find(|line| line.starts_with("siamese_"))
        .unwrap()
        .to_owned();
    server.client().with_key(&key).get("/snapshots").ok();
    server
        .client()
        .get("/snapshots")
        .problem(401, "key_missing");
    drop(server);
    let server = start();
    server.client().with_key(&key).get("/snapshots").ok();
    let said = fs_err::read_to_string(&log).unwrap();
    assert!(
        !said.lines().any(|line| line.starts_with("siamese_")),
        "{said}"
    );
}

#[test]
fn keys_are_made_listed_and_revoked_while_the_service_runs() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(folder.path()).start();
    let client = server.client();
    client.get("/documents").ok();
    let data = folder.path().to_str().unwrap();
    let reader = key(folder.path(), "reader", "search", &["--expires", "30d"]);
    until("keys are asked for", || {
        client.get("/documents").status == 401
    });
    let holder = client.with_key(&reader);
    holder.get("/documents").ok();
    let by_header = client.ask(
        Method::GET,
        "/documents",
        &[("x-api-key", &reader)],
        Value::Null,
    );
    by_header.ok();
    let document = json!({ "documents": [{ "text": "a" }] });
    holder
        .post("/documents", document)
        .problem(403, "scope_missing");
    let listed = told(&siamese(&["key", "list", "--data", data]));
    assert!(
        listed.contains("reader") && listed.contains("until 20"),
        "{listed}"
    );
    let secret = reader.rsplit('_').next().unwrap();
    assert!(!listed.contains(secret), "{listed}");
    let as_json = told(&siamese(&["key", "list", "--json", "--data", data]));
    let as_json: Value = serde_json::from_str(&as_json).unwrap();
    assert_eq!(as_json["keys"][0]["scopes"], json!(["search"]));
    told(&siamese(&["key", "revoke", "reader", "--data", data]));
    until("the key is revoked", || {
        holder.get("/documents").status == 401
    });
    // Without any key, nobody gets in any more.
    client.get("/documents").problem(401, "key_missing");
    client.get("/livez").ok();
    client.get("/readyz").ok();
    assert!(client.get("/").text.contains("page/main.js"));
    assert_eq!(client.get("/page/key.js").status, 200);
    client.get("/page/nothing.js").problem(404, "not_found");
}

/// A service with collections and aliases, of which a key is for some; clients of its administrator and of that key.
fn shared_service(folder: &Path) -> (Server, Client, Client) {
    let admin = key(folder, "admin", "admin", &[]);
    let bound = ["--collection", "acme-*", "--collection", "tickets"];
    let bound = key(folder, "acme", "search,write", &bound);
    let server = ServerOptions::tiny(folder).start();
    let [admin, acme] = [admin, bound].map(|key| server.client().with_key(&key));
    for name in ["acme-docs", "hidden", "tickets-1"] {
        put(&admin, &format!("/collections/{name}"), json!({})).ok();
        store(&admin, name, "d-1");
    }
    let aliases = [("tickets", "tickets-1"), ("hidden-too", "acme-docs")];
    for (alias, collection) in aliases {
        let body = json!({ "collection": collection });
        put(&admin, &format!("/aliases/{alias}"), body).ok();
    }
    (server, admin, acme)
}

#[test]
fn a_key_for_some_collections_finds_no_others_in_any_list() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, admin, acme) = shared_service(folder.path());
    let names = |answer: Value, list: &str, field: &str| -> Vec<String> {
        let items = answer[list].as_array().unwrap().iter();
        items
            .map(|item| item[field].as_str().unwrap().to_owned())
            .collect()
    };
    let collections = acme.get("/collections").ok();
    assert_eq!(names(collections, "collections", "name"), ["acme-docs"]);
    let aliases = acme.get("/aliases").ok();
    assert_eq!(names(aliases, "aliases", "alias"), ["tickets"]);
    let aliases = admin.get("/aliases").ok();
    assert_eq!(names(aliases, "aliases", "alias").len(), 2);
    let stats = acme.get("/stats").ok();
    assert!(
        stats["service"].is_null() && stats["documents"] == 1,
        "{stats}"
    );
    assert_eq!(names(stats, "collections", "name"), ["acme-docs"]);
    assert!(admin.get("/stats").ok()["service"].is_object());
    acme.get("/metrics").problem(403, "scope_missing");
    for path in [
        "/collections",
        "/aliases",
        "/v1/models",
        "/info",
        "/encoder",
        "/jobs",
        "/readyz",
    ] {
        let text = acme.get(path).text;
        assert!(!text.contains("hidden"), "{path}: {text}");
    }
}

#[test]
fn a_key_for_some_collections_cannot_use_others_nor_tell_whether_they_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, admin, acme) = shared_service(folder.path());
    // By its alias a collection is the key's, by its own name it is not.
    acme.get("/collections/tickets/documents/d-1").ok();
    store(&acme, "tickets", "d-2");
    let forbidden = "collection_not_permitted";
    acme.get("/collections/tickets-1").problem(403, forbidden);
    let query = || json!({ "query": "lamp" });
    let answer = |name: &str| {
        let answer = acme.post(&format!("/collections/{name}/search"), query());
        let problem = answer.problem(403, forbidden);
        problem["detail"].as_str().unwrap().replace(name, "NAME")
    };
    assert_eq!(answer("hidden"), answer("no-such-collection"));
    let batch = json!({ "searches": [query()] });
    let refused = acme.post("/collections/hidden/search/batch", batch.clone());
    refused.problem(403, forbidden);
    acme.post("/collections/acme-docs/search/batch", batch).ok();
    acme.post("/search", query()).problem(403, forbidden);
    let pairs = json!({ "pairs": [[{ "id": "d-1" }, "lamp"]] });
    acme.post("/similarity", pairs.clone())
        .problem(403, forbidden);
    acme.post("/collections/acme-docs/similarity", pairs).ok();
    // A cursor of another collection's search opens nothing either.
    let first = json!({ "query": "lamp", "top_k": 1 });
    store(&admin, "hidden", "d-2");
    let page = admin.post("/collections/hidden/search", first.clone()).ok();
    let mut next = first;
    next["cursor"] = page["next_cursor"].clone();
    assert!(next["cursor"].is_string(), "{page}");
    let refused = acme.post("/collections/acme-docs/search", next);
    assert!((400..500).contains(&refused.status), "{}", refused.text);
}

#[test]
fn jobs_are_seen_by_who_has_started_them_and_by_who_administers_their_collection() {
    let folder = tempfile::tempdir().unwrap();
    let make = |name: &str, scopes: &str, more: &[&str]| key(folder.path(), name, scopes, more);
    let keys = [
        make("admin", "admin", &[]),
        make("one", "search,write", &[]),
        make("two", "search,write", &[]),
        make("of-a", "admin", &["--collection", "a"]),
        make("of-b", "admin", &["--collection", "b"]),
    ];
    let server = ServerOptions::tiny(folder.path()).start();
    let [admin, one, two, of_a, of_b] = keys.each_ref().map(|key| server.client().with_key(key));
    put(&admin, "/collections/a", json!({})).ok();
    for id in ["d-1", "d-2"] {
        store(&admin, "a", id);
    }
    let body = json!({ "min_score": 0.5 });
    let later = [("prefer", "respond-async")];
    let started = one
        .ask(Method::POST, "/collections/a/clusters", &later, body)
        .ok();
    let job = started["job"].as_str().unwrap().to_owned();
    let path = format!("/jobs/{job}");
    until("the job is done", || one.get(&path).ok()["state"] == "done");
    let seen = |client: &Client| client.get("/jobs").ok()["jobs"].as_array().unwrap().len();
    for client in [&admin, &one, &of_a] {
        assert_eq!(seen(client), 1);
        client.get(&format!("{path}/result")).ok();
    }
    for client in [&two, &of_b] {
        assert_eq!(seen(client), 0);
        let unknown = client.get("/jobs/x").problem(404, "job_not_found");
        for refused in [
            client.get(&path),
            client.get(&format!("{path}/result")),
            client.delete(&path),
        ] {
            let problem = refused.problem(404, "job_not_found");
            assert_eq!(
                problem["detail"].as_str().unwrap().replace(&job, "x"),
                unknown["detail"].as_str().unwrap()
            );
        }
    }
    // What somebody else's job has found deletes nothing.
    let delete = json!({ "clusters": { "job": job } });
    let refused = two.post("/collections/a/documents/delete", delete.clone());
    refused.problem(404, "job_not_found");
    assert_eq!(
        one.post("/collections/a/documents/delete", delete).ok()["deleted"],
        1
    );
}

#[test]
fn what_was_changed_is_written_down_and_no_log_has_a_key_or_a_text() {
    let folder = tempfile::tempdir().unwrap();
    let (data, log) = (folder.path().join("data"), folder.path().join("log"));
    let audit = folder.path().join("audit.jsonl");
    let writer = key(&data, "ci", "search,write", &[]);
    let server = ServerOptions::tiny(&data)
        .log_to(&log)
        .setting("LOG__FILTER", "trace")
        .setting("ACCESS__AUDIT_FILE", audit.display())
        .start();
    let client = server.client().with_key(&writer);
    let secret_text = "an unmistakable sentence about zebras";
    let documents = json!({ "documents": [{ "id": "z", "text": secret_text }] });
    client.post("/documents", documents).ok();
    client.post("/search", json!({ "query": secret_text })).ok();
    client
        .get(&format!("/search?q={}", secret_text.replace(' ', "+")))
        .ok();
    client.delete("/documents/z");
    client.get("/export").problem(403, "scope_missing");
    let wrong = format!("{}{}", &writer[..writer.len() - 4], "0000");
    server
        .client()
        .with_key(&wrong)
        .get("/documents")
        .problem(401, "key_invalid");
    let in_address = format!("/search?q=a&api_key={writer}");
    server
        .client()
        .get(&in_address)
        .problem(400, "key_in_address");
    let in_path = format!("/documents/{writer}");
    server.client().get(&in_path).problem(400, "key_in_address");
    assert!(server.terminate().success());

    let audited = fs_err::read_to_string(&audit).unwrap();
    let lines: Vec<Value> = audited
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let told = |line: &Value| {
        let field = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        let fields = ["name", "peer", "method", "path"].map(field).join(" ");
        format!("{fields} {}", line["status"])
    };
    let told: Vec<String> = lines.iter().map(told).collect();
    assert_eq!(
        told,
        [
            "ci 127.0.0.1 POST /documents 200",
            "ci 127.0.0.1 DELETE /documents/z 204",
            "ci 127.0.0.1 GET /export 403"
        ]
    );
    assert!(writer.contains(lines[0]["key"].as_str().unwrap()));
    let logged = fs_err::read_to_string(&log).unwrap();
    assert!(logged.contains("answered"), "nothing was logged");
    let secrets = [
        writer.rsplit('_').next().unwrap(),
        wrong.rsplit('_').next().unwrap(),
    ];
    for secret in [&secrets[..], &["zebras"]].concat() {
        for text in [&audited, &logged] {
            let line = text.lines().find(|line| line.contains(secret));
            assert_eq!(line, None);
        }
    }
}

#[test]
fn commands_send_the_key_that_they_are_given() {
    let folder = tempfile::tempdir().unwrap();
    let writer = key(folder.path(), "ci", "search,write", &[]);
    let server = ServerOptions::tiny(folder.path()).start();
    let url = format!("http://127.0.0.1:{}", server.port());
    store(&server.client().with_key(&writer), "default", "d-1");
    let search = ["search", "lamp", "--json", "--url", &url];
    let refused = siamese(&search);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && said.contains("key_missing"),
        "{said}"
    );
    assert!(told(&siamese(&[&search[..], &["--key", &writer]].concat())).contains("d-1"));
    let mut by_environment = Command::new(binary());
    by_environment.args(search).env("SIAMESE_API_KEY", &writer);
    assert!(told(&by_environment.output().unwrap()).contains("d-1"));
    // A key that may only write stores documents in a collection that is there.
    let only_writes = key(folder.path(), "feed", "write", &[]);
    let file = folder.path().join("notes.txt");
    fs_err::write(&file, "the bell rings twice").unwrap();
    let ingest = [
        "ingest",
        file.to_str().unwrap(),
        "--url",
        &url,
        "--key",
        &only_writes,
    ];
    until("the key is known", || siamese(&ingest).status.success());
    let found = told(&siamese(&[&search[..], &["--key", &writer]].concat()));
    assert!(found.contains("the bell rings twice"), "{found}");
}

#[test]
fn whoever_tries_keys_is_turned_away_at_once_and_disturbs_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let good = key(folder.path(), "good", "search", &[]);
    let server = ServerOptions::tiny(folder.path()).start();
    let client = server.client();
    let (id, _) = good.rsplit_once('_').unwrap();
    for number in 0..500 {
        let guess = match number % 3 {
            0 => format!("{id}_{number:064x}"),
            1 => format!("siamese_{number:012x}_{number:064x}"),
            _ => "x".repeat(number * 10),
        };
        client
            .with_key(&guess)
            .get("/documents")
            .problem(401, "key_invalid");
    }
    client.with_key(&good).get("/documents").ok();
    // A body that comes with a wrong key is not read.
    let head = format!(
        "POST /documents HTTP/1.1\r\nHost: localhost\r\nx-api-key: wrong\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        30 << 20
    );
    let answer = RawConnection::saying(server.port(), &head).read_to_end().0;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    assert!(
        answer
            .to_ascii_lowercase()
            .contains("www-authenticate: bearer"),
        "{answer}"
    );
    // Nor are headers without end.
    let long = format!(
        "GET /documents HTTP/1.1\r\nHost: localhost\r\nx-api-key: {}\r\n\r\n",
        "x".repeat(1 << 20)
    );
    let answer = RawConnection::saying(server.port(), &long).read_to_end().0;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 431 "),
        "{answer}"
    );
    // Clients of other services read the refusal in their own shape.
    let openai = client
        .with_key("sk-1")
        .post("/v1/embeddings", json!({ "input": "a", "model": "m" }));
    assert_eq!(openai.status, 401);
    assert_eq!(openai.json()["error"]["code"], "key_invalid");
}
