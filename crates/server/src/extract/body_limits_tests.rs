//! Limits of bodies, through the router and without models: a body that passes is answered 503, as they are not loaded.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{Response, header};
use futures_util::{StreamExt, stream};
use serde_json::Value;
use tokio::sync::oneshot;
use tower::ServiceExt;

use crate::access::Access;
use crate::app::App;
use crate::config::{Limits, Overrides, Settings};
use crate::connections::ConnectionLimits;

const MIB: usize = 1 << 20;

fn app(change: impl FnOnce(&mut Limits)) -> Router {
    let mut settings = Settings::load(&Overrides::default()).unwrap();
    change(&mut settings.limits);
    let connections = ConnectionLimits::new(&settings.server, None);
    let access = Access::open(&settings).unwrap();
    crate::router(App::new(settings, connections, access, None))
}

async fn answer(app: &Router, path: &str, body: impl Into<Body>) -> (Value, Response<()>) {
    let request = Request::post(path)
        .header(header::HOST, "localhost")
        .header(header::CONTENT_TYPE, "application/json");
    let request = request.body(body.into()).unwrap();
    let (head, body) = app.clone().oneshot(request).await.unwrap().into_parts();
    let body = axum::body::to_bytes(body, MIB).await.unwrap();
    (
        serde_json::from_slice(&body).unwrap(),
        Response::from_parts(head, ()),
    )
}

async fn problem(app: &Router, path: &str, body: impl Into<Body>) -> Value {
    answer(app, path, body).await.0
}

fn list(before: &str, item: &str, items: usize, after: &str) -> String {
    format!("{before}{}{after}", vec![item; items].join(","))
}

/// A body that begins and never ends, and tells when more of it is waited for.
fn endless(bytes: usize) -> (Body, oneshot::Receiver<()>) {
    let (asked, is_asked) = oneshot::channel();
    let begin = Bytes::from(vec![b' '; bytes]);
    let begin = stream::iter([Ok::<_, std::io::Error>(begin)]);
    let rest = stream::once(async move {
        asked.send(()).unwrap();
        std::future::pending().await
    });
    (Body::from_stream(begin.chain(rest)), is_asked)
}

/// Route, what stands before the items of a list, an item, what stands after them, where the list
/// is, and its limit.
const LISTS: &[(&str, &str, &str, &str, &str, &str)] = &[
    (
        "/search/batch",
        r#"{"searches":["#,
        r#"{"query":"a","top_k":1}"#,
        "]}",
        "/searches",
        "searches_per_batch",
    ),
    (
        "/search",
        r#"{"positive":["#,
        r#""a""#,
        "]}",
        "/positive",
        "search_examples",
    ),
    (
        "/search",
        r#"{"positive":["a"],"negative":["#,
        r#""a""#,
        "]}",
        "/negative",
        "search_examples",
    ),
    (
        "/search/batch",
        r#"{"searches":[{"positive":["#,
        r#""a""#,
        "]}]}",
        "/searches/0/positive",
        "search_examples",
    ),
    (
        "/search",
        r#"{"query":"a","facets":["#,
        r#""a""#,
        "]}",
        "/facets",
        "facets",
    ),
    (
        "/documents/delete",
        r#"{"ids":["#,
        r#""a""#,
        "]}",
        "/ids",
        "ids_per_request",
    ),
    (
        "/similarity",
        r#"{"left":["#,
        r#""a""#,
        "]}",
        "/left",
        "similarity_items",
    ),
    (
        "/similarity",
        r#"{"left":["a"],"right":["#,
        r#""a""#,
        "]}",
        "/right",
        "similarity_items",
    ),
    (
        "/similarity",
        r#"{"source":"a","targets":["#,
        r#""a""#,
        "]}",
        "/targets",
        "similarity_items",
    ),
    (
        "/similarity",
        r#"{"pairs":["#,
        r#"["a","b"]"#,
        "]}",
        "/pairs",
        "similarity_items",
    ),
    (
        "/similarity",
        r#"{"pairs":[["#,
        r#""a""#,
        "]]}",
        "/pairs/0",
        "similarity_items",
    ),
    (
        "/embed",
        r#"{"inputs":["#,
        r#""a""#,
        "]}",
        "/inputs",
        "embed_texts",
    ),
    (
        "/v1/embeddings",
        r#"{"input":["#,
        r#""a""#,
        "]}",
        "/input",
        "embed_texts",
    ),
    (
        "/rerank",
        r#"{"query":"a","texts":["#,
        r#""a""#,
        "]}",
        "/texts",
        "rerank_candidates",
    ),
    (
        "/documents",
        r#"{"documents":["#,
        r#"{"text":"a"}"#,
        "]}",
        "/documents",
        "documents_per_request",
    ),
];

