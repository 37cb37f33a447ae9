//! Paths as clients put them together: with slashes at the end, and twice in the middle.
//!
//! Such a path is that of the route without them. A redirect to it would do for browsers; other clients
//! do not follow one with a body.

use axum::extract::Request;
use axum::http::Uri;
use axum::http::uri::PathAndQuery;

/// Below this stand pages with relative links, which the slash is a part of.
const PAGES: &str = "/docs/";

/// The request with the path of its route.
pub(crate) fn tidy_path(mut request: Request) -> Request {
    if let Some(uri) = tidied(request.uri()) {
        *request.uri_mut() = uri;
    }
    request
}

/// The tidy address, unless it is this one.
fn tidied(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    let is_tidy = !path.contains("//") && (path.len() <= 1 || !path.ends_with('/'));
    if is_tidy || path.starts_with(PAGES) || !path.starts_with('/') {
        return None;
    }
    let segments = path.split('/').filter(|segment| !segment.is_empty());
    let mut tidy = segments.fold(String::new(), |path, segment| path + "/" + segment);
    if tidy.is_empty() {
        tidy.push('/');
    }
    if let Some(query) = uri.query() {
        tidy = tidy + "?" + query;
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(tidy).ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tidy(uri: &str) -> String {
        let uri: Uri = uri.parse().unwrap();
        tidied(&uri).unwrap_or(uri).to_string()
    }

    #[test]
    fn slashes_at_the_end_and_twice_are_left_out() {
        for (uri, expected) in [
            ("/", "/"),
            ("//", "/"),
            ("/search", "/search"),
            ("/search/", "/search"),
            ("/search//?q=a//b/", "/search?q=a//b/"),
            ("//v1//embeddings", "/v1/embeddings"),
            ("/documents/a%2F", "/documents/a%2F"),
            ("/documents/a%2F/", "/documents/a%2F"),
            ("/docs/", "/docs/"),
            ("/docs//x/", "/docs//x/"),
            ("http://localhost/search/", "http://localhost/search"),
            ("*", "*"),
        ] {
            assert_eq!(tidy(uri), expected, "{uri}");
        }
    }
}
