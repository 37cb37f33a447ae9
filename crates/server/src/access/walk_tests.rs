//! Every route of the router with every kind of key.

use std::collections::BTreeSet;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

use super::routes::{Need, Reach, all};
use super::{Access, KeyCollections, NewKey, Scope};
use crate::app::App;
use crate::config::{Overrides, Settings};
use crate::connections::ConnectionLimits;
use crate::router::{all_routes, described_routes, router};

/// What is answered to a caller whose key is not for the route.
const REFUSALS: [&str; 5] = [
    "key_missing",
    "key_invalid",
    "key_expired",
    "scope_missing",
    "collection_not_permitted",
];

/// A service that has no model and no index yet: whoever is let in is told that it is not ready.
struct Service {
    folder: TempDir,
    settings: Settings,
}

impl Service {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings::load(&Overrides {
            data_dir: Some(folder.path().to_owned()),
            ..Overrides::default()
        });
        Self {
            settings: settings.unwrap(),
            folder,
        }
    }

    fn app(&self) -> App {
        let limits = ConnectionLimits::new(&self.settings.server, None);
        let access = Access::open(&self.settings).unwrap();
        App::new(self.settings.clone(), limits, access, None)
    }

    fn router(&self) -> Router {
        router(self.app())
    }

    fn key(&self, name: &str, scopes: &[Scope], collections: Option<&str>) -> String {
        self.make(NewKey {
            name: name.to_owned(),
            scopes: scopes.to_vec(),
            collections: collections_of(collections),
            expires_at: None,
            max_requests_per_minute: None,
            max_tokens_per_minute: None,
        })
    }

    fn make(&self, key: NewKey) -> String {
        let key = self.settings.keys_file().create(key).unwrap();
        key.reveal().to_owned()
    }
}

fn collections_of(name: Option<&str>) -> KeyCollections {
    KeyCollections::new(name.map(|name| vec![name.to_owned()])).unwrap()
}

/// The address of a route, with a collection where one stands.
fn address(method: &str, pattern: &str, collection: &str) -> String {
    let id = if method == "POST" { "x/train" } else { "x" };
    pattern
        .replace("{collection}", collection)
        .replace("{alias}", collection)
        .replace("{generation}", "1")
        .replace("{*id}", id)
        .replace("{id}", "x")
        .replace("{name}", "x")
        .replace("{*rest}", "index.css")
}

fn request(method: &str, path: &str, key: Option<&str>, body: &Value) -> Request<Body> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "localhost");
    if let Some(key) = key {
        request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
    }
    if matches!(method, "POST" | "PUT" | "PATCH") {
        let request = request.header(header::CONTENT_TYPE, "application/json");
        return request.body(Body::from(body.to_string())).unwrap();
    }
    request.body(Body::empty()).unwrap()
}

async fn answer(router: &Router, request: Request<Body>) -> (StatusCode, HeaderMap, Value) {
    let response: Response<_> = router.clone().oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let body = serde_json::from_slice(&bytes).unwrap_or_default();
    (head.status, head.headers, body)
}

/// Why a caller is turned away, if it is.
async fn refusal(
    router: &Router,
    method: &str,
    path: &str,
    key: Option<&str>,
    of: &str,
) -> Option<String> {
    let body = match path.starts_with("/aliases/") {
        true => json!({ "collection": of }),
        false => json!({}),
    };
    let (_, _, body) = answer(router, request(method, path, key, &body)).await;
    let code = body["code"].as_str().unwrap_or_default().to_owned();
    REFUSALS.contains(&code.as_str()).then_some(code)
}

