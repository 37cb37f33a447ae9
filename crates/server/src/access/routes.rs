//! What each route needs. A route that is not in here is open to nobody.

use super::scope::Scope;

/// What a caller needs for a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// No key.
    Nothing,
    /// A key with this scope.
    Scope(Scope, Reach),
}

/// Which collections a route is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// None, or those that the key is for: others are left out.
    Visible,
    /// One, which the handler gets of the principal.
    Collection,
    /// All of them: a key that is for some only will not do.
    Everything,
}

use Need::Nothing;
use Reach::{Collection, Everything, Visible};

const SEARCH: Need = Need::Scope(Scope::Search, Visible);
const ADMIN_OF_ALL: Need = Need::Scope(Scope::Admin, Everything);

const SEARCH_IN: Need = Need::Scope(Scope::Search, Collection);
const WRITE_IN: Need = Need::Scope(Scope::Write, Collection);
const ADMIN_IN: Need = Need::Scope(Scope::Admin, Collection);

type Entry = (&'static str, &'static str, Need);

/// Routes of the service. What is told before anyone shows a key is the same for every service of this version, or
/// what a probe has to know.
const SERVICE_ROUTES: &[Entry] = &[
    ("GET", "/", Nothing),
    ("GET", "/page/{*rest}", Nothing),
    ("GET", "/openapi.json", Nothing),
    ("GET", "/openapi.yaml", Nothing),
    ("GET", "/docs", Nothing),
    ("GET", "/docs/", Nothing),
    ("GET", "/docs/{*rest}", Nothing),
    ("GET", "/livez", Nothing),
    ("GET", "/readyz", Nothing),
    ("GET", "/health", Nothing),
    ("GET", "/ping", Nothing),
    ("GET", "/metrics", Need::Scope(Scope::Metrics, Everything)),
    // Models and their texts. No collection has a part in them.
    ("GET", "/encoder", SEARCH),
    ("GET", "/reranker", SEARCH),
    ("GET", "/capabilities", SEARCH),
    ("GET", "/info", SEARCH),
    ("GET", "/stats", SEARCH),
    // What its tools do needs what their routes do, too.
    ("POST", "/mcp", SEARCH),
    ("GET", "/models", SEARCH),
    ("GET", "/models/{*id}", SEARCH),
    ("GET", "/v1/models", SEARCH),
    ("GET", "/v1/models/{*id}", SEARCH),
    ("POST", "/embed", SEARCH),
    ("POST", "/embed_all", SEARCH),
    ("POST", "/embeddings", SEARCH),
    ("POST", "/v1/embeddings", SEARCH),
    ("POST", "/v1/embed", SEARCH),
    ("POST", "/v2/embed", SEARCH),
    ("POST", "/rerank", SEARCH),
    ("POST", "/v1/rerank", SEARCH),
    ("POST", "/v2/rerank", SEARCH),
    ("POST", "/predict", SEARCH),
    ("POST", "/tokenize", SEARCH),
    ("POST", "/decode", SEARCH),
    // It may compare texts, with the encoder of the default collection.
    ("POST", "/", SEARCH),
    // A model is everybody's, and a training takes the machine's time.
    ("POST", "/models/{*id}", ADMIN_OF_ALL),
    ("GET", "/collections", SEARCH),
    ("GET", "/collections/{collection}", SEARCH_IN),
    ("PUT", "/collections/{collection}", ADMIN_IN),
    ("DELETE", "/collections/{collection}", ADMIN_IN),
    ("GET", "/collections/{collection}/generations", SEARCH_IN),
    ("POST", "/collections/{collection}/generations", ADMIN_IN),
    (
        "GET",
        "/collections/{collection}/generations/{generation}",
        SEARCH_IN,
    ),
    (
        "DELETE",
        "/collections/{collection}/generations/{generation}",
        ADMIN_IN,
    ),
    (
        "POST",
        "/collections/{collection}/generations/{generation}/activate",
        ADMIN_IN,
    ),
    (
        "POST",
        "/collections/{collection}/generations/{generation}/resume",
        ADMIN_IN,
    ),
    (
        "POST",
        "/collections/{collection}/generations/{generation}/compare",
        ADMIN_IN,
    ),
    // What others have searched for.
    ("GET", "/collections/{collection}/queries", ADMIN_IN),
    ("DELETE", "/collections/{collection}/queries", ADMIN_IN),
    ("GET", "/aliases", SEARCH),
    ("GET", "/aliases/{alias}", SEARCH_IN),
    ("PUT", "/aliases/{alias}", ADMIN_IN),
    ("DELETE", "/aliases/{alias}", ADMIN_IN),
    // A key with the scope search has jobs of its own: comparisons. Others' are seen by who administers them.
    ("GET", "/jobs", SEARCH),
    ("GET", "/jobs/{id}", SEARCH),
    ("DELETE", "/jobs/{id}", SEARCH),
    ("GET", "/jobs/{id}/result", SEARCH),
    ("POST", "/jobs", ADMIN_OF_ALL),
    ("GET", "/snapshots", ADMIN_OF_ALL),
    ("POST", "/snapshots", ADMIN_OF_ALL),
    ("GET", "/snapshots/{name}", ADMIN_OF_ALL),
    ("DELETE", "/snapshots/{name}", ADMIN_OF_ALL),
];