#[tokio::test]
async fn every_list_is_read_up_to_its_limit_and_no_further() {
    let app = app(|limits| {
        limits.max_documents_per_request = 3;
        limits.max_searches_per_batch = 3;
        limits.max_search_examples = 3;
        limits.max_facets = 3;
        limits.max_ids_per_request = 3;
        limits.max_similarity_items = 3;
        limits.max_embed_texts = 3;
        limits.max_rerank_candidates = 3;
    });
    for &(path, before, item, after, pointer, limit) in LISTS {
        let limit = format!("limits.max_{limit} = 3");
        let within = problem(&app, path, list(before, item, 3, after)).await;
        assert!(
            !within["detail"]
                .as_str()
                .unwrap()
                .contains("there are more"),
            "{within}"
        );
        // What follows the item too many is not looked at, so it may be anything.
        let over = list(before, item, 4, "#");
        let over = problem(&app, path, over).await;
        assert_eq!(over["status"], 422, "{path} {over}");
        assert_eq!(over["pointer"], pointer, "{path} {over}");
        let detail = over["detail"].as_str().unwrap();
        assert!(
            detail.starts_with("there are more") && detail.contains(&limit),
            "{detail}"
        );
    }
}

#[tokio::test]
async fn metadata_and_filters_are_counted_by_the_values_of_the_body() {
    let app = app(|limits| limits.max_json_values = 12);
    for (path, before, after) in [
        (
            "/documents",
            r#"{"documents":[{"text":"a","metadata":{"k":["#,
            "]}}]}",
        ),
        (
            "/search",
            r#"{"query":"a","top_k":1,"filter":{"f":{"$in":["#,
            "]}}}",
        ),
    ] {
        let used = if path == "/search" { 11 } else { 10 };
        let passes = problem(&app, path, list(before, "1", 12 - used, after)).await;
        assert_eq!(passes["code"], "not_ready", "{passes}");
        let over = problem(&app, path, list(before, "1", 13 - used, after)).await;
        assert_eq!(over["status"], 422, "{over}");
        let detail = over["detail"].as_str().unwrap();
        assert!(detail.contains("limits.max_json_values = 12"), "{detail}");
    }
}

#[tokio::test]
async fn a_body_that_announces_too_much_is_refused_before_it_comes() {
    let app = app(|limits| limits.max_body_bytes = 1000);
    for path in ["/documents", "/search", "/embed"] {
        let request = Request::post(path)
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CONTENT_LENGTH, "1001");
        let request = request.body(endless(1).0).unwrap();
        let answer = app.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), 413, "{path}");
        let over = problem(&app, path, endless(1001).0).await;
        assert_eq!(over["code"], "payload_too_large", "{over}");
        let within = problem(&app, path, " ".repeat(1000)).await;
        assert_eq!(within["code"], "malformed_json", "{within}");
    }
}

#[tokio::test]
async fn large_bodies_share_a_budget_that_small_ones_do_not_need() {
    let app = app(|limits| limits.max_bodies_in_flight_bytes = MIB);
    let (body, is_read) = endless(MIB);
    let slow = tokio::spawn({
        let app = app.clone();
        async move { problem(&app, "/search", body).await }
    });
    is_read.await.unwrap();
    let large = || format!(r#"{{"query":"a"}}{}"#, " ".repeat(200 << 10));
    let refused = answer(&app, "/search", large()).await;
    assert_eq!(refused.0["code"], "overloaded", "{}", refused.0);
    assert_eq!(refused.1.headers()[header::RETRY_AFTER], "2");
    let detail = refused.0["detail"].as_str().unwrap();
    assert!(
        detail.contains("limits.max_bodies_in_flight_bytes = 1048576"),
        "{detail}"
    );
    let small = problem(&app, "/search", r#"{"query":"a"}"#).await;
    assert_eq!(small["code"], "not_ready", "{small}");
    slow.abort();
    assert!(slow.await.is_err());
    let after = problem(&app, "/search", large()).await;
    assert_eq!(after["code"], "not_ready", "{after}");
}

#[tokio::test]
async fn what_a_body_is_made_into_counts_as_well() {
    let app = app(|limits| limits.max_bodies_in_flight_bytes = MIB);
    let maps = |count| {
        list(
            r#"{"query":"a","filter":{"f":{"$in":["#,
            r#"{"":1}"#,
            count,
            "]}}}",
        )
    };
    // 7 bytes each, which become a map of 640.
    let refused = problem(&app, "/search", maps(3000)).await;
    assert_eq!(refused["code"], "overloaded", "{refused}");
    let passes = problem(&app, "/search", maps(500)).await;
    assert_eq!(passes["status"], 422, "{passes}");
}

#[tokio::test]
async fn no_error_repeats_a_large_part_of_the_request() {
    let app = app(|_| {});
    let long = "\u{feff}".repeat(MIB);
    for body in [
        format!(r#"{{"top_k":"{long}"}}"#),
        format!(r#"{{"{long}":1}}"#),
        format!(r#"{{"query":"a","filter":{{"{long}":{{"$x":1}}}}}}"#),
    ] {
        let problem = problem(&app, "/search", body).await;
        assert_eq!(problem["status"], 422);
        assert!(problem.to_string().len() < 10_000);
    }
}