#[test]
fn every_route_of_the_router_is_in_the_table_and_every_entry_of_the_table_is_a_route() {
    let description = serde_json::to_value(described_routes()).unwrap();
    let paths = description["paths"].as_object().unwrap();
    let described = paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().keys();
        methods.map(move |method| (method.to_uppercase(), path.clone()))
    });
    let described: BTreeSet<_> = described.collect();
    let known: BTreeSet<_> = all()
        .map(|(method, pattern, _)| (method.to_owned(), pattern))
        .collect();
    let unknown: Vec<_> = described.difference(&known).collect();
    assert!(unknown.is_empty(), "not in access/routes.rs: {unknown:?}");
    // Pages are in no description. The router tells its paths only to developers.
    let service = Service::new();
    let told = format!("{:?}", all_routes(&service.app()));
    let told = told.split('"').skip(1).step_by(2);
    let routed: BTreeSet<&str> = told
        .filter(|text| text.starts_with('/') && !text.contains("__private__"))
        .collect();
    assert!(
        routed.contains("/page/{*rest}") && routed.contains("/search"),
        "{routed:?}"
    );
    let known: BTreeSet<&str> = known.iter().map(|(_, pattern)| pattern.as_str()).collect();
    assert_eq!(routed, known);
}

#[tokio::test]
async fn only_open_routes_are_open_without_a_key_with_a_wrong_one_and_with_an_expired_one() {
    let service = Service::new();
    let good = service.key("good", &[Scope::Admin], None);
    let expired = service.make(NewKey {
        name: "old".to_owned(),
        scopes: vec![Scope::Admin],
        collections: KeyCollections::default(),
        expires_at: Some("2020-01-01T00:00:00Z".parse().unwrap()),
        max_requests_per_minute: None,
        max_tokens_per_minute: None,
    });
    let wrong = format!("{}{}", &good[..good.len() - 4], "0000");
    let router = service.router();
    for (method, pattern, need) in all() {
        let path = address(method, &pattern, "mine");
        for (key, code) in [
            (None, "key_missing"),
            (Some(wrong.as_str()), "key_invalid"),
            (Some("sk-of-another-service"), "key_invalid"),
            (Some(expired.as_str()), "key_expired"),
        ] {
            let expected = (need != Need::Nothing).then(|| code.to_owned());
            let refused = refusal(&router, method, &path, key, "mine").await;
            assert_eq!(refused, expected, "{method} {path} {key:?}");
        }
        let refused = refusal(&router, method, &path, Some(&good), "mine").await;
        assert_eq!(refused, None, "{method} {path}");
    }
    // What is no route is closed as well.
    for (method, path) in [
        ("GET", "/nothing"),
        ("PUT", "/search"),
        ("OPTIONS", "/search"),
    ] {
        assert!(
            refusal(&router, method, path, None, "mine").await.is_some(),
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn each_scope_opens_its_routes_and_no_others() {
    let service = Service::new();
    let scopes = Scope::ALL.map(|scope| (scope, service.key(scope.name(), &[scope], None)));
    let router = service.router();
    for (method, pattern, need) in all() {
        let path = address(method, &pattern, "mine");
        for (scope, key) in &scopes {
            let is_enough = match need {
                Need::Nothing => true,
                Need::Scope(wanted, _) => wanted == *scope || *scope == Scope::Admin,
            };
            let refused = refusal(&router, method, &path, Some(key), "mine").await;
            let expected = (!is_enough).then(|| "scope_missing".to_owned());
            assert_eq!(refused, expected, "{method} {path} {scope}");
        }
    }
}

#[tokio::test]
async fn a_key_for_some_collections_opens_no_other_whatever_its_scope() {
    let service = Service::new();
    let key = service.key("bound", &[Scope::Admin], Some("mine"));
    let router = service.router();
    let forbidden = Some("collection_not_permitted".to_owned());
    for (method, pattern, need) in all() {
        let Need::Scope(_, reach) = need else {
            continue;
        };
        let names_one = pattern.contains("{collection}") || pattern.contains("{alias}");
        for (collection, is_own) in [("mine", true), ("other", false)] {
            let is_allowed = match reach {
                Reach::Visible => true,
                Reach::Everything => false,
                // Routes that name none are those of the default one.
                Reach::Collection => names_one && is_own,
            };
            let path = address(method, &pattern, collection);
            let refused = refusal(&router, method, &path, Some(&key), "mine").await;
            let expected = forbidden.clone().filter(|_| !is_allowed);
            assert_eq!(refused, expected, "{method} {path}");
        }
    }
    // An alias of its own that would stand for another's collection, and texts compared in the default one.
    let refused = refusal(&router, "PUT", "/aliases/mine", Some(&key), "other").await;
    assert_eq!(refused, forbidden);
    let body = json!({ "inputs": { "source_sentence": "a", "sentences": ["b"] } });
    let (status, _, body) = answer(&router, request("POST", "/", Some(&key), &body)).await;
    assert_eq!(
        (status.as_u16(), body["code"].as_str()),
        (403, forbidden.as_deref())
    );
}

#[tokio::test]
async fn where_no_keys_are_asked_for_every_route_is_open_whatever_key_is_sent() {
    let service = Service::new();
    let router = service.router();
    for (method, pattern, _) in all() {
        let path = address(method, &pattern, "mine");
        for key in [None, Some("sk-of-another-service")] {
            assert_eq!(
                refusal(&router, method, &path, key, "mine").await,
                None,
                "{method} {path}"
            );
        }
    }
}

#[tokio::test]
async fn a_method_that_a_route_does_not_have_is_answered_as_without_keys() {
    let service = Service::new();
    let key = service.key("admin", &[Scope::Admin], None);
    let router = service.router();
    let body = json!({});
    for (method, path, allowed) in [
        ("PUT", "/search", "GET,HEAD,POST"),
        ("PATCH", "/collections/mine", "DELETE,GET,HEAD,PUT"),
    ] {
        let (status, headers, _) = answer(&router, request(method, path, Some(&key), &body)).await;
        assert_eq!(status, 405, "{method} {path}");
        let mut methods: Vec<_> = headers[header::ALLOW]
            .to_str()
            .unwrap()
            .split(',')
            .collect();
        methods.sort_unstable();
        assert_eq!(methods.join(","), allowed);
    }
    let (status, _, _) = answer(&router, request("GET", "/nothing", Some(&key), &body)).await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn metrics_are_for_everybody_only_when_the_settings_say_so() {
    let mut service = Service::new();
    service.key("admin", &[Scope::Admin], None);
    let body = json!({});
    let status = async |service: &Service| {
        let request = request("GET", "/metrics", None, &body);
        answer(&service.router(), request).await.0.as_u16()
    };
    assert_eq!(status(&service).await, 401);
    service.settings.access.open_metrics = true;
    assert_ne!(status(&service).await, 401);
    drop(service.folder);
}

#[tokio::test]
async fn a_key_over_its_budget_is_told_when_to_come_back_and_others_go_on() {
    let service = Service::new();
    let new = |name: &str, requests: u32| NewKey {
        name: name.to_owned(),
        scopes: vec![Scope::Search],
        collections: KeyCollections::default(),
        expires_at: None,
        max_requests_per_minute: requests.try_into().ok(),
        max_tokens_per_minute: None,
    };
    let (few, many) = (service.make(new("few", 2)), service.make(new("many", 1000)));
    let router = service.router();
    let ask = async |key: &str| {
        let request = request("GET", "/collections", Some(key), &json!({}));
        answer(&router, request).await
    };
    for left in ["1", "0"] {
        let (status, headers, _) = ask(&few).await;
        assert_eq!(status, 503);
        assert_eq!(headers["ratelimit-policy"], "\"requests\";q=2;w=60");
        let told = headers["ratelimit"].to_str().unwrap();
        assert!(
            told.starts_with(&format!("\"requests\";r={left};t=")),
            "{told}"
        );
    }
    let (status, headers, body) = ask(&few).await;
    assert_eq!(
        (status.as_u16(), body["code"].as_str()),
        (429, Some("budget_exceeded"))
    );
    let wait_s: u64 = headers[header::RETRY_AFTER]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=30).contains(&wait_s), "{wait_s}");
    assert!(headers.contains_key("ratelimit"));
    assert_eq!(ask(&many).await.0, 503);
    // Probes are never refused.
    let probe = request("GET", "/livez", Some(&few), &json!({}));
    assert_eq!(answer(&router, probe).await.0, 200);
}