/// Routes of one collection, which each exist twice: for the default one, and below `/collections/{collection}`.
const COLLECTION_ROUTES: &[Entry] = &[
    ("GET", "/search", SEARCH_IN),
    ("POST", "/search", SEARCH_IN),
    ("POST", "/search/batch", SEARCH_IN),
    ("POST", "/similarity", SEARCH_IN),
    ("POST", "/similarity/explain", SEARCH_IN),
    ("POST", "/duplicates", SEARCH_IN),
    ("POST", "/clusters", SEARCH_IN),
    ("POST", "/map", SEARCH_IN),
    ("GET", "/documents", SEARCH_IN),
    ("GET", "/documents/{id}", SEARCH_IN),
    ("POST", "/documents", WRITE_IN),
    ("PATCH", "/documents", WRITE_IN),
    ("DELETE", "/documents", WRITE_IN),
    ("PATCH", "/documents/{id}", WRITE_IN),
    ("DELETE", "/documents/{id}", WRITE_IN),
    ("POST", "/documents/delete", WRITE_IN),
    // The document with the id "delete".
    ("GET", "/documents/delete", SEARCH_IN),
    ("PATCH", "/documents/delete", WRITE_IN),
    ("DELETE", "/documents/delete", WRITE_IN),
    ("POST", "/feedback", WRITE_IN),
    ("DELETE", "/feedback", WRITE_IN),
    // What others have searched for, again.
    ("GET", "/feedback", ADMIN_IN),
    ("POST", "/training/pairs", ADMIN_IN),
    ("GET", "/export", ADMIN_IN),
];

/// Where routes of one collection live a second time.
pub(crate) const COLLECTION_PREFIX: &str = "/collections/{collection}";

/// What a route needs, by its method and the pattern of its path. `HEAD` needs what `GET` does.
pub(crate) fn need_of(method: &str, pattern: &str) -> Option<Need> {
    let method = if method == "HEAD" { "GET" } else { method };
    let mut entries = entries_of(pattern);
    entries
        .find(|(entry, _)| *entry == method)
        .map(|(_, need)| need)
}

/// The methods of a route that has any.
pub(super) fn methods_of(pattern: &str) -> Vec<&'static str> {
    entries_of(pattern).map(|(method, _)| method).collect()
}

