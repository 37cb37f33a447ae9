//! Tools for language models: what they do, and for whom.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use siamese_tests::{Answer, Client, ServerOptions, binary};
use ureq::http::Method;

const VERSION: &str = "2025-06-18";

fn key(data: &Path, name: &str, scopes: &str, more: &[&str]) -> String {
    let mut command = Command::new(binary());
    command
        .args(["key", "create", name, "--scope", scopes, "--data"])
        .arg(data)
        .args(more);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn send(client: &Client, method: &str, params: &Value) -> Answer {
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let headers = [
        ("accept", "application/json, text/event-stream"),
        ("mcp-protocol-version", VERSION),
    ];
    client.ask(Method::POST, "/mcp", &headers, message)
}

/// The names of the tools that a caller is told of.
fn tools(client: &Client) -> Vec<String> {
    let listed = send(client, "tools/list", &json!({})).ok();
    let tools = listed["result"]["tools"].as_array().unwrap().iter();
    tools
        .map(|tool| tool["name"].as_str().unwrap().to_owned())
        .collect()
}

/// Calls a tool. Returns whether it did what was asked, and its answer.
#[expect(
    clippy::needless_pass_by_value,
    reason = "callers write json!({..}) in place"
)]
fn call(client: &Client, name: &str, arguments: Value) -> (bool, Value) {
    let params = json!({ "name": name, "arguments": arguments });
    let mut result = send(client, "tools/call", &params).ok()["result"].take();
    let is_success = result["isError"] == false;
    (is_success, result["structuredContent"].take())
}

#[track_caller]
#[expect(
    clippy::needless_pass_by_value,
    reason = "callers call the tool in place"
)]
fn refused(called: (bool, Value), code: &str) {
    assert_eq!((called.0, &called.1["code"]), (false, &json!(code)));
}

#[test]
fn tools_do_what_their_routes_do() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(folder.path()).start();
    let client = server.client();
    let params = json!({
        "protocolVersion": VERSION, "capabilities": {},
        "clientInfo": { "name": "test", "version": "1" },
    });
    let greeted = send(client, "initialize", &params).ok();
    assert_eq!(greeted["result"]["serverInfo"]["name"], "siamese");
    assert_eq!(
        tools(client),
        ["search", "similarity", "add", "get", "delete"]
    );

    let documents =
        json!([{ "id": "a/b", "text": "a lamp that blinks" }, { "id": "c", "text": "rain" }]);
    let (is_done, added) = call(client, "add", json!({ "documents": documents }));
    assert!(is_done, "{added}");
    let (_, found) = call(
        client,
        "search",
        json!({ "query": "a lamp that blinks", "top_k": 1 }),
    );
    assert_eq!(found["hits"][0]["id"], "a/b");
    let (_, read) = call(client, "get", json!({ "id": "a/b" }));
    assert_eq!(read["text"], "a lamp that blinks");
    let compared = json!({ "source": "rain", "targets": ["rain", "a lamp"] });
    let (_, compared) = call(client, "similarity", compared);
    assert_eq!(compared["scores"].as_array().unwrap().len(), 2);
    let (is_done, _) = call(client, "delete", json!({ "ids": ["a/b"] }));
    assert!(is_done);
    refused(
        call(client, "get", json!({ "id": "a/b" })),
        "document_not_found",
    );
    refused(
        call(
            client,
            "search",
            json!({ "query": "x", "collection": "nowhere" }),
        ),
        "collection_not_found",
    );
    let (is_done, said) = call(client, "delete", json!({ "filter": {} }));
    assert!(
        !is_done && said["detail"].as_str().unwrap().contains("filter"),
        "{said}"
    );
    client.get("/documents/c").ok();
}

#[test]
fn keys_and_scopes_hold_for_tools() {
    let folder = tempfile::tempdir().unwrap();
    let admin = key(folder.path(), "admin", "admin", &[]);
    let reader = key(folder.path(), "reader", "search", &[]);
    let acme = key(
        folder.path(),
        "acme",
        "search,write",
        &["--collection", "acme"],
    );
    let server = ServerOptions::tiny(folder.path()).start();
    let [admin, reader, acme] = [admin, reader, acme].map(|key| server.client().with_key(&key));
    send(server.client(), "tools/list", &json!({})).problem(401, "key_missing");
    for name in ["acme", "other"] {
        let path = format!("/collections/{name}");
        admin.ask(Method::PUT, &path, &[], json!({})).ok();
    }
    assert_eq!(tools(&reader), ["search", "similarity", "get"]);
    assert_eq!(tools(&acme).len(), 5);

    let add = |collection: &str| json!({ "documents": [{ "id": "a", "text": "a lamp" }], "collection": collection });
    refused(call(&reader, "add", add("acme")), "scope_missing");
    refused(call(&acme, "add", add("other")), "collection_not_permitted");
    refused(
        call(&acme, "search", json!({ "query": "x" })),
        "collection_not_permitted",
    );
    assert!(call(&acme, "add", add("acme")).0);
    assert!(call(&reader, "get", json!({ "id": "a", "collection": "acme" })).0);
}

#[test]
fn tokens_of_tools_are_paid_for_by_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let few = key(
        folder.path(),
        "few",
        "search",
        &["--tokens-per-minute", "20"],
    );
    let server = ServerOptions::tiny(folder.path()).start();
    let client = server.client().with_key(&few);
    let long = "many words in one sentence about lamps and rain ".repeat(10);
    let arguments = json!({ "source": long, "targets": ["a"] });
    call(&client, "similarity", arguments);
    let arguments = json!({ "source": "another", "targets": ["b"] });
    refused(call(&client, "similarity", arguments), "budget_exceeded");
}

#[test]
fn no_log_has_a_text_of_a_tool() {
    let folder = tempfile::tempdir().unwrap();
    let (data, log) = (folder.path().join("data"), folder.path().join("log"));
    let server = ServerOptions::tiny(&data)
        .log_to(&log)
        .setting("LOG__FILTER", "trace")
        .start();
    let arguments = json!({ "query": "an unmistakable sentence about zebras" });
    assert!(call(server.client(), "search", arguments).0);
    assert!(server.terminate().success());
    let logged = fs_err::read_to_string(&log).unwrap();
    assert!(logged.contains("/mcp") && !logged.contains("zebras"));
}

#[test]
fn a_message_that_is_large_or_none_is_refused_and_the_service_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(folder.path()).start();
    let client = server.client();
    let items: Vec<Value> = (0..20_000).map(|_| json!({})).collect();
    let many = send(
        client,
        "tools/call",
        &json!({ "name": "add", "arguments": { "documents": items } }),
    );
    many.problem(422, "invalid_request");
    assert!(many.text.contains("over 20000 keys"), "{}", many.text);
    let long = json!({ "name": "search", "arguments": { "query": "x".repeat(4 << 20) } });
    let long = send(client, "tools/call", &long);
    long.problem(413, "payload_too_large");
    assert!(long.text.contains("over 4194304 bytes"), "{}", long.text);
    let body = client.send(Method::POST, "/mcp", Some("application/json"), b"{");
    assert!((400..500).contains(&body.status), "{}", body.text);
    let accepts = client.send(Method::POST, "/mcp", Some("application/json"), b"{}");
    assert!((400..500).contains(&accepts.status), "{}", accepts.text);
    client.get("/mcp").problem(405, "method_not_allowed");
    let unknown = send(client, "tools/call", &json!({ "name": "drop_everything" })).ok();
    assert!(
        unknown["error"]["message"]
            .as_str()
            .unwrap()
            .contains("drop_everything")
    );
    assert_eq!(tools(client).len(), 5);
}