fn entries_of(pattern: &str) -> impl Iterator<Item = (&'static str, Need)> {
    let rest = pattern.strip_prefix(COLLECTION_PREFIX).unwrap_or(pattern);
    let of_service = SERVICE_ROUTES
        .iter()
        .filter(move |entry| entry.1 == pattern);
    let of_collection = COLLECTION_ROUTES
        .iter()
        .filter(move |entry| entry.1 == rest);
    of_service
        .chain(of_collection)
        .map(|(method, _, need)| (*method, *need))
}

/// Whether an address is one that needs no key, before the router has found its route. It decides only who is turned
/// away early: what a route needs is looked at again when it is known.
pub(super) fn is_open(method: &str, path: &str) -> bool {
    let method = if method == "HEAD" { "GET" } else { method };
    SERVICE_ROUTES.iter().any(|(of, pattern, need)| {
        *need == Nothing
            && *of == method
            && match pattern.strip_suffix("{*rest}") {
                Some(folder) => path.starts_with(folder),
                None => path == *pattern,
            }
    })
}

#[cfg(test)]
pub(super) fn all() -> impl Iterator<Item = (&'static str, String, Need)> {
    let own = |(method, pattern, need): &Entry| (*method, (*pattern).to_owned(), *need);
    let below =
        |(method, pattern, need): &Entry| (*method, format!("{COLLECTION_PREFIX}{pattern}"), *need);
    let default = COLLECTION_ROUTES.iter().map(own);
    let named = COLLECTION_ROUTES.iter().map(below);
    SERVICE_ROUTES.iter().map(own).chain(default).chain(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_route_is_in_the_table_twice() {
        let mut known = std::collections::HashSet::new();
        for (method, pattern, _) in all() {
            assert!(
                known.insert((method, pattern.clone())),
                "{method} {pattern}"
            );
        }
    }

    #[test]
    fn the_documentation_has_the_same_table() {
        let page = include_str!("../../../../docs/access.md");
        let rows: Vec<&str> = page
            .lines()
            .filter(|line| line.starts_with("| `"))
            .collect();
        let rows: Vec<&str> = rows
            .into_iter()
            .filter(|line| line.contains(" /"))
            .collect();
        let row = |(method, pattern, need): &Entry| {
            let (scope, collections) = match need {
                Nothing => ("none", "–"),
                Need::Scope(scope, reach) => (
                    scope.name(),
                    match reach {
                        Visible => "those of the key",
                        Collection => "the one it is about",
                        Everything => "all",
                    },
                ),
            };
            format!("| `{method} {pattern}` | {scope} | {collections} |")
        };
        let expected = SERVICE_ROUTES.iter().chain(COLLECTION_ROUTES).map(row);
        let expected: Vec<String> = expected.collect();
        let rows: Vec<&str> = rows
            .into_iter()
            .skip_while(|row| **row != expected[0])
            .collect();
        assert_eq!(rows, expected);
    }

    #[test]
    fn what_is_not_in_the_table_needs_something_that_nobody_has() {
        for (method, pattern) in [
            ("GET", "/nothing"),
            ("PUT", "/search"),
            ("get", "/livez"),
            ("GET", "/collections/{collection}/livez"),
            (
                "GET",
                "/collections/{collection}/collections/{collection}/search",
            ),
        ] {
            assert_eq!(need_of(method, pattern), None, "{method} {pattern}");
        }
        assert_eq!(need_of("HEAD", "/search"), Some(SEARCH_IN));
    }

    #[test]
    fn only_addresses_of_open_routes_are_open() {
        for path in [
            "/",
            "/livez",
            "/readyz",
            "/page/main.js",
            "/docs",
            "/docs/",
            "/docs/a.css",
        ] {
            assert!(is_open("GET", path) && is_open("HEAD", path), "{path}");
        }
        for (method, path) in [
            ("POST", "/"),
            ("POST", "/livez"),
            ("GET", "/search"),
            ("GET", "/metrics"),
            ("GET", "/docsearch"),
            ("GET", "/livez/x"),
            ("OPTIONS", "/search"),
        ] {
            assert!(!is_open(method, path), "{method} {path}");
        }
    }
}
